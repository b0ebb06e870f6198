"""Sensors that publish to a box through everything that happens to it, and remember what was acknowledged.

One reading is under way at a time, each payload is unique. A reading whose acknowledgement never came may have been
stored or not; it is not sent again, so that nobody's duplicate detection can hide a message that was forwarded twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Any, Self

import nats.errors
import nats.js.errors
import paho.mqtt.client as mqtt
from nats.aio.client import Client
from paho.mqtt.enums import CallbackAPIVersion


class Sensors:
    """Publishes on `sensors.<n>` in a thread of its own from `__enter__` to `stop`."""

    def __init__(self, url: str, pause_s: float = 0.002) -> None:
        self._url = url
        self._pause_s = pause_s
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self.acknowledged: list[bytes] = []
        self.uncertain: set[bytes] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def wait(self, count: int, timeout_s: float = 120.0) -> None:
        """Until so many are acknowledged: how long that takes is the machine's affair."""
        deadline = time.monotonic() + timeout_s
        while len(self.acknowledged) < count:
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} of {count} readings acknowledged"
            time.sleep(0.02)

    def stop(self) -> None:
        """Publish no more; the last acknowledgement is in when this returns."""
        self._ends.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()

    def _publish(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        number = 0
        while not self._ends.is_set():
            client = Client()
            try:
                await client.connect(self._url, allow_reconnect=False, connect_timeout=2, error_cb=_ignore)
            except (TimeoutError, OSError, nats.errors.Error):
                with contextlib.suppress(OSError, nats.errors.Error, asyncio.TimeoutError):
                    await client.close()
                await asyncio.sleep(0.05)
                continue
            stream = client.jetstream(timeout=5)
            try:
                while not self._ends.is_set():
                    payload = b"reading %d" % number
                    number += 1
                    self.uncertain.add(payload)
                    await stream.publish(f"sensors.{number % 7}", payload)
                    self.uncertain.discard(payload)
                    self.acknowledged.append(payload)
                    await asyncio.sleep(self._pause_s)
            except (TimeoutError, OSError, nats.errors.Error, nats.js.errors.Error):
                await asyncio.sleep(0.02)
            finally:
                with contextlib.suppress(OSError, nats.errors.Error, asyncio.TimeoutError):
                    await client.close()


class MqttSensors(Sensors):
    """The same over MQTT with QoS 1, on `sensors/<n>`: the acknowledgement is the PUBACK."""

    def __init__(self, port: int, pause_s: float = 0.002) -> None:
        super().__init__("", pause_s)
        self._port = port

    def _publish(self) -> None:
        number = 0
        while not self._ends.is_set():
            # A client that reconnected by itself would send again what was not acknowledged.
            client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
            try:
                client.connect("127.0.0.1", self._port)
                client.loop_start()
                while not self._ends.is_set():
                    payload = b"mqtt reading %d" % number
                    number += 1
                    self.uncertain.add(payload)
                    message = client.publish(f"sensors/{number % 7}", payload, qos=1)
                    message.wait_for_publish(timeout=5)
                    if not message.is_published():
                        break
                    self.uncertain.discard(payload)
                    self.acknowledged.append(payload)
                    time.sleep(self._pause_s)
            except (OSError, ValueError, RuntimeError):
                time.sleep(0.05)
            finally:
                client.disconnect()
                client.loop_stop()


async def _ignore(error: Exception) -> None:
    """The publish that failed raises."""


def difference(hub: list[bytes], sensors: Sensors) -> str:
    """What is wrong with the hub's stream: every acknowledged reading once, in order; empty when all is well."""
    if len(set(hub)) != len(hub):
        seen: set[bytes] = set()
        doubled = [payload for payload in hub if payload in seen or seen.add(payload)]  # type: ignore[func-returns-value]
        return f"{len(doubled)} readings twice, the first {doubled[0]!r}"
    certain = [payload for payload in hub if payload not in sensors.uncertain]
    if certain == sensors.acknowledged:
        return ""
    missing = set(sensors.acknowledged) - set(certain)
    if missing:
        first = next(payload for payload in sensors.acknowledged if payload in missing)
        return f"{len(missing)} of {len(sensors.acknowledged)} readings missing, the first {first!r}"
    if unknown := set(certain) - set(sensors.acknowledged):
        return f"{len(unknown)} readings nobody sent"
    return "readings are out of order"


async def payloads_of(url: str, stream: str) -> list[bytes]:
    """Every message of a stream, in order."""
    client = await nats_client(url)
    try:
        context = client.jetstream()
        left = (await context.stream_info(stream)).state.messages
        found: list[bytes] = []
        subscription = await context.pull_subscribe(">", stream=stream)
        while left > 0:
            batch = await subscription.fetch(min(left, 500), timeout=20)
            for message in batch:
                await message.ack()
            found += [message.data for message in batch]
            left -= len(batch)
        return found
    finally:
        await client.close()


async def nats_client(url: str, **options: Any) -> Client:
    """A connected client."""
    client = Client()
    await client.connect(url, connect_timeout=5, **options)
    return client
