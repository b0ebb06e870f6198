"""The parsed configuration: a tree of values that remember where they were written.

A value belongs to the position of its key (array elements: their own). `is_used_variable` marks a key that some
`$reference` read; such a key is no unknown field even if no section knows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

Scalar = str | int | float | bool | datetime
Value = Scalar | dict[str, "Node"] | list["Node"]


@dataclass(slots=True, eq=False)
class Node:
    """One value with its place in a file."""

    value: Value
    file: str = ""
    line: int = 0
    column: int = 0
    is_used_variable: bool = False
    size: int = 1
    """Nodes below and including this one, with shared ones counted each time; bounds what references can unfold."""


def plain(value: Value) -> object:
    """The value without positions: dicts, lists and scalars."""
    if isinstance(value, dict):
        return {key: plain(node.value) for key, node in value.items()}
    if isinstance(value, list):
        return [plain(node.value) for node in value]
    return value
