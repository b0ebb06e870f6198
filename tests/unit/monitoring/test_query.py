"""Query strings as Go reads them, with its error texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.monitoring.query import BadQuery, Query

pytestmark = pytest.mark.capability("MO02")


def test_the_first_value_counts_and_empty_is_missing() -> None:
    query = Query("a=1&a=0&b=&c=x%20y+z&d")
    assert query.boolean("a")
    assert not query.boolean("b")
    assert query.integer("d") == 0
    assert query.text("c") == "x y z"
    assert query.text("missing") == ""


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_true(text: str) -> None:
    assert Query(f"a={text}").boolean("a")


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False"])
def test_false(text: str) -> None:
    assert not Query(f"a={text}").boolean("a")


@pytest.mark.parametrize(
    ("query", "conversion", "error"),
    [
        ("auth=zz", "boolean", "Error decoding boolean for 'auth': strconv.ParseBool: parsing \"zz\": invalid syntax"),
        ("limit=a", "integer", "Error decoding int for 'limit': strconv.Atoi: parsing \"a\": invalid syntax"),
        ("limit=1.5", "integer", "Error decoding int for 'limit': strconv.Atoi: parsing \"1.5\": invalid syntax"),
        ("limit=-", "integer", "Error decoding int for 'limit': strconv.Atoi: parsing \"-\": invalid syntax"),
        (
            "limit=9223372036854775808",
            "integer",
            "Error decoding int for 'limit': strconv.Atoi: parsing \"9223372036854775808\": value out of range",
        ),
        ("cid=-1", "unsigned", "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"-1\": invalid syntax"),
        ("cid=%2B1", "unsigned", "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"+1\": invalid syntax"),
    ],
)
def test_what_is_refused(query: str, conversion: str, error: str) -> None:
    name = query.partition("=")[0]
    with pytest.raises(BadQuery) as refused:
        getattr(Query(query), conversion)(name)
    assert str(refused.value) == error


def test_numbers_at_their_limits() -> None:
    assert Query("a=-9223372036854775808").integer("a") == -(1 << 63)
    assert Query("a=%2B7").integer("a") == 7
    assert Query("a=18446744073709551615").unsigned("a") == (1 << 64) - 1


@given(st.text(max_size=60))
def test_any_text_is_a_query(text: str) -> None:
    query = Query(text)
    for conversion in (query.boolean, query.integer, query.unsigned):
        try:
            conversion("a")
        except BadQuery:
            continue
