"""`leafbox`: the appliance's command line. Thin: each command collects its arguments and calls the part that knows.

Exit codes: `exit_codes`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated

import typer

import leafbox
from leafbox.app import (
    backup_commands,
    bridge_commands,
    care_commands,
    device_commands,
    password_command,
    status_commands,
    store_commands,
    top_command,
    uplink_commands,
)
from leafbox.app.client_commands import message_json, message_text, print_messages, publish_once
from leafbox.app.command_output import JsonOption, say_json
from leafbox.app.exit_codes import EXIT_FAILED
from leafbox.protocol.errors import ConfigError

app = typer.Typer(help="Leafbox, the edge appliance.", no_args_is_help=True, add_completion=True)
config_app = typer.Typer(help="Look at a configuration file.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(store_commands.app, name="store")
app.add_typer(uplink_commands.app, name="uplink")
app.add_typer(backup_commands.app, name="backup")
care_commands.register(app)
password_command.register(app)
status_commands.register(app)
top_command.register(app)
app.add_typer(bridge_commands.app, name="bridge")
app.add_typer(device_commands.app, name="device")
app.command("translate")(device_commands.translate_command)

DEFAULT_DATA = Path("data")


@app.command()
def run(
    config: Annotated[Path | None, typer.Option(help="Configuration file in nats.conf grammar.")] = None,
    data: Annotated[Path, typer.Option(help="Directory for everything that is kept.")] = DEFAULT_DATA,
    host: Annotated[str, typer.Option(help="Address to listen on without a configuration file.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on without a configuration file.")] = 4222,
    web_host: Annotated[
        str, typer.Option(help="Address of the dashboard; beyond this machine it has TLS.")
    ] = "127.0.0.1",
    web_port: Annotated[int, typer.Option(help="Port of the dashboard; 0: a free one.")] = 8222,
    web: Annotated[bool, typer.Option(help="Whether to run the dashboard.")] = True,
    mqtt_port: Annotated[
        int, typer.Option(help="Port for MQTT without a configuration file; 0: none, -1: a free one.")
    ] = 1883,
) -> None:
    """Run the whole appliance in this terminal; Ctrl-C stops it."""
    from leafbox.app.run_arguments import RunArguments

    arguments = RunArguments(
        config=str(config or ""),
        data=str(data),
        host=host,
        port=port,
        mqtt_port=mqtt_port if port > 0 or mqtt_port != 1883 else -1,
        web_host=web_host,
        web_port=web_port if web else -1,
        program=sys.argv[0],
    )
    command = arguments.command()
    # Same process id, same signals, but none of what typer and its friends keep in memory.
    os.execv(command[0], command)


@config_app.command("check")
def config_check(
    path: Annotated[Path, typer.Argument(help="Configuration file to check.")], as_json: JsonOption = False
) -> None:
    """Say whether a configuration file can be used, and if not, where and why."""
    from leafbox.app.configuration.load import load_options, read_settings

    try:
        checked = read_settings(str(path), os.environ)
        load_options(str(path), os.environ)
    except (ConfigError, OSError) as error:
        if as_json:
            say_json({"path": str(path), "valid": False, "reason": str(error)})
        else:
            typer.echo(f"leafbox: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from error
    if as_json:
        say_json({"path": str(path), "valid": True, "digest": checked.digest, "warnings": checked.warnings})
        return
    for warning in checked.warnings:
        typer.echo(f"leafbox: warning: {warning}", err=True)
    typer.echo(f"{path} is valid ({checked.digest})")


ServerOption = Annotated[str, typer.Option("--server", "-s", help="Address of the server.", envvar="NATS_URL")]


@app.command()
def pub(
    subject: Annotated[str, typer.Argument(help="Subject to publish on.")],
    payload: Annotated[str, typer.Argument(help="The message.")],
    server: ServerOption = "nats://127.0.0.1:4222",
) -> None:
    """Publish one message and wait until the server has it."""
    _client(lambda: publish_once(server, subject, payload.encode()))


@app.command()
def sub(
    subject: Annotated[str, typer.Argument(help="Subject to listen on, wildcards allowed.")],
    server: ServerOption = "nats://127.0.0.1:4222",
    count: Annotated[int, typer.Option(help="End after so many messages; 0: never.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Print messages as they arrive."""
    write = message_json if as_json else message_text
    _client(lambda: print_messages(server, subject, count, lambda message: typer.echo(write(message))))


def _client(action: Callable[[], Coroutine[object, object, None]]) -> None:
    import nats.errors

    try:
        asyncio.run(action())
    except (OSError, nats.errors.Error) as error:
        typer.echo(f"leafbox: {error or type(error).__name__}", err=True)
        raise typer.Exit(EXIT_FAILED) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(0) from error


@app.command()
def version(as_json: JsonOption = False) -> None:
    """Print the versions."""
    if as_json:
        say_json({"leafbox": leafbox.__version__, "nats_server": leafbox.NATS_SERVER_VERSION})
        return
    typer.echo(f"leafbox {leafbox.__version__} (nats-server {leafbox.NATS_SERVER_VERSION} compatible)")


def main() -> None:
    """Entry point."""
    app()
