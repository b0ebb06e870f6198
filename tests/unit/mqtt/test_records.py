"""Session definitions: a value with deltas behind it is the same as the whole."""

from __future__ import annotations

import msgspec
import pytest

from leafbox.mqtt.records import (
    FilterRecord,
    SessionHead,
    SessionRecord,
    decode_record,
    encode_filter,
    encode_head,
    encode_record,
    encode_removal,
)

HEAD = SessionHead("A", "sensor/1", expiry_s=60)


def test_deltas_change_the_record() -> None:
    record = SessionRecord(HEAD, [FilterRecord("a/#", 1), FilterRecord("b", 0)])
    away = SessionHead("A", "sensor/1", expiry_s=60, away_ns=5)
    deltas = [encode_filter(FilterRecord("b", 2)), encode_removal(b"a/#"), encode_head(away)]
    assert decode_record(encode_record(record), deltas) == SessionRecord(away, [FilterRecord("b", 2)])


def test_deltas_alone_are_enough() -> None:
    deltas = [encode_head(HEAD), encode_filter(FilterRecord("tst/ü", 1, identifier=7))]
    assert decode_record(b"", deltas) == SessionRecord(HEAD, [FilterRecord("tst/ü", 1, identifier=7)])


def test_without_a_head_there_is_no_session() -> None:
    assert decode_record(b"", [encode_filter(FilterRecord("a", 1))]) is None


@pytest.mark.parametrize("delta", [b"?", b"", b"H{", b"F[]"])
def test_damage_is_told(delta: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_record(encode_record(SessionRecord(HEAD)), [delta])
