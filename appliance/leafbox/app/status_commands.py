"""`leafbox status | doctor | events | logs`: how a running box is, in a line, in full, and as it goes on.

`doctor` also looks at a box that does not run: its directories, its disk, its clock. Exit codes: `exit_codes`.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from leafbox.app.command_output import (
    DEFAULT_DATA,
    DataOption,
    JsonOption,
    count_text,
    duration_text,
    failures_told,
    say_json,
    say_json_line,
    size_text,
    time_text,
)
from leafbox.app.control_client import Box, BoxUnreachable, ask, run_with_box
from leafbox.app.exit_codes import EXIT_DEGRADED, EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE
from leafbox.app.operations.fixes import file_fixes
from leafbox.app.operations.watch import Known, issues_document
from leafbox.monitoring.box_snapshot import BoxSnapshot
from leafbox.monitoring.issues import find_issues
from leafbox.monitoring.machine import Machine
from leafbox.protocol.errors import BoxRequestFailed
from leafbox.protocol.jetstream.go_json import Json, JsonObject

FOLLOWED_EVENTS = (
    "$LEAFBOX.events.on.events",
    "$SYS.ACCOUNT.*.CONNECT",
    "$SYS.ACCOUNT.*.DISCONNECT",
    "$SYS.SERVER.*.CLIENT.AUTH.ERR",
)
MARKS = {"critical": "✗", "warning": "!", "info": "·"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(status)
    app.command()(doctor)
    app.command()(events)
    app.command()(logs)


# -- status ------------------------------------------------------------------------------------------------------------


def status(data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """Say how the box is; exit code 3 if something is wrong with it."""
    with failures_told():
        document = ask(data, "status.get")
    if as_json:
        say_json(document)
    else:
        typer.echo(status_text(document))
    raise typer.Exit(exit_code_for(document))


def exit_code_for(document: JsonObject) -> int:
    """0 when nothing is wrong, 3 otherwise."""
    return EXIT_OK if document.get("state") == "ok" else EXIT_DEGRADED


def status_text(document: JsonObject) -> str:
    """The status for people."""
    storage, streams, rates = _part(document, "storage"), _part(document, "streams"), _part(document, "rates")
    lines = [
        f"{document.get('sentence')}",
        "",
        f"  running      {duration_text(document.get('uptime_s'))}, Leafbox {document.get('version')}",
        f"  messages     {count_text(rates.get('messages_in'))} in, {count_text(rates.get('messages_out'))} out "
        "a second",
        f"  connections  {count_text(document.get('connections'))}",
        f"  streams      {streams.get('count')} with {count_text(streams.get('messages'))} messages, "
        f"{size_text(streams.get('bytes'))}",
        f"  storage      {storage.get('state')}, {size_text(storage.get('free_bytes'))} of "
        f"{size_text(storage.get('total_bytes'))} free",
        f"  memory       {size_text(document.get('memory_bytes'))}",
    ]
    uplinks = document.get("uplinks")
    for uplink in uplinks if isinstance(uplinks, list) else []:
        if isinstance(uplink, dict):
            why = f": {uplink['reason']}" if uplink.get("reason") and uplink.get("state") != "up" else ""
            lines.append(f"  uplink       {uplink.get('name')} is {uplink.get('state')}{why}")
    for kind, urls in _part(document, "addresses").items():
        lines.append(f"  {kind:<12} {' '.join(map(str, urls)) if isinstance(urls, list) else urls}")
    issues = issue_lines(document)
    return "\n".join([*lines, *(["", *issues] if issues else [])])


def issue_lines(document: JsonObject) -> list[str]:
    """The issues for people: what, why, what now."""
    lines = []
    issues = document.get("issues")
    for issue in issues if isinstance(issues, list) else []:
        assert isinstance(issue, dict)
        lines += [
            f"{MARKS.get(str(issue['severity']), '!')} {issue['title']}   [{issue['code']}]",
            f"    why:  {issue['cause']}",
            f"    next: {issue['next_step']}",
        ]
        if issue.get("fix_label"):
            lines.append(f"    fix:  {issue['fix_label']}: `leafbox doctor --fix --only {issue['code']}`")
    return lines


def _part(document: JsonObject, name: str) -> JsonObject:
    part = document.get(name)
    return part if isinstance(part, dict) else {}


# -- doctor ------------------------------------------------------------------------------------------------------------


def doctor(
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
    fix: Annotated[bool, typer.Option("--fix", help="Do what the box can do about it by itself.")] = False,
    only: Annotated[str, typer.Option("--only", metavar="CODE", help="With --fix: only this issue.")] = "",
) -> None:
    """Look for everything that is wrong, say why and what to do; with --fix do what can be done."""
    if only and not fix:
        raise typer.BadParameter("--only says which issue --fix is about; give --fix too", param_hint="--only")
    with failures_told():
        try:
            document = ask(data, "issues.list")
        except BoxUnreachable as error:
            if error.is_denied:
                raise
            document = examine_stopped(data, only if fix else None, str(error))
        else:
            if fix:
                document = _fix(data, document, only)
    if as_json:
        say_json(document)
    else:
        typer.echo("\n".join(_doctor_lines(document)))
    raise typer.Exit(_doctor_code(document))


def _doctor_lines(document: JsonObject) -> list[str]:
    done = document.get("done")
    lines = [f"fixed: {text}" for text in done] if isinstance(done, list) else []
    if not document.get("is_running", True):
        lines.append(f"The box does not run: {document.get('reason')}")
    return [*lines, str(document["sentence"]), *issue_lines(document)]


def _doctor_code(document: JsonObject) -> int:
    if document.get("failed"):
        return EXIT_FAILED
    code = exit_code_for(document)
    return EXIT_UNREACHABLE if code == EXIT_OK and not document.get("is_running", True) else code


def _fix(data: Path, document: JsonObject, only: str) -> JsonObject:
    """Fix what may be fixed, one after the other, and look again."""
    done: list[Json] = []
    issues = document["issues"]
    assert isinstance(issues, list)
    codes = {}
    for issue in issues:
        assert isinstance(issue, dict)
        if issue.get("fix_label") and (issue["code"] == only or (not only and issue.get("fix_is_safe"))):
            codes[str(issue["code"])] = True
    if only and only not in codes:
        raise BoxRequestFailed("not_found", f"there is no issue {only} that the box can fix", "see `leafbox doctor`")
    for code in codes:
        outcome = ask(data, "issues.fix", {"code": code}).get("done")
        done += outcome if isinstance(outcome, list) else []
    return ask(data, "issues.list") | {"done": done}


def examine_stopped(data: Path, only: str | None, reason: str) -> JsonObject:
    """The issues of a box that does not run. `only`: None fixes nothing, an empty text fixes all that is safe."""
    if not data.is_dir():
        raise BoxUnreachable(reason)
    done: list[Json] = []
    box = stopped_snapshot(data)
    for issue in find_issues(box) if only is not None else []:
        fixer = file_fixes().get(issue.code)
        if fixer is not None and only in ("", issue.code):
            done.append(fixer(box, issue.subject))
    box = stopped_snapshot(data)
    found = [Known(issue, box.now_s) for issue in find_issues(box)]
    return issues_document(found) | {"is_running": False, "reason": reason, "done": done}


def stopped_snapshot(data: Path) -> BoxSnapshot:
    """What can be known without a server."""
    now_s = int(time.time())
    mode = stat.S_IMODE(os.stat(data).st_mode)
    machine = Machine(data).facts()
    return BoxSnapshot(now_s, now_s, machine=machine, data_directory=str(data), data_mode=mode)


# -- events ------------------------------------------------------------------------------------------------------------


def events(
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many past events to begin with.")] = 20,
) -> None:
    """What happened to the box: issues, processes; with --follow also connections and refused logins."""

    async def show(box: Box) -> None:
        arrivals: asyncio.Queue[JsonObject] = asyncio.Queue()
        if follow:
            await _subscribe(box, arrivals)
        past = await box.request("events.list", {"limit": lines})
        shown = past["events"]
        assert isinstance(shown, list)
        if as_json and not follow:
            say_json(past)
            return
        for event in reversed(shown):
            assert isinstance(event, dict)
            _say_event(event, as_json)
        while follow:
            _say_event(await arrivals.get(), as_json)

    _run(data, show)


async def _subscribe(box: Box, arrivals: asyncio.Queue[JsonObject]) -> None:
    from nats.aio.msg import Msg

    async def take(message: Msg) -> None:
        arrivals.put_nowait(event_of(message.subject, msgspec.json.decode(message.data)))

    for subject in FOLLOWED_EVENTS:
        await box.client.subscribe(subject, cb=take)
    await box.client.flush()


def event_of(subject: str, document: JsonObject) -> JsonObject:
    """One form for the box's own events and nats-server's."""
    if subject.startswith("$LEAFBOX."):
        return document
    client = _part(document, "client")
    who = f"{client.get('name') or client.get('user') or 'a client'} ({client.get('host', '?')}, id {client.get('id')})"
    account = client.get("acc", "")
    if subject.endswith(".CONNECT"):
        kind, text = "connected", f"{who} connected to account {account}"
    elif subject.endswith(".AUTH.ERR"):
        kind, text = "login-refused", f"{who} was refused: {document.get('reason')}"
    else:
        kind, text = "disconnected", f"{who} left account {account}: {document.get('reason')}"
    severity = "warning" if kind == "login-refused" else "info"
    return {"at_s": time.time(), "kind": kind, "severity": severity, "text": text, "detail": document}


def _say_event(event: JsonObject, as_json: bool) -> None:
    if as_json:
        say_json_line(event)
    else:
        typer.echo(f"{time_text(event.get('at_s'))}  {event.get('kind')!s:<15} {event.get('text')}")


# -- logs --------------------------------------------------------------------------------------------------------------


def logs(
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=2000, help="How many to begin with.")] = 100,
    level: Annotated[list[str] | None, typer.Option("--level", "-l", help="Only these levels; repeatable.")] = None,
    text: Annotated[str, typer.Option("--text", "-t", help="Only lines with this text.")] = "",
) -> None:
    """The last log lines of all processes of the box, without secrets."""
    wanted: JsonObject = {"levels": [*(level or [])], "text": text}

    async def show(box: Box) -> None:
        woken = asyncio.Event()
        if follow:
            await _wake_on_log(box, woken)
        document = await box.request("logs.list", {**wanted, "limit": lines})
        if as_json and not follow:
            say_json(document)
            return
        _say_log(document, as_json)
        while follow:
            await woken.wait()
            woken.clear()
            document = await box.request("logs.list", {**wanted, "after": document["last"], "limit": 2000})
            _say_log(document, as_json)

    _run(data, show)


async def _wake_on_log(box: Box, woken: asyncio.Event) -> None:
    from nats.aio.msg import Msg

    async def wake(message: Msg) -> None:
        woken.set()

    await box.client.subscribe("$LEAFBOX.events.on.logs", cb=wake)
    await box.client.flush()


def _say_log(document: JsonObject, as_json: bool) -> None:
    lines = document["lines"]
    assert isinstance(lines, list)
    if document.get("missed"):
        typer.echo(f"leafbox: {document['missed']} lines were gone before they could be read", err=True)
    for line in lines:
        assert isinstance(line, dict)
        if as_json:
            say_json_line(line)
        else:
            typer.echo(f"{time_text(line['at_s'])} {line['level']!s:<7} {line['logger']}: {line['text']}")


def _run(data: Path, show: Callable[[Box], Awaitable[None]]) -> None:
    with failures_told():
        run_with_box(data, show)
