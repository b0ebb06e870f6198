"""The dashboard as a person meets it: `leafbox run` as it is, with data in it, and Debian's Chromium.

`DashboardBox` is the whole appliance, its web process supervised by core; `Sensor` keeps sending readings over NATS;
`open_browser` starts Chromium without what it does behind one's back; a `Visit` is a page of somebody, with what it
asked of whom. Screenshots are kept in `results/dashboard/`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from leafbox.app.control_client import ask
from leafbox.protocol.control import FILE_NAME, Control
from tests.support.box import free_port
from tests.support.web_client import ADMIN, PASSWORD, Browser

PROGRAM = Path(sysconfig.get_path("scripts")) / "leafbox"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
RESULTS = Path(__file__).resolve().parents[2] / "results" / "dashboard"
READY_S = 90.0
NARROWEST_PX = 360
WIDE_PX = 1280
# Without these Chromium looks for updates, hosts and services of its maker at every start.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class DashboardBox:
    """`leafbox run` in a folder, its dashboard on a port that stays over restarts of the web process."""

    def __init__(self, folder: Path, config: str = "", environment: Mapping[str, str] | None = None) -> None:
        """`config`: what its configuration file says besides where clients connect; empty: it has none."""
        self.folder = folder
        self._environment = os.environ | dict(environment or {})
        self.data = folder / "data"
        self._config = config
        self.port = free_port()
        self.web_port = free_port()
        self.mqtt_port = free_port()
        self.url = f"http://127.0.0.1:{self.web_port}"
        self.setup_code = ""
        """The one-time code, as the terminal shows it."""
        self._core: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        where = [f"--port={self.port}"]
        if self._config:
            text = f'listen: "127.0.0.1:{self.port}"\njetstream {{ store_dir: "{self.data}" }}\n{self._config}'
            (self.folder / "box.conf").write_text(text, encoding="utf-8")
            where = ["--config", "box.conf"]
        with (self.folder / "log").open("wb") as log:
            self._core = subprocess.Popen(
                [str(PROGRAM), "run", *where, f"--web-port={self.web_port}", f"--mqtt-port={self.mqtt_port}"],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.wait_web()
        # Asked now, because Playwright's own loop leaves no room for another in this thread.
        self.setup_code = str(ask(self.data, "setup.code")["code"])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._core is not None
        self._core.send_signal(signal.SIGINT)
        try:
            self._core.wait(30)
        except subprocess.TimeoutExpired:
            self._core.kill()
            self._core.wait()

    @property
    def log(self) -> str:
        """Everything the box said."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def wait_web(self) -> None:
        """Until the dashboard answers."""
        deadline = time.monotonic() + READY_S
        while True:
            assert self._core is not None
            assert self._core.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            with contextlib.suppress(OSError, ValueError):
                if (
                    self.browser().get("setup").status == 200
                    and Control.decode((self.data / FILE_NAME).read_bytes()).web
                ):
                    return
            time.sleep(0.1)

    def kill_web(self) -> None:
        """SIGKILL to the web process; core starts it again."""
        assert self._core is not None
        for child in psutil.Process(self._core.pid).children():
            if "leafbox.web" in child.cmdline():
                child.kill()
                return
        raise AssertionError("core has no web process")

    def browser(self) -> Browser:
        """A visitor of the API who is not logged in."""
        return Browser(self.url)

    def claim(self) -> Browser:
        """Become its administrator, by the API."""
        browser = self.browser()
        answer = browser.post("setup", {"code": self.setup_code, "name": ADMIN, "password": PASSWORD})
        assert answer.status == 200, answer.body
        return browser

    def admin(self) -> Browser:
        """The administrator at the API, of a box that was claimed."""
        return self.browser().login(ADMIN, PASSWORD)


class Sensor:
    """Sends a reading ten times a second over NATS, and listens, as a program of a site would. A context manager."""

    def __init__(self, port: int, name: str, subject: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        options = {"verbose": False, "name": name, "lang": "test", "version": "1", "protocol": 1}
        self._socket.sendall(f"CONNECT {json.dumps(options)}\r\nSUB site.> 1\r\nPING\r\n".encode())
        self._subject = subject
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._send, self._listen)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._socket.close()

    def _send(self) -> None:
        number = 0
        while not self._stop.wait(0.1):
            number += 1
            payload = json.dumps({"value": 20 + number % 10, "unit": "C"}).encode()
            try:
                self._socket.sendall(f"PUB {self._subject} {len(payload)}\r\n".encode() + payload + b"\r\n")
            except OSError:
                return

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                received = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return
            if not received:
                return
            # A PING cut in two goes unanswered once; the server allows for that.
            if b"PING\r\n" in received:
                with contextlib.suppress(OSError):
                    self._socket.sendall(b"PONG\r\n")


class Visit:
    """A page of somebody, with what it asked of whom and what went wrong in it."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.url = url
        self.foreign: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", self._asked)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._said)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:", "blob:")):
            self.foreign.append(request.url)

    def go(self, place: str) -> Page:
        """Open a page of the dashboard."""
        self.page.goto(f"{self.url}/#/{place}")
        return self.page

    def settle(self) -> None:
        """Until the page shows data, or says why it cannot."""
        expect(self.page.locator("main h1")).to_be_visible()
        expect(self.page.locator("main .waiting")).to_have_count(0)

    def look(self, name: str) -> None:
        """What is shown now, light, dark and on a phone: kept as pictures, axe finds nothing, nothing is too wide."""
        found: list[str] = []
        for theme, width in (("light", WIDE_PX), ("dark", WIDE_PX), ("dark", NARROWEST_PX)):
            self.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            self.page.set_viewport_size({"width": width, "height": 900})
            # A picture of a scrolled page would show what stays in place somewhere in its middle.
            self.page.evaluate("scrollTo(0, 0)")
            self.page.screenshot(path=RESULTS / f"{name}-{theme}-{width}.png", full_page=True)
            found += [f"{theme} {width}: {text}" for text in violations(self.page)]
            if self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                found.append(f"wider than {width} px")
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size({"width": WIDE_PX, "height": 900})
        assert found == []


class Visits:
    """Opens pages of one box in one browser and closes them at the end, when none may have asked anybody else."""

    def __init__(self, chromium: Chromium, url: str, cookie: str = "") -> None:
        """`cookie`: of the session of whom the pages are, as `name=value`."""
        self._chromium = chromium
        self._url = url
        self._cookie = cookie
        self._all: list[Visit] = []

    def __enter__(self) -> Self:
        RESULTS.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for each in self._all:
            each.context.close()
        if kind is None:
            assert [url for each in self._all for url in each.foreign] == []

    def __call__(self, *, is_admin: bool = True, width: int = WIDE_PX, theme: str = "light") -> Visit:
        """A new page, of the one with the session or of nobody."""
        context = self._chromium.new_context(
            viewport={"width": width, "height": 900 if width > 600 else 780},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
            accept_downloads=True,
        )
        if is_admin and self._cookie:
            name, _, value = self._cookie.partition("=")
            context.add_cookies([{"name": name, "value": value, "url": self._url}])
        self._all.append(Visit(context, self._url))
        return self._all[-1]


def violations(page: Page) -> list[str]:
    """What axe finds: rule, element, what to do."""
    rules = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['target']} {node.get('failureSummary')}" for rule in rules for node in rule["nodes"]]


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Fill in the login and send it."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


@contextmanager
def open_browser() -> Iterator[Chromium]:
    """Chromium without a window."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield chromium
        finally:
            chromium.close()


def fill_with_data(admin: Browser, box: DashboardBox) -> None:
    """Streams with messages of several forms, a consumer that is behind, keys, an object, people, a token, a device."""

    def made(method: str, path: str, body: Any = None, raw: bytes | None = None) -> None:
        answer = admin.request(method, path, body, raw=raw)
        assert answer.status in (200, 201), (path, answer.body)

    made("POST", "streams", {"name": "readings", "preset": "keep-a-week", "subjects": ["site.>"]})
    made("POST", "streams", {"name": "scratch", "subjects": ["scratch.>"], "max_msgs": 100})
    for number in range(12):
        made("POST", "live/publish", {"subject": "scratch.text", "data": f"note {number}"})
    made("POST", "live/publish", {"subject": "scratch.cbor", "data": "oWF2GCo=", "encoding": "base64"})
    made("POST", "streams/readings/consumers", {"name": "archive"})
    made("POST", "kv", {"name": "limits", "history": 5})
    for value in ("3.5", "4.0", '{"low": 1, "high": 5}'):
        made("PUT", "kv/limits/keys/pump-1.pressure", {"data": value})
    made("POST", "objects", {"name": "firmware"})
    made("PUT", "objects/firmware/content/pump.bin", raw=bytes(range(256)) * 1000)
    made("POST", "people", {"name": "vera", "password": PASSWORD, "role": "viewer"})
    made("POST", "people", {"name": "otto", "password": PASSWORD, "role": "operator"})
    made("POST", "tokens", {"name": "prometheus", "role": "viewer"})
