"""Builds and runs the load generator (`load.c`), and measures how much it could generate (`reflector.c`).

The C programs are compiled when first needed and kept under their source's digest; gcc is the only tool needed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tests.benchmarks.machine import Placement, processors

_SOURCES = Path(__file__).parent
# A run longer than this has lost a message somewhere; the generator itself gives up after 20 s of nothing.
RUN_TIMEOUT_S = 180.0


class LoadFailed(Exception):
    """The generator found something wrong: a lost message, an error from the server, a closed connection."""


def program(name: str) -> Path:
    """The compiled program."""
    source = _SOURCES / f"{name}.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    binary = Path(tempfile.gettempdir()) / f"leafbox-bench-{name}-{digest}"
    if not binary.exists():
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(binary), str(source)]
        subprocess.run(command, check=True)
    return binary


def run_load(mode: str, port: int, placement: Placement, **options: int | str) -> dict[str, float]:
    """Run the generator to its end; its figures. `LoadFailed` with its last words when it found something wrong."""
    with processors(placement.generator_processors):
        ended = subprocess.run(
            _command(mode, port, options), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=RUN_TIMEOUT_S, check=False,
        )  # fmt: skip
    if ended.returncode != 0:
        raise LoadFailed(f"{mode} {options}: {ended.stderr.strip()}")
    return _figures(mode, ended.stdout)


@contextlib.contextmanager
def held_connections(port: int, placement: Placement, count: int) -> Iterator[dict[str, float]]:
    """So many clients, connected and silent until the block ends; yields how fast they came."""
    with processors(placement.generator_processors):
        process = subprocess.Popen(
            _command("connect", port, {"count": count}), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    try:
        line = _stream(process.stdout).readline()
        if not line:
            raise LoadFailed(f"connect: {_stream(process.stderr).read().strip()}")
        yield _figures("connect", line)
    finally:
        process.communicate()


def ceiling(placement: Placement, *, pubs: int, subs: int, size: int, count: int) -> float:
    """Messages per second of a flow through the least possible server."""
    subject = "bench.load"
    with processors(placement.server_processors):
        reflector = subprocess.Popen(
            [str(program("reflector")), subject, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    try:
        port = int(_stream(reflector.stdout).readline())
        return run_load("flow", port, placement, pubs=pubs, subs=subs, size=size, count=count, subject=subject)["rate"]
    finally:
        reflector.communicate()


def _command(mode: str, port: int, options: dict[str, int | str]) -> list[str]:
    chosen = [f"{key}={value}" for key, value in {"port": port, **options}.items()]
    return [str(program("load")), mode, *chosen]


def _figures(mode: str, text: str) -> dict[str, float]:
    figures = json.loads(text)
    if figures.pop("errors", 0):
        raise LoadFailed(f"{mode}: answered with {figures.get('first_error')}")
    figures.pop("first_error", None)
    return {name: float(value) for name, value in figures.items()}


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
