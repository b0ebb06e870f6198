"""`tests.support.servers` on the real nats-server: start, ports, log, restart, reload, failure."""

from __future__ import annotations

import json
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from tests.support.servers import ServerFailed, ServerKind, ServerProcess, StartServer, run_program

EVERY_LISTENER = """
http: "127.0.0.1:-1"
leafnodes { listen: "127.0.0.1:-1" }
websocket { listen: "127.0.0.1:-1", no_tls: true }
mqtt { listen: "127.0.0.1:-1" }
jetstream { store_dir: "store" }
server_name: every
"""


def info_of(server: ServerProcess) -> dict[str, object]:
    """The first INFO line, decoded."""
    with socket.create_connection(("127.0.0.1", server.client_port), timeout=5) as connection:
        line = connection.makefile("rb").readline()
    assert line.startswith(b"INFO ")
    info: dict[str, object] = json.loads(line[5:])
    return info


def test_ready_server_answers_on_the_port_from_its_log(real_server: ServerProcess) -> None:
    info = info_of(real_server)
    assert info["port"] == real_server.client_port
    assert info["version"] == "2.15.1"
    assert real_server.url == f"nats://127.0.0.1:{real_server.client_port}"


def test_every_listener_of_a_configuration_is_found(start_server: StartServer) -> None:
    server = start_server(ServerKind.REAL, config=EVERY_LISTENER)
    ports = [server.port(name) for name in ("client", "websocket", "leafnode", "mqtt", "monitor")]
    assert len(set(ports)) == 5
    with urllib.request.urlopen(f"{server.monitor_url}/varz", timeout=5) as answer:
        assert json.load(answer)["server_name"] == "every"


def test_a_listener_that_is_not_there_is_a_key_error(real_server: ServerProcess) -> None:
    with pytest.raises(KeyError, match="no mqtt listener"):
        real_server.port("mqtt")


@pytest.mark.parametrize("crash", [False, True])
def test_restart_keeps_the_client_port_and_gives_a_new_process(real_server: ServerProcess, crash: bool) -> None:
    port, pid = real_server.client_port, real_server.pid
    real_server.restart(crash=crash)
    assert real_server.client_port == port
    assert real_server.pid != pid


def test_flags_win_over_the_configuration(start_server: StartServer) -> None:
    server = start_server(ServerKind.REAL, "--name", "from-flag", config="server_name: from-file\nport: 4222\n")
    assert info_of(server)["server_name"] == "from-flag"
    assert server.client_port != 4222


def test_wait_for_log_sees_a_reload(start_server: StartServer) -> None:
    server = start_server(ServerKind.REAL, config="max_payload: 1000\n")
    before = server.log_line_count
    server.config_path.write_text("max_payload: 2000\n", encoding="utf-8")
    server.send_signal(signal.SIGHUP)
    found = server.wait_for_log(r"Reloaded: max_payload = (\d+)", after=before)
    assert found[1] == "2000"


def test_a_server_that_cannot_start_raises_with_its_log(start_server: StartServer) -> None:
    with pytest.raises(ServerFailed, match="unknown field"):
        start_server(ServerKind.REAL, config="no_such_key: 1\n")


def test_a_line_that_never_comes_times_out(real_server: ServerProcess) -> None:
    with pytest.raises(ServerFailed, match=r"0\.05 s passed"):
        real_server.wait_for_log("never logged", timeout_s=0.05)


def test_stop_returns_the_exit_code_and_ends_the_process(real_server: ServerProcess) -> None:
    code = real_server.stop()
    assert not real_server.is_running
    assert code in (0, 1)
    assert "Server Exiting" in real_server.log


def test_wait_exit_returns_after_a_signal_from_outside(real_server: ServerProcess) -> None:
    real_server.send_signal(signal.SIGINT)
    assert real_server.wait_exit() == 0


def test_run_program_captures_version_and_exit_code(tmp_path: Path) -> None:
    done = run_program(ServerKind.REAL, ["-v"], directory=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "nats-server: v2.15.1")
