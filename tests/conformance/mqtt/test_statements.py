"""Normative statements that no scenario of the other files shows, in both versions: on mosquitto and on ours.

Mosquitto shows the tests right; where 2.0.11 itself falls short a test says so.
"""

from __future__ import annotations

import time

import pytest

from leafbox.protocol.mqtt.packets import (
    Connack,
    Connect,
    Disconnect,
    Pingreq,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Version,
    Will,
)
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, SESSION_NEVER_EXPIRES_S, Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from tests.support.mqtt_brokers import BrokerKind, MqttBroker
from tests.support.mqtt_client import Closed, RawMqttClient

pytestmark = pytest.mark.capability("AP43", "MQ16")

V311, V5 = Version.V3_1_1, Version.V5
KEPT = Properties(session_expiry_interval_s=SESSION_NEVER_EXPIRES_S)


@pytest.fixture(params=[V311, V5], ids=["3.1.1", "5"])
def version(request: pytest.FixtureRequest) -> Version:
    assert isinstance(request.param, Version)
    return request.param


def line(broker: MqttBroker, version: Version) -> RawMqttClient:
    """A connection without CONNECT."""
    return RawMqttClient(broker.port, version, timeout_s=20)


def client(
    broker: MqttBroker,
    version: Version,
    client_id: str = "",
    *,
    keep: bool = False,
    will: Will | None = None,
    is_present: bool | None = None,
) -> RawMqttClient:
    """A client that is in."""
    entered = line(broker, version)
    properties = KEPT if keep and version is V5 else NO_PROPERTIES
    answer = entered.connect(client_id, clean=not keep, will=will, properties=properties)
    assert answer.reason_code is ReasonCode.SUCCESS
    assert is_present in (None, answer.is_session_present)
    return entered


# -- packets ----------------------------------------------------------------------------------------------------------


@pytest.mark.normative(
    v5="2.1.3-1 2.2.1-2 2.2.1-5 2.2.1-6 2.2.2-1 3.2.2-1 3.10.4-5 3.12.4-1 3.3.1-2 4.3.1-1",
    v311="2.2.2-1 2.3.1-5 2.3.1-6 2.3.1-7 3.3.1-2 3.3.2-1 3.10.4-4 3.10.4-5 3.12.4-1 4.3.1-1",
)
def test_what_the_server_says_byte_by_byte(broker: MqttBroker, version: Version) -> None:
    """`P` is where 5 has a property length of 0."""
    asker = client(broker, version)
    for said, answered in (
        ("82 06 0102 P 0001 62 01", "90 03 0102 P 01"),
        ("c0 00", "d0 00"),
        ("30 04 0001 62 P 78", "30 04 0001 62 P 78"),
        ("34 07 0001 62 0007 P 7879", "50 02 0007"),
        ("62 02 0007", "70 02 0007"),
        ("32 07 0001 63 fffe P 7879", "40 02 fffe"),
        ("a2 05 0203 P 0001 7a", "b0 02 0203"),
    ):
        asker.send_bytes(raw(said, version))
        expected = raw(answered, version)
        if version is V5 and expected[0] == 0x40:
            expected = bytes.fromhex("40 03 fffe 10")  # Nobody reads it.
        elif version is V5 and expected[0] == 0xB0:
            expected = bytes.fromhex("b0 04 0203 00 11")
        got = asker.receive_bytes(len(expected))
        if got[:1] == b"\x32":
            # The message of QoS 2 for our own subscription comes before its PUBCOMP.
            asker.receive_bytes(len(raw("32 07 0001 62 0001 P 7879", version)) - len(expected))
            got = asker.receive_bytes(len(expected))
        assert got == expected


def raw(text: str, version: Version) -> bytes:
    """Hex digits, `P` for no properties; the length counts it."""
    data = bytearray.fromhex(text.replace("P", "00" if version is V5 else ""))
    data[1] = len(data) - 2
    return bytes(data)


@pytest.mark.normative(v5="3.1.0-1", v311="3.1.0-1")
def test_nothing_comes_before_connect(broker: MqttBroker, version: Version) -> None:
    for packet in (Pingreq(), Publish(b"a", b"x", 1, packet_id=1), Subscribe(1, (Subscription(b"a", 0),))):
        stranger = line(broker, version)
        stranger.send(packet)
        assert stranger.until_closed() == []


@pytest.mark.normative(v5="3.1.0-2 3.2.0-2", v311="3.1.0-2")
def test_a_second_connect_ends_the_connection(broker: MqttBroker, version: Version, name: str) -> None:
    twice = client(broker, version, name)
    twice.send(Connect(name, version))
    assert [type(packet) for packet in twice.until_closed()] in ([], [Disconnect])


@pytest.mark.normative(v5="3.1.2-1 3.1.2-2 3.14.0-1", v311="3.1.2-2")
def test_other_protocols_are_told_so_or_nothing(broker: MqttBroker) -> None:
    """Level 6 is told in the words of 3.1.1 or of 5; a name that is not MQTT is told nothing or 0x84."""
    for text in ("10 0d 0004 4d515454 06 02 003c 0001 61", "10 0e 0004 4d515454 06 02 003c 00 0001 61"):
        newer = line(broker, V311)
        newer.send_bytes(bytes.fromhex(text))
        assert newer.all_bytes() in (bytes.fromhex("20 02 00 01"), bytes.fromhex("20 03 00 84 00"))
    other = line(broker, V5)
    other.send_bytes(bytes.fromhex("10 0e 0004 4d515458 05 02 003c 00 0001 61"))
    assert other.all_bytes() in (b"", bytes.fromhex("20 03 00 84 00"))


@pytest.mark.normative(v5="1.5.4-3", v311="1.5.3-3")
def test_a_byte_order_mark_is_a_letter(broker: MqttBroker, version: Version, name: str) -> None:
    reader, writer = client(broker, version), client(broker, version)
    reader.subscribe(f"\ufeff{name}", 1)
    writer.publish(name, b"no", 1)
    writer.publish(f"\ufeff{name}", b"yes", 1)
    message = reader.receive_message()
    assert (message.topic, message.payload) == (f"\ufeff{name}".encode(), b"yes")


@pytest.mark.normative(v5="4.7.3-3", v311="4.7.3-3")
def test_the_longest_topic(broker: MqttBroker, version: Version, name: str) -> None:
    """65,535 bytes, dots and all; the two bytes of a length cannot say more. What is stored may have 35 less."""
    reader, writer = client(broker, version), client(broker, version)
    for length, qos in ((65_535, 0), (65_500, 1)):
        topic = f"{name}{qos}/" + "x." * 32_767
        topic = topic[: length - 1] + "y"
        assert not reader.subscribe(topic if qos == 0 else f"{name}{qos}/+", 1).is_failure
        writer.publish(topic if qos == 0 else topic.replace(".", "-"), b"x", qos)
        assert len(reader.receive_message().topic) == length


@pytest.mark.normative(v311="4.8.0-2")
def test_what_cannot_be_stored_is_not_acknowledged(broker: MqttBroker, version: Version, name: str) -> None:
    """A topic whose subject is too long for the store: 5 is told 0x97, 3.1.1 can only be closed."""
    if broker.kind is BrokerKind.MOSQUITTO:
        return  # It has no such limit.
    client(broker, version).subscribe(f"{name}/+", 1)
    writer = client(broker, version)
    writer.send(Publish(f"{name}/".encode().ljust(65_535, b"x"), b"x", 1, packet_id=1))
    if version is V5:
        assert writer.expect(Puback).reason_code is ReasonCode.QUOTA_EXCEEDED
        assert writer.until_ping() == []
    else:
        assert writer.until_closed() == []


# -- logging in -------------------------------------------------------------------------------------------------------


@pytest.mark.normative(v5="3.1.3-5 3.1.4-5", v311="3.1.3-5 3.1.3-6 3.1.4-4")
def test_client_ids_that_must_be_allowed(broker: MqttBroker, version: Version) -> None:
    letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for client_id in ("a", letters[:23], letters[23:46], letters[39:], ""):
        assert client(broker, version, client_id).until_ping() == []
    # Two without a name do not end each other.
    first, second = client(broker, version), client(broker, version)
    assert (first.until_ping(), second.until_ping()) == ([], [])


@pytest.mark.normative(
    v5="3.1.2-4 3.1.2-6 3.1.3-2 3.1.4-4 3.2.2-2 3.2.2-3 4.1.0-1",
    v311="3.1.2-6 3.1.3-2 3.1.4-3 3.2.2-1 3.2.2-2 3.2.2-3 4.1.0-2",
)
def test_sessions_begin_go_on_and_end(broker: MqttBroker, version: Version, name: str) -> None:
    session = client(broker, version, name, keep=True, is_present=False)
    session.subscribe(name, 1)
    session.disconnect()
    client(broker, version, f"{name}-other", keep=True, is_present=False).disconnect()
    writer = client(broker, version)
    writer.publish(name, b"first", 1)
    back = client(broker, version, name, keep=True, is_present=True)
    assert back.receive_message().payload == b"first"
    back.disconnect()
    writer.publish(name, b"second", 1)
    clean = client(broker, version, name, is_present=False)
    writer.publish(name, b"third", 1)
    assert clean.until_ping() == []
    clean.disconnect()
    after = client(broker, version, name, keep=True, is_present=False)
    assert after.until_ping() == []


@pytest.mark.normative(v5="3.2.0-1", v311="3.2.0-1")
def test_connack_comes_before_what_waited(broker: MqttBroker, version: Version, name: str) -> None:
    session = client(broker, version, name, keep=True)
    session.subscribe(name, 2)
    session.disconnect()
    writer = client(broker, version)
    for number in range(20):
        writer.publish(name, b"%d" % number, 1 + number % 2)
    back = line(broker, version)
    properties = KEPT if version is V5 else NO_PROPERTIES
    back.send(Connect(name, version, False, 60, None, None, None, properties))
    assert isinstance(back.receive(), Connack)
    assert isinstance(back.receive(), Publish)


@pytest.mark.normative(v5="3.1.4-6 3.2.2-6 3.2.2-7 3.2.2-8 3.14.0-1", v311="3.1.3-9 3.1.4-5 3.2.2-4 3.2.2-5")
def test_nothing_behind_a_refused_connect_counts(broker: MqttBroker, version: Version, name: str) -> None:
    """Refused for an authentication method, or an empty client id without a clean session."""
    watcher = client(broker, version)
    watcher.subscribe(name, 1)
    method = Properties(authentication_method="none") if version is V5 else NO_PROPERTIES
    refused = line(broker, version)
    refused.send(
        Connect("", version, version is V5, 60, Will(name.encode(), b"will", 1), None, None, method),
        Publish(name.encode(), b"behind", 1, True, packet_id=1),
    )
    [answer] = refused.until_closed()
    assert isinstance(answer, Connack)
    assert not answer.is_session_present
    expected = ReasonCode.BAD_AUTHENTICATION_METHOD if version is V5 else ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
    assert answer.reason_code is expected
    assert watcher.until_ping() == []


@pytest.mark.normative(v311="3.2.2-6")
def test_where_no_code_fits_there_is_no_connack(broker: MqttBroker) -> None:
    stranger = line(broker, V311)
    stranger.send_bytes(bytes.fromhex("10 13 0004 4d515454 04 06 003c 0001 61 0001 23 0001 78"))  # A will to `#`.
    assert stranger.all_bytes() == b""


@pytest.mark.normative(v5="3.1.2-28 3.1.2-29")
def test_what_was_not_asked_for_is_not_said(broker: MqttBroker, name: str) -> None:
    """Neither response information nor reason strings."""
    terse = line(broker, V5)
    asked = Properties(request_problem_information=0, request_response_information=0)
    assert terse.connect("", properties=asked).properties.response_information is None
    for packet in (
        Publish(name.encode(), b"x", 1, packet_id=1),
        Publish(name.encode(), b"x", 2, packet_id=2),
        Pubrel(2),
        Pubrel(3),
        Subscribe(4, (Subscription(name.encode(), 1),)),
    ):
        terse.send(packet)
        answer = terse.receive()
        assert isinstance(answer, Puback | Pubrec | Pubcomp | Suback)
        assert answer.properties == NO_PROPERTIES
    assert terse.unsubscribe(name, "unknown").properties == NO_PROPERTIES


@pytest.mark.normative(
    v5="3.2.2-19 3.2.2-20 3.4.2-2 3.4.2-3 3.5.2-2 3.5.2-3 3.6.2-2 3.6.2-3 3.7.2-2 3.7.2-3 3.9.2-1 3.9.2-2"
    " 3.11.2-1 3.11.2-2 3.14.2-2 3.14.2-3 3.14.2-4"
)
def test_no_answer_is_longer_than_the_client_takes(broker: MqttBroker, name: str) -> None:
    """The least that can be said fits, so it comes, without strings that would not fit."""
    refused = line(broker, V5)
    tiny = Properties(maximum_packet_size=5, authentication_method="none")
    refused.send(Connect("a", V5, True, 60, None, None, None, tiny))
    assert refused.all_bytes() in (bytes.fromhex("20 03 00 8c 00"), b"")
    narrow = line(broker, V5)
    narrow.connect(name, properties=Properties(maximum_packet_size=40))
    narrow.subscribe(name, 2)
    for packet in (
        Publish(name.encode(), b"x", 1, packet_id=1),
        Publish(b"t" * 60, b"x", 2, packet_id=2),
        Pubrel(2),
        Pubrel(3),
        Subscribe(4, (Subscription(b"f" * 60, 1),)),
        Pubrec(9),
    ):
        narrow.send(packet)
    narrow.send_bytes(bytes.fromhex("20 00"))  # No packet for a server: DISCONNECT.
    data = narrow.all_bytes()
    while data:
        assert data[1] <= 38, data.hex()
        data = data[data[1] + 2 :]


# -- messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.normative(v5="3.1.2-14 3.1.2-15", v311="3.1.2-12 3.1.2-16 3.1.2-17")
def test_a_will_is_retained_if_it_asks_for_it(broker: MqttBroker, version: Version, name: str) -> None:
    watcher = client(broker, version)
    watcher.subscribe(f"{name}/#", 1)
    client(broker, version).close()
    for is_retained in (False, True):
        client(broker, version, will=Will(f"{name}/{is_retained}".encode(), b"bye", 1, is_retained)).close()
        message = watcher.receive_message()
        assert (message.topic, message.is_retained) == (f"{name}/{is_retained}".encode(), False)
    assert watcher.until_ping() == []
    late = client(broker, version)
    late.subscribe(f"{name}/#", 1)
    message = late.receive_message()
    assert (message.topic, message.is_retained) == (f"{name}/True".encode(), True)
    assert late.until_ping() == []


@pytest.mark.normative(v5="3.3.1-5 3.3.1-7 3.3.1-8", v311="3.1.2-7 3.3.1-7 3.3.1-11 3.3.1-12")
def test_retained_messages_are_touched_by_retained_ones_only(broker: MqttBroker, version: Version, name: str) -> None:
    writer = client(broker, version)
    for topic, payload, is_retained in (
        ("a", b"old", True),
        ("a", b"kept", True),
        ("a", b"live", False),
        ("a", b"", False),
        ("b", b"", True),
        ("c", b"gone", True),
        ("c", b"", True),
    ):
        writer.publish(f"{name}/{topic}", payload, 0, retain=is_retained)
    writer.until_ping()
    writer.disconnect()
    late = client(broker, version)
    late.subscribe(f"{name}/#", 1)
    message = late.receive_message()
    assert (message.topic, message.payload, message.qos) == (f"{name}/a".encode(), b"kept", 0)
    assert late.until_ping() == []


@pytest.mark.normative(v5="3.3.1-3 3.3.4-1 4.3.2-4 4.3.2-5 4.3.3-12", v311="3.3.1-3 3.3.4-1 4.3.2-2 4.3.3-2")
def test_an_id_that_was_answered_is_a_new_message(broker: MqttBroker, version: Version, name: str) -> None:
    """Whatever its DUP says, which is not passed on."""
    reader, writer = client(broker, version), client(broker, version)
    reader.subscribe(name, 2)
    writer.send(Publish(name.encode(), b"0", 0))
    assert writer.until_ping() == []
    for number, is_duplicate in enumerate((False, True, True)):
        writer.send(Publish(name.encode(), b"1-%d" % number, 1, False, is_duplicate, 7))
        assert writer.expect(Puback).packet_id == 7
        writer.send(Publish(name.encode(), b"2-%d" % number, 2, False, is_duplicate, 8))
        assert writer.expect(Pubrec).packet_id == 8
        writer.send(Pubrel(8))
        assert writer.expect(Pubcomp).packet_id == 8
    came = [reader.receive_message() for _ in range(7)]
    assert sorted(message.payload for message in came) == [b"0", b"1-0", b"1-1", b"1-2", b"2-0", b"2-1", b"2-2"]
    assert not any(message.is_duplicate for message in came)


@pytest.mark.normative(v5="2.2.1-4 4.3.2-1 4.3.2-2 4.3.3-1 4.3.3-2 4.3.3-3", v311="2.3.1-4 4.3.2-1 4.3.3-1 4.6.0-1")
def test_deliveries_have_ids_of_their_own_and_come_again_in_order(
    broker: MqttBroker, version: Version, name: str
) -> None:
    reader = client(broker, version, name, keep=True)
    reader.subscribe(f"{name}/#", 2)
    writer = client(broker, version)
    for number in range(16):
        writer.publish(f"{name}/{1 + number % 2}", b"%d" % number, 1 + number % 2)
    first = [reader.expect(Publish) for _ in range(16)]
    assert len({packet.packet_id for packet in first} - {0}) == 16
    assert not any(packet.is_duplicate for packet in first)
    reader.close()
    back = client(broker, version, name, keep=True)
    again = [back.expect(Publish) for _ in range(16)]
    for qos in (1, 2):
        before = [(each.packet_id, each.payload) for each in first if each.qos == qos]
        assert [(each.packet_id, each.payload) for each in again if each.qos == qos] == before
    assert all(packet.is_duplicate for packet in again)


@pytest.mark.normative(v5="4.4.0-2")
def test_a_refusal_of_the_receiver_ends_a_message(broker: MqttBroker, name: str) -> None:
    reader = client(broker, V5, name, keep=True)
    reader.subscribe(name, 2)
    writer = client(broker, V5)
    for qos in (1, 2):
        writer.publish(name, b"x", qos)
        message = reader.expect(Publish)
        kind: type[Puback | Pubrec] = Puback if qos == 1 else Pubrec
        reader.send(kind(message.packet_id, ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR))
        assert reader.until_ping() == []
    reader.close()
    assert client(broker, V5, name, keep=True, is_present=True).until_ping() == []


@pytest.mark.normative(v5="4.3.3-7 4.3.3-13")
def test_what_is_under_way_does_not_expire(broker: MqttBroker, name: str) -> None:
    reader = client(broker, V5, name, keep=True)
    reader.subscribe(name, 2)
    writer = client(broker, V5)
    short = Properties(message_expiry_interval_s=1)
    writer.publish(name, b"sent", 2, properties=short)
    assert reader.expect(Publish).payload == b"sent"
    writer.send(Publish(f"{name}/nobody".encode(), b"x", 2, packet_id=9, properties=short))
    writer.expect(Pubrec)
    reader.close()
    time.sleep(2.1)
    writer.send(Pubrel(9))
    assert writer.expect(Pubcomp).packet_id == 9
    back = client(broker, V5, name, keep=True)
    if broker.kind is BrokerKind.LEAFBOX:  # Mosquitto 2.0 lets it expire all the same.
        again = back.expect(Publish)
        assert (again.payload, again.is_duplicate) == (b"sent", True)


@pytest.mark.normative(v5="3.7.2-1 4.4.0-1", v311="4.4.0-1")
def test_a_lost_pubcomp_is_said_again(broker: MqttBroker, version: Version, name: str) -> None:
    """Section 3.7.2.1 of 5: an id that is not known is no fault while a session is recovered."""
    for attempt in range(2):
        sender = client(broker, version, name, keep=True)
        if attempt == 0:
            sender.send(Publish(name.encode(), b"x", 2, packet_id=5))
            sender.expect(Pubrec)
        sender.send(Pubrel(5))
        assert sender.expect(Pubcomp) == Pubcomp(5)
        sender.close()
    fresh = client(broker, version)
    fresh.send(Pubrel(5))
    assert fresh.expect(Pubcomp).packet_id == 5


# -- subscriptions ----------------------------------------------------------------------------------------------------


@pytest.mark.normative(v5="3.3.4-2", v311="3.3.5-1")
def test_overlapping_filters_get_the_greatest_qos(broker: MqttBroker, version: Version, name: str) -> None:
    reader, writer = client(broker, version), client(broker, version)
    for topic_filter, qos in ((f"{name}/#", 0), (f"{name}/+", 2), (f"{name}/a", 1)):
        reader.subscribe(topic_filter, qos)
    writer.publish(f"{name}/a", b"x", 2)
    writer.publish(f"{name}/end/end", b"end", 0)
    came: list[Publish] = []
    while not came or came[-1].payload != b"end":
        came.append(reader.receive_message())
    # Mosquitto 2.0 takes the last of the filters in 3.1.1.
    assert max(message.qos for message in came) == 2 or (broker.kind, version) == (BrokerKind.MOSQUITTO, V311)


@pytest.mark.normative(v5="4.7.1-1 4.7.1-2", v311="4.7.1-2 4.7.1-3")
@pytest.mark.parametrize(
    ("topic_filter", "matching", "others"),
    [
        ("N/a/#", ["N/a", "N/a/b", "N/a/b/c", "N/a/"], ["N/b", "N", "N/ab"]),
        ("N/+/c", ["N/a/c", "N//c"], ["N/c", "N/a/b/c", "N/a"]),
        ("N/+", ["N/", "N/a"], ["N", "N/a/b"]),
        ("+/N", ["x/N", "/N"], ["N", "a/b/N", "x/NN"]),
        ("N/+/+/#", ["N/a/b", "N/a/b/c"], ["N/a", "N"]),
    ],
)
def test_wildcards_are_whole_levels(
    broker: MqttBroker, version: Version, name: str, topic_filter: str, matching: list[str], others: list[str]
) -> None:
    reader, writer = client(broker, version), client(broker, version)
    reader.subscribe(topic_filter.replace("N", name), 1)
    for topic in others + matching:
        writer.publish(topic.replace("N", name), b"x", 1)
    came = [reader.receive_message().topic.decode() for _ in matching]
    assert came == [topic.replace("N", name) for topic in matching]
    assert reader.until_ping() == []


@pytest.mark.normative(v5="4.7.1-1 4.7.1-2 4.8.2-1 4.8.2-2", v311="4.7.1-2 4.7.1-3")
def test_filters_that_are_none(broker: MqttBroker, version: Version) -> None:
    """Refused in SUBACK or by ending the connection, which is mosquitto's way."""
    bad = ["a#", "a/#/b", "#/a", "a+", "a/+b", "a/b+/c", "++"]
    if version is V5 and broker.kind is BrokerKind.LEAFBOX:  # To mosquitto 2.0 most of these are ordinary filters.
        bad += ["$share/", "$share/g", "$share//a", "$share/g/", "$share/g+/a", "$share/#/a"]
    for topic_filter in bad:
        asker = client(broker, version)
        asker.send(Subscribe(1, (Subscription(topic_filter.encode(), 0),)))
        try:
            answer = asker.receive()
        except Closed:
            continue
        assert isinstance(answer, Suback | Disconnect), topic_filter
        codes = answer.reason_codes if isinstance(answer, Suback) else (answer.reason_code,)
        assert codes[0].is_failure, topic_filter


@pytest.mark.normative(v5="3.8.4-3 3.8.4-4 3.8.4-5", v311="3.8.4-3 3.8.4-4")
def test_the_same_filter_again_replaces_the_subscription(broker: MqttBroker, version: Version, name: str) -> None:
    """Retained messages come again, messages come once and at the new QoS; one SUBACK for several filters."""
    reader, writer = client(broker, version), client(broker, version)
    writer.publish(f"{name}/r", b"kept", 1, retain=True)
    for qos in (2, 0, 1):
        reader.subscribe(f"{name}/+", qos)
        assert reader.receive_message().qos == min(qos, 1)
    writer.publish(f"{name}/live", b"x", 2)
    assert reader.receive_message().qos == 1
    codes = reader.subscribe_many(*(Subscription(f"{name}/m/{qos}".encode(), qos) for qos in (2, 0, 1)))
    assert codes == (2, 0, 1)
    assert reader.until_ping() == []


@pytest.mark.normative(v5="3.10.4-1 3.10.4-3", v311="3.10.4-1 3.10.4-3")
def test_unsubscribing_takes_the_equal_filter_and_finishes_what_began(
    broker: MqttBroker, version: Version, name: str
) -> None:
    reader, writer = client(broker, version), client(broker, version)
    reader.subscribe(f"{name}/+", 2)
    for other in (f"{name}/#", f"{name}/a", f"{name}/+/"):
        reader.unsubscribe(other)
    writer.publish(f"{name}/a", b"x", 2)
    message = reader.expect(Publish)
    reader.unsubscribe(f"{name}/+")
    reader.send(Pubrec(message.packet_id))
    assert reader.expect(Pubrel).packet_id == message.packet_id
    reader.send(Pubcomp(message.packet_id))
    writer.publish(f"{name}/a", b"no", 2)
    assert reader.until_ping() == []
