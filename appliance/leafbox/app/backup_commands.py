"""`leafbox backup create | list | verify | restore`: one file that holds the box, made while it works.

`verify` and `restore` work on any file, with or without a running box. Passphrases are asked for, or read from a pipe;
they are in no argument list.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from leafbox.app.command_output import (
    DEFAULT_DATA,
    DataOption,
    JsonOption,
    failures_told,
    say_json,
    size_text,
    time_text,
)
from leafbox.app.control_client import Box, BoxUnreachable, ask, run_with_box
from leafbox.app.exit_codes import EXIT_FAILED
from leafbox.app.progress import Bar, drive
from leafbox.protocol.errors import LeafboxError
from leafbox.protocol.jetstream.go_json import JsonObject

app = typer.Typer(help="Make, check and restore backups.", no_args_is_help=True)

CREATE_TIMEOUT_S = 6 * 3600.0
"""Tens of GB on a slow card."""
POLL_S = 0.5
FileArgument = Annotated[Path, typer.Argument(help="A backup file.", exists=True, dir_okay=False)]
EncryptOption = Annotated[bool, typer.Option("--encrypt", help="Ask for a passphrase and encrypt with it.")]


@app.command("create")
def create(
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
    encrypt: EncryptOption = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Copy it there too.")] = None,
) -> None:
    """Make a backup of everything: streams, users, settings, configuration. The box goes on working."""
    passphrase = _ask_passphrase(is_new=True) if encrypt else ""
    with failures_told():
        if output is not None and output.exists() and not output.is_dir():
            raise OSError(f"{output} exists already; name another file")
        try:
            made = run_with_box(data, lambda box: _create_alone(box, passphrase, is_quiet=as_json))
        except BoxUnreachable as error:
            if error.is_denied or not data.is_dir():
                raise
            made = _create_stopped(data, passphrase, is_quiet=as_json)
        path = data / "backups" / str(made["id"])
        if output is not None:
            path = _copy(path, output)
    document: JsonObject = made | {"path": str(path)}
    if as_json:
        say_json(document)
    else:
        typer.echo(f"{path}  {size_text(made['size_bytes'])}{', encrypted' if made.get('encrypted') else ''}")


async def _create_alone(box: Box, passphrase: str, *, is_quiet: bool) -> JsonObject:
    """`_create`, with the first of its errors by itself."""
    try:
        return await _create(box, passphrase, is_quiet=is_quiet)
    except BaseExceptionGroup as group:
        known = group.subgroup(LeafboxError)
        if known is None:
            raise
        raise next(_flat(known)) from group


def _flat(group: BaseExceptionGroup[LeafboxError]) -> Iterator[LeafboxError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flat(error)
        else:
            yield error


async def _create(box: Box, passphrase: str, *, is_quiet: bool) -> JsonObject:
    """Ask for it, and show how far it is meanwhile."""
    body: JsonObject = {"passphrase": passphrase} if passphrase else {}
    async with asyncio.TaskGroup() as tasks:
        creating = tasks.create_task(box.request("backup.create", body, CREATE_TIMEOUT_S), name="backup")
        with Bar("Backing up", 100, is_quiet=is_quiet) as advance:
            while not creating.done():
                await asyncio.wait({creating}, timeout=POLL_S)
                backups = (await box.request("backup.list"))["backups"]
                for backup in backups if isinstance(backups, list) else []:
                    if isinstance(backup, dict) and backup.get("state") == "running":
                        advance(int(float(str(backup.get("progress_percent") or 0))))
    return creating.result()


def _create_stopped(data: Path, passphrase: str, *, is_quiet: bool) -> JsonObject:
    """Of a box that does not run: the same file, made here."""
    import leafbox
    from leafbox.app.backup_contents import BACKUPS, STORE, files_to_keep, total_bytes
    from leafbox.app.backup_file import Header, make_key_rule, write_backup
    from leafbox.storage.engine import lock_directory

    store = data / STORE
    lock = lock_directory(store) if store.is_dir() else None
    try:
        files = files_to_keep(data, store if store.is_dir() else None, "")
        folder = data / BACKUPS
        folder.mkdir(mode=0o700, exist_ok=True)
        target = folder / f"leafbox-{time.strftime('%Y%m%d-%H%M%S')}.backup"
        header = Header(time.time(), leafbox.__version__, key=make_key_rule() if passphrase else None)
        drive("Backing up", write_backup(target, header, passphrase, files), total_bytes(files), is_quiet=is_quiet)
    finally:
        if lock is not None:
            os.close(lock)
    return {"id": target.name, "size_bytes": target.stat().st_size, "encrypted": bool(passphrase)}


@app.command("list")
def list_command(data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """The backups that lie on the box."""
    with failures_told():
        document = ask(data, "backup.list")
    if as_json:
        say_json(document)
        return
    backups = document["backups"]
    assert isinstance(backups, list)
    for backup in backups:
        assert isinstance(backup, dict)
        how = "encrypted" if backup.get("encrypted") else "open"
        typer.echo(
            f"{time_text(backup['created_s'])}  {size_text(backup['size_bytes']):>10}  {how:<9} "
            f"{backup['state']:<8} {backup['id']}"
        )


@app.command("verify")
def verify(backup: FileArgument, as_json: JsonOption = False) -> None:
    """Read all of a backup and the store in it; exit code 1 if anything does not verify."""
    from leafbox.app.backup_contents import check_backup
    from leafbox.app.backup_file import BackupDamaged, read_header

    with failures_told():
        header = read_header(backup)
        passphrase = _ask_passphrase() if header.is_encrypted else ""
        reason = ""
        try:
            drive("Verifying", check_backup(backup, passphrase), backup.stat().st_size, is_quiet=as_json)
        except BackupDamaged as error:
            reason = str(error)
    document: JsonObject = {
        "backup": str(backup),
        "sound": not reason,
        "detail": reason,
        "created_s": header.created_s,
        "version": header.version,
        "encrypted": header.is_encrypted,
    }
    if as_json:
        say_json(document)
    else:
        typer.echo(f"{backup} of {time_text(header.created_s)}: {reason or 'sound'}")
    if reason:
        raise typer.Exit(EXIT_FAILED)


@app.command("restore")
def restore(backup: FileArgument, data: DataOption = DEFAULT_DATA) -> None:
    """Make a new data directory of a backup. It must be empty or not there; nothing is ever overwritten."""
    from leafbox.app.backup_contents import restore_backup
    from leafbox.app.backup_file import read_header

    with failures_told():
        passphrase = _ask_passphrase() if read_header(backup).is_encrypted else ""
        steps = restore_backup(backup, passphrase, data)
        drive("Restoring", steps, backup.stat().st_size)
    configurations = sorted((data / "config").glob("*")) if (data / "config").is_dir() else []
    with_config = f" --config {configurations[0]}" if configurations else ""
    typer.echo(f"Restored and verified. Start it with: leafbox run --data {data}{with_config}")


# -- helpers -----------------------------------------------------------------------------------------------------------


def _copy(path: Path, output: Path) -> Path:
    target = output / path.name if output.is_dir() else output
    part = target.with_name(f"{target.name}.part")
    shutil.copyfile(path, part)
    os.chmod(part, 0o600)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
    return target


def _ask_passphrase(*, is_new: bool = False) -> str:
    from leafbox.app.backup_file import PASSPHRASE_CHARS_MIN

    if sys.stdin.isatty():
        passphrase = str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new, err=True))
    else:
        passphrase = sys.stdin.readline().rstrip("\n")
    if is_new and len(passphrase) < PASSPHRASE_CHARS_MIN:
        with failures_told():
            raise PassphraseTooShort(PASSPHRASE_CHARS_MIN)
    return passphrase


class PassphraseTooShort(LeafboxError):
    """A new passphrase that is too easily guessed."""

    def __init__(self, chars: int) -> None:
        super().__init__(f"a passphrase has {chars} characters or more; who loses it loses the backup")
