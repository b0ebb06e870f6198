"""Fuzz targets: one module each, with `SEEDS` and `one_input(data)`, which raises when something is wrong.

`python -m tests.fuzz NAME [libFuzzer options]` searches (see `__main__`); `tests/properties/test_fuzz_targets.py` runs
every target over its seeds and some variations, so that none of them rots.
"""
