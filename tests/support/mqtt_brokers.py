"""MQTT brokers for tests: ours, the real nats-server and Debian's mosquitto, started and stopped in the same way.

Not here: clients (`mqtt_client`), what the brokers should do.
"""

from __future__ import annotations

import enum
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.support.servers import ServerKind, ServerProcess

START_TIMEOUT_S = 20.0


class BrokerKind(enum.Enum):
    """Which broker; the value is its name in test ids."""

    MOSQUITTO = "mosquitto"
    NATS_SERVER = "nats-server"
    LEAFBOX = "leafbox"


class MqttBroker:
    """One running broker with an MQTT listener on loopback, keeping its data in `directory` over restarts.

    `config` is added to the configuration, in the language of the broker; `mqtt` and `jetstream` to those blocks of
    ours and nats-server's. A second block of that name in `config` would replace the first, and with it where data is.
    """

    def __init__(
        self, kind: BrokerKind, directory: Path, config: str = "", mqtt: str = "", *, jetstream: str = ""
    ) -> None:
        self.kind = kind
        self.directory = directory
        self.config, self.mqtt, self.jetstream = config, mqtt, jetstream
        self.port = free_port()
        self._mosquitto: subprocess.Popen[bytes] | None = None
        self.server: ServerProcess | None = None

    def start(self) -> Self:
        """Start, return when it accepts connections."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.kind is BrokerKind.MOSQUITTO:
            self._start_mosquitto()
        else:
            self._start_server(ServerKind.REAL if self.kind is BrokerKind.NATS_SERVER else ServerKind.LEAFBOX)
        return self

    @property
    def pid(self) -> int:
        """Process id."""
        process = self._mosquitto or self.server
        assert process is not None
        return process.pid

    @property
    def log(self) -> str:
        """What it has logged."""
        if self.server is not None:
            return self.server.log
        return (self.directory / "log").read_text(encoding="utf-8", errors="replace")

    def stop(self, *, crash: bool = False) -> None:
        """End it: orderly, or as a crash would (SIGKILL)."""
        if self._mosquitto is not None:
            self._mosquitto.send_signal(signal.SIGKILL if crash else signal.SIGTERM)
            self._mosquitto.wait(START_TIMEOUT_S)
            self._mosquitto = None
        elif self.server is not None:
            self.server.kill() if crash else self.server.stop()
            self.server = None

    def restart(self, *, crash: bool = False) -> Self:
        """End it and start it again on the same port and data."""
        self.stop(crash=crash)
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _start_server(self, kind: ServerKind) -> None:
        config = (
            f'server_name: edge\njetstream {{ store_dir: "{self.directory}/data", {self.jetstream} }}\n'
            f"mqtt {{ listen: 127.0.0.1:{self.port}\n{self.mqtt}\n}}\n{self.config}\n"
        )
        self.server = ServerProcess(kind, self.directory, config=config).start()

    def _start_mosquitto(self) -> None:
        path = self.directory / "mosquitto.conf"
        path.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {self.directory}/\nuser root\nlog_type error\nlog_type warning\n{self.config}\n",
            encoding="utf-8",
        )
        with (self.directory / "log").open("ab") as log:
            self._mosquitto = subprocess.Popen(
                [mosquitto_program(), "-c", str(path)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until_accepting(self.port, self._mosquitto)


def mosquitto_program(name: str = "mosquitto") -> str:
    """Path of a program of mosquitto; /usr/sbin is on the path of root only."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    assert found is not None, "mosquitto is missing: sh appliance/bootstrap.sh tests"
    return found


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_accepting(port: int, process: subprocess.Popen[bytes]) -> None:
    """Mosquitto logs its start late and unbuffered nowhere, so it is asked."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None, f"mosquitto ended with {process.returncode}"
            assert time.monotonic() < deadline, "mosquitto does not accept connections"
            time.sleep(0.02)
