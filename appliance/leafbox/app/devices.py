"""Credentials of devices: kept in `devices.json`, made, shown, changed and taken away through `$LEAFBOX.device.*`.

Owns the file and the lines a user pastes into firmware. A change is on flash before it is answered and counts at once:
a revoked device's connections are closed. Secrets are shown once, when they are made; only digests are kept.

Not here: the decision at login (`security.device_users`).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import msgspec

from leafbox.app.configuration.options import Options
from leafbox.app.device_snippets import Snippet, reachable, snippets
from leafbox.app.readings import DeviceReadings
from leafbox.broker.broker import Broker
from leafbox.broker.config import GLOBAL_ACCOUNT
from leafbox.dataplane.connection import Connection
from leafbox.monitoring.box_services import BoxServices
from leafbox.protocol.errors import BoxRequestFailed, ConfigError
from leafbox.protocol.jetstream.go_json import Json, JsonObject
from leafbox.protocol.mqtt.filters import filter_problem
from leafbox.protocol.mqtt.topics import filter_to_subjects
from leafbox.security.device_users import DeviceUser, new_secret

Action = Callable[[], None]

FILE_NAME = "devices.json"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
DEVICES_MAX = 10_000
"""The file is written whole at each change: 10,000 devices are 3 MB, and more than one box serves."""
SUBJECTS_MAX = 64


class DeviceServer(Protocol):
    """What of the server is needed."""

    broker: Broker
    options: Options

    def addresses(self) -> dict[str, list[str]]:
        """Bound addresses by kind."""
        ...


class DeviceFile:
    """The devices by name, and the file they are kept in."""

    def __init__(self, directory: Path) -> None:
        """Reads the file. Raises `ConfigError` when it is damaged: starting without it would lock devices out."""
        self._path = directory / FILE_NAME
        self.devices: dict[str, DeviceUser] = {}
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        try:
            self.devices = {device.name: device for device in msgspec.json.decode(content, type=list[DeviceUser])}
        except msgspec.DecodeError as error:
            raise ConfigError(
                f"the list of devices cannot be read: {error}", str(self._path), suggestion="restore it from a backup"
            ) from error

    def store(self, devices: dict[str, DeviceUser]) -> None:
        """Replace all devices; on flash when it returns. Raises OSError, and nothing has changed then."""
        part = self._path.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(list(devices.values()))))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        # In place: the authenticator reads this very mapping.
        self.devices.clear()
        self.devices.update(devices)


class Devices:
    """The `device` noun. `users` and `seen` are what the authenticator reads and writes."""

    def __init__(self, server: DeviceServer, directory: Path) -> None:
        self._server = server
        self.directory = directory
        self._file = DeviceFile(directory)
        self.users = self._file.devices
        self.seen: dict[str, float] = {}
        self.readings = DeviceReadings(directory, self.users, server.broker.account)

    def register(self, services: BoxServices, each_second: list[Action], on_stop: list[Action]) -> None:
        """Answer `device.*`, and listen to what devices say."""
        self.readings.refresh()
        each_second.append(self.readings.tick)
        on_stop.append(self.readings.save)
        services.add("device.list", self._list)
        services.add("device.get", self._get)
        services.add("device.add", self._add)
        services.add("device.rotate", self._rotate)
        services.add("device.revoke", self._revoke)

    def _list(self, _request: JsonObject) -> JsonObject:
        return {"devices": [self._document(device) for _, device in sorted(self.users.items())]}

    def _get(self, request: JsonObject) -> JsonObject:
        return self._document(self._named(request))

    def _add(self, request: JsonObject) -> JsonObject:
        wanted = _wanted(request)
        if wanted.name in self.users:
            raise BoxRequestFailed(
                "conflict",
                f"there is a device {wanted.name}",
                "leafbox device rotate gives it a new secret",
            )
        options = self._server.options.security
        if wanted.name in {options.username, *(user.name for user in options.users)}:
            raise BoxRequestFailed("conflict", f"the configuration has a user {wanted.name}", "choose another name")
        if options.operator.is_enabled:
            raise BoxRequestFailed(
                "unavailable", "in operator mode only JWTs log in", "make the device's user with nsc, as bearer token"
            )
        if self._server.broker.account(wanted.account) is None:
            raise BoxRequestFailed(
                "invalid", f"there is no account {wanted.account}", "leave it out for the default one"
            )
        if len(self.users) >= DEVICES_MAX:
            raise BoxRequestFailed("limit", f"{DEVICES_MAX} devices are the most", "revoke those that are gone")
        password, salt, digest = new_secret()
        device = replace(wanted, salt=salt, digest=digest, created_s=time.time())
        self._file.store(self.users | {device.name: device})
        self.readings.refresh()
        return self._credential(device, password)

    def _rotate(self, request: JsonObject) -> JsonObject:
        password, salt, digest = new_secret()
        device = replace(self._named(request), salt=salt, digest=digest)
        self._file.store(self.users | {device.name: device})
        self._close_connections(device.name)
        return self._credential(device, password)

    def _revoke(self, request: JsonObject) -> JsonObject:
        device = self._named(request)
        self._file.store({name: each for name, each in self.users.items() if name != device.name})
        self._close_connections(device.name)
        self.readings.refresh()
        self.seen.pop(device.name, None)
        return {"revoked": device.name}

    def _named(self, request: JsonObject) -> DeviceUser:
        name = request.get("name")
        device = self.users.get(name) if isinstance(name, str) else None
        if device is None:
            raise BoxRequestFailed("not_found", f"there is no device {name}", "leafbox device ls lists them")
        return device

    def _connections_of(self, user: str) -> list[Connection]:
        """Live connections of one user, of every protocol."""
        return [
            connection
            for connection in self._server.broker.registry
            if isinstance(connection, Connection)
            and getattr(getattr(connection, "identity", None), "name", None) == user
        ]

    def _close_connections(self, name: str) -> None:
        for connection in self._connections_of(name):
            connection.close("Credentials Revoked")

    def _credential(self, device: DeviceUser, password: str) -> JsonObject:
        made: Iterable[Snippet] = snippets(device, password, reachable(self._server.addresses()))
        return {
            "device": self._document(device),
            "user": device.name,
            "password": password,
            "snippets": [{"label": each.label, "language": each.language, "text": each.text} for each in made],
        }

    def _document(self, device: DeviceUser) -> JsonObject:
        live = [connection for connection in self._connections_of(device.name) if not connection.closed]
        first = live[0] if live else None
        said = self.readings.document(device.name)
        said_s = said.pop("last_value_s", 0.0)
        assert isinstance(said_s, float)
        seen_s = time.time() if first is not None else max(self.seen.get(device.name, 0.0), said_s)
        document: dict[str, Json] = {
            "name": device.name,
            "state": "online" if first is not None else "offline" if seen_s else "never",
            "account": device.account,
            "created_s": device.created_s,
            "last_seen_s": seen_s,
            "publish": list(device.publish),
            "subscribe": list(device.subscribe),
            "messages": sum(connection.in_msgs for connection in live),
            **said,
        }
        if first is not None:
            document |= {
                "ip": str(getattr(first, "ip", "")),
                "cid": int(getattr(first, "cid", 0)),
                "protocol": protocol_of(first),
            }
        return document


def protocol_of(connection: Connection) -> str:
    """`nats`, `mqtt`, `websocket`, by the module its class stands in."""
    name = type(connection).__name__.lower()
    return "mqtt" if "mqtt" in name else "websocket" if "websocket" in name else "nats"


@dataclass(frozen=True, slots=True)
class _Rights:
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def _wanted(request: JsonObject) -> DeviceUser:
    """The device a request describes, without a secret. Raises `BoxRequestFailed`."""
    name, account = request.get("name"), request.get("account") or GLOBAL_ACCOUNT
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BoxRequestFailed(
            "invalid",
            "a device's name is 1 to 64 letters, digits, - and _",
            "leafbox device add kitchen-1",
        )
    if not isinstance(account, str):
        raise BoxRequestFailed("invalid", "the account is a name")
    rights = _Rights(_subjects(request, "publish"), _subjects(request, "subscribe"))
    if not rights.publish and not rights.subscribe:
        # Without a word it may use its own branch, and nothing of its neighbours.
        rights = _Rights((f"{name}.>",), (f"{name}.>",))
    return DeviceUser(name, "", "", account, rights.publish, rights.subscribe)


def _subjects(request: JsonObject, direction: str) -> tuple[str, ...]:
    given = request.get(direction) or []
    if not isinstance(given, list) or len(given) > SUBJECTS_MAX:
        raise BoxRequestFailed("invalid", f"{direction} is a list of at most {SUBJECTS_MAX} subjects")
    found: list[str] = []
    for text in given:
        if not isinstance(text, str):
            raise BoxRequestFailed("invalid", f"{direction} is a list of texts")
        found += subjects_of(text)
    return tuple(dict.fromkeys(found))


def subjects_of(text: str) -> tuple[str, ...]:
    """Subjects of an MQTT filter or a NATS subject; `/`, `+` and `#` make it MQTT's. Raises `BoxRequestFailed`."""
    if any(sign in text for sign in "/+#"):
        if problem := filter_problem(text.encode()):
            raise BoxRequestFailed("invalid", f"{text} is no MQTT filter: {problem}", "for example sensors/kitchen/#")
        return tuple(subject.decode() for subject in filter_to_subjects(text.encode()))
    tokens = text.split(".")
    if not text or any(not token or any(sign.isspace() for sign in token) for token in tokens) or ">" in tokens[:-1]:
        raise BoxRequestFailed("invalid", f"{text!r} is neither subject nor filter", "for example sensors.kitchen.>")
    return (text,)
