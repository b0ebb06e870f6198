"""The shape of a JSON document: which keys it has and of what type, without its values."""

from __future__ import annotations

from collections.abc import Mapping

Shape = dict[str, str]
"""Path (`.key`, `[]` for the members of a list) -> JSON type."""


def key_tree(document: object, *, free: frozenset[str] = frozenset(), path: str = "") -> Shape:
    """Every path in `document` with its type. Below the paths in `free` keys are data and count as `*`.

    Integers and floats are one type, as in JSON: Go writes 2.0 as 2.
    """
    if isinstance(document, Mapping):
        tree: Shape = {path or ".": "object"}
        for key, value in document.items():
            tree |= key_tree(value, free=free, path=f"{path}.{'*' if path in free else key}")
        return tree
    if isinstance(document, list):
        tree = {path: "array"}
        for member in document:
            tree |= key_tree(member, free=free, path=f"{path}[]")
        return tree
    if isinstance(document, bool):
        return {path: "boolean"}
    if isinstance(document, int | float):
        return {path: "number"}
    return {path: "null" if document is None else "string"}


def tree_difference(expected: Shape, got: Shape) -> list[str]:
    """What is missing, extra or of another type, one line each."""
    return [
        f"{path}: {expected.get(path, 'absent')} -> {got.get(path, 'absent')}"
        for path in sorted(expected.keys() | got.keys())
        if expected.get(path) != got.get(path)
    ]
