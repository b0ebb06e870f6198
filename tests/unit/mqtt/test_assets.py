"""The gateway's streams: made where they are missing, kept where they are."""

from __future__ import annotations

import pytest

from leafbox.mqtt.assets import MESSAGES, RETAINED, SESSIONS, open_assets
from leafbox.protocol.errors import RequestRejected
from leafbox.protocol.jetstream.info import AccountLimits
from tests.support.jetstream_harness import Harness


def test_they_are_made_once() -> None:
    with Harness() as harness:
        first = open_assets(harness.owner)
        first.retained.ingest.store_message(b"$MQTT.rmsgs.a", b"", b"x", b"")
        again = open_assets(harness.owner)
        assert again.messages is first.messages
        assert again.retained.store.messages == 1
        assert {MESSAGES, RETAINED, SESSIONS, "$MQTT_out", "$MQTT_qos2in"} == harness.owner.streams.keys()
        assert all(stream.is_protected for stream in harness.owner.streams.values())


def test_one_retained_message_of_a_topic_is_kept() -> None:
    with Harness() as harness:
        retained = open_assets(harness.owner).retained
        for payload in (b"1", b"2"):
            retained.ingest.store_message(b"$MQTT.rmsgs.a", b"", payload, b"")
        message = retained.store.last_message(b"$MQTT.rmsgs.a")
        assert message is not None
        assert (retained.store.messages, message.payload) == (1, b"2")


def test_what_clients_publish_below_their_subjects_is_not_taken() -> None:
    with Harness() as harness:
        assets = open_assets(harness.owner)
        harness.account.publish(b"$MQTT.msgs.a", b"forged", b"", b"")
        harness.loop.settle()
        assert assets.messages.store.messages == 0


def test_an_account_that_may_have_no_more_streams_has_no_mqtt() -> None:
    with Harness(limits=AccountLimits(max_streams=2)) as harness, pytest.raises(RequestRejected, match="streams"):
        open_assets(harness.owner)
