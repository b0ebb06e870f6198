"""Shapes of documents: paths, types, and keys that are data."""

from __future__ import annotations

from tests.support.key_tree import key_tree, tree_difference


def test_every_path_has_a_type() -> None:
    document = {"a": 1, "b": [{"c": "x"}, {"d": None}], "e": True, "f": 0.5, "g": {}}
    assert key_tree(document) == {
        ".": "object",
        ".a": "number",
        ".b": "array",
        ".b[]": "object",
        ".b[].c": "string",
        ".b[].d": "null",
        ".e": "boolean",
        ".f": "number",
        ".g": "object",
    }


def test_keys_that_are_data_are_alike() -> None:
    free = frozenset({".counts"})
    assert key_tree({"counts": {"/a": 1}}, free=free) == key_tree({"counts": {"/b": 2}}, free=free)


def test_differences_say_what_was_expected() -> None:
    assert tree_difference(key_tree({"a": 1, "b": 1}), key_tree({"a": "1", "c": 1})) == [
        ".a: number -> string",
        ".b: number -> absent",
        ".c: absent -> number",
    ]
