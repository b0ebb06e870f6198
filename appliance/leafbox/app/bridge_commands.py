"""`leafbox bridge add | ls | rm`: bridges of a running box to other MQTT brokers.

Exit codes: 0 done, 1 refused, 2 wrong usage, 3 `ls` found a bridge that does not flow, 4 the box cannot be reached,
5 denied.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from msgspec import to_builtins

from leafbox.app.command_output import DEFAULT_DATA, DataOption, JsonOption, failures_told, say_json, size_text
from leafbox.app.control_client import ask
from leafbox.mqtt.bridge.rules import VERSIONS, rule_of
from leafbox.protocol.jetstream.go_json import JsonObject

app = typer.Typer(help="Bridges to other MQTT brokers.", no_args_is_help=True)

EXIT_DEGRADED = 3
PASSWORD_VARIABLE = "LEAFBOX_BRIDGE_PASSWORD"  # noqa: S105 - the name of a variable.


@app.command("add")
def add_command(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    url: Annotated[str, typer.Argument(help="The broker: mqtt://host:1883 or mqtts://host:8883.")],
    out: Annotated[list[str] | None, typer.Option(help="Topics that go there: FILTER[:QOS].")] = None,
    inward: Annotated[list[str] | None, typer.Option("--in", help="Topics that come from there: FILTER[:QOS].")] = None,
    local_prefix: Annotated[str, typer.Option(help="What these topics begin with on this side.")] = "",
    remote_prefix: Annotated[str, typer.Option(help="What they begin with there.")] = "",
    user: Annotated[str, typer.Option(help=f"User there; the password is asked for, or in {PASSWORD_VARIABLE}.")] = "",
    version: Annotated[str, typer.Option(help="MQTT version: 3.1.1 or 5.")] = "5",
    client: Annotated[str, typer.Option(help="own, or amqtt (3.1.1, may lose what comes in at a crash).")] = "own",
    client_id: Annotated[str, typer.Option(help="Client id there; leafbox-NAME if nothing is said.")] = "",
    ca: Annotated[Path | None, typer.Option(help="CA file that the broker's certificate is checked with.")] = None,
    cert: Annotated[Path | None, typer.Option(help="Client certificate.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    account: Annotated[str, typer.Option(help="Local account.")] = "$G",
    buffer_mib: Annotated[int, typer.Option(help="Most MiB kept for the other side.")] = 1024,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Carry topics to another broker and back, and keep them while it is away."""
    if version not in VERSIONS:
        raise typer.BadParameter("write 3.1.1 or 5", param_hint="--version")
    password = ""
    if user:
        password = os.environ.get(PASSWORD_VARIABLE) or typer.prompt(f"password of {user}", hide_input=True)
    request: JsonObject = {
        "name": name,
        "url": url,
        "outbound": [to_builtins(rule_of(text, local_prefix, remote_prefix)) for text in out or []],
        "inbound": [to_builtins(rule_of(text, local_prefix, remote_prefix)) for text in inward or []],
        "user": user,
        "password": password,
        "version": int(VERSIONS[version]),
        "client": client,
        "client_id": client_id,
        "account": account,
        "buffer_bytes": buffer_mib << 20,
    }
    for field, path in (("ca_file", ca), ("cert_file", cert), ("key_file", key)):
        request[field] = str(path.resolve()) if path is not None else ""
    with failures_told():
        answer = ask(data, "bridge.add", request)
    if as_json:
        say_json(answer)
    else:
        typer.echo(f"bridge {name} to {url} is added; leafbox bridge ls shows how it does")


@app.command("ls")
def list_command(data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """All bridges, how they do and what waits."""
    with failures_told():
        answer = ask(data, "bridge.list", {})
    found = answer.get("bridges")
    bridges = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    if as_json:
        say_json(answer)
    for each in bridges if not as_json else []:
        waiting = f"{each.get('backlog_messages', 0)} waiting ({size_text(each.get('backlog_bytes', 0))})"
        typer.echo(f"{each['name']:<16} {each['state']!s:<10} {each['url']}  {waiting}  {each['sentence']}")
        if each.get("next_step"):
            typer.echo(f"{'':<16} next: {each['next_step']}")
    if any(each.get("severity") == "warning" for each in bridges):
        raise typer.Exit(EXIT_DEGRADED)


@app.command("rm")
def remove_command(name: Annotated[str, typer.Argument(help="The bridge.")], data: DataOption = DEFAULT_DATA) -> None:
    """Remove a bridge. What waits for the other side stays in its streams."""
    with failures_told():
        ask(data, "bridge.remove", {"name": name})
    typer.echo(f"{name} is removed; what waited is kept in the stream BRIDGE_{name}")
