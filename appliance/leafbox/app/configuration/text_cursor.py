"""A place in a text: characters are read, looked at and given back; line and column follow in constant time.

Columns are counted in bytes from the line's start: 0-based on the first line, 1-based after it, as nats-server does.
"""

from __future__ import annotations

import re
from bisect import bisect_left


class TextCursor:
    """Reads one text forward. Subclasses say what the characters mean."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._is_ascii = text.isascii()
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._position = 0
        self._width = 0

    def _next(self) -> str:
        """The next character, consumed; empty at the end."""
        if self._position >= len(self._text):
            self._width = 0
            return ""
        self._width = 1
        self._position += 1
        return self._text[self._position - 1]

    def _back(self) -> None:
        """Undo the last `_next`."""
        self._position -= self._width

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._position)
        assert match is not None, "patterns here match the empty string"
        self._position = match.end()

    def _line(self) -> int:
        """Line of what has been consumed so far."""
        return 1 + bisect_left(self._newlines, self._position)

    def _column(self, start: int, end: int) -> int:
        """Bytes from the newline before `start` (or the text's start) to `end`."""
        index = bisect_left(self._newlines, start)
        base = self._newlines[index - 1] if index else 0
        return end - base if self._is_ascii else byte_count(self._text[base:end])


def byte_count(text: str) -> int:
    """Bytes of a text in UTF-8; bytes that are no UTF-8 count as they were."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
