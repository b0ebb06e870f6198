"""How commands talk: JSON for programs, plain lines for people, errors on standard error with an exit code."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from leafbox.app.control_client import exit_code_of
from leafbox.app.exit_codes import EXIT_FAILED, EXIT_OK
from leafbox.protocol.errors import LeafboxError

DEFAULT_DATA = Path("data")
DataOption = Annotated[Path, typer.Option("--data", help="Data directory of the box.", envvar="LEAFBOX_DATA")]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]

KILO = 1024


def say_json(document: object) -> None:
    """One JSON document, indented."""
    typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def say_json_line(document: object) -> None:
    """One JSON document on one line, for endless output."""
    typer.echo(msgspec.json.encode(document).decode())


@contextmanager
def failures_told() -> Iterator[None]:
    """Errors of the box end the command with their exit code; Ctrl-C ends it well."""
    try:
        yield
    except LeafboxError as error:
        typer.echo(f"leafbox: {error}", err=True)
        raise typer.Exit(exit_code_of(error)) from error
    except OSError as error:
        typer.echo(f"leafbox: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(EXIT_OK) from error


def size_text(count: object) -> str:
    """Bytes for people: `1.5 MiB`; `-` for what is not known."""
    if not isinstance(count, (int, float)):
        return "-"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < KILO or unit == "TiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= KILO
    raise AssertionError


def count_text(count: object) -> str:
    """A number for people: `12.3k`; `-` for what is not known."""
    if not isinstance(count, (int, float)):
        return "-"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(count) >= limit:
            return f"{count / (1e3 if unit == 'k' else limit):.1f}{unit}"
    return f"{count:.0f}"


def duration_text(seconds: object) -> str:
    """`3 d 4 h`, `5 min 6 s`: the two largest units."""
    if not isinstance(seconds, (int, float)):
        return "-"
    left = int(seconds)
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def time_text(seconds: object) -> str:
    """A wall-clock moment in local time."""
    if not isinstance(seconds, (int, float)):
        return "-"
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
