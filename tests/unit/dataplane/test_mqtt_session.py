"""Sessions of the data plane: queue, window, packet ids, QoS 2 both ways, steps that bring everything back."""

from __future__ import annotations

import pytest

from leafbox.dataplane.mqtt_session import MqttSession, WhenFull
from leafbox.dataplane.stream_ingest import freeze_clock
from leafbox.protocol.mqtt.packets import Puback, Pubcomp, Publish, Pubrec, Pubrel, Version
from leafbox.protocol.mqtt.properties import Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from tests.support.gateway_stage import Stage, Wire


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


def restored(stage: Stage, session: MqttSession) -> MqttSession:
    """The same session made of its logged steps."""
    copy = stage.session("copy", is_persistent=True)
    for key, steps in stage.logged:
        if key == session.key:
            copy.restore_steps(steps)
    return copy


def test_steps_lead_to_the_same_state() -> None:
    stage = Stage()
    receiver = stage.session("receiver", is_persistent=True)
    receiver.window = 3
    got = stage.peer(receiver)
    stage.subscribe(receiver, b"a", 2)
    sender = stage.peer(stage.session("sender"))
    sender.send(*(Publish(b"a", b"%d" % n, 1 + n % 2, packet_id=n + 1) for n in range(8)))
    for packet in got.sent():
        if isinstance(packet, Publish) and packet.payload in (b"0", b"1"):
            got.send(Puback(packet.packet_id) if packet.qos == 1 else Pubrec(packet.packet_id))
    got.send(Publish(b"b", b"in", 2, packet_id=77))
    stage.loop.run_ready()
    for copy in (restored(stage, receiver), stage.session("snapshot", is_persistent=True)):
        if copy.key == b"snapshot":
            copy.restore_steps(receiver.snapshot_steps())
        assert copy.needed_seqs() == receiver.needed_seqs()
        assert (copy.queued, copy.inflight_count) == (receiver.queued, receiver.inflight_count)
        assert copy.received_count == 1
    stage.end()


def test_subscription_identifiers_come_back_with_the_messages() -> None:
    """[MQTT-3.3.4-3] after a restart too: in flight and queued, from steps and from a snapshot."""
    stage = Stage()
    receiver = stage.session("receiver", is_persistent=True)
    receiver.window = 1
    stage.subscribe(receiver, b"a/#", 1, identifier=7).overlaps = True
    stage.subscribe(receiver, b"a/b", 1, identifier=268_435_455).overlaps = True
    got = stage.peer(receiver, Version.V5)
    sender = stage.peer(stage.session("sender"))
    sender.send(*(Publish(topic, b"x", 1, packet_id=9) for topic in (b"a/b", b"a/c")))
    assert receiver.inflight_count == receiver.queued == 1
    expected = [{7, 268_435_455}, {7}]
    snapshot = stage.session("snapshot", is_persistent=True)
    snapshot.restore_steps(receiver.snapshot_steps())
    for copy in (restored(stage, receiver), snapshot):
        again = stage.peer(copy, Version.V5)
        found = [packet for packet in again.sent() if isinstance(packet, Publish)]
        assert [set(each.properties.subscription_identifiers) for each in found] == expected
    assert len([packet for packet in got.sent() if isinstance(packet, Publish)]) == 1
    stage.end()


def test_steps_done_twice_change_nothing() -> None:
    """A checkpoint's snapshot may hold what is logged right after it."""
    stage = Stage()
    receiver = stage.session("receiver", is_persistent=True)
    got = stage.peer(receiver)
    stage.subscribe(receiver, b"a", 1)
    sender = stage.peer(stage.session("sender"))
    sender.send(*(Publish(b"a", b"%d" % n, 1, packet_id=n + 1) for n in range(3)))
    packets = got.sent()
    assert isinstance(packets[0], Publish)
    got.send(Puback(packets[0].packet_id))
    stage.loop.run_ready()
    copy = stage.session("copy", is_persistent=True)
    copy.restore_steps(receiver.snapshot_steps())
    for _, steps in stage.logged:
        copy.restore_steps(steps)
    assert copy.needed_seqs() == receiver.needed_seqs()
    assert (copy.queued, copy.inflight_count) == (0, 2)
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


def published(sender: Wire, *payloads: bytes) -> list[ReasonCode]:
    """Publish on `a` at QoS 1; the answers."""
    sender.send(*(Publish(b"a", payload, 1, packet_id=n + 1) for n, payload in enumerate(payloads)))
    return [packet.reason_code for packet in sender.sent() if isinstance(packet, Puback)]


def waiting(stage: Stage, session: MqttSession) -> list[bytes]:
    """What a client gets that comes back."""
    return [packet.payload for packet in stage.peer(session).sent() if isinstance(packet, Publish)]


def test_a_full_queue_refuses_before_anybody_gets_the_message() -> None:
    """Or those who got it get it twice when the publisher tries again."""
    stage = Stage()
    full, other = (stage.session(name, is_persistent=True) for name in ("full", "other"))
    told: list[MqttSession] = []
    stage.plane.on_full = told.append
    full.limit_queue(2, WhenFull.FULL_REFUSES)
    stage.subscribe(other, b"a", 1)
    stage.subscribe(full, b"+", 1)
    sender = stage.peer(stage.session("sender"), Version.V5)
    assert published(sender, b"1", b"2", b"3") == [ReasonCode.SUCCESS] * 2 + [ReasonCode.QUOTA_EXCEEDED]
    assert (told, full.is_full, other.queued) == ([full], True, 2)
    sender.send(Publish(b"a", b"nobody waits for it", 0), Publish(b"b", b"no", 2, packet_id=9))
    assert [packet for packet in sender.sent() if isinstance(packet, Pubrec)] == [Pubrec(9, ReasonCode.QUOTA_EXCEEDED)]
    old = stage.peer(stage.session("old"))
    old.send(Publish(b"a", b"3", 1, packet_id=1))
    assert old.connection.closed, "MQTT 3 has no word for it"
    assert waiting(stage, full) == [b"1", b"2"]
    assert published(sender, b"3") == [ReasonCode.SUCCESS]
    assert waiting(stage, other) == [b"1", b"2", b"3"]
    stage.end()


def test_a_full_queue_refuses_only_what_it_would_get() -> None:
    stage = Stage()
    full = stage.session("full", is_persistent=True)
    full.limit_queue(1, WhenFull.FULL_REFUSES)
    stage.subscribe(full, b"a", 1)
    stage.subscribe(full, b"zero", 0)
    other = stage.session("other", is_persistent=True)
    stage.subscribe(other, b"#", 1)
    sender = stage.peer(stage.session("sender"), Version.V5)
    assert published(sender, b"1", b"2") == [ReasonCode.SUCCESS, ReasonCode.QUOTA_EXCEEDED]
    for topic in (b"b", b"zero", b"$a"):
        sender.send(Publish(topic, b"x", 1, packet_id=5))
        [answer] = sender.sent()
        assert answer == Puback(5, ReasonCode.NO_MATCHING_SUBSCRIBERS if topic == b"$a" else ReasonCode.SUCCESS)
    stage.end()


@pytest.mark.parametrize(
    ("policy", "kept"), [(WhenFull.FULL_DROPS_NEW, [b"1", b"2"]), (WhenFull.FULL_DROPS_OLD, [b"3", b"4"])]
)
def test_a_full_queue_drops_where_that_is_the_policy(policy: WhenFull, kept: list[bytes]) -> None:
    """It is counted, others get everything, and a restart finds the same."""
    stage = Stage()
    full, other = (stage.session(name, is_persistent=True) for name in ("full", "other"))
    full.limit_queue(2, policy)
    for session in (full, other):
        stage.subscribe(session, b"a", 1)
    sender = stage.peer(stage.session("sender"), Version.V5)
    assert published(sender, b"1", b"2", b"3", b"4") == [ReasonCode.SUCCESS] * 4
    assert (full.dropped, full.queued, other.queued) == (2, 2, 4)
    copy = restored(stage, full)
    assert copy.needed_seqs() == full.needed_seqs()
    assert waiting(stage, full) == kept
    assert waiting(stage, other) == [b"1", b"2", b"3", b"4"]
    stage.end()


def test_what_has_expired_makes_room() -> None:
    stage = Stage()
    full = stage.session("full", is_persistent=True)
    full.limit_queue(2, WhenFull.FULL_REFUSES)
    stage.subscribe(full, b"a", 1)
    sender = stage.peer(stage.session("sender"), Version.V5)
    freeze_clock(1_000_000_000)
    try:
        for n in range(2):
            soon = Properties(message_expiry_interval_s=1 + n)
            sender.send(Publish(b"a", b"%d" % n, 1, packet_id=n + 1, properties=soon))
        assert published(sender, b"2")[-1] is ReasonCode.QUOTA_EXCEEDED
        freeze_clock(2_500_000_000)
        assert published(sender, b"3") == [ReasonCode.SUCCESS]
        assert (full.queued, full.expired) == (2, 1)
    finally:
        freeze_clock(0)
    stage.end()


def test_retained_messages_fill_no_queue() -> None:
    """They are there only while a client takes them."""
    stage = Stage()
    sender = stage.peer(stage.session("sender"), Version.V5)
    sender.send(*(Publish(b"r/%d" % n, b"x", 1, is_retained=True, packet_id=n + 1) for n in range(5)))
    receiver = stage.session("receiver", is_persistent=True)
    receiver.limit_queue(2, WhenFull.FULL_REFUSES)
    receiver.window = 1
    interest = stage.subscribe(receiver, b"#", 1)
    stage.peer(receiver)
    assert receiver.send_retained(interest, b">") == 5
    assert receiver.queued == 4
    assert published(sender, b"1", b"2", b"3")[-3:] == [ReasonCode.SUCCESS] * 2 + [ReasonCode.QUOTA_EXCEEDED]
    receiver.discard()
    assert not receiver.is_full
    stage.end()


def test_a_member_of_a_group_that_is_full_leaves_it_to_the_others() -> None:
    stage = Stage()
    first, second = (stage.session(name, is_persistent=True) for name in ("first", "second"))
    for session in (first, second):
        session.limit_queue(3, WhenFull.FULL_REFUSES)
        stage.subscribe(session, b"$share/g/a", 1)
    sender = stage.peer(stage.session("sender"), Version.V5)
    assert (
        published(sender, *(b"%d" % n for n in range(8))) == [ReasonCode.SUCCESS] * 6 + [ReasonCode.QUOTA_EXCEEDED] * 2
    )
    assert sorted(waiting(stage, first) + waiting(stage, second)) == [b"%d" % n for n in range(6)]
    stage.end()
