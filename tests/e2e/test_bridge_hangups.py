"""A broker that sends and hangs up at once, again and again: everything arrives, and the bridges' process lives on."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from pathlib import Path

import nats
import pytest

from leafbox.app.control_client import ask
from tests.e2e.test_bridge import PATIENCE_S, command, wait_state
from tests.e2e.test_run import running

pytestmark = [pytest.mark.capability("AP42"), pytest.mark.slow, pytest.mark.timeout(300)]

HANGUPS = 8
BEFORE_S = 1.2
"""Longer than what a bridge takes for a connection that stands, after which it comes again within a second."""
SENT_EACH_TIME = 50
CONNACK = b"\x20\x02\x00\x00"


class Rude(threading.Thread):
    """Answers CONNECT and SUBSCRIBE of one client, sends messages of QoS 1 and closes; stays with the last one."""

    def __init__(self) -> None:
        super().__init__(name="rude broker", daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.is_last = threading.Event()
        self.is_over = threading.Event()

    def run(self) -> None:
        with self._listener:
            for number in range(HANGUPS + 1):
                connection, _ = self._listener.accept()
                with connection:
                    connection.settimeout(60)
                    connection.recv(4096)
                    connection.sendall(CONNACK)
                    subscribe = connection.recv(4096)
                    connection.sendall(b"\x90\x03" + subscribe[2:4] + b"\x01")
                    time.sleep(BEFORE_S)
                    first = number * SENT_EACH_TIME
                    connection.sendall(b"".join(publish(first + each) for each in range(SENT_EACH_TIME)))
                    if number == HANGUPS:
                        self.is_last.set()
                        self.is_over.wait(60)


def publish(number: int) -> bytes:
    """PUBLISH of QoS 1 on `in`, MQTT 3.1.1."""
    body = struct.pack("!H2sH", 2, b"in", number + 1) + b"%d" % number
    return b"\x32" + bytes([len(body)]) + body


def wait_stored(url: str, payload: bytes) -> None:
    """Until the bridge has brought it in."""

    async def run() -> None:
        async with await nats.connect(url) as client:
            subscription = await client.jetstream().subscribe("in", stream="BRIDGE_site_IN", ordered_consumer=True)
            while (await subscription.next_msg(PATIENCE_S)).data != payload:
                pass

    asyncio.run(run())


def test_hanging_up_in_the_middle_of_messages_ends_no_process(tmp_path: Path) -> None:
    broker = Rude()
    broker.start()
    with running(tmp_path) as url:
        options = ("--version", "3.1.1", "--in", "in:1")
        done = command(tmp_path, "bridge", "add", "site", f"mqtt://127.0.0.1:{broker.port}", *options)
        assert done.returncode == 0, done.stderr
        broker.is_last.wait(PATIENCE_S)
        wait_state(tmp_path, "flowing")
        wait_stored(url, b"%d" % ((HANGUPS + 1) * SENT_EACH_TIME - 1))
        processes = ask(tmp_path / "data", "system.get")["processes"]
        assert isinstance(processes, list)
        restarts = {each["name"]: each["restarts_last_hour"] for each in processes if isinstance(each, dict)}
        assert restarts["bridge"] == 0, processes
        broker.is_over.set()
