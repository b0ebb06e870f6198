"""What people see and do of sessions."""

from __future__ import annotations

from typing import Any, cast

import pytest

from leafbox.mqtt import administration
from leafbox.mqtt.administration import MqttAdministration
from leafbox.mqtt.config import MqttOptions
from leafbox.protocol.errors import BoxRequestFailed
from leafbox.protocol.mqtt.packets import Disconnect, Publish, Subscribe, Subscription, Version
from leafbox.protocol.mqtt.properties import Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from tests.support.gateway_box import GatewayBox

KEPT = Properties(session_expiry_interval_s=100)


def listed(asked: MqttAdministration, **request: Any) -> list[dict[str, Any]]:
    """The sessions of one answer."""
    found: list[dict[str, Any]] = cast(Any, asked.sessions(request)["sessions"])
    return found


def test_the_list_is_sorted_chosen_and_paged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(administration, "SESSIONS_PER_ANSWER", 2)
    with GatewayBox() as box:
        asked = MqttAdministration(box.gateway)
        assert asked.sessions({}) == {"total": 0, "offset": 0, "sessions": []}
        for name in ("c", "a", "b"):
            box.joined(name)
        assert [each["client_id"] for each in listed(asked)] == ["a", "b"]
        assert [each["client_id"] for each in listed(asked, offset=2, account="$G")] == ["c"]
        page = asked.sessions({"offset": 2})
        assert (page["total"], page["offset"]) == (3, 2)
        assert asked.sessions({"account": "other"})["total"] == 0
        assert asked.sessions({"offset": "x"})["offset"] == 0


def test_a_session_is_described_as_it_is() -> None:
    with GatewayBox(options=MqttOptions(port=1883, queued_messages_max=1)) as box:
        client = box.joined("c", Version.V5, clean=False, properties=KEPT)
        client.send(Subscribe(1, (Subscription(b"a", 1),)), Disconnect())
        box.joined("p").send(Publish(b"a", b"x", 1, packet_id=1))
        [found] = [each for each in listed(MqttAdministration(box.gateway)) if each["client_id"] == "c"]
        assert (found["is_connected"], found["is_kept"], found["expiry_s"], found["version"]) == (False, True, 100, 5)
        assert (found["queued"], found["queued_max"], found["is_full"], found["filters"]) == (1, 1, True, 1)
        assert (found["dropped"], found["in_flight"], found["user"]) == (0, 0, "")


def test_removing_a_session() -> None:
    """With its messages; a client that is there is told, and unknown ones are an error that says what to do."""
    with GatewayBox() as box:
        asked = MqttAdministration(box.gateway)
        here = box.joined("here", Version.V5, clean=False, properties=KEPT)
        away = box.joined("away", Version.V5, clean=False, properties=KEPT)
        away.send(Subscribe(1, (Subscription(b"a", 1),)), Disconnect())
        box.joined("p").send(Publish(b"a", b"x", 1, packet_id=1))
        assert asked.delete({"client_id": "away"}) == {"account": "$G", "client_id": "away", "dropped_messages": 1}
        assert asked.delete({"client_id": "here", "account": "$G"})["dropped_messages"] == 0
        assert here.sent() == [Disconnect(ReasonCode.ADMINISTRATIVE_ACTION)]
        assert box.gateway.accounts["$G"].by_id.keys() == {"p"}
        for request in ({"client_id": "here"}, {"client_id": "p", "account": "other"}, {}):
            with pytest.raises(BoxRequestFailed, match="no MQTT session"):
                asked.delete(request)  # type: ignore[arg-type]
