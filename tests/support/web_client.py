"""A box with its dashboard for tests, and a small HTTP client that behaves as a browser does where that matters.

`RunningBox` starts `leafbox run` with a dashboard on a free port and claims it; `Browser` keeps the session cookie and
sends the Origin that a page of the dashboard would send.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import psutil

from leafbox.app.control_client import ask
from leafbox.protocol.control import FILE_NAME, Control
from leafbox.web.settings import ENVIRONMENT, Settings

LEAFBOX = Path(sysconfig.get_path("scripts")) / "leafbox"
API = "/api/v1"
READY_S = 60.0
ADMIN = "admin"
PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The stable code of a problem."""
        return str(self.json["code"])


@dataclass(slots=True)
class Browser:
    """One visitor. `origin` None: says nothing about where requests come from, like a script."""

    url: str
    token: str = ""
    cookie: str = ""
    origin: str | None = "own"
    tls: ssl.SSLContext | None = None
    timeout_s: float = 30.0
    fields: dict[str, str] = field(default_factory=dict)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Response:
        """One request below the root of the server; paths without a leading slash are the API's."""
        connection = self.connect()
        try:
            self._send(connection, method, path, body, headers, raw)
            answer = connection.getresponse()
            content = answer.read()
            fields = {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()
        if "set-cookie" in fields:
            pair = fields["set-cookie"].partition(";")[0]
            self.cookie = "" if pair.endswith('=""') else pair
        return Response(answer.status, fields, content)

    def get(self, path: str, **more: Any) -> Response:
        """GET."""
        return self.request("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Response:
        """POST."""
        return self.request("POST", path, body, **more)

    def put(self, path: str, body: Any = None, **more: Any) -> Response:
        """PUT."""
        return self.request("PUT", path, body, **more)

    def delete(self, path: str, **more: Any) -> Response:
        """DELETE."""
        return self.request("DELETE", path, **more)

    def login(self, name: str, password: str = PASSWORD) -> Self:
        """Log in, which must succeed."""
        answer = self.post("session", {"name": name, "password": password})
        assert answer.status == 200, answer.body
        return self

    @contextmanager
    def events(self, path: str) -> Iterator[Iterator[tuple[str, Any]]]:
        """Server-sent events as (name, document), as they come."""
        connection = self.connect()
        try:
            self._send(connection, "GET", path, None, None, None)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            yield _events(answer)
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPConnection:
        """A new connection."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        if parts.scheme == "https":
            return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=self.timeout_s, context=self.tls)
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=self.timeout_s)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Any,
        headers: Mapping[str, str] | None,
        raw: bytes | None,
    ) -> None:
        fields = dict(self.fields)
        if self.cookie:
            fields["Cookie"] = self.cookie
        if self.token:
            fields["Authorization"] = f"Bearer {self.token}"
        if self.origin is not None:
            fields["Origin"] = self.url if self.origin == "own" else self.origin
        content = raw
        if body is not None:
            content = json.dumps(body).encode()
            fields["Content-Type"] = "application/json"
        target = path if path.startswith("/") else f"{API}/{path}"
        connection.request(method, target, content, fields | dict(headers or {}))


def _events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    name = ""
    for raw in answer:
        line = raw.decode().rstrip("\n")
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


class RunningBox:
    """`leafbox run` with its web process, in a folder. A context manager; Ctrl-C ends it."""

    def __init__(
        self, folder: Path, *arguments: str, config: str | None = None, settings: Settings | None = None
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._arguments = [*arguments]
        if config is not None:
            (folder / "box.conf").write_text(config)
            self._arguments += ["--config", "box.conf"]
        else:
            self._arguments += ["--port", "-1"]
        self._arguments += ["--web-port", "0"] if settings is None else ["--no-web"]
        self._settings = settings
        self._core: subprocess.Popen[str] | None = None
        self.web: subprocess.Popen[str] | None = None
        self.url = ""
        self.nats_url = ""

    def __enter__(self) -> Self:
        with (self.folder / "core.log").open("w") as log:
            self._core = subprocess.Popen(
                [LEAFBOX, "run", *self._arguments], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=log, text=True
            )
        self._wait(lambda: "Server is ready" in self.log, "core")
        found = re.search(r"Listening for client connections on (\S+)", self.log)
        assert found is not None
        self.nats_url = f"nats://{found[1]}"
        self.start_web()
        return self

    def _wait(self, is_there: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + READY_S
        while not is_there():
            for process in (self._core, self.web):
                assert process is None or process.poll() is None, f"{what} did not start:\n{self.log}"
            assert time.monotonic() < deadline, f"{what} did not start in time:\n{self.log}"
            time.sleep(0.05)

    def start_web(self) -> None:
        """Start our own web process where settings were given; wait until it says where it is."""
        if self._settings is not None:
            environment = os.environ | {ENVIRONMENT: self._settings.encode()}
            self.web = subprocess.Popen([sys.executable, "-m", "leafbox.web"], env=environment, text=True)
        self.wait_for_web()

    def wait_for_web(self) -> None:
        """Until a web process is there that was not there before."""
        before = self.url
        self._wait(lambda: self.control.web not in ("", before), "web")
        self.url = self.control.web

    @property
    def web_pid(self) -> int:
        """Process id of the dashboard."""
        if self.web is not None:
            return self.web.pid
        found = [child for child in psutil.Process(self.core_pid).children() if "leafbox.web" in child.cmdline()]
        assert len(found) == 1, found
        return found[0].pid

    @property
    def control(self) -> Control:
        """How the box's own processes reach core."""
        return Control.decode((self.data / FILE_NAME).read_bytes())

    @property
    def core_pid(self) -> int:
        """Process id of core."""
        assert self._core is not None
        return self._core.pid

    @property
    def log(self) -> str:
        """What core logged so far."""
        return (self.folder / "core.log").read_text()

    def browser(self) -> Browser:
        """Somebody who is not logged in."""
        return Browser(self.url)

    def setup_code(self) -> str:
        """The one-time code, as the owner of the machine can ask for it."""
        return str(ask(self.data, "setup.code")["code"])

    def claim(self, name: str = ADMIN, password: str = PASSWORD) -> Browser:
        """Claim the box; somebody who is logged in as its administrator."""
        browser = self.browser()
        answer = browser.post("setup", {"code": self.setup_code(), "name": name, "password": password})
        assert answer.status == 200, answer.body
        return browser

    def __exit__(self, *exception: object) -> None:
        for process, number in ((self.web, signal.SIGTERM), (self._core, signal.SIGINT)):
            if process is not None:
                process.send_signal(number)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
