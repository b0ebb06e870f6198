"""What a command line asks for, and how its flags lie over the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from leafbox.app.configuration.check import check_file
from leafbox.app.configuration.command_line import (
    Action,
    CommandLine,
    configure,
    parse_command_line,
    redacted_arguments,
)
from leafbox.app.configuration.options import Options
from leafbox.protocol.errors import ConfigError


def options(*arguments: str) -> Options:
    return configure(parse_command_line(list(arguments)), {}).options


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "server.conf"
    path.write_text(
        """
        listen: "10.0.0.1:5000"
        server_name: box
        debug: true
        logtime: false
        max_payload: 64KB
        authorization { user: file, password: file }
        jetstream { domain: edge }
        cluster { name: fromfile, port: 6000, authorization { user: r, password: s } }
        """
    )
    return path


@pytest.mark.capability("OP01")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], CommandLine(Action.RUN)),
        (["-v", "-c", "x"], CommandLine(Action.VERSION)),
        (["--version"], CommandLine(Action.VERSION)),
        (["VERSION"], CommandLine(Action.VERSION)),
        (["-h"], CommandLine(Action.HELP)),
        (["help"], CommandLine(Action.HELP)),
        (["-help_tls"], CommandLine(Action.TLS_HELP)),
        (["-sl", "reload"], CommandLine(Action.SIGNAL, signal="reload")),
        (["--signal=stop=/run/x.pid"], CommandLine(Action.SIGNAL, signal="stop", signal_target="/run/x.pid")),
        (["-t", "-c", "x"], CommandLine(Action.CHECK, "x", flags={"t": True, "c": "x"})),
        (["-t=false", "--config", "x"], CommandLine(Action.RUN, "x", flags={"t": False, "config": "x"})),
    ],
)
def test_actions(arguments: list[str], expected: CommandLine) -> None:
    assert parse_command_line(arguments) == expected


@pytest.mark.capability("OP01")
def test_flags_without_a_file() -> None:
    read = options("-a", "::", "-p", "-1", "-m", "8222", "-js", "-sd", "/store", "--auth", "t", "-n", "box", "-DV")
    assert (read.clients.host, read.clients.port) == ("::", -1)
    assert (read.monitoring.host, read.monitoring.http_port) == ("::", 8222)
    assert (read.jetstream.is_enabled, read.jetstream.store_directory) == (True, "/store")
    assert (read.security.token, read.server.name) == ("t", "box")
    assert (read.logging.is_debug, read.logging.is_trace, read.logging.is_trace_verbose) == (True, True, False)


@pytest.mark.capability("OP01")
def test_flags_win_over_the_file(file: Path) -> None:
    read = options("-c", str(file), "-p", "4333", "-D=false", "-T", "--user", "flag", "-js=false")
    assert (read.clients.host, read.clients.port) == ("10.0.0.1", 4333)
    assert (read.logging.is_debug, read.logging.is_time_logged) == (False, True)
    assert (read.security.username, read.security.password) == ("flag", "file")
    assert (read.jetstream.is_enabled, read.jetstream.domain) == (False, "edge")
    assert read.broker.payload_bytes_max == 64 * 1024


@pytest.mark.capability("OP01")
def test_verbose_trace_flags(file: Path) -> None:
    read = options("-c", str(file), "-DVV").logging
    assert (read.is_debug, read.is_trace, read.is_trace_verbose) == (True, True, True)
    read = options("-VV").logging
    assert (read.is_debug, read.is_trace, read.is_trace_verbose) == (False, True, True)
    read = options("-c", str(file), "-DV=false").logging
    assert (read.is_debug, read.is_trace) == (False, False)


@pytest.mark.capability("OP01", "CL01")
def test_the_cluster_flag_replaces_the_file_s_listener(file: Path) -> None:
    cluster = options("-c", str(file), "-cluster", "nats://127.0.0.1:-1", "-routes", "nats://a:1, nats://b:2").cluster
    assert (cluster.name, cluster.host, cluster.port) == ("fromfile", "127.0.0.1", -1)
    assert (cluster.username, cluster.routes) == ("", ("nats://a:1", "nats://b:2"))
    assert not options("-c", str(file), "-cluster=").cluster.is_configured


@pytest.mark.capability("OP01")
def test_the_check_knows_the_flags(tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    file.write_text("jetstream { store_dir: a }\n")
    command = parse_command_line(["-t", "-c", str(file), "-sd", "b"])
    assert check_file(command.config_file, {}, flags=command.flags) == (
        1,
        f"nats-server: {file}:1:12: Duplicate 'store_dir' configuration\n\n",
    )
    assert check_file(command.config_file, {})[0] == 0


@pytest.mark.capability("OP01")
def test_warnings_are_handed_on(tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    file.write_text("ping_interval: 30\n")
    configured = configure(parse_command_line(["-c", str(file)]), {})
    assert configured.options.broker.ping_interval_s == 30.0
    assert [warning.reason for warning in configured.warnings] == [
        'invalid use of field "ping_interval": ping_interval should be converted to a duration'
    ]


def test_tls_flags_need_their_files() -> None:
    with pytest.raises(ConfigError, match="TLS Server private key must be present and valid"):
        options("--tls", "--tlscert", "x.pem")
    assert options("--tls=false", "--tlscert", "x.pem").clients.tls is None


@pytest.mark.capability("SE22")
def test_secrets_on_the_command_line_are_not_shown() -> None:
    arguments = ["--user", "u", "-pass=p", "-auth", "t", "-routes=nats://a:b@h:1,nats://c:d@i:2", "-p", "4222"]
    assert redacted_arguments(arguments) == [
        "--user",
        "[REDACTED]",
        "-pass=[REDACTED]",
        "-auth",
        "[REDACTED]",
        "-routes=nats://[REDACTED]@h:1,nats://[REDACTED]@i:2",
        "-p",
        "4222",
    ]
