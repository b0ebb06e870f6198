"""Control packets no receiver may accept: named, with MQTT 5's reason code and the normative statements they break.

`311:` marks the numbering of MQTT 3.1.1 where it differs. The table serves the decoder and running servers.
"""

from __future__ import annotations

from dataclasses import dataclass

from leafbox.protocol.mqtt.packets import Role, Version
from leafbox.protocol.mqtt.reason_codes import ReasonCode

V31, V311, V5 = Version.V3_1, Version.V3_1_1, Version.V5
SERVER, CLIENT = Role.SERVER, Role.CLIENT


@dataclass(frozen=True, slots=True)
class BadPacket:
    """Bytes `role` must answer by closing, and the reason code of MQTT 5 for it."""

    name: str
    version: Version
    role: Role
    hex: str
    reason_code: ReasonCode
    statements: tuple[str, ...] = ()

    @property
    def data(self) -> bytes:
        return bytes.fromhex(self.hex)

    @property
    def is_connect(self) -> bool:
        """Whether it opens a connection rather than coming after a good CONNECT."""
        return self.data[0] >> 4 == 1


_MALFORMED, _ERROR = ReasonCode.MALFORMED_PACKET, ReasonCode.PROTOCOL_ERROR
_TOPIC, _FILTER = ReasonCode.TOPIC_NAME_INVALID, ReasonCode.TOPIC_FILTER_INVALID
_VERSIONS = (V311, V5)
_EMPTY = {V31: "", V311: "", V5: "00"}
"""No properties, in the words of a version."""


def _with_length(first_byte: str, body: str) -> str:
    return f"{first_byte}{len(bytes.fromhex(body)):02x}{body}"


def _both(
    name: str, first_byte: str, body: str, reason_code: ReasonCode, *statements: str, role: Role = SERVER
) -> list[BadPacket]:
    """The case in 3.1.1 and in 5; `P` in the body is where 5 has its empty properties."""
    return [
        BadPacket(
            f"{name}, {version.name}",
            version,
            role,
            _with_length(first_byte, body.replace("P", _EMPTY[version])),
            reason_code,
            statements,
        )
        for version in _VERSIONS
    ]


def _connect(
    name: str, version: Version, flags: int, payload: str, reason_code: ReasonCode, *statements: str
) -> BadPacket:
    body = f"00044d515454{version:02x}{flags:02x}000a{_EMPTY[version]}{payload}"
    return BadPacket(
        f"connect, {name}, {version.name}", version, SERVER, _with_length("10", body), reason_code, statements
    )


BAD_CONNECTS = [
    BadPacket(
        "connect, name is not MQTT",
        V311,
        SERVER,
        _with_length("10", "00044d515458 04 02 000a 0001 61"),
        _ERROR,
        ("MQTT-3.1.2-1",),
    ),
    *(
        BadPacket(
            f"connect, level {level}",
            V311,
            SERVER,
            _with_length("10", f"00044d515454 {level:02x} 02 000a 0001 61"),
            ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
            ("MQTT-3.1.2-2",),
        )
        for level in (0, 3, 6, 0x7F)
    ),
    BadPacket(
        "connect, MQIsdp at level 4",
        V311,
        SERVER,
        _with_length("10", "00064d5149736470 04 02 000a 0001 61"),
        ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
        ("MQTT-3.1.2-2",),
    ),
    BadPacket(
        "connect 3.1, no client id",
        V31,
        SERVER,
        _with_length("10", "00064d5149736470 03 02 000a 0000"),
        ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
    ),
    _connect("no client id, not clean", V311, 0x00, "0000", ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, "311:MQTT-3.1.3-8"),
    _connect("password without user name", V311, 0x42, "0001 61 0001 70", _MALFORMED, "311:MQTT-3.1.2-22"),
    *(
        case
        for version in _VERSIONS
        for case in (
            _connect("reserved flag", version, 0x03, "0001 61", _MALFORMED, "MQTT-3.1.2-3"),
            _connect(
                "will QoS without will", version, 0x0A, "0001 61", _MALFORMED, "MQTT-3.1.2-11", "311:MQTT-3.1.2-13"
            ),
            _connect(
                "will retain without will", version, 0x22, "0001 61", _MALFORMED, "MQTT-3.1.2-13", "311:MQTT-3.1.2-15"
            ),
            _connect(
                "will QoS 3",
                version,
                0x1E,
                f"0001 61 {_EMPTY[version]} 0001 77 0000",
                _MALFORMED,
                "MQTT-3.1.2-12",
                "311:MQTT-3.1.2-14",
            ),
            _connect(
                "will topic with wildcard",
                version,
                0x06,
                f"0001 61 {_EMPTY[version]} 0003 772f23 0000",
                _TOPIC,
                "MQTT-4.7.0-1",
                "311:MQTT-4.7.1-1",
            ),
            _connect("will topic empty", version, 0x06, f"0001 61 {_EMPTY[version]} 0000 0000", _ERROR, "MQTT-4.7.3-1"),
            _connect(
                "will topic not UTF-8",
                version,
                0x06,
                f"0001 61 {_EMPTY[version]} 0001 ff 0000",
                _MALFORMED,
                "MQTT-3.1.3-11",
                "311:MQTT-3.1.3-10",
            ),
            _connect("will flagged and missing", version, 0x06, "0001 61", _MALFORMED, "MQTT-3.1.2-9"),
            _connect(
                "user name flagged and missing",
                version,
                0x82,
                "0001 61",
                _MALFORMED,
                "MQTT-3.1.2-17",
                "311:MQTT-3.1.2-19",
            ),
            _connect(
                "password flagged and missing",
                version,
                0xC2,
                "0001 61 0001 75",
                _MALFORMED,
                "MQTT-3.1.2-19",
                "311:MQTT-3.1.2-21",
            ),
            _connect(
                "user name not flagged",
                version,
                0x02,
                "0001 61 0001 75",
                _MALFORMED,
                "MQTT-3.1.2-16",
                "311:MQTT-3.1.2-18",
            ),
            _connect(
                "user name not UTF-8",
                version,
                0x82,
                "0001 61 0002 c328",
                _MALFORMED,
                "MQTT-3.1.3-12",
                "311:MQTT-3.1.3-11",
            ),
            _connect(
                "client id not UTF-8",
                version,
                0x02,
                "0001 80",
                _MALFORMED,
                "MQTT-3.1.3-4",
                "MQTT-1.5.4-1",
                "311:MQTT-1.5.3-1",
            ),
            _connect(
                "client id with U+0000", version, 0x02, "0003 610062", _MALFORMED, "MQTT-1.5.4-2", "311:MQTT-1.5.3-2"
            ),
            _connect(
                "client id with a surrogate",
                version,
                0x02,
                "0003 eda080",
                _MALFORMED,
                "MQTT-1.5.4-1",
                "311:MQTT-1.5.3-1",
            ),
            _connect("client id missing", version, 0x02, "", _MALFORMED, "MQTT-3.1.3-3"),
            _connect("client id cut", version, 0x02, "0005 61", _MALFORMED, "MQTT-3.1.3-3"),
        )
    ),
    *(
        BadPacket(
            f"connect 5, {name}",
            V5,
            SERVER,
            _with_length("10", f"00044d51545405 02 000a {properties} 0001 61"),
            code,
            statements,
        )
        for name, properties, code, statements in (
            ("receive maximum 0", "03 21 0000", _ERROR, ()),
            ("maximum packet size 0", "05 27 00000000", _ERROR, ()),
            ("request problem information 2", "02 17 02", _ERROR, ()),
            ("request response information 2", "02 19 02", _ERROR, ()),
            ("session expiry twice", "0a 11 00000001 11 00000001", _ERROR, ()),
            ("authentication data without method", "04 16 000164", _ERROR, ()),
            ("a property of PUBLISH", "03 23 0001", _MALFORMED, ()),
            ("unknown property", "02 7f 01", _MALFORMED, ()),
            ("property cut", "03 11 0000", _MALFORMED, ()),
            ("property length too long", "7f 21 0001", _MALFORMED, ()),
            ("property length overlong", "8000", _MALFORMED, ("MQTT-1.5.5-1",)),
            ("user property not UTF-8", "07 26 0001ff 000176", _MALFORMED, ("MQTT-1.5.7-1",)),
        )
    ),
    BadPacket(
        "connect 5, will response topic with wildcard",
        V5,
        SERVER,
        _with_length("10", "00044d51545405 06 000a 00 0001 61 04 08 000123 0001 77 0000"),
        _ERROR,
        ("MQTT-3.3.2-14",),
    ),
]

BAD_AFTER_CONNECT = [
    *_both("packet type 0", "00", "", _MALFORMED),
    BadPacket("packet type 15 in 3.1.1", V311, SERVER, "f000", _MALFORMED, ("311:MQTT-2.2.2-2",)),
    *_both("connack to a server", "20", "0000P", _ERROR),
    *_both("suback to a server", "90", "0001P00", _ERROR),
    *_both("unsuback to a server", "b0", "0001", _ERROR),
    *_both("pingresp to a server", "d0", "", _ERROR),
    *_both("publish QoS 3", "36", "0001 61 0001 P", _MALFORMED, "MQTT-3.3.1-4"),
    *_both("publish DUP at QoS 0", "38", "0001 61 P", _MALFORMED, "MQTT-3.3.1-2"),
    *_both("publish with packet id 0", "32", "0001 61 0000 P", _ERROR, "MQTT-2.2.1-3", "311:MQTT-2.3.1-1"),
    *_both("publish without packet id", "32", "0001 61", _MALFORMED, "MQTT-2.2.1-3", "311:MQTT-2.3.1-1"),
    *_both("publish with +", "30", "0003 612f2b P", _TOPIC, "MQTT-3.3.2-2"),
    *_both("publish with #", "30", "0003 612f23 P", _TOPIC, "MQTT-3.3.2-2"),
    *_both("publish with an empty topic", "30", "0000 P", _ERROR, "MQTT-4.7.3-1"),
    *_both(
        "publish, topic not UTF-8", "30", "0002 c0af P", _MALFORMED, "MQTT-3.3.2-1", "MQTT-1.5.4-1", "311:MQTT-1.5.3-1"
    ),
    *_both(
        "publish, topic with U+0000",
        "30",
        "0003 610062 P",
        _MALFORMED,
        "MQTT-4.7.3-2",
        "MQTT-1.5.4-2",
        "311:MQTT-4.7.3-2",
        "311:MQTT-1.5.3-2",
    ),
    *_both("publish, topic cut", "30", "0005 6162", _MALFORMED),
    *_both("puback too short", "40", "00", _MALFORMED),
    *_both("puback with packet id 0", "40", "0000", _ERROR, "MQTT-2.2.1-5", "311:MQTT-2.3.1-6"),
    *_both("puback with flags", "42", "0001", _MALFORMED, "MQTT-2.1.3-1", "311:MQTT-2.2.2-2"),
    *_both("pubrel without flags", "60", "0001", _MALFORMED, "MQTT-3.6.1-1"),
    BadPacket("puback too long in 3.1.1", V311, SERVER, "4003 0001 00", _MALFORMED),
    *_both("subscribe without flags", "80", "0001 P 0001 61 00", _MALFORMED, "MQTT-3.8.1-1"),
    *_both("subscribe without filters", "82", "0001 P", _ERROR, "MQTT-3.8.3-2", "311:MQTT-3.8.3-3"),
    *_both("subscribe with packet id 0", "82", "0000 P 0001 61 00", _ERROR, "MQTT-2.2.1-3", "311:MQTT-2.3.1-1"),
    *_both("subscribe with QoS 3", "82", "0001 P 0001 61 03", _MALFORMED, "311:MQTT-3.8.3-4"),
    *_both("subscribe with reserved bits", "82", "0001 P 0001 61 c0", _MALFORMED, "MQTT-3.8.3-5", "311:MQTT-3.8.3-4"),
    *_both("subscribe to nothing", "82", "0001 P 0000 00", _FILTER, "MQTT-4.7.3-1"),
    *_both("subscribe, filter not UTF-8", "82", "0001 P 0001 ff 00", _MALFORMED, "MQTT-3.8.3-1"),
    *_both("subscribe without options", "82", "0001 P 0001 61", _MALFORMED),
    *_both("unsubscribe without flags", "a0", "0001 P 0001 61", _MALFORMED, "MQTT-3.10.1-1"),
    *_both("unsubscribe without filters", "a2", "0001 P", _ERROR, "MQTT-3.10.3-2"),
    *_both("unsubscribe with packet id 0", "a2", "0000 P 0001 61", _ERROR, "MQTT-2.2.1-3", "311:MQTT-2.3.1-1"),
    *_both("unsubscribe, filter not UTF-8", "a2", "0001 P 0001 ff", _MALFORMED, "MQTT-3.10.3-1"),
    *_both("pingreq with a body", "c0", "00", _MALFORMED),
    *_both("pingreq with flags", "c1", "", _MALFORMED, "MQTT-2.1.3-1", "311:MQTT-2.2.2-2"),
    *_both("disconnect with flags", "e1", "", _MALFORMED, "MQTT-3.14.1-1"),
    BadPacket("disconnect with a body in 3.1.1", V311, SERVER, "e001 00", _MALFORMED),
    BadPacket(
        "subscribe, reserved option in 3.1.1", V311, SERVER, "8206 0001 0001 61 04", _MALFORMED, ("311:MQTT-3.8.3-4",)
    ),
    *(
        BadPacket(f"{name}, V5", V5, SERVER, _with_length(first_byte, body), code, statements)
        for name, first_byte, body, code, statements in (
            ("subscribe, retain handling 3", "82", "0001 00 0001 61 30", _ERROR, ()),
            (
                "subscribe, no local when shared",
                "82",
                "0001 00 000a 24736861 72652f67 2f74 04",
                _ERROR,
                ("MQTT-3.8.3-4",),
            ),
            ("subscribe, subscription id 0", "82", "0001 02 0b00 0001 61 00", _ERROR, ()),
            ("subscribe, two subscription ids", "82", "0001 04 0b01 0b02 0001 61 00", _ERROR, ()),
            ("publish, topic alias 0", "30", "0001 61 03 23 0000", ReasonCode.TOPIC_ALIAS_INVALID, ("MQTT-3.3.2-8",)),
            ("publish, topic alias twice", "30", "0001 61 06 23 0001 23 0001", _ERROR, ()),
            ("publish with a subscription id", "30", "0001 61 02 0b01", _ERROR, ("MQTT-3.3.4-6",)),
            ("publish, response topic with wildcard", "30", "0001 61 04 08 000123", _ERROR, ("MQTT-3.3.2-14",)),
            ("publish, payload format 2", "30", "0001 61 02 0102", _ERROR, ()),
            ("publish, response topic not UTF-8", "30", "0001 61 04 08 0001ff", _MALFORMED, ("MQTT-3.3.2-13",)),
            ("publish, content type not UTF-8", "30", "0001 61 04 03 0001ff", _MALFORMED, ("MQTT-3.3.2-19",)),
            ("publish, property of CONNECT", "30", "0001 61 03 21 0001", _MALFORMED, ()),
            ("puback, unknown reason code", "40", "0001 05", _ERROR, ("MQTT-3.4.2-1",)),
            ("pubrec, a code of SUBACK", "50", "0001 8f", _ERROR, ("MQTT-3.5.2-1",)),
            ("pubrel, unknown reason code", "62", "0001 80", _ERROR, ("MQTT-3.6.2-1",)),
            ("pubcomp, unknown reason code", "70", "0001 80", _ERROR, ("MQTT-3.7.2-1",)),
            ("puback, bytes after the properties", "40", "0001 00 00 00", _MALFORMED, ()),
            ("disconnect, a code of servers only", "e0", "8b", _ERROR, ("MQTT-3.14.2-1",)),
            ("disconnect, reason string twice", "e0", "00 08 1f 000172 1f 000172", _ERROR, ()),
            ("auth, unknown reason code", "f0", "05 00", _ERROR, ("MQTT-3.15.2-1",)),
            ("auth with flags", "f1", "", _MALFORMED, ("MQTT-3.15.1-1",)),
            ("auth, data without method", "f0", "18 04 16 000164", _ERROR, ()),
        )
    ),
]

BAD_FOR_CLIENTS = [
    *_both("connect to a client", "10", "00044d515454 04 02 000a 0001 61", _ERROR, role=CLIENT),
    *_both("subscribe to a client", "82", "0001 P 0001 61 00", _ERROR, role=CLIENT),
    *_both("pingreq to a client", "c0", "", _ERROR, role=CLIENT),
    *_both("connack with reserved flags", "20", "0200P", _MALFORMED, role=CLIENT),
    *_both("connack, session with a refusal", "20", "0105", _ERROR, "311:MQTT-3.2.2-4", role=CLIENT)[:1],
    BadPacket("connack 5, session with a refusal", V5, CLIENT, "2003 01 87 00", _ERROR, ("MQTT-3.2.2-6",)),
    BadPacket("connack, reserved return code", V311, CLIENT, "2002 00 06", _MALFORMED),
    BadPacket("connack 5, unknown reason code", V5, CLIENT, "2003 00 05 00", _ERROR, ("MQTT-3.2.2-8",)),
    BadPacket("suback, reserved code", V311, CLIENT, "9003 0001 03", _ERROR, ("311:MQTT-3.9.3-2",)),
    BadPacket("suback, nothing granted", V311, CLIENT, "9002 0001", _MALFORMED),
    BadPacket("unsuback 5 without codes", V5, CLIENT, "b003 0001 00", _MALFORMED),
    BadPacket("disconnect to a client in 3.1.1", V311, CLIENT, "e000", _ERROR),
    BadPacket("disconnect 5 with a session expiry", V5, CLIENT, "e007 8b 05 11 00000001", _ERROR, ("MQTT-3.14.2-2",)),
    BadPacket("disconnect 5, a code of clients only", V5, CLIENT, "e001 04", _ERROR, ("MQTT-3.14.2-1",)),
]

BAD = BAD_CONNECTS + BAD_AFTER_CONNECT + BAD_FOR_CLIENTS

# Remaining lengths that are refused before the packet has come.
BAD_HEADERS = [
    ("five bytes of length", "10 ff ff ff ff 01", _MALFORMED),
    ("overlong length", "c0 80 00", _MALFORMED),
    ("256 MiB announced", "10 ff ff ff 7f", ReasonCode.PACKET_TOO_LARGE),
]
