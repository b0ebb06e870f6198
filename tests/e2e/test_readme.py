"""What the README promises in its first minute works as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import ServerKind, StartServer

ROOT = Path(__file__).resolve().parents[2]
README_URL = "nats://127.0.0.1:4222"


@pytest.mark.capability("AP01", "C03")
def test_the_first_program_of_the_readme_runs(start_server: StartServer, server_kind: ServerKind) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert README_URL in program
    server = start_server(server_kind)
    done = subprocess.run(
        [sys.executable, "-c", program.replace(README_URL, server.url)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "b'21.5'\n", "")


def test_every_verb_the_readme_names_is_in_the_makefile() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z]+)\b", readme))
    defined = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    assert {"run", "test"} <= named <= defined
