"""What devices said last: bounded, per device and not per rule, there again after a restart."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from leafbox.app import readings
from leafbox.app.readings import FILE_NAME, DeviceReadings, number_in, text_of
from leafbox.broker.account import Account
from leafbox.dataplane.routing import CallbackReceiver
from leafbox.security.device_users import DeviceUser


@dataclass
class Named:
    name: str


class Sender(CallbackReceiver):
    """A connection of somebody."""

    def __init__(self, name: str) -> None:
        super().__init__(lambda *_: True)
        self.identity = Named(name)
        self.closed = False


class Stage:
    """Some devices of one account, and a clock that moves."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.now_s = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)
        self.account = Account("$G")
        self.users: dict[str, DeviceUser] = {}
        self.readings = self.restarted()

    def restarted(self) -> DeviceReadings:
        self.readings = DeviceReadings(self.folder, self.users, {"$G": self.account}.get)
        self.readings.refresh()
        return self.readings

    def add(self, name: str, *publish: str) -> Sender:
        self.users[name] = DeviceUser(name, "", "", publish=publish or (f"{name}.>",))
        self.readings.refresh()
        return Sender(name)

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.readings.tick()

    def said(self, name: str) -> dict[str, Any]:
        return dict(self.readings.document(name))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


def test_a_value_is_there_at_once_and_its_trend_by_and_by(stage: Stage) -> None:
    pump = stage.add("pump")
    assert stage.said("pump") == {}
    stage.account.publish(b"pump.pressure", b"3.5 bar", origin=pump)
    assert (stage.said("pump")["last_subject"], stage.said("pump")["last_value"]) == ("pump.pressure", "3.5 bar")
    for value in (4, 5, 6):
        stage.account.publish(b"pump.pressure", b"%d bar" % value, origin=pump)
        stage.wait(readings.SAMPLE_S)
    assert stage.said("pump")["sparkline"] == [4.0, 5.0, 6.0]
    assert stage.said("pump")["messages_per_s"] == pytest.approx(0.2)
    stage.wait(readings.SAMPLE_S)
    assert stage.said("pump")["messages_per_s"] == 0
    for _ in range(2 * readings.POINTS_MAX):
        stage.account.publish(b"pump.pressure", b"7", origin=pump)
        stage.wait(readings.SAMPLE_S)
    assert stage.said("pump")["sparkline"] == [7.0] * readings.POINTS_MAX


def test_devices_that_share_a_rule_are_told_apart(stage: Stage) -> None:
    """By who sent it, not by the subject; what others say under it is nobody's."""
    one, two = stage.add("one", "site.>"), stage.add("two", "site.>")
    stage.account.publish(b"site.t", b"1", origin=one)
    stage.account.publish(b"site.t", b"2", origin=two)
    stage.account.publish(b"site.t", b"3", origin=Sender("stranger"))
    stage.account.publish(b"site.t", b"4")
    assert [stage.said(name)["last_value"] for name in ("one", "two")] == ["1", "2"]
    assert stage.account.sublist.count == 1


def test_no_more_than_so_many_are_kept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "READINGS_MAX", 2)
    for number in range(4):
        stage.account.publish(b"d%d.x" % number, b"1", origin=stage.add(f"d{number}"))
    assert [bool(stage.said(f"d{number}")) for number in range(4)] == [True, True, False, False]
    del stage.users["d0"]
    stage.readings.refresh()
    stage.account.publish(b"d2.x", b"1", origin=Sender("d2"))
    assert stage.said("d2")["last_value"] == "1"


def test_a_restart_keeps_them_and_a_damaged_file_is_no_obstacle(stage: Stage) -> None:
    pump = stage.add("pump")
    for value in (b"1", b"2"):
        stage.account.publish(b"pump.x", value, origin=pump)
        stage.wait(readings.SAMPLE_S)
    stage.readings.save()
    stage.restarted()
    told = stage.said("pump")
    assert (told["last_value"], told["last_subject"], told["sparkline"]) == ("2", "pump.x", [1.0, 2.0])
    (stage.folder / FILE_NAME).write_bytes(b"{")
    assert stage.restarted().document("pump") == {}


def test_a_revoked_device_is_forgotten_and_not_listened_to(stage: Stage) -> None:
    pump = stage.add("pump")
    stage.account.publish(b"pump.x", b"1", origin=pump)
    stage.users.clear()
    stage.readings.refresh()
    assert stage.account.sublist.count == 0
    stage.account.publish(b"pump.x", b"2", origin=pump)
    assert stage.said("pump") == {}


def test_closed_connections_are_let_go(stage: Stage) -> None:
    pump = stage.add("pump")
    stage.account.publish(b"pump.x", b"1", origin=pump)
    assert pump in stage.readings._table.by_sender
    pump.closed = True
    stage.wait(1)
    assert pump not in stage.readings._table.by_sender


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("21.5", 21.5),
        ("-3 °C", -3.0),
        ("t=1e3", 1000.0),
        ('{"sensor": "a7", "ok": true, "t": 4}', 4.0),
        ('{"broken": 1', None),
        ("pump7 on", None),
        ("on", None),
        ("1e999", None),
        ("", None),
    ],
)
def test_the_number_of_a_reading(text: str, number: float | None) -> None:
    assert number_in(text) == number


@pytest.mark.parametrize(
    ("value", "text"),
    [(b"21.5\n", "21.5"), ("ä".encode()[:1], ""), (b"\x00\xff", "00 ff"), (b"a\x00", "61 00"), ("°C".encode(), "°C")],
)
def test_a_value_is_shown_as_text_or_hexadecimal(value: bytes, text: str) -> None:
    assert text_of(value) == text
