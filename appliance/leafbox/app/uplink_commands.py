"""`leafbox uplink`: the link to the hub of a running box.

Exit codes: 0 data flows (or the command did its work), 1 failed or refused, 2 wrong usage, 3 degraded, 4 the hub or
the box cannot be reached, 5 denied.
"""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from leafbox.app.command_output import DataOption, JsonOption
from leafbox.app.control_client import Box, ask, exit_code_of, run_with_box
from leafbox.app.uplink_text import outages_text, status_text, test_text
from leafbox.protocol.errors import LeafboxError
from leafbox.protocol.jetstream.go_json import JsonObject

app = typer.Typer(help="The link to the hub: add it, watch it, control it.", no_args_is_help=True)

EXIT_CODES = {"flowing": 0, "paused": 3, "degraded": 3, "connecting": 4, "stalled": 4, "down": 4, "denied": 5}
SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
TEST_TIMEOUT_S = 60.0
REMOVE_TIMEOUT_S = 30.0
POLL_S = 0.5

Name = Annotated[str, typer.Argument(help="The uplink; not needed while there is one.")]
DEFAULT_DATA = Path("data")


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="The hub's leafnodes address, as nats-leaf://hub:7422 (commas: several).")],
    name: Annotated[str, typer.Option(help="What to call it; 'hub' if nothing is said.")] = "",
    creds: Annotated[Path | None, typer.Option(help="Credentials file (user JWT and seed).")] = None,
    account: Annotated[str, typer.Option(help="Local account whose subjects the link carries.")] = "$G",
    ca: Annotated[Path | None, typer.Option(help="CA file that the hub's certificate is checked with.")] = None,
    cert: Annotated[Path | None, typer.Option(help="Client certificate.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    handshake_first: Annotated[bool, typer.Option(help="The hub begins with TLS.")] = False,
    forward: Annotated[
        list[str] | None, typer.Option(help="Keep these subjects here, forward them, delete when the hub has them.")
    ] = None,
    stream: Annotated[str, typer.Option(help="Name of the local stream; from the subject if not given.")] = "",
    hub_stream: Annotated[str, typer.Option(help="Name of the hub's stream; as the local one if not given.")] = "",
    replicas: Annotated[int, typer.Option(help="Replicas of the hub's stream, if it is made from here.")] = 1,
    rate: Annotated[str, typer.Option(help="Most bytes a second for these subjects, as 64K; 0: no cap.")] = "0",
    priority: Annotated[int, typer.Option(help="1 goes first, 9 last.")] = 5,
    buffer: Annotated[str, typer.Option(help="Bound of the local stream, as 4G.")] = "1G",
    data: DataOption = DEFAULT_DATA,
    json: JsonOption = False,
) -> None:
    """Add an uplink to a running box. Further --forward subjects with other settings: a second name."""
    request: JsonObject = {"url": url, "name": name, "account": account, "is_handshake_first": handshake_first}
    for field, path in (("credentials_file", creds), ("ca_file", ca), ("cert_file", cert), ("key_file", key)):
        request[field] = str(path.resolve()) if path is not None else ""
    many = len(forward or []) > 1
    if many and (stream or hub_stream):
        raise typer.BadParameter("--stream and --hub-stream go with one --forward")
    request["forwards"] = [
        {
            "subjects": [subject],
            "stream": stream,
            "hub_stream": hub_stream,
            "rate_bytes": size(rate),
            "priority": priority,
            "buffer_bytes": size(buffer),
            "replicas": replicas,
        }
        for subject in forward or []
    ]
    answer = _ask(data, "uplink.add", request)
    _say(answer, json, status_text(answer))


@app.command()
def status(name: Name = "", data: DataOption = DEFAULT_DATA, json: JsonOption = False) -> None:
    """How the uplinks stand; the exit code is that of the worst."""
    answer = _ask(data, "uplink.status", {"name": name})
    uplinks = answer["uplinks"]
    assert isinstance(uplinks, list)
    texts = [status_text(uplink) for uplink in uplinks if isinstance(uplink, dict)]
    _say(answer, json, "\n".join(texts) or "There is no uplink; add one with: leafbox uplink add URL")
    raise typer.Exit(max((exit_code(uplink) for uplink in uplinks if isinstance(uplink, dict)), default=0))


@app.command("test")
def check(name: Name = "", data: DataOption = DEFAULT_DATA, json: JsonOption = False) -> None:
    """Walk the way to the hub step by step; the report can be copied."""
    answer = _ask(data, "uplink.test", {"name": name}, TEST_TIMEOUT_S)
    _say(answer, json, test_text(answer))
    raise typer.Exit(0 if answer["is_ok"] else 1)


@app.command()
def pause(name: Name = "", data: DataOption = DEFAULT_DATA, json: JsonOption = False) -> None:
    """Close the link until `resume`; everything is kept here."""
    answer = _ask(data, "uplink.pause", {"name": name})
    _say(answer, json, status_text(answer))


@app.command()
def resume(name: Name = "", data: DataOption = DEFAULT_DATA, json: JsonOption = False) -> None:
    """Open the link again."""
    answer = _ask(data, "uplink.resume", {"name": name})
    _say(answer, json, status_text(answer))


@app.command()
def drain(
    name: Name = "",
    timeout: Annotated[float, typer.Option(help="Give up after so many seconds; what is left stays.")] = 600.0,
    data: DataOption = DEFAULT_DATA,
    json: JsonOption = False,
) -> None:
    """Send everything that waits, without caps, and wait until the hub has it. Exit code 3: not all in time."""
    answer = _ask(data, "uplink.drain", {"name": name})
    deadline = time.monotonic() + timeout

    async def wait(box: Box) -> JsonObject:
        found = answer
        while found["queued"] and time.monotonic() < deadline:
            if not json:
                typer.echo(f"{found['queued']} messages wait for the hub ({found['condition']})", err=True)
            await asyncio.sleep(POLL_S)
            listed = (await box.request("uplink.status", {"name": str(found["name"])}))["uplinks"]
            assert isinstance(listed, list)
            assert isinstance(listed[0], dict)
            found = listed[0]
        return found

    try:
        found = run_with_box(data, wait)
    except LeafboxError as error:
        raise _failed(error) from error
    _say(found, json, status_text(found))
    raise typer.Exit(3 if found["queued"] else 0)


@app.command()
def outages(name: Name = "", data: DataOption = DEFAULT_DATA, json: JsonOption = False) -> None:
    """When data did not flow, why, and what became of the messages that waited."""
    answer = _ask(data, "uplink.outages", {"name": name})
    _say(answer, json, outages_text(answer))


@app.command("hub-snippet")
def hub_snippet(name: Name = "", data: DataOption = DEFAULT_DATA, json: JsonOption = False) -> None:
    """What to run or write at the hub, where the box may not do it itself."""
    answer = _ask(data, "uplink.hub-snippet", {"name": name})
    _say(answer, json, str(answer["text"]))


@app.command()
def rm(
    name: Annotated[str, typer.Argument(help="The uplink.")],
    force: Annotated[bool, typer.Option(help="Although messages wait; they stay in the local stream.")] = False,
    data: DataOption = DEFAULT_DATA,
    json: JsonOption = False,
) -> None:
    """Remove an uplink: its link, the hub's source, and its local streams if they are empty."""
    answer = _ask(data, "uplink.rm", {"name": name, "is_forced": force}, REMOVE_TIMEOUT_S)
    notes = answer["notes"]
    assert isinstance(notes, list)
    _say(answer, json, "\n".join([f"uplink {name} is removed", *(str(note) for note in notes)]))


def size(text: str) -> int:
    """`64K` -> 65536. Raises `typer.BadParameter`."""
    found = re.fullmatch(r"(\d+)([KMG]?)(i?B)?", text.strip(), re.IGNORECASE)
    if found is None:
        raise typer.BadParameter(f'"{text}" is no size; write it as 500000, 64K, 20M or 4G')
    return int(found[1]) * SIZES[found[2].upper()]


def exit_code(uplink: JsonObject) -> int:
    """The exit code of `status` for one uplink."""
    return EXIT_CODES.get(str(uplink["condition"]), 1)


def _ask(data: Path, name: str, body: JsonObject, timeout_s: float = 20.0) -> JsonObject:
    try:
        return ask(data, name, body, timeout_s)
    except LeafboxError as error:
        raise _failed(error) from error


def _failed(error: LeafboxError) -> typer.Exit:
    typer.echo(f"leafbox: {error}", err=True)
    return typer.Exit(exit_code_of(error))


def _say(answer: JsonObject, is_json: bool, text: str) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() if is_json else text)
