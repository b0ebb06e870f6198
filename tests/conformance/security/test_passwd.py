"""`leafbox passwd` makes hashes that both servers take (SE02)."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.support.blocking_client import BlockingClient
from tests.support.servers import ServerKind, StartServer


def passwd(password: str) -> subprocess.CompletedProcess[str]:
    program = Path(sysconfig.get_path("scripts")) / "leafbox"
    return subprocess.run(
        [program, "passwd"], input=password + "\n", capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.capability("SE02")
def test_a_made_hash_logs_in(start_server: StartServer, server_kind: ServerKind) -> None:
    stored = passwd("correct horse").stdout.strip()
    assert stored.startswith("$2a$11$")
    # Without quotes: a value that begins with $2a$ is no variable.
    server = start_server(server_kind, config=f"authorization {{ user: u, password: {stored} }}\n")
    with BlockingClient(server.client_port) as client:
        assert client.login(user="u", **{"pass": "correct horse"}) == b"PONG\r\n"


def test_a_short_password_is_refused_without_being_shown() -> None:
    done = passwd("sh0rt")
    assert (done.returncode, done.stdout) == (1, "")
    assert "at least 8" in done.stderr
    assert "sh0rt" not in done.stderr
