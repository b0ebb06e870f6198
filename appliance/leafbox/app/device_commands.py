"""`leafbox device add | ls | show | rotate | revoke` and `leafbox translate`: for people with devices.

Device commands talk to the running box of a data directory. Exit codes: 0 done, 1 refused, 2 wrong usage, 4 the box
cannot be reached, 5 denied.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from leafbox.app.command_output import DataOption, JsonOption, say_json
from leafbox.app.control_client import ask, exit_code_of
from leafbox.protocol.errors import LeafboxError
from leafbox.protocol.jetstream.go_json import JsonObject
from leafbox.protocol.mqtt.filters import filter_problem, split_shared
from leafbox.protocol.mqtt.topics import filter_to_subjects, subject_to_filter

app = typer.Typer(help="Credentials for devices.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the device: letters, digits, - and _.")]
DEFAULT_DATA = Path("data")


@app.command("add")
def add_command(
    name: Name,
    publish: Annotated[list[str] | None, typer.Option(help="May publish here: MQTT filter or subject.")] = None,
    subscribe: Annotated[list[str] | None, typer.Option(help="May subscribe here: MQTT filter or subject.")] = None,
    account: Annotated[str, typer.Option(help="Account it lives in; the default one otherwise.")] = "",
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Make a credential and print lines to paste. Without rights it may use its own branch, NAME/#."""
    request: JsonObject = {
        "name": name,
        "publish": list(publish or []),
        "subscribe": list(subscribe or []),
        "account": account or None,
    }
    _show_credential(_ask(data, "device.add", request), as_json)


@app.command("ls")
def list_command(data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """All devices and whether they are connected."""
    answer = _ask(data, "device.list", {})
    if as_json:
        say_json(answer)
        return
    devices = [device for device in _list(answer, "devices") if isinstance(device, dict)]
    if not devices:
        typer.echo("no devices yet; make one with: leafbox device add NAME")
    for device in devices:
        rights = ", ".join(str(subject) for subject in _list(device, "publish"))
        typer.echo(f"{device['name']:<24} {device['state']:<8} {_ago(device):<14} publishes {rights or 'nothing'}")


@app.command("show")
def show_command(name: Name, data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """One device. Its secret is not kept, so it cannot be shown again."""
    answer = _ask(data, "device.get", {"name": name})
    if as_json:
        say_json(answer)
        return
    for key, value in answer.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        typer.echo(f"{key.replace('_', ' '):<14} {shown}")


@app.command("rotate")
def rotate_command(name: Name, data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """Give it a new secret; connections with the old one end."""
    _show_credential(_ask(data, "device.rotate", {"name": name}), as_json)


@app.command("revoke")
def revoke_command(name: Name, data: DataOption = DEFAULT_DATA) -> None:
    """Take its credential away; its connections end."""
    _ask(data, "device.revoke", {"name": name})
    typer.echo(f"{name} is revoked")


def translate_command(
    text: Annotated[str, typer.Argument(metavar="TOPIC|SUBJECT", help="An MQTT topic or filter, or a NATS subject.")],
    is_topic: Annotated[bool, typer.Option("--topic", help="It is MQTT's, whatever it looks like.")] = False,
    is_subject: Annotated[bool, typer.Option("--subject", help="It is a subject, whatever it looks like.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What an MQTT topic is called in NATS, and the other way. With `/`, `+` or `#` it is taken for MQTT's."""
    if is_topic and is_subject:
        _fail("it cannot be both --topic and --subject", 2)
    try:
        lines = translated(text, is_topic=is_topic or (not is_subject and any(sign in text for sign in "/+#")))
    except ValueError as error:
        _fail(str(error), 1)
    if as_json:
        say_json({"from": text, "to": [dict(zip(("kind", "name"), line, strict=True)) for line in lines]})
    else:
        typer.echo("\n".join(f"{kind:<8} {name}" for kind, name in lines))


def translated(text: str, *, is_topic: bool) -> list[tuple[str, str]]:
    """What `leafbox translate` says, as (kind, name). Raises ValueError."""
    if not is_topic:
        topic = subject_to_filter(text.encode())
        if topic is None or "" in text.split("."):
            raise ValueError(f"{text} is no subject that MQTT can carry")
        return [("topic", topic.decode())]
    if problem := filter_problem(text.encode()):
        raise ValueError(f"{text} is no topic or filter: {problem}")
    lines = []
    shared = split_shared(text.encode())
    if shared is not None:
        lines.append(("queue", shared.group.decode()))
    subjects = filter_to_subjects(shared.filter if shared is not None else text.encode())
    return [*lines, *(("subject", subject.decode()) for subject in subjects)]


def _show_credential(answer: JsonObject, as_json: bool) -> None:
    if as_json:
        say_json(answer)
        return
    typer.echo(f"user      {answer['user']}\npassword  {answer['password']}   (shown this once)")
    for snippet in _list(answer, "snippets"):
        if isinstance(snippet, dict):
            typer.echo(f"\n# {snippet['label']}\n{snippet['text']}")


def _ask(data: Path, name: str, request: JsonObject) -> JsonObject:
    try:
        return ask(data, name, request)
    except LeafboxError as error:
        _fail(str(error), exit_code_of(error))
        raise AssertionError from error


def _fail(text: str, code: int) -> NoReturn:
    typer.echo(f"leafbox: {text}", err=True)
    raise typer.Exit(code)


def _list(document: JsonObject, key: str) -> list[object]:
    value = document.get(key)
    return list(value) if isinstance(value, list) else []


def _ago(device: JsonObject) -> str:
    seen = device.get("last_seen_s")
    if not isinstance(seen, int | float) or not seen or device.get("state") == "online":
        return ""
    return f"{max(0, int(time.time() - seen))} s ago"


def _echo_json(answer: JsonObject) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(answer)).decode() + "\n")
