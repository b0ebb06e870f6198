"""The picture of the sessions in `$MQTT_sess`."""

from __future__ import annotations

import json

from leafbox.jetstream.names import short_hash
from leafbox.protocol.mqtt.packets import Disconnect, Subscribe, Subscription, Version, Will
from leafbox.protocol.mqtt.properties import Properties
from tests.support.gateway_box import GatewayBox

KEPT = Properties(session_expiry_interval_s=100)


def drawn(box: GatewayBox) -> dict[str, dict[str, object]]:
    """What the stream shows, by subject."""
    store = box.owner.streams["$MQTT_sess"].store
    found = {}
    for subject in store.subject_counts():
        message = store.last_message(subject)
        assert message is not None
        found[subject.decode()] = json.loads(message.payload)
    return found


def test_changes_of_a_second_are_one_picture() -> None:
    with GatewayBox() as box:
        client = box.joined("c", Version.V5, clean=False, properties=KEPT)
        for number in range(5):
            client.send(Subscribe(1, (Subscription(b"a/%d" % number, 1),)))
        assert drawn(box) == {}
        box.loop.advance(1.1)
        subject = f"$MQTT.sess.{short_hash('c')}"
        expected = {"id": "c", "subs": {f"a/{number}": 1 for number in range(5)}, "expiry": 100}
        assert drawn(box) == {subject: expected}
        assert box.owner.streams["$MQTT_sess"].store.last_seq == 1


def test_a_session_that_is_over_is_not_shown() -> None:
    with GatewayBox() as box:
        client = box.joined("c", Version.V5, clean=False, properties=KEPT)
        box.loop.advance(1.1)
        assert len(drawn(box)) == 1
        client.send(Disconnect(properties=Properties(session_expiry_interval_s=0)))
        assert client.is_closed
        box.loop.advance(1.1)
        assert drawn(box) == {}


def test_sessions_that_end_with_their_connection_are_not_shown() -> None:
    """With a will or without: two hundred sensors would write two hundred messages at each power cut."""
    with GatewayBox() as box:
        box.joined("c", will=Will(b"w", b"", 0))
        box.loop.advance(1.1)
        assert drawn(box) == {}


def test_at_the_end_what_is_open_is_drawn() -> None:
    with GatewayBox() as box:
        box.joined("c", Version.V5, clean=False, properties=KEPT)
        box.gateway.stop()
        assert len(drawn(box)) == 1
