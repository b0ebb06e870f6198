"""Mapping destinations: what is accepted; the texts of what is refused are compared with nats-server."""

from __future__ import annotations

import pytest

from leafbox.app.configuration.transforms import (
    TransformError,
    check_mapping,
    check_transform,
    numbered_wildcards,
    unnumbered_wildcards,
)


@pytest.mark.capability("CF05", "CF06")
@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("a", "b"),
        ("a.*", "b"),
        ("a.*.*", "b.$2.$1"),
        ("a.*", "b.$x"),
        ("a.>", "b.>"),
        ("a.*.>", "b.{{wildcard(1)}}.>"),
        ("a.*.*", "b.{{ Partition( 10, 1, 2 ) }}"),
        ("a", "b.{{partition(3)}}"),
        ("a", "b.{{random(3)}}"),
        ("a.*", "{{splitFromLeft(1,3)}}"),
        ("a.*", "{{split(1,-)}}.{{left(1,2)}}.{{right(1,2)}}.{{SliceFromRight(1,2)}}"),
        ("a.*", ""),
    ],
)
def test_accepted(source: str, destination: str) -> None:
    check_mapping(source, destination)


@pytest.mark.capability("CF05")
@pytest.mark.parametrize(
    ("source", "destination"),
    [("a.*", "b.$1"), ("a.*.*", "b.$2.$1"), ("a.*", "{{wildcard(1)}}.b"), ("a.>", "b.>"), ("a", "b")],
)
def test_accepted_for_an_import(source: str, destination: str) -> None:
    check_transform(source, destination, is_strict=True)


@pytest.mark.capability("CF05")
@pytest.mark.parametrize("destination", ["b", "b.{{partition(5,1)}}", "b.{{left(1,2)}}", "b.$1.x"])
def test_refused_for_an_import(destination: str) -> None:
    with pytest.raises(TransformError):
        check_transform("a.*.*", destination, is_strict=True)


def test_wildcards_are_numbered_and_back() -> None:
    assert numbered_wildcards("a.*.b.*.>") == "a.$1.b.$2.>"
    assert unnumbered_wildcards("a.$2.{{wildcard(1)}}.$x.>") == "a.*.*.$x.>"
