"""Reason codes of MQTT 5 (section 2.4), which packet may carry which, and what 3.1 and 3.1.1 say instead.

Both versions share one model: a packet of 3.x is read into MQTT 5's codes and written from them, so that a session
never asks which version its peer speaks before it decides. Not here: what the codes mean for a session.
"""

from __future__ import annotations

import enum


class ReasonCode(enum.IntEnum):
    """Every reason code of MQTT 5; 0x80 and above say that something failed."""

    SUCCESS = 0x00
    GRANTED_QOS_1 = 0x01
    GRANTED_QOS_2 = 0x02
    DISCONNECT_WITH_WILL = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    CONTINUE_AUTHENTICATION = 0x18
    REAUTHENTICATE = 0x19
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_IDENTIFIER_IN_USE = 0x91
    PACKET_IDENTIFIER_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    USE_ANOTHER_SERVER = 0x9C
    SERVER_MOVED = 0x9D
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    MAXIMUM_CONNECT_TIME = 0xA0
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2

    @property
    def is_failure(self) -> bool:
        """Whether the operation it answers failed."""
        return self >= 0x80


def _codes(*values: int) -> frozenset[int]:
    return frozenset(values)


# MQTT 5 tables 3-1, 3-4 .. 3-12: what each packet may say.
CONNACK_CODES = _codes(
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B,
    0x9C, 0x9D, 0x9F,
)  # fmt: skip
PUBACK_CODES = _codes(0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)
PUBREL_CODES = _codes(0x00, 0x92)
SUBACK_CODES = _codes(0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2)
UNSUBACK_CODES = _codes(0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91)
AUTH_CODES = _codes(0x00, 0x18, 0x19)
_DISCONNECT_OF_BOTH = _codes(0x00, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99)
DISCONNECT_CODES_OF_CLIENT = _DISCONNECT_OF_BOTH | {0x04}
DISCONNECT_CODES_OF_SERVER = _DISCONNECT_OF_BOTH | {
    0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
}  # fmt: skip

# CONNACK return codes 1 to 5 of 3.1.1 (table 3.1) in the words of MQTT 5, and the other way; what 3.x cannot say
# becomes "server unavailable", the only code of its five that blames nothing the client sent.
_CONNACK_FROM_3 = (
    ReasonCode.SUCCESS,
    ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
    ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
    ReasonCode.SERVER_UNAVAILABLE,
    ReasonCode.BAD_USER_NAME_OR_PASSWORD,
    ReasonCode.NOT_AUTHORIZED,
)
_CONNACK_TO_3 = {int(code): number for number, code in enumerate(_CONNACK_FROM_3)} | {
    ReasonCode.BANNED: 5,
    ReasonCode.BAD_AUTHENTICATION_METHOD: 5,
}
CONNACK_3_SERVER_UNAVAILABLE = 3
SUBACK_3_FAILURE = 0x80


def connack_code_from_3(return_code: int) -> ReasonCode | None:
    """A 3.x CONNACK's return code as MQTT 5's; None: 3.1.1 reserves it."""
    return _CONNACK_FROM_3[return_code] if return_code < len(_CONNACK_FROM_3) else None


def connack_code_to_3(reason_code: int) -> int:
    """What 3.1 and 3.1.1 answer instead, 0 to 5."""
    return _CONNACK_TO_3.get(reason_code, CONNACK_3_SERVER_UNAVAILABLE)
