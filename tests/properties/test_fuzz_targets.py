"""Every fuzz target accepts its seeds and variations of them; the search itself is `make fuzz`."""

from __future__ import annotations

import importlib
import random

import pytest

from tests.fuzz.__main__ import target_names

VARIATIONS = 40


def varied(seed: bytes, chance: random.Random) -> bytes:
    """A seed with a few bytes changed, cut out or put in."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(data))
        match chance.randint(0, 3):
            case 0:
                data[at:at] = chance.randbytes(chance.randint(1, 4))
            case 1:
                del data[at : at + chance.randint(1, 8)]
            case 2:
                data[at : at + 1] = chance.randbytes(1)
            case _:
                data[at:at] = data[chance.randint(0, len(data)) :][: chance.randint(1, 30)]
    return bytes(data)


@pytest.mark.capability("AP10")
@pytest.mark.parametrize("name", target_names())
def test_a_target_accepts_its_seeds_and_variations(name: str) -> None:
    target = importlib.import_module(f"tests.fuzz.fuzz_{name}")
    chance = random.Random(name)
    assert target.SEEDS
    for seed in [b"", *target.SEEDS]:
        target.one_input(seed)
        for _ in range(VARIATIONS):
            target.one_input(varied(seed, chance))
