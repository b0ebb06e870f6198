"""The installed programs side by side: `-t`, flags, start and reload, as a user meets them."""

from __future__ import annotations

import json
import re
import signal
import socket
from pathlib import Path

import pytest

from tests.conformance.config.check_cases import CHECK_CASES
from tests.support.servers import ServerKind, ServerProcess, StartServer, run_program

CHECKED = (
    "only_comments",
    "json_file",
    "sizes_and_durations",
    "unknown_key",
    "type_port_string",
    "include_missing",
    "unknown_variable",
    "ping_interval_integer_warns",
    "duplicate_user",
    "mapping_unknown_function",
)
SNIPPETS = CHECK_CASES | {
    "sizes_and_durations": 'max_payload: 64KB\nping_interval: "30s"\nserver_metadata { a: "<ü>" }\n',
}
INFORMATIVE = (["-v"], ["--version"], ["version"], ["-c", "nope.conf"], ["-t"], ["foo"], ["-sl", "foo=99999999"])


def _without_hints(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if not line.startswith("    "))


@pytest.mark.capability("CF01", "CF02", "CF03", "CF10", "OP01")
@pytest.mark.parametrize("name", CHECKED)
def test_the_programs_check_a_file_alike(name: str, tmp_path: Path) -> None:
    (tmp_path / "f.conf").write_text(SNIPPETS[name], encoding="utf-8")
    real, ours = (run_program(kind, ["-t", "-c", "f.conf"], directory=tmp_path) for kind in ServerKind)
    assert (ours.returncode, _without_hints(ours.stderr)) == (real.returncode, real.stderr)


@pytest.mark.capability("CF03")
def test_our_program_adds_the_nearest_key_on_a_line_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "f.conf").write_text("max_pyload: 5\n")
    ours = run_program(ServerKind.LEAFBOX, ["-t", "-c", "f.conf"], directory=tmp_path)
    assert ours.stderr.splitlines()[:2] == [
        'nats-server: f.conf:1:0: unknown field "max_pyload"',
        '    did you mean "max_payload"?',
    ]


@pytest.mark.capability("OP01")
@pytest.mark.parametrize("arguments", INFORMATIVE, ids=" ".join)
def test_the_programs_answer_a_command_line_alike(arguments: list[str], tmp_path: Path) -> None:
    real, ours = (run_program(kind, arguments, directory=tmp_path) for kind in ServerKind)
    assert (ours.returncode, ours.stderr, ours.stdout) == (real.returncode, real.stderr, real.stdout)


@pytest.mark.capability("OP01")
def test_the_help_names_every_flag_of_the_real_one(tmp_path: Path) -> None:
    real, ours = (run_program(kind, ["--help"], directory=tmp_path) for kind in ServerKind)
    flags = set(re.findall(r"(?<![\w-])--?([a-zA-Z_]+)", real.stdout))
    assert flags - set(re.findall(r"(?<![\w-])--?([a-zA-Z_]+)", ours.stdout)) == set()
    assert ours.returncode == real.returncode == 0


def _info(port: int) -> dict[str, object]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client, client.makefile("rb") as lines:
        line = lines.readline()
    info = json.loads(line.removeprefix(b"INFO "))
    assert isinstance(info, dict)
    return info


def _reload(server: ServerProcess, text: str) -> str:
    seen = server.log_line_count
    server.config_path.write_text(text)
    server.send_signal(signal.SIGHUP)
    return server.wait_for_log(
        r"Reloaded server configuration|Failed to reload server configuration: .*", after=seen
    ).group()


@pytest.mark.capability("CF07")
def test_a_reload_takes_effect(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind, config="max_payload: 1MB\n")
    assert _info(server.client_port)["max_payload"] == 1024 * 1024
    assert _reload(server, "max_payload: 2MB\n") == "Reloaded server configuration"
    assert _info(server.client_port)["max_payload"] == 2 * 1024 * 1024


@pytest.mark.capability("CF08")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("max_pending: 10MB\n", "config reload not supported for MaxPending: old=67108864, new=10485760"),
        ("max_payload: x\n", "interface conversion: interface {} is string, not int64"),
        ("server_name: \n", "Parse error on line 2: 'Expected value but found new line'"),
        ("max_payload: 100MB\n", "max_payload (104857600) cannot be higher than max_pending (67108864)"),
    ],
)
def test_a_refused_reload_keeps_the_old_configuration(
    server_kind: ServerKind, text: str, reason: str, start_server: StartServer
) -> None:
    server = start_server(server_kind, config="max_payload: 1MB\n")
    line = _reload(server, text)
    assert line.startswith("Failed to reload server configuration: ")
    assert reason in line
    assert _info(server.client_port)["max_payload"] == 1024 * 1024


@pytest.mark.capability("CF11", "CL01")
def test_a_production_file_is_refused_by_name_or_warned_about(tmp_path: Path) -> None:
    (tmp_path / "gateway.conf").write_text("cluster { name: g, port: -1 }\ngateway { name: g, port: -1 }\n")
    ours = run_program(ServerKind.LEAFBOX, ["-c", "gateway.conf", "-p", "-1", "-a", "127.0.0.1"], directory=tmp_path)
    assert ours.returncode == 1
    assert "gateway: gateways are not supported" in ours.stderr


@pytest.mark.capability("CF11", "CL01")
def test_a_cluster_block_starts_with_a_warning(start_server: StartServer) -> None:
    routes = ("-cluster", "nats://127.0.0.1:-1", "-routes", "nats://127.0.0.1:1", "-cluster_name", "abc")
    server = start_server(ServerKind.LEAFBOX, *routes)
    assert "clustering is not supported" in server.log
    assert _info(server.client_port)["cluster"] == "abc"
