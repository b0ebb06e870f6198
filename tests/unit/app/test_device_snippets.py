"""Lines to paste, for the listeners there are."""

from __future__ import annotations

import ast

import pytest

from leafbox.app.device_snippets import Reachable, example_subject, reachable, snippets
from leafbox.app.devices import subjects_of
from leafbox.protocol.errors import BoxRequestFailed
from leafbox.security.device_users import DeviceUser

pytestmark = pytest.mark.capability("AP41")

DEVICE = DeviceUser("hall", "", "", publish=("site.hall.*.>",))


def test_where_the_box_is_comes_from_its_listeners() -> None:
    found = reachable({"nats": ["nats://10.0.0.7:4222"], "mqtt": ["tls://10.0.0.7:8883"]})
    assert found == Reachable("10.0.0.7", 4222, 8883, True)
    assert reachable({"nats": ["nats://127.0.0.1:1"]}) == Reachable("127.0.0.1", 1, 0)
    assert reachable({"nats": ["nats://0.0.0.0:1"]}).host != "0.0.0.0"


def test_an_example_is_within_the_rights() -> None:
    assert example_subject(DEVICE) == "site.hall.temperature.temperature"
    assert example_subject(DeviceUser("x", "", "")) == "x.temperature"


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_every_line_has_what_is_needed(is_encrypted: bool) -> None:
    made = {each.label: each.text for each in snippets(DEVICE, "s3cret", Reachable("box", 4222, 1883, is_encrypted))}
    assert len(made) == 5
    for text in made.values():
        assert "s3cret" in text
        assert "hall" in text
        assert "box" in text
    ast.parse(made["Python (paho-mqtt)"])
    assert made["mosquitto_pub"].endswith("-t site/hall/temperature/temperature -m 21.5")
    assert ("cafile" in made["mosquitto_pub"]) == is_encrypted


def test_only_what_listens_is_printed() -> None:
    assert [each.label for each in snippets(DEVICE, "p", Reachable("box", 4222, 0))] == ["nats"]
    assert snippets(DEVICE, "p", Reachable("box", 0, 0)) == []


def test_rights_may_be_written_as_filters() -> None:
    assert subjects_of("a/#") == ("a.>", "a")
    assert subjects_of("a.*") == ("a.*",)
    for text in ("", "a..b", "a b", ">.a", "a/#/b"):
        with pytest.raises(BoxRequestFailed):
            subjects_of(text)
