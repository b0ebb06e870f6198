"""The monitoring listener as a whole: HTTPS, lame duck mode, log lines."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import nats
import pytest

from tests.support.certificates import TestAuthority
from tests.support.servers import ServerKind, StartServer


@pytest.mark.capability("MO06")
def test_https_uses_the_client_certificate_and_asks_for_none(
    start_server: StartServer, server_kind: ServerKind, tmp_path: Path
) -> None:
    """Even where clients must show a certificate, probes need none."""
    authority = TestAuthority(tmp_path)
    issued = authority.issue_server()
    tls = (
        f'cert_file: "{issued.cert_file}", key_file: "{issued.key_file}", ca_file: "{authority.ca_file}", verify: true'
    )
    server = start_server(server_kind, config=f'https: "127.0.0.1:-1"\ntls {{ {tls} }}\n')
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    url = f"https://127.0.0.1:{server.port('monitor')}/healthz"
    with urllib.request.urlopen(url, timeout=10, context=context) as response:
        assert json.loads(response.read()) == {"status": "ok"}
    assert "Starting https monitor on 127.0.0.1:" in server.log
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=10, context=ssl.create_default_context())


@pytest.mark.capability("MO05", "C22")
def test_a_lame_duck_is_not_healthy(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(
        server_kind, config='http: "127.0.0.1:-1"\nlame_duck_duration: "30s"\nlame_duck_grace_period: "1s"\n'
    )
    url = f"http://127.0.0.1:{server.port('monitor')}/healthz"

    async def body() -> None:
        # Without a client the server would end at once.
        client = await nats.connect(server.url, allow_reconnect=False)
        server.send_signal(signal.SIGUSR2)
        await asyncio.to_thread(server.wait_for_log, "Entering lame duck mode")
        await client.flush()
        with pytest.raises(urllib.error.HTTPError) as answer:
            await asyncio.to_thread(urllib.request.urlopen, url, None, 10)
        with answer.value as error:
            assert error.code == 500
            assert json.loads(error.read())["error"].startswith("failed to be ready for connections after 1ms: server")
        await client.close()

    asyncio.run(body())
