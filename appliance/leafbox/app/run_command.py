"""`leafbox run`: core in this process, the dashboard beside it, one terminal, one Ctrl-C.

Run as a module of its own (`python -m leafbox.app.run_command`, by way of exec from `leafbox run`), so that core's
process holds none of what only the command line needs: 20 MiB less on a machine that also has FastAPI.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import leafbox
from leafbox.app.box_name import box_name
from leafbox.app.configuration.load import load_options
from leafbox.app.configuration.options import Options
from leafbox.app.dashboard.config_services import FILE_NAME
from leafbox.app.exit_codes import EXIT_FAILED
from leafbox.app.lifecycle import run_process
from leafbox.app.run_arguments import RunArguments, parse
from leafbox.app.server import Server
from leafbox.app.supervisor import ChildSpec
from leafbox.protocol.control import ENVIRONMENT as CONTROL_ENVIRONMENT
from leafbox.protocol.errors import ConfigError
from leafbox.web.settings import ENVIRONMENT as WEB_ENVIRONMENT
from leafbox.web.settings import Settings

STAGED = "restore-staged"
"""`backup_contents.STAGED`, which costs memory to import."""
WEB_NICENESS = 5
"""On a busy machine messages go before pages: core gets three times the share of the dashboard (1024 to 335)."""

WELCOME = """\
Leafbox {version} is running; its data is in {data}.

{addresses}
{claim}
Publish a first reading, in another terminal:

  {program} pub site.temperature 21.5{server}

Stop with Ctrl-C.
"""

CLAIM = """
Nobody has claimed this box yet: open the dashboard and enter the one-time code

  {code}
"""


def embedded_options(data: Path, host: str, port: int, mqtt_port: int) -> Options:
    """What runs without a configuration file: everything in `data`, reachable from this machine only."""
    options = Options()
    name = box_name(data)
    return replace(
        options,
        server=replace(options.server, name=name),
        clients=replace(options.clients, host=host, port=port),
        mqtt=replace(options.mqtt, host=host, port=mqtt_port),
        jetstream=replace(options.jetstream, is_enabled=True, store_directory=str(data), domain=name),
    )


def run(arguments: RunArguments) -> int:
    """Run until told to stop; returns the exit code."""
    data = Path(arguments.data)
    data.mkdir(parents=True, exist_ok=True)
    if (data / STAGED).exists():
        from leafbox.app.backup_contents import put_staged_in_place

        _say(f"A backup was put in place; what was there before is in {put_staged_in_place(data)}.")

    def ready(server: Server) -> None:
        _say(welcome_text(server, arguments))
        if arguments.web_port >= 0 and server.control is not None:
            server.supervisor.start(web_child(server, arguments))

    path = arguments.config or own_file(data)
    if path:
        try:
            options = _load(path)
        except (ConfigError, OSError) as error:
            sys.stderr.write(f"leafbox: {error}\n")
            return EXIT_FAILED
        return run_process(options, lambda: _load(path), on_ready=ready, data=data)
    options = embedded_options(data, arguments.host, arguments.port, arguments.mqtt_port)
    return run_process(options, on_ready=ready, data=data)


def own_file(data: Path) -> str:
    """The configuration that the dashboard wrote; empty as long as there is none."""
    path = data / FILE_NAME
    return str(path) if path.exists() else ""


def web_child(server: Server, arguments: RunArguments) -> ChildSpec:
    """The dashboard's process. How it logs in to core goes through its environment, which only its user can read."""
    assert server.control is not None
    settings = Settings(host=arguments.web_host, port=arguments.web_port, data=arguments.data)
    environment = {
        WEB_ENVIRONMENT: settings.encode(),
        CONTROL_ENVIRONMENT: server.control.control.encode().decode(),
    }
    return ChildSpec("web", (sys.executable, "-m", "leafbox.web"), environment, WEB_NICENESS)


def welcome_text(server: Server, arguments: RunArguments) -> str:
    """What the terminal shows when core is ready: where everything is, and a first thing to do."""
    addresses = server.addresses()
    names = {
        "nats": "NATS and JetStream",
        "mqtt": "MQTT",
        "websocket": "WebSocket",
        "monitoring": "nats-server's pages",
    }
    shown = [(names.get(kind, kind), urls[0]) for kind, urls in addresses.items() if urls]
    if arguments.web_port > 0:
        scheme = "http" if Settings(host=arguments.web_host).is_local else "https"
        shown.append(("Dashboard", f"{scheme}://{arguments.web_host}:{arguments.web_port}"))
    address = addresses["nats"][0]
    is_default = address.endswith(("://127.0.0.1:4222", "://localhost:4222"))
    return WELCOME.format(
        version=leafbox.__version__,
        data=arguments.data,
        addresses="\n".join(f"  {name:<20} {url}" for name, url in shown),
        program=arguments.program,
        server="" if is_default else f" --server {address}",
        claim=CLAIM.format(code=code) if (code := server.setup_code) and arguments.web_port >= 0 else "",
    )


def _load(path: str) -> Options:
    options, warnings = load_options(path, os.environ)
    for warning in warnings:
        sys.stderr.write(f"leafbox: warning: {warning}\n")
    return options


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(run(parse(sys.argv[1:])))
