"""The web process as a process: memory, death and return, TLS, headers, and that every route asks who comes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import nats
import psutil
import pytest

from leafbox.web import certificates
from leafbox.web.app import OPEN_OPERATIONS, document, make_application
from leafbox.web.settings import Settings
from tests.support.certificates import TestAuthority
from tests.support.web_client import ADMIN, Browser, RunningBox

CORE_RSS_MAX = 60 * 2**20
WEB_RSS_MAX = 90 * 2**20


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBox]:
    with RunningBox(tmp_path_factory.mktemp("box")) as running:
        yield running


@pytest.fixture(scope="module")
def admin(box: RunningBox) -> Browser:
    return box.claim()


@pytest.mark.memory
@pytest.mark.capability("AP08")
def test_memory_at_the_start(box: RunningBox) -> None:
    box.browser().get("setup")
    assert psutil.Process(box.core_pid).memory_info().rss <= CORE_RSS_MAX
    assert psutil.Process(box.web_pid).memory_info().rss <= WEB_RSS_MAX


def operations() -> list[tuple[str, str, str]]:
    """(method, path with examples, operation id) of everything the API documents."""
    found = []
    for path, methods in document(make_application(Settings())[1])["paths"].items():
        for method, operation in methods.items():
            example = re.sub(r"\{(\w+)\}", lambda match: "1" if match[1] in ("cid", "seq") else "pause", path)
            found.append((method.upper(), example, operation["operationId"]))
    return found


@pytest.mark.capability("AP06", "MO11")
def test_no_route_tells_anything_without_a_login(box: RunningBox, admin: Browser) -> None:
    assert len(operations()) > 70
    stranger, forged = box.browser(), Browser(box.url, cookie="leafbox_session=" + "A" * 43)
    bearer = Browser(box.url, token="lbx_" + "A" * 43)
    for method, path, name in operations():
        if name in OPEN_OPERATIONS:
            continue
        for visitor in (stranger, forged, bearer):
            answer = visitor.request(method, path, {} if method in ("POST", "PUT", "PATCH") else None)
            assert (answer.status, answer.code) == (401, "login_needed"), (method, path, answer.status)
            assert answer.headers["content-type"] == "application/problem+json"
    assert stranger.get("openapi.json").status == 401


VIEWERS_MAY = {
    "get_session", "logout", "list_sessions", "end_session", "change_person", "test_access", "list_access_users",
    "list_certificates", "download_authority", "get_status", "list_issues", "get_history", "get_flow", "get_system",
    "list_happenings", "watch_events", "list_devices", "get_device", "list_uplinks", "list_outages", "get_hub_snippet",
    "list_bridges", "list_connections", "get_connection", "list_subjects", "tail_messages", "list_streams",
    "get_stream", "list_messages", "get_message", "list_consumers", "get_consumer", "list_buckets", "get_bucket",
    "get_key", "list_object_stores", "get_object_store", "download_object", "varz", "connz", "jsz", "subsz", "leafz",
    "accountz", "accstatz", "routez", "gatewayz", "metrics",
}  # fmt: skip
ADMINS_ONLY = {
    "list_people", "add_person", "remove_person", "list_tokens", "add_token", "remove_token", "list_audit",
    "list_backups", "create_backup", "download_backup", "verify_backup", "restore_backup", "get_config",
    "check_config", "diff_config", "apply_config", "confirm_config", "revert_config", "add_uplink", "remove_uplink",
    "add_bridge", "remove_bridge",
}  # fmt: skip


@pytest.mark.capability("AP06", "MO11")
def test_what_each_role_may(box: RunningBox, admin: Browser) -> None:
    secrets = {}
    for role in ("viewer", "operator"):
        secrets[role] = admin.post("tokens", {"name": role, "role": role}).json["secret"]
    viewer, operator = (Browser(box.url, token=secrets[role], origin=None) for role in ("viewer", "operator"))
    for method, path, name in operations():
        if name in OPEN_OPERATIONS or name in ("watch_events", "tail_messages", "tail_logs"):
            continue
        body: dict[str, object] | None = {} if method in ("POST", "PUT", "PATCH") else None
        if name not in VIEWERS_MAY:
            assert viewer.request(method, path, body).json["code"] == "role_missing", name
        if name in ADMINS_ONLY:
            assert operator.request(method, path, body).json["code"] == "role_missing", name
        elif name not in VIEWERS_MAY:
            refused = operator.request(method, path, body)
            assert refused.status < 300 or refused.code != "role_missing", name


@pytest.mark.capability("MO11")
def test_the_page_and_its_headers(box: RunningBox) -> None:
    page = box.browser().get("/")
    assert page.status == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert (page.headers["x-frame-options"], page.headers["x-content-type-options"]) == ("DENY", "nosniff")
    assert box.browser().get("/streams/SITE").body == page.body, "pages of the dashboard are found by it"
    assert box.browser().get("/nothing.js").status == 404
    assert box.browser().get("/../../etc/passwd").status in (200, 404)
    assert b"root:" not in box.browser().get("/%2e%2e/%2e%2e/etc/passwd").body
    unknown = box.browser().get("/api/v1/nothing")
    assert (unknown.status, unknown.code) == (404, "not_found")
    assert unknown.headers["cache-control"] == "no-store"
    large = box.browser().post("/api/v1/session", raw=b"x" * (3 * 2**20))
    assert (large.status, large.code) == (413, "too_large")


@pytest.mark.capability("AP08", "MO11")
def test_a_killed_web_process_costs_core_nothing_and_comes_back(box: RunningBox, admin: Browser) -> None:
    async def scenario() -> None:
        async with await nats.connect(box.nats_url) as client:
            inbox = await client.subscribe("kept.alive")
            os.kill(box.web_pid, signal.SIGKILL)
            for number in range(200):
                await client.publish("kept.alive", b"%d" % number)
                assert (await inbox.next_msg(timeout=2)).data == b"%d" % number
            assert client.stats["reconnects"] == 0

    asyncio.run(scenario())
    box.wait_for_web()
    # Sessions outlive the web process; only the address is another one here, as the port was left to chance.
    again = Browser(box.url, cookie=admin.cookie)
    assert again.get("session").json["name"] == ADMIN
    admin.url = box.url


class Ticking:
    """A publisher that says something every 100 ms until the block ends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._tick()))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    async def _tick(self) -> None:
        async with await nats.connect(self._url) as client:
            while not self._ended.is_set():
                await client.publish("tick", b"")
                await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.capability("AP08", "MO11")
def test_a_wedged_web_process_holds_up_no_publisher(box: RunningBox, admin: Browser) -> None:
    admin.get("live/subjects")
    with admin.events("live/tail?subject=%3E") as events, Ticking(box.nats_url):
        # The first message on the page shows that it is being watched.
        assert next(events)[0] in ("message", "sampled", "core")
        web = psutil.Process(box.web_pid)
        web.suspend()
        try:

            async def publish() -> float:
                async with await nats.connect(box.nats_url) as client:
                    started = time.monotonic()
                    for _ in range(3000):
                        await client.publish("storm", b"x" * 20_000)
                    await client.flush(timeout=30)
                    return time.monotonic() - started

            # 60 MB; a publisher that is made to wait for a reader loses seconds.
            assert asyncio.run(publish()) < 8
        finally:
            web.resume()
        assert next(events)[0] in ("message", "sampled", "core")


@pytest.mark.capability("AP06")
def test_certificates_of_listeners_are_shown_without_their_keys(tmp_path: Path) -> None:
    issued = TestAuthority(tmp_path).issue_server()
    both = tmp_path / "both.pem"
    both.write_bytes(issued.key_file.read_bytes() + issued.cert_file.read_bytes())
    config = f'listen: "127.0.0.1:-1"\ntls {{ cert_file: "{both}", key_file: "{both}" }}\n'
    with RunningBox(tmp_path, config=config) as box:
        found = box.claim().get("certificates")
        assert b"PRIVATE" not in found.body
        (listener,) = found.json["certificates"]
        assert (listener["kind"], listener["where"]) == ("listener", "NATS")
        assert listener["not_after_s"] == issued.certificate.not_valid_after_utc.timestamp()
        assert "localhost" in listener["names"]


@pytest.mark.capability("AP06")
def test_beyond_this_machine_there_is_only_tls(tmp_path: Path) -> None:
    settings = Settings(port=0, data=str(tmp_path / "data"), tls=True)
    with RunningBox(tmp_path, settings=settings) as box:
        assert box.url.startswith("https://")
        authority = certificates.directory_of(box.data) / "authority.pem"
        browser = box.browser()
        browser.tls = ssl.create_default_context(cafile=str(authority))
        assert browser.get("setup").json == {"claimed": False, "box_name": "", "version": ""}
        code = box.setup_code()
        claimed = browser.post("setup", {"code": code, "name": ADMIN, "password": "correct horse battery"})
        assert claimed.headers["set-cookie"].startswith("__Host-leafbox_session=")
        assert "; secure" in claimed.headers["set-cookie"].lower()
        assert "max-age" in claimed.headers["strict-transport-security"]
        listed = browser.get("certificates").json
        assert [each["kind"] for each in listed["certificates"]] == ["authority", "server"]
        assert browser.get("certificates/authority").body == authority.read_bytes()
        untrusting = Browser(box.url, tls=ssl.create_default_context())
        with pytest.raises(ssl.SSLCertVerificationError):
            untrusting.get("setup")
    key = certificates.directory_of(tmp_path / "data") / "server.key"
    assert key.stat().st_mode & 0o077 == 0
    assert not Settings(host="0.0.0.0").is_local
    assert Settings(host="0.0.0.0").uses_tls
    assert not Settings(host="127.0.0.1").uses_tls
