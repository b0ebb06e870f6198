"""Shell completion, installed and asked in the real shells."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BIN = Path(sysconfig.get_path("scripts"))

# What a person has typed, and what must be offered for it.
TYPED = [("leafbox sta", "status"), ("leafbox backup ver", "verify"), ("leafbox run --web-p", "--web-port")]

# Each shell loads its own start-up file, in which the installation has put the completion, and is asked as it asks
# itself when Tab is pressed.
BASH = r"""
source "$HOME/.bashrc"
COMP_LINE=$1; COMP_WORDS=($1); COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
declare -F _leafbox_completion >/dev/null
complete -p leafbox >/dev/null
_leafbox_completion leafbox
printf '%s\n' "${COMPREPLY[@]}"
"""
FISH = 'complete --do-complete "$argv[1]"'
# zsh shows completions in its line editor only: a pseudo terminal in which the line is typed, Tab pressed, and read.
# The first Tab of a shell only loads what typer has installed, so it is pressed again.
ZSH = r"""
zmodload zsh/zpty
zpty shell "TERM=dumb zsh -i"
zpty -w shell "PROMPT='ready> '"
zpty -r -m shell ignored '*ready> *'
zpty -w -n shell "$1"$'\t'
for i in {1..600}; do
    sleep 0.1
    (( i % 40 )) || zpty -w -n shell $'\t'
    while zpty -r -t shell piece; do text+=$piece; done
    [[ $text == *"$2"* ]] && break
done
print -r -- $text
zpty -d shell
"""


def environment(home: Path) -> dict[str, str]:
    home.mkdir(exist_ok=True)
    return {
        "HOME": str(home),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "LANG": "C.UTF-8",
        "_TYPER_FORCE_DISABLE_TERMINAL": "1",
    }


def installed(shell: str, home: Path) -> dict[str, str]:
    """The environment of somebody who ran `leafbox --install-completion` in this shell."""
    given = environment(home)
    done = subprocess.run(
        # The command finds out by whom it was called, so the shell must not put it in its own place.
        [shell, "-c", "leafbox --install-completion; echo done"],
        env=given, cwd=home, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert f"{shell} completion installed" in done.stdout, done.stdout + done.stderr
    return given


def asked(command: list[str], given: dict[str, str]) -> str:
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=90, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(("typed", "offered"), TYPED)
def test_bash(tmp_path: Path, typed: str, offered: str) -> None:
    given = installed("bash", tmp_path / "home")
    assert offered in asked(["bash", "-c", BASH, "bash", typed], given).split()


@pytest.mark.parametrize(("typed", "offered"), TYPED)
def test_fish(tmp_path: Path, typed: str, offered: str) -> None:
    given = installed("fish", tmp_path / "home")
    assert offered in asked(["fish", "-c", FISH, typed], given).split()


@pytest.mark.parametrize(("typed", "offered"), TYPED)
def test_zsh(tmp_path: Path, typed: str, offered: str) -> None:
    given = installed("zsh", tmp_path / "home")
    assert offered in asked(["zsh", "-f", "-c", ZSH, "zsh", typed, offered], given)
