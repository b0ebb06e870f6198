"""The query string of a monitoring request, read as nats-server reads it, with its error texts.

Only the first value of a name counts; an empty one is as good as none.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
INT64_MAX = (1 << 63) - 1
UINT64_MAX = (1 << 64) - 1


class BadQuery(Exception):
    """The request cannot be answered; the text is the body of the 400."""


class Query:
    """Values by name, converted on demand. All conversions raise `BadQuery`."""

    def __init__(self, text: str = "") -> None:
        self._values: dict[str, str] = {}
        for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=None):
            self._values.setdefault(name, value)

    def text(self, name: str) -> str:
        """The value as it is; empty when missing."""
        return self._values.get(name, "")

    def boolean(self, name: str) -> bool:
        """True for what Go's ParseBool takes for it; False when missing."""
        value = self.text(name)
        if value in _TRUE:
            return True
        if not value or value in _FALSE:
            return False
        raise BadQuery(f"Error decoding boolean for '{name}': strconv.ParseBool: {_parsing(value)}: invalid syntax")

    def integer(self, name: str) -> int:
        """A decimal integer with optional sign; 0 when missing."""
        value = self.text(name)
        digits = value[1:] if value[:1] in ("+", "-") else value
        return self._number(name, "int", "Atoi", digits, -INT64_MAX - 1, INT64_MAX)

    def unsigned(self, name: str) -> int:
        """A decimal integer without sign; 0 when missing."""
        return self._number(name, "uint64", "ParseUint", self.text(name), 0, UINT64_MAX)

    def _number(self, name: str, kind: str, function: str, digits: str, least: int, most: int) -> int:
        value = self.text(name)
        if not value:
            return 0
        problem = "invalid syntax"
        if digits.isascii() and digits.isdigit():
            number = int(value) if len(digits) < 40 else most + 1
            if least <= number <= most:
                return number
            problem = "value out of range"
        raise BadQuery(f"Error decoding {kind} for '{name}': strconv.{function}: {_parsing(value)}: {problem}")


def _parsing(value: str) -> str:
    return f"parsing {json.dumps(value, ensure_ascii=False)}"
