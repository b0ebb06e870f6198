"""What JetStream benchmarks need before they measure: a configuration, streams, consumers, stored messages."""

from __future__ import annotations

import json
import socket

from tests.benchmarks.generator import LoadFailed
from tests.benchmarks.scenario import Bench
from tests.support.servers import ServerProcess

API_TIMEOUT_S = 30.0


def config(bench: Bench) -> str:
    assert bench.flash is not None
    store = bench.flash.directory / "store"
    return f'jetstream {{ store_dir: "{store}", max_file: 1GB, {bench.contender.jetstream} }}'


def api(server: ServerProcess, subject: str, request: dict[str, object]) -> dict[str, object]:
    """One JetStream API request; `LoadFailed` when it is refused."""
    body = json.dumps(request).encode()
    with (
        socket.create_connection(("127.0.0.1", server.client_port), API_TIMEOUT_S) as wire,
        wire.makefile("rb") as lines,
    ):
        wire.sendall(
            b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB _INBOX.api 1\r\n'
            b"PUB $JS.API.%s _INBOX.api %d\r\n%s\r\n" % (subject.encode(), len(body), body)
        )
        for line in lines:
            if line.startswith(b"MSG "):
                answer: dict[str, object] = json.loads(lines.read(int(line.split()[-1])))
                if "error" in answer:
                    raise LoadFailed(f"{subject}: {answer['error']}")
                return answer
            if line.startswith((b"HMSG ", b"-ERR")):
                break
    raise LoadFailed(f"{subject}: no JetStream answers")


def create_stream(server: ServerProcess, name: str, subjects: list[str], **more: object) -> None:
    wanted = {"name": name, "subjects": subjects, "storage": "file", "retention": "limits", **more}
    api(server, f"STREAM.CREATE.{name}", wanted)


def create_consumer(server: ServerProcess, stream: str, name: str, **more: object) -> None:
    wanted = {"durable_name": name, "ack_policy": "explicit", **more}
    api(server, f"CONSUMER.DURABLE.CREATE.{stream}.{name}", {"stream_name": stream, "config": wanted})


def filled(bench: Bench, server: ServerProcess, count: int, size: int = 128, subjects: int = 0) -> None:
    """A stream BENCH with so many messages, on one subject or in turn on so many."""
    create_stream(server, "BENCH", ["bench.js", "bench.js.*"])
    subject = "bench.js." if subjects else "bench.js"
    bench.load(server, "requests", subject=subject, keys=subjects, size=size, window=1000, count=count)
