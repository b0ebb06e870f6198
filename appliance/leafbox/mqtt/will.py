"""A will as it waits: made at CONNECT, published by the connection that is gone (MQTT 5 section 3.1.2.5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from leafbox.protocol.mqtt.fields import FieldReader
from leafbox.protocol.mqtt.packets import Will
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, Place, write_properties


class WillSender(Protocol):
    """Who sends the will of a session whose connection is gone: that connection, or after a restart `AbsentSender`."""

    def publish_will(self) -> None:
        """Send it, once; afterwards the session has none."""
        ...


@dataclass(frozen=True, slots=True)
class PendingWill:
    """`properties` are those that are passed on, as they stand in a packet; `expiry_s` -1: the message stays."""

    topic: bytes
    payload: bytes
    qos: int
    is_retained: bool
    delay_s: int
    expiry_s: int
    properties: bytes

    @classmethod
    def of(cls, will: Will) -> PendingWill:
        """From a CONNECT."""
        expiry_s = will.properties.message_expiry_interval_s
        passed_on = b""
        if will.properties is not NO_PROPERTIES:
            kept = replace(will.properties, message_expiry_interval_s=None, will_delay_interval_s=None)
            encoded = write_properties(kept, Place.WILL)
            reader = FieldReader(encoded, "will")
            length = reader.variable_integer()
            passed_on = encoded[len(encoded) - length :]
        return cls(
            will.topic,
            will.payload,
            will.qos,
            will.is_retained,
            will.properties.will_delay_interval_s or 0,
            -1 if expiry_s is None else expiry_s,
            passed_on,
        )
