"""Sessions of the data plane: window, packet ids, QoS 2 both ways, retained messages, what NATS sees."""

from __future__ import annotations

from leafbox.protocol.mqtt.packets import Puback, Pubcomp, Publish, Pubrec, Pubrel, Version
from leafbox.protocol.mqtt.properties import Properties
from tests.support.gateway_stage import Stage


def test_qos_is_the_smaller_one_and_qos_1_is_stored_until_acknowledged() -> None:
    stage = Stage()
    receiver = stage.session("receiver")
    got = stage.peer(receiver)
    sender = stage.peer(stage.session("sender"))
    stage.subscribe(receiver, b"a/+", 1)
    sender.send(Publish(b"a/0", b"0"), Publish(b"a/1", b"1", 1, packet_id=7), Publish(b"a/2", b"2", 2, packet_id=8))
    assert sender.sent() == [Puback(7), Pubrec(8)]
    packets = [packet for packet in got.sent() if isinstance(packet, Publish)]
    assert [(packet.topic, packet.qos) for packet in packets] == [(b"a/0", 0), (b"a/1", 1), (b"a/2", 1)]
    assert stage.plane.messages.store.messages == 2
    got.send(Puback(packets[1].packet_id), Puback(packets[2].packet_id))
    assert stage.plane.messages.store.messages == 0
    assert receiver.inflight_count == 0
    stage.end()


def test_the_window_holds_back_what_is_too_much() -> None:
    stage = Stage()
    receiver = stage.session("receiver")
    receiver.window = 2
    got = stage.peer(receiver)
    sender = stage.peer(stage.session("sender"))
    stage.subscribe(receiver, b"a", 1)
    sender.send(*(Publish(b"a", b"%d" % n, 1, packet_id=n + 1) for n in range(5)))
    first = got.sent()
    assert [packet.payload for packet in first if isinstance(packet, Publish)] == [b"0", b"1"]
    assert receiver.queued == 3
    assert isinstance(first[0], Publish)
    got.send(Puback(first[0].packet_id))
    assert [packet.payload for packet in got.sent() if isinstance(packet, Publish)] == [b"2"]
    stage.end()


def test_qos_2_in_comes_once_however_often_it_is_sent() -> None:
    stage = Stage()
    stage.listen()
    sender = stage.peer(stage.session("sender"))
    sender.send(Publish(b"a", b"x", 2, packet_id=3))
    sender.send(Publish(b"a", b"x", 2, is_duplicate=True, packet_id=3))
    assert [payload for _, _, payload in stage.heard] == [b"x"]
    sender.send(Pubrel(3), Publish(b"a", b"y", 2, packet_id=3))
    assert sender.sent() == [Pubrec(3), Pubrec(3), Pubcomp(3), Pubrec(3)]
    assert [payload for _, _, payload in stage.heard] == [b"x", b"y"]
    assert stage.heard[0][1].startswith(b"NATS/1.0\r\nNmqtt-Pub:2\r\n")
    stage.end()


def test_qos_2_out_goes_through_its_four_packets() -> None:
    stage = Stage()
    receiver = stage.session("receiver")
    got = stage.peer(receiver)
    stage.subscribe(receiver, b"a", 2)
    sender = stage.peer(stage.session("sender"))
    sender.send(Publish(b"a", b"x", 2, packet_id=3))
    [packet] = got.sent()
    assert isinstance(packet, Publish)
    assert packet.qos == 2
    got.send(Pubrec(packet.packet_id))
    assert got.sent() == [Pubrel(packet.packet_id)]
    assert stage.plane.messages.store.messages == 0
    got.send(Pubcomp(packet.packet_id))
    assert receiver.inflight_count == 0
    stage.end()


def test_what_is_in_flight_goes_out_again_in_order_with_its_packet_id() -> None:
    stage = Stage()
    receiver = stage.session("receiver", is_persistent=True)
    got = stage.peer(receiver)
    stage.subscribe(receiver, b"a", 2)
    sender = stage.peer(stage.session("sender"))
    sender.send(*(Publish(b"a", b"%d" % n, 1 + n % 2, packet_id=n + 1) for n in range(4)))
    before = {packet.payload: packet.packet_id for packet in got.sent() if isinstance(packet, Publish)}
    got.send(Puback(before[b"0"]), Pubrec(before[b"1"]))
    receiver.detach()
    sender.send(Publish(b"a", b"4", 1, packet_id=9))
    again = stage.peer(receiver)
    packets = again.sent()
    assert Pubrel(before[b"1"]) in packets
    repeated = [packet for packet in packets if isinstance(packet, Publish)]
    assert [(each.payload, each.is_duplicate) for each in repeated] == [(b"2", True), (b"3", True), (b"4", False)]
    assert [each.packet_id for each in repeated[:2]] == [before[b"2"], before[b"3"]]
    stage.end()


def test_overlapping_filters_give_one_copy_with_all_identifiers() -> None:
    stage = Stage()
    receiver = stage.session("receiver")
    got = stage.peer(receiver, Version.V5)
    for topic_filter, qos, identifier in ((b"a/#", 1, 5), (b"a/+", 2, 6), (b"+/b", 0, 0)):
        stage.subscribe(receiver, topic_filter, qos, identifier=identifier).overlaps = True
    sender = stage.peer(stage.session("sender"), Version.V5)
    sender.send(Publish(b"a/b", b"x", 2, packet_id=1))
    packets = [packet for packet in got.sent() if isinstance(packet, Publish)]
    assert len(packets) == 1
    assert packets[0].qos == 2
    assert sorted(packets[0].properties.subscription_identifiers) == [5, 6]
    stage.end()


def test_properties_go_through_the_store_and_to_nats() -> None:
    stage = Stage()
    stage.listen()
    receiver = stage.session("receiver")
    got = stage.peer(receiver, Version.V5)
    stage.subscribe(receiver, b"a", 1)
    sender = stage.peer(stage.session("sender"), Version.V5)
    properties = Properties(
        payload_format_indicator=1,
        content_type="text/plain",
        correlation_data=b"\x00\xff",
        user_properties=(("unit", "K"), ("Nats-Msg-Id", "1"), ("odd name:", "a=b\n")),
    )
    sender.send(Publish(b"a", b"x", 1, packet_id=1, properties=properties), Publish(b"a", b"y", properties=properties))
    assert [packet.properties for packet in got.sent() if isinstance(packet, Publish)] == [properties, properties]
    header = stage.heard[0][1]
    assert b"\r\nunit: K\r\n" in header
    assert b"Content-Type: text/plain\r\n" in header
    assert b"\nNats-Msg-Id" not in header
    stage.end()


def test_from_nats_comes_at_qos_0_unless_the_header_asks() -> None:
    stage = Stage()
    receiver = stage.session("receiver")
    got = stage.peer(receiver)
    stage.subscribe(receiver, b"a/b", 1)
    stage.account.publish(b"a.b", b"plain")
    stage.account.publish(b"a.b", b"asked", header=b"NATS/1.0\r\nNmqtt-Pub: 1\r\n\r\n")
    packets = [packet for packet in got.sent() if isinstance(packet, Publish)]
    assert [(packet.payload, packet.qos) for packet in packets] == [(b"plain", 0), (b"asked", 1)]
    stage.end()


def test_retained_messages_are_replaced_and_removed() -> None:
    stage = Stage()
    sender = stage.peer(stage.session("sender"))
    sender.send(Publish(b"r/1", b"old", is_retained=True), Publish(b"r/1", b"new", 1, True, packet_id=1))
    sender.send(Publish(b"r/2", b"x", is_retained=True), Publish(b"r/2", b"", is_retained=True))
    receiver = stage.session("receiver")
    got = stage.peer(receiver)
    interest = stage.subscribe(receiver, b"r/+", 2)
    assert receiver.send_retained(interest, b"r.*") == 1
    [packet] = got.sent()
    assert isinstance(packet, Publish)
    assert (packet.payload, packet.qos, packet.is_retained) == (b"new", 1, True)
    stage.end()
