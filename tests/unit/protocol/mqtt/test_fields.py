"""Data types at their bounds."""

from __future__ import annotations

import pytest

from leafbox.protocol.mqtt import fields as wire
from leafbox.protocol.mqtt.fields import VARIABLE_INTEGER_MAX, FieldReader, variable_integer, variable_integer_size
from leafbox.protocol.mqtt.violation import MqttViolation

pytestmark = pytest.mark.capability("MQ17")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "00"), (127, "7f"), (128, "8001"), (16_383, "ff7f"), (16_384, "808001"), (2_097_151, "ffff7f"),
     (2_097_152, "80808001"), (VARIABLE_INTEGER_MAX, "ffffff7f")],
)  # fmt: skip
def test_variable_integers_are_those_of_the_standard(value: int, text: str) -> None:
    assert variable_integer(value).hex() == text
    assert variable_integer_size(value) == len(variable_integer(value))
    reader = FieldReader(bytes.fromhex(text), "X")
    assert reader.variable_integer() == value
    assert reader.is_at_end


@pytest.mark.parametrize("text", ["80", "8000", "ff8000", "ffffffff01", "ffffffff", ""])
def test_bad_variable_integers_are_refused(text: str) -> None:
    with pytest.raises(MqttViolation):
        FieldReader(bytes.fromhex(text), "X").variable_integer()


def test_fields_are_read_from_the_left() -> None:
    reader = FieldReader(bytes.fromhex("01 0002 00000003 0001 ff 0002 c3a4 0001 61 7879"), "X")
    assert (reader.byte(), reader.two_byte_integer(), reader.four_byte_integer()) == (1, 2, 3)
    assert (reader.binary(), reader.utf8(), reader.text()) == (b"\xff", "ä".encode(), "a")
    assert reader.left == 2
    with pytest.raises(MqttViolation, match="X: 2 bytes after"):
        reader.expect_end()
    inner = reader.sub_reader(1)
    assert (inner.rest(), reader.rest(), reader.is_at_end) == (b"x", b"y", True)
    for read in (reader.byte, reader.two_byte_integer, reader.four_byte_integer, reader.binary):
        with pytest.raises(MqttViolation, match="ends inside"):
            read()


@pytest.mark.parametrize("data", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"a\0b"])
def test_strings_are_strict_utf8(data: bytes) -> None:
    for read in (FieldReader.utf8, FieldReader.text):
        with pytest.raises(MqttViolation):
            read(FieldReader(len(data).to_bytes(2) + data, "X"))


def test_control_characters_and_non_characters_are_taken() -> None:
    """The standard only says that a sender should not, and devices do."""
    data = "\x01\x7f\x85\ufdd0\uffff".encode()
    assert FieldReader(len(data).to_bytes(2) + data, "X").utf8() == data


def test_pairs_end_where_another_byte_stands_and_are_malformed_when_cut() -> None:
    pair = wire.text("näme") + wire.text("v")
    packet = pair + b"\x26" + wire.text("") + wire.text("") + b"\x26" + pair
    reader = FieldReader(packet + b"\x27rest", "CONNECT")
    assert reader.text_pairs(0x26) == [("näme", "v"), ("", ""), ("näme", "v")]
    assert reader.rest() == b"\x27rest"
    whole = {len(pair), len(pair) + 5, len(packet)}
    for length in range(len(packet) + 1):
        cut = FieldReader(packet[:length], "CONNECT")
        if length in whole:
            cut.text_pairs(0x26)
            assert cut.is_at_end
        else:
            with pytest.raises(MqttViolation):
                cut.text_pairs(0x26)
    for bad in (b"\xff", b"a\0"):
        with pytest.raises(MqttViolation):
            FieldReader(wire.text("n") + wire.binary(bad), "CONNECT").text_pairs(0x26)
