"""Log in with nats-py in a process of its own, send one message to oneself, and say how it went.

A process of its own, because nats-py leaves sockets behind after a refused login, which our tests would be blamed for.
Run as a program it reads a JSON list of `nats.connect` options from standard input and answers with a list of texts.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import nats
import nats.errors

SUCCEEDED = "ok"
TIMEOUT_S = 60


def attempt(attempts: Sequence[dict[str, object]]) -> list[str]:
    """The outcome of each attempt: `SUCCEEDED` or the error's text. `tls_ca` (and `tls_certificate`, `tls_key`) name
    files of a TLS context."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.support.nats_py_login"],
        input=json.dumps(attempts),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    outcomes: list[str] = json.loads(done.stdout)
    return outcomes


async def _log_in(options: dict[str, Any]) -> str:
    heard: list[str] = []

    async def hear(error: Exception) -> None:
        heard.append(str(error))

    if ca_file := options.pop("tls_ca", None):
        options["tls"] = ssl.create_default_context(cafile=ca_file)
        if certificate := options.pop("tls_certificate", None):
            options["tls"].load_cert_chain(certificate, options.pop("tls_key"))
    try:
        connection = await nats.connect(**options, allow_reconnect=False, connect_timeout=10, error_cb=hear)
        subscription = await connection.subscribe("echo")
        await connection.publish("echo", b"x")
        message = await subscription.next_msg(timeout=10)
        await connection.close()
    except (nats.errors.Error, OSError) as error:
        return " ".join([str(error) or type(error).__name__, *heard])
    return SUCCEEDED if message.data == b"x" else "another message"


async def _main() -> None:
    print(json.dumps([await _log_in(options) for options in json.load(sys.stdin)]))


if __name__ == "__main__":
    asyncio.run(_main())
