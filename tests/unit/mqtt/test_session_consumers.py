"""Sessions in the form of consumers: which are shown, under which names, and how long the answers get."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from leafbox.dataplane.mqtt_interest import MqttInterest
from leafbox.dataplane.mqtt_session import MqttSession
from leafbox.jetstream.names import SHOWN_PREFIX
from leafbox.mqtt.config import MqttOptions
from leafbox.mqtt.session import Session
from leafbox.mqtt.session_consumers import FILTERS_LISTED, FILTERS_SHOWN, SessionConsumers, consumer_name_of
from tests.support.gateway_stage import Stage


class Shown:
    """A few sessions on a stage, seen by tools."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.sessions: dict[str, Session] = {}
        self.view = SessionConsumers(self.sessions, MqttOptions, lambda: 5)

    def add(self, client_id: str, *filters: tuple[bytes, int]) -> MqttSession:
        core = self.stage.session(client_id, is_persistent=True)
        interests: dict[bytes, MqttInterest] = {each: self.stage.subscribe(core, each, qos) for each, qos in filters}
        made = SimpleNamespace(
            client_id=client_id, core=core, interests=interests, client=None, created_ns=1, version=4
        )
        self.sessions[client_id] = cast(Session, made)
        return core


def test_sessions_with_filters_of_qos_1_and_2_are_shown() -> None:
    shown = Shown()
    shown.add("one", (b"a", 1))
    shown.add("zero", (b"a", 0))
    shown.add("none")
    assert shown.view.count() == 1
    assert shown.view.names() == [consumer_name_of("one")]
    assert shown.view.info(consumer_name_of("zero")) is None
    assert shown.view.info("one") is None
    assert shown.view.info(SHOWN_PREFIX + "unknown") is None
    shown.stage.end()


def test_one_that_came_later_is_found_by_name() -> None:
    shown = Shown()
    assert shown.view.names() == []
    shown.add("later", (b"x/y", 2), (b"z", 0))
    info = shown.view.info(consumer_name_of("later"))
    assert info is not None
    assert info.config is not None
    assert (info.config.filter_subject, info.config.filter_subjects) == ("$MQTT.msgs.x.y", ())
    assert (info.created, info.ts, info.push_bound, info.num_pending) == (1, 5, False, 0)
    del shown.sessions["later"]
    assert shown.view.info(consumer_name_of("later")) is None
    shown.stage.end()


def test_thousands_of_filters_do_not_make_an_endless_answer() -> None:
    shown = Shown()
    shown.add("many", *((b"t/%d" % number, 1) for number in range(FILTERS_SHOWN + 5)))
    for is_listed, expected in ((False, FILTERS_SHOWN), (True, FILTERS_LISTED)):
        info = shown.view.info(consumer_name_of("many"), is_listed=is_listed)
        assert info is not None
        assert info.config is not None
        assert len(info.config.filter_subjects) == expected
        assert info.config.metadata["mqtt.filters"] == str(FILTERS_SHOWN + 5)
    shown.stage.end()
