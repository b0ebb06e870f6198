"""Compiled transforms and mappings against the obvious model, on generated sources, destinations and subjects."""

from __future__ import annotations

from dataclasses import dataclass

import hypothesis.strategies as st
import pytest
from hypothesis import given

from leafbox.broker.config import MappingDestination, SubjectMapping
from leafbox.broker.mappings import AccountMappings
from leafbox.protocol.subject_transform import (
    InvalidTransform,
    SubjectTransform,
    is_match,
    is_valid_subject,
    tokenize_wildcards,
)
from tests.support import transform_model

WORDS = st.text(alphabet="ab-%$", min_size=1, max_size=7).filter(lambda word: word[0] != "$")


@dataclass(frozen=True)
class Transform:
    source: str
    destination: str


@st.composite
def functions(draw: st.DrawFn, wildcards: int) -> str:
    """One variable token of a destination."""
    number = draw(st.integers(1, wildcards))
    size = draw(st.integers(-1, 8))
    kind = draw(st.integers(0, 5))
    match kind:
        case 0:
            return f"${number}"
        case 1:
            return f"{{{{wildcard({number})}}}}"
        case 2:
            indexes = draw(st.lists(st.integers(1, wildcards), max_size=3))
            return "{{partition(" + ",".join(map(str, [draw(st.integers(1, 99)), *indexes])) + ")}}"
        case 3:
            return f"{{{{split({number},{draw(st.sampled_from(['-', 'ab', '%']))})}}}}"
        case _:
            names = ["left", "right", "splitFromLeft", "SplitFromRight", "sliceFromLeft", "SliceFromRight"]
            return f"{{{{{draw(st.sampled_from(names))}({number},{size})}}}}"


@st.composite
def transforms(draw: st.DrawFn) -> Transform:
    """A valid source with at least one `*` and a valid destination."""
    source = draw(st.lists(st.one_of(WORDS, st.just("*")), min_size=1, max_size=5))
    source.insert(draw(st.integers(0, len(source))), "*")
    destination = draw(st.lists(st.one_of(WORDS, functions(source.count("*"))), min_size=1, max_size=5))
    if draw(st.booleans()):
        source.append(">")
        destination.append(">")
    return Transform(".".join(source), ".".join(destination))


@st.composite
def subjects_of(draw: st.DrawFn, source: str) -> str:
    """A subject that mostly matches the source."""
    tokens: list[str] = []
    for token in source.split("."):
        if token == ">":
            tokens += draw(st.lists(WORDS, min_size=0, max_size=3))
        else:
            tokens.append(draw(WORDS) if token == "*" or draw(st.integers(0, 20)) == 0 else token)
    return ".".join(tokens)


@pytest.mark.capability("CF05", "CF06")
@given(data=st.data(), made=transforms())
def test_a_compiled_transform_does_what_the_model_does(data: st.DataObject, made: Transform) -> None:
    subject = data.draw(subjects_of(made.source))
    expected = transform_model.transform(made.source, made.destination, subject)
    compiled = SubjectTransform.compile(made.source.encode(), made.destination.encode())
    assert compiled.match(subject.encode()) == (None if expected is None else expected.encode())


@pytest.mark.capability("CF04")
@given(data=st.data(), made=transforms())
def test_a_mapping_does_what_its_transform_does(data: st.DataObject, made: Transform) -> None:
    subject = data.draw(subjects_of(made.source))
    expected = transform_model.transform(made.source, made.destination, subject) or subject
    mappings = AccountMappings([SubjectMapping(made.source, (MappingDestination(made.destination),))])
    for _ in range(2):  # Computed, then remembered.
        assert mappings.map(subject.encode()) == expected.encode()


@given(source=st.lists(st.sampled_from(["a", "b", "*", "*"]), min_size=1, max_size=5), data=st.data())
def test_a_reversed_import_transform_leads_back(source: list[str], data: st.DataObject) -> None:
    count = source.count("*")
    order = data.draw(st.permutations(range(1, count + 1)))
    destination = ["to", *(f"${number}" for number in order)]
    if data.draw(st.booleans()):
        source, destination = [*source, ">"], [*destination, ">"]
    there = SubjectTransform.compile(".".join(source).encode(), ".".join(destination).encode(), strict=True)
    back = there.reverse()
    subject = data.draw(subjects_of(".".join(source))).encode()
    if (mapped := there.match(subject)) is not None:
        assert back.match(mapped) == subject
    assert back.reverse().destination == there.destination


@given(
    source=st.text(alphabet="ab.*>$ {}", max_size=12),
    destination=st.text(alphabet="ab.*>$12 {}(),wildcrpton", max_size=20),
)
def test_any_text_compiles_or_is_refused(source: str, destination: str) -> None:
    try:
        compiled = SubjectTransform.compile(source.encode(), destination.encode())
    except InvalidTransform:
        return
    assert is_valid_subject(compiled.source)
    compiled.match(b"a.b")


@given(source=st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=5), data=st.data())
def test_the_identity_transform_changes_nothing(source: list[str], data: st.DataObject) -> None:
    pattern = ".".join(source)
    subject = data.draw(subjects_of(pattern)).encode()
    compiled = SubjectTransform.compile(pattern.encode(), tokenize_wildcards(pattern.encode()), strict=True)
    matched = is_match(pattern.encode().split(b"."), subject.split(b"."))
    assert compiled.match(subject) == (subject if matched else None)
