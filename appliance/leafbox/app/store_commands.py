"""`leafbox store verify | stats | compact`: look at a store directory, or give back what it no longer needs.

`verify` and `stats` may run beside the server; `compact` needs it stopped and says so. Exit code 1: damage was found,
or the directory holds no store.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from leafbox.app.command_output import JsonOption, say_json
from leafbox.app.exit_codes import EXIT_FAILED
from leafbox.app.progress import Bar
from leafbox.protocol.errors import StoreError
from leafbox.storage.config import StorageOptions
from leafbox.storage.verify import StoreFacts, bytes_on_flash, compact, stats, verify

app = typer.Typer(help="Look at the store on flash.", no_args_is_help=True)

DEFAULT_DIRECTORY = Path("data/jetstream")
Directory = Annotated[Path, typer.Argument(help="Directory of the store.")]


@app.command("verify")
def verify_command(directory: Directory = DEFAULT_DIRECTORY, as_json: JsonOption = False) -> None:
    """Read everything and check every checksum; names each stream and sequence that damage hit."""
    _look(directory, as_json, is_thorough=True)


@app.command("stats")
def stats_command(directory: Directory = DEFAULT_DIRECTORY, as_json: JsonOption = False) -> None:
    """What the store holds and how much flash it takes."""
    _look(directory, as_json, is_thorough=False)


@app.command("compact")
def compact_command(directory: Directory = DEFAULT_DIRECTORY, as_json: JsonOption = False) -> None:
    """Give back the space of removed messages. The server must be stopped; safe to interrupt."""
    _check(directory)
    try:
        with Bar("Compacting", bytes_on_flash(str(directory)), is_quiet=as_json) as advance:
            report = compact(StorageOptions(directory=str(directory)), advance)
    except (StoreError, OSError) as error:
        _fail(error)
    if as_json:
        say_json(report)
    else:
        typer.echo(str(report))


def _look(directory: Path, as_json: bool, *, is_thorough: bool) -> None:
    _check(directory)
    try:
        facts = _verified(directory, is_quiet=as_json) if is_thorough else stats(str(directory))
    except (StoreError, OSError) as error:
        _fail(error)
    typer.echo(_json(facts) if as_json else str(facts))
    if not facts.is_sound:
        raise typer.Exit(EXIT_FAILED)


def _verified(directory: Path, *, is_quiet: bool) -> StoreFacts:
    with Bar("Verifying", bytes_on_flash(str(directory)), is_quiet=is_quiet) as advance:
        return verify(str(directory), advance)


def _json(facts: StoreFacts) -> str:
    values = dataclasses.asdict(facts) | {"is_sound": facts.is_sound}
    text = msgspec.json.encode(values, enc_hook=str, order="deterministic")
    return msgspec.json.format(text).decode()


def _check(directory: Path) -> None:
    if not directory.is_dir():
        _fail(StoreError(f"{directory} is not a directory; name the store's directory, for example data/jetstream"))


def _fail(error: Exception) -> NoReturn:
    typer.echo(f"leafbox: {error}", err=True)
    raise typer.Exit(EXIT_FAILED)
