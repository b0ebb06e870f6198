"""Turns a fuzzer's bytes into decisions. What is asked beyond the end is zero, so every input means something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Option = TypeVar("Option")


class Choices:
    """Reads decisions from the front of `data`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_exhausted(self) -> bool:
        """Nothing but zeros would follow."""
        return self._at >= len(self._data)

    def byte(self) -> int:
        """0 to 255."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def number(self, below: int) -> int:
        """0 to `below` - 1; two bytes where one is not enough."""
        value = self.byte() if below <= 256 else self.byte() << 8 | self.byte()
        return value % below

    def pick(self, options: Sequence[Option]) -> Option:
        """One of them."""
        return options[self.number(len(options))]

    def flag(self) -> bool:
        """True or False."""
        return self.byte() & 1 == 1

    def some_bytes(self, most: int) -> bytes:
        """Up to `most` bytes, of a length that is itself a decision."""
        length = self.number(most + 1)
        taken = self._data[self._at : self._at + length]
        self._at += length
        return taken

    def rest(self) -> bytes:
        """All that is left."""
        taken = self._data[self._at :]
        self._at = len(self._data)
        return taken
