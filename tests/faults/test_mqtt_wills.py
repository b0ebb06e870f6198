"""Wills outlive the box: killed, or without power, it sends at its next start what its clients' silence asks for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leafbox.protocol.mqtt.packets import Puback, Publish, Version, Will
from leafbox.protocol.mqtt.properties import Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from tests.support.mqtt_client import RawMqttClient
from tests.support.power_cut import PowerCutDisk
from tests.support.servers import ServerKind, ServerProcess

KEPT = Properties(session_expiry_interval_s=3600)
DELAY_S = 3
USERS = """
accounts {{ A {{ jetstream: enabled, users: [
  {{ user: watcher, password: pw }}
  {{ user: sensor, password: pw {rights} }}
  {more}
] }} }}
"""


class Site:
    """Clients of one box that opens again with the same store."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.starts = 0
        self.open: list[RawMqttClient] = []
        self.server: ServerProcess | None = None

    def start(self, store: Path, users: str) -> None:
        self.starts += 1
        config = f'server_name: w\njetstream {{ store_dir: "{store}" }}\nmqtt {{ listen: "127.0.0.1:-1" }}\n{users}'
        work = self.work / str(self.starts)
        self.server = ServerProcess(ServerKind.LEAFBOX, work, config=config).start(timeout_s=60)

    def client(
        self, name: str, version: Version = Version.V5, *, user: str = "sensor", clean: bool = False,
        will: Will | None = None,
    ) -> RawMqttClient:  # fmt: skip
        assert self.server is not None
        made = RawMqttClient(self.server.port("mqtt"), version, timeout_s=30)
        self.open.append(made)
        properties = KEPT if version is Version.V5 and not clean else Properties()
        answer = made.connect(name, clean=clean, will=will, user_name=user, password=b"pw", properties=properties)
        assert answer.reason_code is ReasonCode.SUCCESS
        return made

    def watcher(self) -> RawMqttClient:
        return self.client("watcher", user="watcher")

    def close(self) -> None:
        while self.open:
            self.open.pop().close()
        if self.server is not None:
            self.server.kill()
            self.server = None


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = Site(tmp_path / "work")
    yield opened
    opened.close()


def will_of(name: str, delay_s: int | None = None) -> Will:
    said = Properties(will_delay_interval_s=delay_s, content_type="text/plain") if delay_s is not None else Properties()
    return Will(f"gone/{name}".encode(), name.encode(), 1, properties=said)


def taken(watcher: RawMqttClient, count: int) -> list[str]:
    """The names of so many wills, acknowledged."""
    found = []
    for _ in range(count):
        message = watcher.expect(Publish)
        watcher.send(Puback(message.packet_id))
        found.append(message.payload.decode())
    return found


def make_clients(site: Site) -> None:
    """One of each kind that leaves a will or does not."""
    watcher = site.watcher()
    watcher.subscribe("gone/#", 1)
    watcher.disconnect()
    site.client("clean", Version.V3_1_1, clean=True, will=will_of("clean"))
    site.client("kept", Version.V3_1_1, will=will_of("kept"))
    site.client("soon", will=will_of("soon", DELAY_S))
    site.client("late", will=will_of("late", 900))
    site.client("away", will=will_of("away", 900)).close()
    site.client("polite", will=will_of("polite")).disconnect()
    site.client("back", will=will_of("back", 900)).close()
    site.client("back")
    # Its answer says that everything before is on flash: the goodbye, too, which has no answer of its own.
    site.client("last", Version.V3_1_1, clean=True).subscribe("x", 1)
    site.client("end", Version.V3_1_1).subscribe("x", 1)


def check_wills(site: Site, store: Path, users: str) -> None:
    """What is due comes, once, over two starts."""
    started = time.monotonic()
    site.start(store, users)
    watcher = site.watcher()
    assert sorted(taken(watcher, 2)) == ["clean", "kept"]
    message = watcher.expect(Publish)
    watcher.send(Puback(message.packet_id))
    assert (message.payload, message.properties.content_type) == (b"soon", "text/plain")
    assert time.monotonic() - started > DELAY_S - 0.1
    site.client("late")
    watcher.disconnect()
    site.close()
    site.start(store, users)
    watcher = site.watcher()
    assert watcher.until_ping() == []
    # A new session takes the place of the one that was away: its will's wait is over [MQTT-3.1.2-8].
    site.client("away", clean=True)
    assert taken(watcher, 1) == ["away"]


@pytest.mark.slow
@pytest.mark.capability("MQ05", "MQ06")
def test_wills_are_sent_after_sigkill(site: Site, tmp_path: Path) -> None:
    users = USERS.format(rights="", more="")
    site.start(tmp_path / "store", users)
    make_clients(site)
    site.close()
    check_wills(site, tmp_path / "store", users)


@pytest.mark.slow
@pytest.mark.capability("MQ05", "MQ06")
def test_wills_are_sent_after_a_power_cut(site: Site, tmp_path: Path) -> None:
    """What was not synced is gone, and no will is among it."""
    users = USERS.format(rights="", more="")
    with PowerCutDisk(tmp_path / "disk") as disk:
        site.start(disk.path, users)
        make_clients(site)
        disk.cut(1, "drop", tmp_path / "after", when="now")
        site.close()
    check_wills(site, tmp_path / "after", users)


@pytest.mark.slow
@pytest.mark.capability("MQ05", "MQ11")
def test_who_lost_the_right_meanwhile_has_no_last_word(site: Site, tmp_path: Path) -> None:
    """The configuration of the start counts: a user who is gone, and one who may not publish there any more."""
    store = tmp_path / "store"
    site.start(store, USERS.format(rights="", more="{ user: former, password: pw }"))
    watcher = site.watcher()
    watcher.subscribe("gone/#", 1)
    watcher.disconnect()
    site.client("former", Version.V3_1_1, user="former", will=will_of("former"))
    site.client("sensor", Version.V3_1_1, clean=True, will=will_of("sensor"))
    site.client("allowed", Version.V3_1_1, clean=True, will=Will(b"gone/allowed", b"allowed", 1))
    site.close()
    site.start(store, USERS.format(rights=", permissions: { publish: gone.allowed }", more=""))
    assert site.server is not None
    watcher = site.watcher()
    assert taken(watcher, 1) == ["allowed"]
    assert watcher.until_ping() == []
    assert "Publish Violation of a will client_id='sensor'" in site.server.log
    assert "client_id='former' user='former'" in site.server.log
