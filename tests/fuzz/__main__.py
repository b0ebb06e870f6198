"""Runs one fuzz target under atheris: `python -m tests.fuzz client_parser -max_total_time=600`.

What was found stays in build/fuzz/corpus/NAME and is where the next run begins; an input that fails is written beside
it as crash-*. Without the instrumented build of `make fuzz` it still runs, but blindly in the compiled modules.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
CORPUS = FOLDER.parent.parent / "build" / "fuzz" / "corpus"


def target_names() -> list[str]:
    """Every target there is."""
    return sorted(path.stem.removeprefix("fuzz_") for path in FOLDER.glob("fuzz_*.py"))


def main(arguments: list[str]) -> None:
    """NAME, then options for libFuzzer."""
    if not arguments or arguments[0] not in target_names():
        sys.exit(f"usage: python -m tests.fuzz NAME [libFuzzer options]; NAME is one of {', '.join(target_names())}")
    # It is no package of the project's environment: `make fuzz` brings it.
    atheris = importlib.import_module("atheris")
    name, *options = arguments
    # The compiled modules count for themselves; what is plain Python is instrumented while it is imported.
    with atheris.instrument_imports(include=["leafbox.app", "leafbox.protocol"]):
        target = importlib.import_module(f"tests.fuzz.fuzz_{name}")
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.SEEDS:
        (corpus / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    atheris.Setup([sys.argv[0], f"-artifact_prefix={corpus}-", *options, str(corpus)], target.one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
