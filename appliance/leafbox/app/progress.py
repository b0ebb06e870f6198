"""How far long work of a command is: a bar on standard error, of a terminal only; scripts and pipes see none."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import typer


class Bar:
    """A progress bar while the block runs; calling it moves it to a count of `length`."""

    def __init__(self, label: str, length: int, *, is_quiet: bool = False) -> None:
        """`is_quiet`: show none at all."""
        is_shown = sys.stderr.isatty() and not is_quiet
        self._length = max(length, 1)
        self._bar = typer.progressbar(length=self._length, label=label, file=sys.stderr) if is_shown else None
        self._at = 0

    def __enter__(self) -> Bar:
        if self._bar is not None:
            self._bar.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            # What was counted up to is an estimate now and then; done is done.
            self(self._length)
        if self._bar is not None:
            self._bar.__exit__(None, None, None)

    def __call__(self, to: int) -> None:
        to = min(to, self._length)
        if self._bar is not None and to > self._at:
            self._bar.update(to - self._at)
        self._at = max(self._at, to)


def drive(label: str, steps: Iterator[int], length: int, *, is_quiet: bool = False) -> None:
    """Do work that tells how far it is."""
    with Bar(label, length, is_quiet=is_quiet) as advance:
        for done in steps:
            advance(done)
