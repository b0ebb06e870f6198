"""Many appliances against one hub: hundreds of leafs from this one process, each an origin the hub sources from.

`python -m tests.benchmarks.fleet --boxes 300`. Simulated is the box's side of the wire only (leaf protocol and the
origin's half of sourcing, as our boxes speak them); the hub is a real nats-server, and its memory, processor time and
delays are what is measured: how fast all boxes are linked, how long until every one's readings are stored, what a
standing box costs in memory and in processor time, and how long the hub needs to have them all back after a restart.
Not a test of the box, and not part of `make bench`: the figures go into docs/operating/scale.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

from tests.benchmarks.machine import memory_bytes, processor_seconds
from tests.support.box import free_port
from tests.support.servers import ServerKind, ServerProcess

HEARTBEAT_S = 1.0
STREAM = "sensors"
PAYLOAD = b"x" * 128


class SimulatedBox:
    """One leaf with one work queue of so many readings."""

    def __init__(self, number: int, port: int, readings: int) -> None:
        self.domain = f"BOX{number:06d}"
        self._port = port
        self.readings = readings
        self.acknowledged = 0
        self.is_up = False
        self._deliver = ""
        self._consumer = ""
        self._sent = 0
        self._writer: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        """Dial, serve, dial again."""
        while True:
            try:
                await self._serve()
            except (OSError, asyncio.IncompleteReadError):
                self.is_up = False
            await asyncio.sleep(1)

    async def _serve(self) -> None:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        await reader.readline()
        self._deliver = ""
        connect = {
            "version": "2.15.1", "server_id": self.domain, "name": self.domain, "cluster": self.domain,
            "domain": self.domain, "headers": True, "jetstream": True, "compress_mode": "off",
            "remote_account": "$G", "protocol": 3,
        }  # fmt: skip
        start = f"CONNECT {json.dumps(connect)}\r\nLS+ $JS.{self.domain}.API.>\r\nLS+ $LDS.{self.domain}\r\n"
        self._writer.write(start.encode())
        await self._read(reader)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        assert self._writer is not None
        while True:
            line = await reader.readuntil(b"\r\n")
            words = line.decode().split()
            if not words:
                continue
            if words[0] == "INFO":
                self.is_up = self.is_up or '"connect_info":true' in line.decode()
            elif words[0] == "PING":
                self._writer.write(b"PONG\r\n")
            elif words[0] == "LS+" and words[1] == self._deliver:
                self._send_readings()
            elif words[0] in ("LMSG", "HMSG"):
                body = await reader.readexactly(int(words[-1]) + 2)
                self._take(words, body[int(words[-2]) if words[0] == "HMSG" else 0 : -2], body)

    def _take(self, words: list[str], payload: bytes, whole: bytes) -> None:
        subject = words[1]
        if ".API.CONSUMER.CREATE." in subject:
            request = json.loads(payload)
            config = request["config"]
            self._deliver, self._consumer = config["deliver_subject"], config["name"]
            answer = json.dumps(
                {
                    "type": "io.nats.jetstream.api.v1.consumer_create_response",
                    "stream_name": STREAM,
                    "name": self._consumer,
                    "created": "2026-01-01T00:00:00Z",
                    "config": {**config, "durable_name": self._consumer, "ack_policy": "flow_control"},
                    "delivered": {"consumer_seq": 0, "stream_seq": self.acknowledged},
                    "ack_floor": {"consumer_seq": 0, "stream_seq": self.acknowledged},
                    "num_pending": self.readings - self.acknowledged,
                }
            ).encode()
            self._message(words[2], answer, header=b"NATS/1.0\r\nNats-Stream-Identity: fleet0\r\n\r\n")
            self._out(f"LS+ $JS.FC.{STREAM}.{self._consumer}.*\r\n".encode())
        elif subject.startswith("$JS.FC."):
            for field in whole.split(b"\r\n"):
                if field.startswith(b"Nats-Last-Stream: "):
                    self.acknowledged = max(self.acknowledged, int(field.split()[1]))

    def _send_readings(self) -> None:
        number = 0
        for number, sequence in enumerate(range(self.acknowledged + 1, self.readings + 1), 1):
            left = self.readings - sequence
            reply = f"$JS.ACK.{STREAM}.{self._consumer}.1.{sequence}.{number}.{time.time_ns()}.{left}@{STREAM}.t"
            self._out(f"LMSG {self._deliver} {reply} {len(PAYLOAD)}\r\n".encode() + PAYLOAD + b"\r\n")
        flow = f"$JS.FC.{STREAM}.{self._consumer}.a"
        self._message(self._deliver, b"", flow, b"NATS/1.0 100 FlowControl Request\r\n\r\n")
        self._sent = number

    def heartbeat(self) -> None:
        """What an idle consumer says once a second."""
        if self._deliver and self.is_up:
            text = f"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: {self._sent}\r\nNats-Last-Stream: "
            self._message(self._deliver, b"", header=f"{text}{self.readings}\r\n\r\n".encode())

    def _message(self, subject: str, payload: bytes, reply: str = "", header: bytes = b"") -> None:
        head = f"HMSG {subject} {reply}".rstrip() + f" {len(header)} {len(header) + len(payload)}\r\n"
        self._out(head.encode() + header + payload + b"\r\n")

    def _out(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)


async def heartbeats(fleet: list[SimulatedBox]) -> None:
    """Of all boxes."""
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        for box in fleet:
            box.heartbeat()


async def until(condition: object, timeout_s: float = 300.0) -> float:
    """Seconds until a callable is true."""
    assert callable(condition)
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > timeout_s:
            return float("nan")
        await asyncio.sleep(0.05)
    return time.monotonic() - started


async def measure(boxes: int, readings: int, streams: int, store: Path) -> dict[str, float]:
    """All figures of one size."""
    port, client_port = free_port(), free_port()
    config = (
        f'server_name: hub\nleafnodes {{ listen: "127.0.0.1:{port}" }}\n'
        f'jetstream {{ store_dir: "{store}", domain: HUB }}\n'
    )
    hub = ServerProcess(ServerKind.REAL, store.parent / "hub", "-p", str(client_port), config=config).start()
    empty_bytes = memory_bytes(hub.pid)
    fleet = [SimulatedBox(number, port, readings) for number in range(boxes)]
    found: dict[str, float] = {"boxes": boxes}
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(box.run()) for box in fleet]
        running.append(tasks.create_task(heartbeats(fleet)))
        found["all linked after s"] = await until(lambda: all(box.is_up for box in fleet))
        await asyncio.sleep(2)
        linked_bytes = memory_bytes(hub.pid)
        found["hub KiB per link"] = (linked_bytes - empty_bytes) / boxes / 1024
        await asyncio.to_thread(_make_streams, client_port, boxes, streams)
        found["all stored after s"] = await until(lambda: all(box.acknowledged >= readings for box in fleet))
        await asyncio.sleep(2)
        found["hub KiB per sourced box"] = (memory_bytes(hub.pid) - linked_bytes) / boxes / 1024
        used = processor_seconds(hub.pid)
        await asyncio.sleep(10)
        found["hub % of a processor, idle"] = (processor_seconds(hub.pid) - used) * 10
        await asyncio.to_thread(hub.stop)
        for box in fleet:
            box.readings += readings
        await asyncio.to_thread(hub.start)
        restarted = time.monotonic()
        found["all stored after a restart s"] = await until(lambda: all(b.acknowledged >= b.readings for b in fleet))
        found["restart s"] = time.monotonic() - restarted
        for task in running:
            task.cancel()
    hub.stop()
    return found


def _make_streams(port: int, boxes: int, streams: int) -> None:
    """The boxes spread over so many streams of the hub."""
    from tests.support.blocking_client import BlockingClient

    with BlockingClient(port) as client:
        client.login(protocol=0)
        for stream in range(streams):
            sources = [
                {"name": STREAM, "external": {"api": f"$JS.BOX{number:06d}.API", "deliver": ""}}
                for number in range(stream, boxes, streams)
            ]
            body = json.dumps({"name": f"ALL{stream}", "sources": sources}).encode()
            client.ask(b"PUB $JS.API.STREAM.CREATE.ALL%d %d\r\n%b\r\n" % (stream, len(body), body))


def main() -> None:
    """Print the figures as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--readings", type=int, default=100)
    parser.add_argument("--streams", type=int, default=1)
    options = parser.parse_args()
    for boxes in options.boxes:
        with tempfile.TemporaryDirectory() as folder:
            found = asyncio.run(measure(boxes, options.readings, options.streams, Path(folder) / "store"))
        print(json.dumps({name: round(value, 2) for name, value in found.items()}), flush=True)


if __name__ == "__main__":
    main()
