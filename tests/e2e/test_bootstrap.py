"""`appliance/bootstrap.sh`: prints one usable Python, or one line that says what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.capability("AP01")


def bootstrap(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script with these variables on top of ours."""
    return subprocess.run(
        ["sh", "appliance/bootstrap.sh", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def stub(folder: Path, name: str, body: str) -> None:
    """A program that stands in for one of the system's."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    program.chmod(0o755)


def test_a_complete_machine_gets_the_python_and_nothing_else() -> None:
    done = bootstrap({"PYTHON": sys.executable})
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{sys.executable}\n", "")


def test_an_unsuitable_python_that_was_asked_for_is_refused(tmp_path: Path) -> None:
    stub(tmp_path, "python-too-old", "exit 1")
    done = bootstrap({"PYTHON": str(tmp_path / "python-too-old")})
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("missing: a Python from 3.11 to 3.13")


def test_without_root_one_exact_line_names_the_packages(tmp_path: Path) -> None:
    stub(tmp_path, "id", "echo 1000")
    stub(tmp_path, "no-compiler", "exit 1")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CC": "no-compiler", "PYTHON": sys.executable}
    done = bootstrap(environment)
    assert done.returncode == 1
    assert done.stderr == (
        "missing: run as root (Debian names): apt-get install --yes --no-install-recommends gcc libc6-dev\n"
    )


def test_as_root_the_missing_packages_are_installed(tmp_path: Path) -> None:
    """apt-get is recorded, not run; installing for real is tried on bare Debian systems by hand."""
    stub(tmp_path, "id", "echo 0")
    stub(tmp_path, "no-compiler", "exit 1")
    stub(tmp_path, "apt-get", f'echo "$@" >> {tmp_path}/calls')
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CC": "no-compiler", "PYTHON": sys.executable}
    done = bootstrap(environment)
    assert done.returncode == 0
    assert (tmp_path / "calls").read_text(encoding="utf-8").splitlines() == [
        "update --quiet=2",
        "install --yes --quiet=2 --no-install-recommends gcc libc6-dev",
    ]


def test_tests_need_the_programs_they_run_beside_ours(tmp_path: Path) -> None:
    stub(tmp_path, "id", "echo 1000")
    for program in ("make", "sh", "env"):
        (tmp_path / program).symlink_to("/bin/true" if program == "make" else f"/bin/{program}")
    stub(tmp_path, "cc", "exit 0")
    environment = {"PATH": str(tmp_path), "CC": "cc", "PYTHON": sys.executable}
    broker = "" if Path("/usr/sbin/mosquitto").exists() else "mosquitto "
    assert bootstrap(environment, "tests").stderr.endswith(f"--no-install-recommends {broker}chromium zsh fish\n")
    for program in ("mosquitto", "chromium", "zsh", "fish"):
        stub(tmp_path, program, "exit 0")
    assert bootstrap(environment, "tests").returncode == 0
    assert bootstrap(environment).returncode == 0
