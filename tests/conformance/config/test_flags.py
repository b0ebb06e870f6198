"""Command-line flags: the same reaction of the real nats-server and ours to wrong, odd and informative ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from leafbox.app.configuration.command_line import configure, parse_command_line
from leafbox.app.configuration.flags import FlagError
from leafbox.protocol.errors import ConfigError
from tests.support.servers import ServerKind

WRONG_FLAGS = (
    ["-foo"],
    ["-p"],
    ["-p", "abc"],
    ["-p=abc"],
    ["--port="],
    ["-p", "99999999999999999999"],
    ["-p", "1_"],
    ["-DV=abc"],
    ["-D=maybe"],
    ["--debug="],
    ["-c"],
    ["---p", "1"],
    ["-=5"],
    ["--=5"],
    ["-log_size_limit", "x"],
)
WRONG_COMMANDS = (
    ["foo"],
    ["-D", "false"],
    ["--", "-v"],
    ["-t"],
    ["-c", "nope.conf"],
    ["-routes", "nats://127.0.0.1:1"],
    ["-tls"],
    ["-tls", "-tlscert", "nope.pem"],
    ["-tlscert=nope.pem", "-tlskey=nope.pem"],
    ["-cluster", "foo"],
    ["-cluster", "nats://u@127.0.0.1:1"],
    ["-cluster_listen=nats://127.0.0.1:abc"],
    ["-sl", "a=b=c"],
    ["-c", "store.conf", "-sd", "elsewhere"],
    ["-c", "accounts.conf", "--user", "x"],
)
FILES = {
    "store.conf": "jetstream { store_dir: here }\n",
    "accounts.conf": "accounts { A { users [ { user: a, password: b } ] } }\n",
}


def _real(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(ServerKind.REAL.program), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.capability("OP01")
@pytest.mark.parametrize("arguments", WRONG_FLAGS, ids=" ".join)
def test_a_wrong_flag_is_reported_with_the_same_text(arguments: list[str], tmp_path: Path) -> None:
    real = _real(arguments, tmp_path)
    assert real.returncode == 0, "nats-server shows its usage and exits with 0"
    with pytest.raises(FlagError) as wrong:
        parse_command_line(arguments)
    assert f"{wrong.value}\n" == real.stderr


@pytest.mark.capability("OP01", "CL01")
@pytest.mark.parametrize("arguments", WRONG_COMMANDS, ids=" ".join)
def test_a_wrong_command_line_is_refused_with_the_same_text(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    real = _real(arguments, tmp_path)
    with pytest.raises(ConfigError) as refused:
        configure(parse_command_line(arguments), {})
    assert (f"nats-server: {refused.value}\n", 1) == (real.stderr, real.returncode)
