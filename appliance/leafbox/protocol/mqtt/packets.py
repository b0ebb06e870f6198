"""The control packets of MQTT 3.1, 3.1.1 and 5 as values (MQTT 5 section 3).

One class per packet serves all versions: what a version lacks has the neutral value (no properties, reason code 0).
Topics, filters and payloads are bytes, checked to be UTF-8 where the standard says so; other strings are `str`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from leafbox.protocol.mqtt.properties import NO_PROPERTIES, Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode


class Version(enum.IntEnum):
    """Protocol level of a CONNECT."""

    V3_1 = 3
    V3_1_1 = 4
    V5 = 5


class Role(enum.Enum):
    """Who receives and decodes."""

    SERVER = "server"
    CLIENT = "client"


class PacketType(enum.IntEnum):
    """The upper half of a packet's first byte (table 2-1)."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


class RetainHandling(enum.IntEnum):
    """Which retained messages a SUBSCRIBE asks for (section 3.8.3.1)."""

    SEND = 0
    SEND_IF_NEW = 1
    DO_NOT_SEND = 2


@dataclass(frozen=True, slots=True)
class Will:
    """The message a server publishes when the client is gone without a word."""

    topic: bytes
    payload: bytes
    qos: int = 0
    is_retained: bool = False
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Connect:
    """Who the client is and what session it wants. `client_id` may be empty: the server assigns one."""

    client_id: str
    version: Version = Version.V3_1_1
    is_clean: bool = True
    """Clean session of 3.x, clean start of 5."""
    keep_alive_s: int = 0
    will: Will | None = None
    user_name: str | None = None
    password: bytes | None = None
    properties: Properties = NO_PROPERTIES
    is_bridge: bool = False
    """Bit 7 of the protocol level is set, by which bridges of other brokers make themselves known; not standard."""

    def __repr__(self) -> str:
        # The password must not reach a log.
        return f"Connect(client_id={self.client_id!r}, version={self.version.name}, is_clean={self.is_clean})"


@dataclass(frozen=True, slots=True)
class Connack:
    """The answer to a CONNECT."""

    reason_code: ReasonCode = ReasonCode.SUCCESS
    is_session_present: bool = False
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Publish:
    """A message. `packet_id` is 0 exactly at QoS 0; `topic` is empty only where a topic alias stands for it."""

    topic: bytes
    payload: bytes = b""
    qos: int = 0
    is_retained: bool = False
    is_duplicate: bool = False
    packet_id: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Puback:
    """QoS 1: the message has been taken."""

    packet_id: int
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Pubrec:
    """QoS 2, first answer: the message has been taken."""

    packet_id: int
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Pubrel:
    """QoS 2: the sender has let go of the message."""

    packet_id: int
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Pubcomp:
    """QoS 2, last answer: the packet id is free."""

    packet_id: int
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Subscription:
    """One filter of a SUBSCRIBE with its options. The filter is UTF-8 and not empty; whether it is a well-formed
    filter is for `filters.filter_problem`, because it is refused alone and not with its packet."""

    filter: bytes
    qos: int = 0
    is_no_local: bool = False
    is_retain_as_published: bool = False
    retain_handling: RetainHandling = RetainHandling.SEND


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Filters to add to a session, at least one."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Suback:
    """One reason code for each filter, in order: the granted QoS or a failure."""

    packet_id: int
    reason_codes: tuple[ReasonCode, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Filters to remove from a session, at least one."""

    packet_id: int
    filters: tuple[bytes, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Unsuback:
    """One reason code for each filter in MQTT 5, none in 3.x."""

    packet_id: int
    reason_codes: tuple[ReasonCode, ...] = ()
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Pingreq:
    """The client is there."""


@dataclass(frozen=True, slots=True)
class Pingresp:
    """So is the server."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The last packet; a server sends it in MQTT 5 only."""

    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Auth:
    """A step of enhanced authentication, MQTT 5 only."""

    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


Packet = (
    Connect
    | Connack
    | Publish
    | Puback
    | Pubrec
    | Pubrel
    | Pubcomp
    | Subscribe
    | Suback
    | Unsubscribe
    | Unsuback
    | Pingreq
    | Pingresp
    | Disconnect
    | Auth
)
