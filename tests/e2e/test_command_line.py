"""Every command: JSON where it reads, exit codes as documented, a progress bar on a terminal and nowhere else."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from leafbox.app import exit_codes
from leafbox.app.cli import app
from tests.support.boxes import LEAFBOX, Box, run_command, running_box

# A command takes a second of processor time, and some tests run a dozen of them.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTED = {code for name, code in vars(exit_codes).items() if name.startswith("EXIT_")}

# What changes something and has nothing to tell but that it is done.
WITHOUT_JSON = {"run", "pub", "passwd", "reset", "backup restore", "bridge rm", "device revoke"}
# What changes something and tells what came of it; each is tested where its work is.
CHANGES = {
    "store compact", "uplink add", "uplink pause", "uplink resume", "uplink drain", "uplink rm", "backup create",
    "support bundle", "bridge add", "device add", "device rotate",
}  # fmt: skip
# What only reads: the command and its arguments, `{}` for what the fixture made of these names.
READS: dict[str, tuple[str, ...]] = {
    "status": (),
    "doctor": (),
    "events": (),
    "logs": (),
    "top": ("--once", "--interval", "0.2"),
    "translate": ("site/+/temperature",),
    "sub": ("said.once", "--count", "1"),
    "version": (),
    "config check": ("{config}",),
    "store verify": ("{store}",),
    "store stats": ("{store}",),
    "uplink status": (),
    "uplink test": (),
    "uplink outages": (),
    "uplink hub-snippet": (),
    "backup list": (),
    "backup verify": ("{backup}",),
    "bridge ls": (),
    "device ls": (),
    "device show": ("pump",),
}
# These need neither a box nor a data directory.
BY_THEMSELVES = {"translate", "version", "sub", "config check", "store verify", "store stats", "backup verify"}


def commands() -> dict[str, Any]:
    """All commands by their whole name."""
    found: dict[str, Any] = {}

    def walk(command: Any, path: tuple[str, ...]) -> None:
        inner = getattr(command, "commands", None)
        if inner is None:
            found[" ".join(path)] = command
        for name, each in (inner or {}).items():
            walk(each, (*path, name))

    walk(typer.main.get_command(app), ())
    return found


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with running_box(tmp_path_factory.mktemp("box")) as running:
        for arguments in (
            ("device", "add", "pump"),
            ("uplink", "add", "nats-leaf://127.0.0.1:1", "--forward", "far.>"),
            ("bridge", "add", "works", "mqtt://127.0.0.1:1", "--out", "far/#"),
            ("backup", "create"),
        ):
            done = running.command(*arguments)
            assert done.returncode == 0, done.stderr
        yield running


@pytest.fixture(scope="module")
def places(box: Box, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files that commands are about."""
    config = tmp_path_factory.mktemp("config") / "box.conf"
    config.write_text("max_payload: 1MB\n")
    (backup,) = (box.data / "backups").glob("*.backup")
    return {"config": str(config), "store": str(box.data / "jetstream"), "backup": str(backup)}


def test_every_command_is_known_here() -> None:
    """A new command comes with JSON where it reads, or says above why it has none."""
    known = set(READS) | CHANGES | WITHOUT_JSON
    assert set(commands()) == known
    with_json = {name for name, each in commands().items() for option in each.params if "--json" in option.opts}
    assert with_json == known - WITHOUT_JSON


@pytest.mark.parametrize("name", READS)
def test_what_reads_prints_json(box: Box, places: dict[str, str], name: str) -> None:
    arguments = [*name.split(), *(each.format(**places) for each in READS[name]), "--json"]
    if name == "sub":
        done = heard(box, arguments)
    elif name in BY_THEMSELVES:
        done = run_command(*arguments)
    else:
        done = box.command(*arguments)
    assert done.returncode in DOCUMENTED, done.stderr
    assert isinstance(json.loads(done.stdout), dict)
    assert done.stderr == ""


def heard(box: Box, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """`sub`, with somebody who publishes until it has heard."""
    ended = threading.Event()

    def speak() -> None:
        while not ended.wait(0.3):
            run_command("pub", "said.once", "now", "--server", box.url)

    speaking = threading.Thread(target=speak)
    speaking.start()
    try:
        return run_command(*arguments, "--server", box.url)
    finally:
        ended.set()
        speaking.join()


@pytest.mark.parametrize("name", sorted(set(READS) - BY_THEMSELVES))
def test_without_a_box_the_code_says_so(tmp_path: Path, name: str) -> None:
    done = CliRunner().invoke(app, [*name.split(), *READS[name], "--json", "--data", str(tmp_path / "none")])
    # `doctor` looks at what is there without a box too.
    assert done.exit_code == exit_codes.EXIT_UNREACHABLE, done.output
    assert done.stderr.startswith("leafbox: ") or name == "doctor"


def test_a_wrong_command_line_has_its_code() -> None:
    for arguments in (("status", "--jsno"), ("bridge", "add"), ("nothing",)):
        assert CliRunner().invoke(app, arguments).exit_code == exit_codes.EXIT_USAGE


def test_the_documented_codes_are_those_of_the_program() -> None:
    page = (ROOT / "docs" / "operating" / "commands.md").read_text(encoding="utf-8")
    section = page.partition("## Exit codes")[2].partition("\n## ")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)} == DOCUMENTED


def test_the_documented_commands_are_those_of_the_program() -> None:
    page = (ROOT / "docs" / "operating" / "commands.md").read_text(encoding="utf-8")
    documented = set()
    for first_cell in re.findall(r"^\| (`leafbox [^|]*(?:\\\|[^|]*)*) \|", page, re.MULTILINE):
        group: list[str] = []
        for text in re.findall(r"`([^`]+)`", first_cell):
            # Arguments are in capitals or brackets.
            words = re.findall(r"(?:^|(?<= ))[a-z-]+(?= |$)", text)
            if words[0] == "leafbox":
                group = words[1:-1]
                words = words[-1:]
            documented.add(" ".join([*group, *words]))
    assert documented == set(commands())


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Exit code and what a person sees on standard error, which is a terminal."""
    leader, follower = pty.openpty()
    try:
        process = subprocess.Popen(
            [LEAFBOX, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=follower,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
        )
    finally:
        os.close(follower)
    shown = b""
    try:
        while piece := os.read(leader, 65536):
            shown += piece
    except OSError:
        # How Linux says that the last one who held the terminal is gone.
        pass
    finally:
        os.close(leader)
    return process.wait(60), shown.decode()


def test_long_work_shows_how_far_it_is_on_a_terminal_only(box: Box, places: dict[str, str], tmp_path: Path) -> None:
    work: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
        ("Backing up", ("backup", "create", "--data", str(box.data)), ()),
        ("Verifying", ("backup", "verify", places["backup"]), ()),
        ("Restoring", ("backup", "restore", places["backup"], "--data"), ("new", "another")),
        ("Verifying", ("store", "verify", str(tmp_path / "new" / "jetstream")), ()),
        ("Compacting", ("store", "compact", str(tmp_path / "new" / "jetstream")), ()),
    ]
    for label, command, targets in work:
        first, second = ([str(tmp_path / each)] for each in targets) if targets else ([], [])
        code, shown = on_a_terminal(*command, *first)
        assert code == 0, shown
        assert re.search(rf"{label}\s+\[#+\]\s+100%", shown), shown
        quiet = run_command(*command, *second)
        assert (quiet.returncode, quiet.stderr) == (0, ""), command
