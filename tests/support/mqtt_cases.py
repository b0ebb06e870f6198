"""Good control packets by example: bytes and the value they are.

One named table serves decoder, encoder and running servers; `mqtt_bad_cases` holds what must be refused. Hex is
grouped: fixed header, variable header, properties, payload.
"""

from __future__ import annotations

from dataclasses import dataclass

from leafbox.protocol.mqtt.packets import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    RetainHandling,
    Role,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Version,
    Will,
)
from leafbox.protocol.mqtt.properties import Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode

V31, V311, V5 = Version.V3_1, Version.V3_1_1, Version.V5
SERVER, CLIENT = Role.SERVER, Role.CLIENT


@dataclass(frozen=True, slots=True)
class GoodPacket:
    """Bytes and their value. `is_canonical`: the encoder writes exactly these bytes."""

    name: str
    version: Version
    role: Role
    hex: str
    packet: Packet
    is_canonical: bool = True

    @property
    def data(self) -> bytes:
        return bytes.fromhex(self.hex)


_MESSAGE_PROPERTIES_HEX = "0101 02 0000003c 03 000174 08 000172 09 000101 26 00016b 000176 26 00016b 000177"
_CONNECT_PROPERTIES_HEX = "11 0000000a 15 00016d 16 000164 1700 1901 21 0014 22 0005 26 00016b 000176 27 00000100"
_CONNACK_PROPERTIES_HEX = (
    "11 00000009 12 000169 13 003c 1a 000172 1c 000173 1f 00016f 21 000a 22 0003 2401 2501"
    " 26 00016b 000176 27 00001000 2801 2901 2a01"
)


def _section(text: str) -> str:
    """Bytes under 128 with their length in front."""
    return f"{len(bytes.fromhex(text)):02x} {text}"


def _packet(first_byte: str, *parts: str) -> str:
    return f"{first_byte} {_section(' '.join(parts))}"


GOOD = [
    GoodPacket(
        "connect 3.1", V31, SERVER, "1011 0006 4d5149736470 03 02 000a 0003 616263", Connect("abc", V31, True, 10)
    ),
    GoodPacket("connect", V311, SERVER, "100f 0004 4d515454 04 02 000a 0003 616263", Connect("abc", V311, True, 10)),
    GoodPacket("connect, no client id", V311, SERVER, "100c 0004 4d515454 04 02 0000 0000", Connect("", V311)),
    GoodPacket(
        "connect with everything",
        V311,
        SERVER,
        "101b 0004 4d515454 04 f4 ffff 0001 61 0003 772f74 0002 00ff 0001 75 0000",
        Connect("a", V311, False, 0xFFFF, Will(b"w/t", b"\0\xff", 2, True), "u", b""),
    ),
    GoodPacket(
        "connect of a bridge",
        V311,
        SERVER,
        "100d 0004 4d515454 84 00 0000 0001 61",
        Connect("a", V311, False, is_bridge=True),
    ),
    GoodPacket(
        "connect 3.1, user name flagged and left out",
        V31,
        SERVER,
        "100f 0006 4d5149736470 03 c2 0000 0001 61",
        Connect("a", V31),
        is_canonical=False,
    ),
    GoodPacket(
        "connect 3.1, password flagged and left out",
        V31,
        SERVER,
        "1012 0006 4d5149736470 03 c2 0000 0001 61 0001 75",
        Connect("a", V31, user_name="u"),
        is_canonical=False,
    ),
    GoodPacket("connect 5", V5, SERVER, "100e 0004 4d515454 05 02 000a 00 0001 61", Connect("a", V5, True, 10)),
    GoodPacket(
        "connect 5, no client id, no clean start",
        V5,
        SERVER,
        "100d 0004 4d515454 05 00 0000 00 0000",
        Connect("", V5, False),
    ),
    GoodPacket(
        "connect 5, password only",
        V5,
        SERVER,
        "1011 0004 4d515454 05 42 0000 00 0001 61 0001 70",
        Connect("a", V5, password=b"p"),
    ),
    GoodPacket(
        "connect 5 with everything",
        V5,
        SERVER,
        _packet(
            "10",
            "00044d515454 05 ee 0001",
            _section(_CONNECT_PROPERTIES_HEX),
            "0001 61",
            _section(_MESSAGE_PROPERTIES_HEX + "18 00000005"),
            "0001 77 0001 78 0001 75 0001 70",
        ),
        Connect(
            "a",
            V5,
            True,
            1,
            Will(
                b"w",
                b"x",
                1,
                True,
                Properties(
                    payload_format_indicator=1,
                    message_expiry_interval_s=60,
                    content_type="t",
                    response_topic=b"r",
                    correlation_data=b"\x01",
                    user_properties=(("k", "v"), ("k", "w")),
                    will_delay_interval_s=5,
                ),
            ),
            "u",
            b"p",
            Properties(
                session_expiry_interval_s=10,
                authentication_method="m",
                authentication_data=b"d",
                request_problem_information=0,
                request_response_information=1,
                receive_maximum=20,
                topic_alias_maximum=5,
                user_properties=(("k", "v"),),
                maximum_packet_size=256,
            ),
        ),
        is_canonical=False,
    ),
    GoodPacket("connack", V311, CLIENT, "2002 00 00", Connack()),
    GoodPacket("connack 3.1", V31, CLIENT, "2002 00 05", Connack(ReasonCode.NOT_AUTHORIZED)),
    GoodPacket("connack, session", V311, CLIENT, "2002 01 00", Connack(is_session_present=True)),
    GoodPacket("connack, id refused", V311, CLIENT, "2002 00 02", Connack(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID)),
    GoodPacket("connack 5", V5, CLIENT, "2003 00 00 00", Connack()),
    GoodPacket(
        "connack 5 with everything",
        V5,
        CLIENT,
        _packet("20", "01 00", _section(_CONNACK_PROPERTIES_HEX)),
        Connack(
            is_session_present=True,
            properties=Properties(
                session_expiry_interval_s=9,
                assigned_client_identifier="i",
                server_keep_alive_s=60,
                response_information="r",
                server_reference="s",
                reason_string="o",
                receive_maximum=10,
                topic_alias_maximum=3,
                maximum_qos=1,
                retain_available=1,
                user_properties=(("k", "v"),),
                maximum_packet_size=4096,
                wildcard_subscription_available=1,
                subscription_identifier_available=1,
                shared_subscription_available=1,
            ),
        ),
        is_canonical=False,
    ),
    GoodPacket("publish", V311, SERVER, "3005 0001 61 7879", Publish(b"a", b"xy")),
    GoodPacket("publish, empty payload", V311, SERVER, "3103 0001 61", Publish(b"a", is_retained=True)),
    GoodPacket("publish QoS 1", V311, SERVER, "3206 0001 61 000a 78", Publish(b"a", b"x", 1, packet_id=10)),
    GoodPacket("publish QoS 2 again", V311, SERVER, "3d06 0001 61 ffff 78", Publish(b"a", b"x", 2, True, True, 0xFFFF)),
    GoodPacket("publish, a $ topic", V311, CLIENT, "3006 0004 24532f78", Publish(b"$S/x")),
    GoodPacket("publish, byte order mark in the topic", V311, SERVER, "3005 0003 efbbbf", Publish("\ufeff".encode())),
    GoodPacket("publish, four-byte character", V311, SERVER, "3006 0004 f09f8ca1", Publish("🌡".encode())),
    GoodPacket("publish 5", V5, SERVER, "3005 0001 61 00 78", Publish(b"a", b"x")),
    GoodPacket(
        "publish 5 with everything from a client",
        V5,
        SERVER,
        _packet("34", "0001 61 0001", _section(_MESSAGE_PROPERTIES_HEX + "23 0007"), "7879"),
        Publish(
            b"a",
            b"xy",
            2,
            packet_id=1,
            properties=Properties(
                payload_format_indicator=1,
                message_expiry_interval_s=60,
                content_type="t",
                response_topic=b"r",
                correlation_data=b"\x01",
                user_properties=(("k", "v"), ("k", "w")),
                topic_alias=7,
            ),
        ),
        is_canonical=False,
    ),
    GoodPacket(
        "publish 5, topic by alias",
        V5,
        SERVER,
        "3006 0000 03 23 0001",
        Publish(b"", properties=Properties(topic_alias=1)),
    ),
    GoodPacket(
        "publish 5, two subscription ids",
        V5,
        CLIENT,
        "3009 0001 61 05 0b01 0b8001",
        Publish(b"a", properties=Properties(subscription_identifiers=(1, 128))),
    ),
    GoodPacket("puback", V311, SERVER, "4002 0001", Puback(1)),
    GoodPacket("pubrec", V311, SERVER, "5002 0001", Pubrec(1)),
    GoodPacket("pubrel", V311, SERVER, "6202 0001", Pubrel(1)),
    GoodPacket("pubrel 3.1 again", V31, SERVER, "6a02 0001", Pubrel(1), is_canonical=False),
    GoodPacket("pubcomp", V311, CLIENT, "7002 0001", Pubcomp(1)),
    GoodPacket("puback 5", V5, SERVER, "4002 0001", Puback(1)),
    GoodPacket("puback 5 with code", V5, CLIENT, "4003 0001 10", Puback(1, ReasonCode.NO_MATCHING_SUBSCRIBERS)),
    GoodPacket("puback 5 with code 0", V5, CLIENT, "4003 0001 00", Puback(1), is_canonical=False),
    GoodPacket("puback 5, empty properties", V5, CLIENT, "4004 0001 00 00", Puback(1), is_canonical=False),
    GoodPacket(
        "pubrec 5 with reason",
        V5,
        SERVER,
        "5008 0001 97 04 1f 000166",
        Pubrec(1, ReasonCode.QUOTA_EXCEEDED, Properties(reason_string="f")),
    ),
    GoodPacket("pubrel 5", V5, SERVER, "6203 0001 92", Pubrel(1, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND)),
    GoodPacket(
        "pubcomp 5",
        V5,
        CLIENT,
        "700b 0001 92 07 26 00016b 000176",
        Pubcomp(1, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND, Properties(user_properties=(("k", "v"),))),
    ),
    GoodPacket(
        "subscribe",
        V311,
        SERVER,
        "820a 0001 0001 61 01 0001 23 02",
        Subscribe(1, (Subscription(b"a", 1), Subscription(b"#", 2))),
    ),
    GoodPacket(
        "subscribe 3.1", V31, SERVER, "8a06 0001 0001 61 00", Subscribe(1, (Subscription(b"a"),)), is_canonical=False
    ),
    GoodPacket(
        "subscribe 5 with everything",
        V5,
        SERVER,
        "8210 0001 09 0b05 26 00016b 000176 0001 61 2e",
        Subscribe(
            1,
            (Subscription(b"a", 2, True, True, RetainHandling.DO_NOT_SEND),),
            Properties(subscription_identifiers=(5,), user_properties=(("k", "v"),)),
        ),
    ),
    GoodPacket(
        "suback", V311, CLIENT, "9005 0001 00 02 80", Suback(1, (ReasonCode(0), ReasonCode(2), ReasonCode(0x80)))
    ),
    GoodPacket(
        "suback 5",
        V5,
        CLIENT,
        "900a 0001 04 1f 000172 01 8f a2",
        Suback(1, (ReasonCode(1), ReasonCode(0x8F), ReasonCode(0xA2)), Properties(reason_string="r")),
    ),
    GoodPacket("unsubscribe", V311, SERVER, "a208 0001 0001 61 0001 62", Unsubscribe(1, (b"a", b"b"))),
    GoodPacket(
        "unsubscribe 5",
        V5,
        SERVER,
        "a20d 0001 07 26 00016b 000176 0001 61",
        Unsubscribe(1, (b"a",), Properties(user_properties=(("k", "v"),))),
    ),
    GoodPacket("unsuback", V311, CLIENT, "b002 0001", Unsuback(1)),
    GoodPacket("unsuback 5", V5, CLIENT, "b005 0001 00 00 11", Unsuback(1, (ReasonCode(0), ReasonCode(0x11)))),
    GoodPacket("pingreq", V311, SERVER, "c000", Pingreq()),
    GoodPacket("pingresp", V5, CLIENT, "d000", Pingresp()),
    GoodPacket("disconnect", V311, SERVER, "e000", Disconnect()),
    GoodPacket("disconnect 5", V5, SERVER, "e000", Disconnect()),
    GoodPacket("disconnect 5 with will", V5, SERVER, "e001 04", Disconnect(ReasonCode.DISCONNECT_WITH_WILL)),
    GoodPacket(
        "disconnect 5, new expiry",
        V5,
        SERVER,
        "e007 00 05 11 0000003c",
        Disconnect(properties=Properties(session_expiry_interval_s=60)),
    ),
    GoodPacket(
        "disconnect 5 from the server",
        V5,
        CLIENT,
        "e00a 9d 08 1c 000173 1f 000172",
        Disconnect(ReasonCode.SERVER_MOVED, Properties(server_reference="s", reason_string="r")),
    ),
    GoodPacket("auth", V5, SERVER, "f000", Auth()),
    GoodPacket(
        "auth, a step",
        V5,
        SERVER,
        "f00a 18 08 15 00016d 16 000164",
        Auth(ReasonCode.CONTINUE_AUTHENTICATION, Properties(authentication_method="m", authentication_data=b"d")),
    ),
]
