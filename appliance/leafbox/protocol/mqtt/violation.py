"""What a decoder raises: the rule that was broken, and the MQTT 5 reason code that says so."""

from __future__ import annotations

from dataclasses import dataclass

from leafbox.protocol.errors import ProtocolViolation
from leafbox.protocol.mqtt.reason_codes import ReasonCode


@dataclass
class MqttViolation(ProtocolViolation):
    """The peer broke a rule of MQTT; the connection cannot go on.

    `text_for_peer` fits the reason string of MQTT 5. 3.1 and 3.1.1 have no word for it: the connection is closed, and
    only a CONNECT may get a CONNACK first (see `encoder.refusal`). Never holds what the peer sent.
    """

    reason_code: ReasonCode = ReasonCode.PROTOCOL_ERROR


def malformed(text: str) -> MqttViolation:
    """The packet cannot be parsed (MQTT 5 section 4.13, Malformed Packet)."""
    return MqttViolation(text, reason_code=ReasonCode.MALFORMED_PACKET)


def protocol_error(text: str) -> MqttViolation:
    """The packet can be parsed and must not be (MQTT 5 section 4.13, Protocol Error)."""
    return MqttViolation(text, reason_code=ReasonCode.PROTOCOL_ERROR)
