"""Reason codes: complete, and said to 3.x in its own words."""

from __future__ import annotations

import pytest

from leafbox.protocol.mqtt.reason_codes import (
    AUTH_CODES,
    CONNACK_CODES,
    DISCONNECT_CODES_OF_CLIENT,
    DISCONNECT_CODES_OF_SERVER,
    PUBACK_CODES,
    PUBREL_CODES,
    SUBACK_CODES,
    UNSUBACK_CODES,
    ReasonCode,
    connack_code_from_3,
    connack_code_to_3,
)

pytestmark = pytest.mark.capability("MQ01")


def test_every_code_belongs_to_some_packet_and_the_other_way() -> None:
    used = (
        AUTH_CODES | CONNACK_CODES | DISCONNECT_CODES_OF_CLIENT | DISCONNECT_CODES_OF_SERVER | PUBACK_CODES
        | PUBREL_CODES | SUBACK_CODES | UNSUBACK_CODES
    )  # fmt: skip
    assert used == set(ReasonCode)


@pytest.mark.parametrize("number", range(6))
def test_return_codes_of_3_survive(number: int) -> None:
    code = connack_code_from_3(number)
    assert code is not None
    assert code.is_failure == bool(number)
    assert connack_code_to_3(code) == number


def test_what_3_cannot_say_is_a_refusal_without_blame() -> None:
    assert connack_code_from_3(6) is None
    assert all(1 <= connack_code_to_3(code) <= 5 for code in CONNACK_CODES if code)
    assert connack_code_to_3(ReasonCode.SERVER_BUSY) == 3
