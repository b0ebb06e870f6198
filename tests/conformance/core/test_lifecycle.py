"""How a server starts and ends, on the real server and on ours: signals, files, lame duck mode, logs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.blocking_client import CLOSED, BlockingClient
from tests.support.servers import ServerKind, StartServer, run_program

LAME_DUCK = 'lame_duck_duration: "30s"\nlame_duck_grace_period: "1s"'


@pytest.mark.capability("OP01")
def test_version_and_help(server_kind: ServerKind, tmp_path: Path) -> None:
    version = run_program(server_kind, ["--version"], directory=tmp_path)
    assert (version.returncode, version.stdout) == (0, "nats-server: v2.15.1\n")
    assert run_program(server_kind, ["-h"], directory=tmp_path).returncode == 0


@pytest.mark.capability("OP02", "OP04")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_orderly_stop_closes_clients(
    server_kind: ServerKind, start_server: StartServer, number: signal.Signals
) -> None:
    server = start_server(server_kind)
    with BlockingClient(server.client_port) as client:
        client.login(protocol=0)
        server.send_signal(number)
        assert client.read_to_end().endswith(CLOSED)
    assert server.wait_exit() in (0, 1)
    assert "Server Exiting.." in server.log


@pytest.mark.capability("OP02")
def test_a_signal_by_pid_file(server_kind: ServerKind, start_server: StartServer, tmp_path: Path) -> None:
    pid_file = tmp_path / "server.pid"
    server = start_server(server_kind, "-P", str(pid_file))
    sent = run_program(server_kind, ["--signal", f"quit={pid_file}"], directory=tmp_path)
    assert sent.returncode == 0, sent.stderr
    assert server.wait_exit() == 0


@pytest.mark.capability("OP03")
def test_pid_and_ports_files_come_and_go(server_kind: ServerKind, start_server: StartServer, tmp_path: Path) -> None:
    pid_file = tmp_path / "server.pid"
    server = start_server(server_kind, "-P", str(pid_file), "--ports_file_dir", str(tmp_path))
    assert pid_file.read_text() == str(server.pid)
    deadline = time.monotonic() + 10
    while not (found := list(tmp_path.glob("*.ports"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found[0].name == f"{server_kind.value}_{server.pid}.ports"
    assert json.loads(found[0].read_text())["nats"] == [f"nats://127.0.0.1:{server.client_port}"]
    server.stop()
    assert not list(tmp_path.glob("*.ports"))
    assert not pid_file.exists() or server_kind is ServerKind.REAL


@pytest.mark.capability("OP03")
def test_the_fixed_start_up_lines(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind)
    lines = server.log.splitlines()
    form = re.compile(r"^\[\d+\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} \[INF\] ")
    assert all(form.match(line) for line in lines)
    listening = next(i for i, line in enumerate(lines) if "Listening for client connections on 127.0.0.1:" in line)
    ready = next(i for i, line in enumerate(lines) if line.endswith("Server is ready"))
    assert listening < ready


@pytest.mark.capability("CF09", "OP02")
def test_a_moved_log_file_is_opened_again(server_kind: ServerKind, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    program = subprocess.Popen(
        [server_kind.program, "-a", "127.0.0.1", "-p", "-1", "-l", str(log)], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    try:
        wait_for_text(log, "Server is ready")
        log.rename(tmp_path / "old.log")
        program.send_signal(signal.SIGUSR1)
        wait_for_text(log, "File log re-opened")
    finally:
        program.terminate()
        program.wait(20)


@pytest.mark.capability("CF09")
def test_a_full_log_file_is_renamed(server_kind: ServerKind, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    flags = ["-a", "127.0.0.1", "-p", "-1", "-l", str(log), "--log_size_limit", "600"]
    program = subprocess.Popen([server_kind.program, *flags], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        wait_for_text(log, "Server is ready")
        deadline = time.monotonic() + 20
        while not list(tmp_path.glob("server.log.2*")) and time.monotonic() < deadline:
            program.send_signal(signal.SIGUSR1)
            time.sleep(0.1)
        assert list(tmp_path.glob("server.log.2*"))
        assert log.stat().st_size <= 1200
    finally:
        program.terminate()
        program.wait(20)


def wait_for_text(path: Path, text: str) -> None:
    """Until `path` holds `text`; fails after 20 s."""
    deadline = time.monotonic() + 20
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"{text!r} did not appear in {path.name}"
        time.sleep(0.05)


@pytest.mark.capability("C22")
def test_lame_duck_asks_clients_to_leave(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind, config=LAME_DUCK)
    with BlockingClient(server.client_port) as client, BlockingClient(server.client_port) as other:
        for each in (client, other):
            each.login()
            each.read_until(b"\r\n")
        port = server.client_port
        server.send_signal(signal.SIGUSR2)
        told = json.loads(client.read_until(b"\r\n")[5:])
        assert told["ldm"] is True
        with pytest.raises(OSError):
            BlockingClient(port)
        started = time.monotonic()
        assert client.read_to_end().endswith(CLOSED)
        assert other.read_to_end().endswith(CLOSED)
        assert 0.5 < time.monotonic() - started < 10
    assert server.wait_exit() == 0


@pytest.mark.capability("C22")
def test_lame_duck_without_clients_ends_at_once(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind, config=LAME_DUCK)
    server.send_signal(signal.SIGUSR2)
    assert server.wait_exit(timeout_s=10) == 0


@pytest.mark.capability("CF08")
def test_a_refused_reload_keeps_serving(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind, config="max_subscriptions: 5")
    server.config_path.write_text("max_subscriptions: 6")
    os.kill(server.pid, signal.SIGHUP)
    server.wait_for_log("Failed to reload server configuration: config reload not supported for MaxSubs")
    with BlockingClient(server.client_port) as client:
        assert client.login(protocol=0) == b"PONG\r\n"
