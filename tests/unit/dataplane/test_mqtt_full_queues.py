"""Sessions whose queue is at its limit: whom a publish may not reach, and what each policy keeps."""

from __future__ import annotations

import pytest

from leafbox.dataplane.mqtt_session import MqttSession
from leafbox.dataplane.mqtt_session_state import WhenFull
from leafbox.dataplane.stream_ingest import freeze_clock
from leafbox.protocol.mqtt.packets import Puback, Publish, Pubrec, Version
from leafbox.protocol.mqtt.properties import Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from tests.support.gateway_stage import Stage, Wire


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
    copy = stage.restored(full)
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
