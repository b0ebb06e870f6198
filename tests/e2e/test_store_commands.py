"""`leafbox store` on the store that a real run left behind, sound and damaged."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.support.blocking_client import BlockingClient
from tests.support.servers import ServerKind, StartServer

LEAFBOX = Path(sysconfig.get_path("scripts")) / "leafbox"
MESSAGES = 50


def store_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LEAFBOX, "store", *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def store(start_server: StartServer, tmp_path: Path) -> Path:
    """The directory of a store with one stream, its server stopped."""
    server = start_server(ServerKind.LEAFBOX, "-js", "-sd", str(tmp_path / "data"))
    with BlockingClient(server.client_port) as client:
        client.login(protocol=0)
        config = b'{"name":"S","subjects":["s.>"]}'
        client.send(b"SUB in.* 1\r\nPUB $JS.API.STREAM.CREATE.S in.0 %d\r\n%b\r\n" % (len(config), config))
        assert b'"did_create":true' in client.read_until(b"}\r\n")
        for number in range(MESSAGES):
            client.send(b"PUB s.x in.1 6\r\nabc%03d\r\n" % number)
            client.read_until(b"}\r\n")
    server.stop()
    return tmp_path / "data" / "jetstream"


@pytest.mark.capability("JS40")
def test_a_sound_store(store: Path) -> None:
    looked = store_command("verify", str(store), "--json")
    assert looked.returncode == 0, looked.stderr
    facts = json.loads(looked.stdout)
    assert facts["is_sound"] is True
    text = store_command("stats", str(store))
    assert text.returncode == 0
    assert "sound" in text.stdout
    compacted = store_command("compact", str(store))
    assert compacted.returncode == 0, compacted.stderr
    assert store_command("verify", str(store)).returncode == 0


@pytest.mark.capability("JS40")
def test_damage_is_named_and_fails_the_command(store: Path) -> None:
    database = store / "database" / "data.mdb"
    data = bytearray(database.read_bytes())
    at = data.find(b"abc025")
    assert at > 0
    data[at] ^= 0xFF
    database.write_bytes(data)
    looked = store_command("verify", str(store))
    assert looked.returncode == 1
    assert "DAMAGE" in looked.stdout


def test_no_store_there(tmp_path: Path) -> None:
    looked = store_command("verify", str(tmp_path / "nothing"))
    assert looked.returncode == 1
    assert "is not a directory" in looked.stderr
