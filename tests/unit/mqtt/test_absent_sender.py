"""The wills of clients that the box itself cut off."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from leafbox.broker.config import Permissions, SubjectPermission
from leafbox.protocol.mqtt.packets import Publish, Subscribe, Subscription, Version, Will
from leafbox.protocol.mqtt.properties import Properties
from leafbox.security.config import SecurityOptions, UserOptions
from tests.support.gateway_box import Device, GatewayBox

ANNA = UserOptions("anna", "pw")
WATCHER = UserOptions("watcher", "pw")
KEPT = Properties(session_expiry_interval_s=100)
WILL = Will(b"will", b"gone", 1)


def opened(box: GatewayBox) -> Device:
    """The session that hears wills, which is kept."""
    return box.joined("watcher", Version.V5, user="watcher", clean=False, properties=KEPT)


def payloads(client: Device) -> list[bytes]:
    return [each.payload for each in client.sent() if isinstance(each, Publish)]


def cut_off(box: GatewayBox, *, after: UserOptions | None, **options: object) -> None:
    """A client with a will, and a power cut; afterwards its user is `after`."""
    opened(box).send(Subscribe(1, (Subscription(b"will", 1),)))
    box.joined("c", Version.V5, user="anna", **options)
    box.security = SecurityOptions(users=(WATCHER, *([after] if after is not None else [])))
    box.restart()


@pytest.mark.parametrize("is_kept", [False, True])
def test_the_will_is_sent_once(is_kept: bool) -> None:
    options = {"clean": False, "properties": KEPT} if is_kept else {}
    with GatewayBox(SecurityOptions(users=(ANNA, WATCHER))) as box:
        cut_off(box, after=ANNA, will=replace(WILL, properties=Properties(content_type="t")), **options)
        watching = opened(box)
        [message] = [each for each in watching.sent() if isinstance(each, Publish)]
        assert (message.payload, message.qos, message.properties.content_type) == (b"gone", 1, "t")
        assert ("c" in box.gateway.accounts["$G"].by_id) == is_kept
        box.restart()
        assert [each.is_duplicate for each in opened(box).sent() if isinstance(each, Publish)] == [True]


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (None, "a will is not sent"),
        (replace(ANNA, account="OTHER"), "a will is not sent"),
        (replace(ANNA, permissions=Permissions(SubjectPermission(("other",)))), "Publish Violation of a will"),
    ],
)
def test_the_rights_of_the_day_count(after: UserOptions | None, said: str, caplog: pytest.LogCaptureFixture) -> None:
    with GatewayBox(SecurityOptions(users=(ANNA, WATCHER))) as box, caplog.at_level(logging.WARNING):
        cut_off(box, after=after, will=WILL)
        assert payloads(opened(box)) == []
        assert said in caplog.text
        assert "gone" not in caplog.text


def test_a_delay_goes_on_after_the_cut() -> None:
    """For who was connected it begins at the start, for who was away already it went on."""
    late = replace(WILL, properties=Properties(will_delay_interval_s=20))
    with GatewayBox(SecurityOptions(users=(ANNA, WATCHER))) as box:
        box.joined("away", Version.V5, user="anna", clean=False, properties=KEPT, will=late).vanish()
        box.loop.advance(15)
        cut_off(box, after=ANNA, clean=False, properties=KEPT, will=replace(late, payload=b"here"))
        watching = opened(box)
        assert payloads(watching) == []
        box.loop.advance(6)
        assert payloads(watching) == [b"gone"]
        box.loop.advance(15)
        assert payloads(watching) == [b"here"]


def test_who_is_back_before_the_delay_is_over_was_not_gone() -> None:
    late = replace(WILL, properties=Properties(will_delay_interval_s=20))
    with GatewayBox(SecurityOptions(users=(ANNA, WATCHER))) as box:
        cut_off(box, after=ANNA, clean=False, properties=KEPT, will=late)
        watching = opened(box)
        back = box.joined("c", Version.V5, user="anna", clean=False, properties=KEPT)
        assert back.connack.is_session_present
        box.loop.advance(30)
        assert payloads(watching) == []
        box.restart()
        assert payloads(opened(box)) == []
