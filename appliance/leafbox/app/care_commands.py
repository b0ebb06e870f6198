"""`leafbox support bundle` and `leafbox reset`: a file for those who help, and the way back to the first day."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import tarfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from leafbox.app.command_output import DEFAULT_DATA, DataOption, JsonOption, failures_told, say_json, size_text
from leafbox.app.control_client import Box, BoxUnreachable, run_with_box
from leafbox.app.exit_codes import EXIT_USAGE
from leafbox.app.reset import Part, delete_everything, delete_messages, delete_settings
from leafbox.app.status_commands import examine_stopped
from leafbox.monitoring.machine import Machine
from leafbox.protocol.errors import BoxRequestFailed
from leafbox.protocol.jetstream.go_json import JsonObject
from leafbox.security.redact import redact

support_app = typer.Typer(help="Help for those who help.", no_args_is_help=True)

ASKED: tuple[tuple[str, str, JsonObject], ...] = (
    ("status.json", "status.get", {}),
    ("system.json", "system.get", {}),
    ("events.json", "events.list", {"limit": 500}),
    ("logs.json", "logs.list", {"limit": 2000}),
    ("history-1h.json", "history.get", {"span": "1h"}),
    ("history-24h.json", "history.get", {"span": "24h"}),
    ("history-30d.json", "history.get", {"span": "30d"}),
    ("monitoring.json", "metrics.documents", {}),
    ("uplinks.json", "uplink.status", {}),
    ("services.json", "services.list", {}),
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(support_app, name="support")
    app.command()(reset)


# -- support bundle ----------------------------------------------------------------------------------------------------


@support_app.command("bundle")
def bundle(
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Configuration file to put in, redacted.")] = None,
) -> None:
    """One archive of what a helper needs: state, issues, logs, history, configuration; secrets are taken out.

    Messages are not in it. Names of users, streams and subjects are, and addresses: look into it before you send it.
    """
    target = output or Path(f"leafbox-support-{time.strftime('%Y%m%d-%H%M%S')}.tar.gz")
    with failures_told():
        if target.exists():
            raise OSError(f"{target} exists already; name another file")
        try:
            texts = run_with_box(data, _ask_all)
        except BoxUnreachable as error:
            if error.is_denied:
                raise
            texts = {"issues.json": _json(examine_stopped(data, None, str(error)))}
        texts["machine.json"] = _json({**asdict(Machine(data).names()), **asdict(Machine(data).facts())})
        if config is not None:
            texts["configuration.conf"] = config.read_text(encoding="utf-8", errors="replace")
        texts["files.txt"] = _listing(data)
        write_bundle(target, {name: redact(text) for name, text in texts.items()})
    if as_json:
        say_json({"path": str(target), "size_bytes": target.stat().st_size, "files": sorted(texts)})
    else:
        typer.echo(f"{target}  {size_text(target.stat().st_size)}; look into it before you send it: {', '.join(texts)}")


async def _ask_all(box: Box) -> dict[str, str]:
    texts = {}
    for name, request, body in ASKED:
        try:
            texts[name] = _json(await box.request(request, dict(body)))
        except BoxRequestFailed as error:
            texts[name] = _json({"refused": str(error)})
    return texts


def write_bundle(target: Path, texts: dict[str, str]) -> None:
    """A tar.gz that only its owner can read."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, text in texts.items():
            content = text.encode()
            info = tarfile.TarInfo(f"leafbox-support/{name}")
            info.size, info.mtime = len(content), int(time.time())
            tar.addfile(info, io.BytesIO(content))


def _listing(data: Path) -> str:
    lines = []
    for path in sorted(data.rglob("*")) if data.is_dir() else []:
        stat = path.lstat()
        lines.append(f"{stat.st_mode & 0o7777:04o} {stat.st_size:>12} {path.relative_to(data)}")
    return "\n".join(lines) + "\n"


def _json(document: object) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


# -- reset -------------------------------------------------------------------------------------------------------------


def reset(
    part: Annotated[Part, typer.Argument(help="What to delete.")] = Part.EVERYTHING,
    data: DataOption = DEFAULT_DATA,
    with_backups: Annotated[bool, typer.Option("--with-backups", help="Delete the backups on the box too.")] = False,
    confirm: Annotated[str, typer.Option("--confirm", help="Name of the directory, instead of being asked.")] = "",
) -> None:
    """Delete the box's settings, its data (streams, sessions, history), or everything, as on its first day.

    The box must be stopped. Backups on it stay unless everything is deleted with --with-backups.
    """
    if with_backups and part is not Part.EVERYTHING:
        typer.echo("leafbox: --with-backups goes with everything only", err=True)
        raise typer.Exit(EXIT_USAGE)
    with failures_told():
        resolved = data.resolve()
        if not resolved.is_dir():
            raise OSError(f"{data} is not a directory: there is nothing to delete")
        os.close(_locked(resolved))
    if not confirm and sys.stdin.isatty():
        typer.echo(f"This deletes {WHAT[part]} in {resolved}, for good.", err=True)
        confirm = str(typer.prompt(f"Type {resolved.name} to go on", err=True))
    if confirm != resolved.name:
        typer.echo(f"leafbox: nothing was deleted; confirm with --confirm {resolved.name}", err=True)
        raise typer.Exit(EXIT_USAGE)
    with failures_told():
        if part is Part.SETTINGS:
            delete_settings(resolved)
        elif part is Part.DATA:
            delete_messages(resolved)
        else:
            lock = _locked(resolved)
            try:
                delete_everything(resolved, with_backups=with_backups)
            finally:
                os.close(lock)
    what = WHAT[part] if part is not Part.EVERYTHING or with_backups else "everything but the backups"
    typer.echo(f"Deleted: {what}.")


WHAT = {
    Part.SETTINGS: "people, tokens, devices, uplinks, bridges, certificates and configuration",
    Part.DATA: "streams, buckets, sessions, history and readings",
    Part.EVERYTHING: "everything",
}


def _locked(data: Path) -> int:
    """The store's lock, or one of the directory itself where there is no store. Raises `StoreError` while it runs."""
    from leafbox.storage.engine import lock_directory

    store = data / "jetstream"
    is_store = store.is_dir()
    is_running = (data / "control.json").exists() and _answers(data)
    if is_running:
        raise BoxRequestFailed("conflict", f"a box runs on {data}", "stop it first")
    if is_store:
        return lock_directory(store)
    return os.open(data, os.O_RDONLY)


def _answers(data: Path) -> bool:
    async def nothing(box: Box) -> None:
        await asyncio.sleep(0)

    try:
        run_with_box(data, nothing)
    except BoxUnreachable as error:
        return error.is_denied
    return True
