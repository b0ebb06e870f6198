"""The books of a session: the steps that are logged lead to the same state again."""

from __future__ import annotations

from leafbox.protocol.mqtt.packets import Puback, Publish, Pubrec, Version
from tests.support.gateway_stage import Stage


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
    for copy in (stage.restored(receiver), stage.session("snapshot", is_persistent=True)):
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
    for copy in (stage.restored(receiver), snapshot):
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
