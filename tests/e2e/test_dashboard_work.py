"""What people do with the dashboard from day to day, in a real browser: data, connections, access, backups."""

from __future__ import annotations

import asyncio
import base64
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.msg import Msg
from playwright.sync_api import Page, expect

from tests.support.boxes import run_command, running_box
from tests.support.certificates import TestAuthority
from tests.support.dashboard import RESULTS, DashboardBox, Visits, log_in
from tests.support.web_client import PASSWORD, Browser

pytestmark = [pytest.mark.capability("MO11"), pytest.mark.slow, pytest.mark.timeout(300)]

CLOCK_SHIFT = Path(__file__).parents[1] / "support" / "clock_shift.c"
SESSION_IDLE_S = 12 * 3600
LOGIN = {"user": "plc", "password": "a word of the plc"}
PATIENCE_MS = 60_000
expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("box")


@pytest.fixture(scope="module")
def box(folder: Path) -> Iterator[DashboardBox]:
    """With a user who may not do everything, a listener with a certificate, and a clock that can be set."""
    compiler = shutil.which("gcc")
    assert compiler is not None
    library = folder / "clock_shift.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, CLOCK_SHIFT, "-ldl"], check=True)
    (folder / "shift").write_text("0")
    issued = TestAuthority(folder).issue_server()
    config = (
        'authorization { users: [ { user: plc, password: "a word of the plc",'
        ' permissions: { publish: { allow: "plant.>", deny: "plant.secret" }, subscribe: "plant.>",'
        " allow_responses: true } } ] }\n"
        ""
        'websocket { listen: "127.0.0.1:-1"\n'
        f'  tls {{ cert_file: "{issued.cert_file}", key_file: "{issued.key_file}" }} }}\n'
    )
    environment = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(folder / "shift")}
    with DashboardBox(folder, config, environment) as running:
        yield running


class Responder:
    """The user of the PLC: answers `plant.ask`, until the block ends or the box ends the connection."""

    def __init__(self, box: DashboardBox) -> None:
        self._url = f"nats://127.0.0.1:{box.port}"
        self._ended = threading.Event()
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.was_closed = threading.Event()

    def __enter__(self) -> Responder:
        self._thread.start()
        assert self._is_ready.wait(60)
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join(30)

    async def _run(self) -> None:
        async def answer(message: Msg) -> None:
            await message.respond(b'{"asked": "' + message.data + b'"}')

        async def closed() -> None:
            self.was_closed.set()

        async def quiet(_error: Exception) -> None:
            """What is told by the closing."""

        client = await nats.connect(
            self._url, name="plc", allow_reconnect=False, disconnected_cb=closed, error_cb=quiet, **LOGIN
        )
        await client.subscribe("plant.ask", cb=answer)
        await client.flush(30)
        self._is_ready.set()
        await asyncio.to_thread(self._ended.wait)
        if not client.is_closed:
            await client.close()


def confirm(page: Page, action: str, word: str = "") -> None:
    """Go through with what a dialog asks."""
    dialog = page.get_by_role("dialog")
    if word:
        dialog.get_by_label(f"Type {word} to go on").fill(word)
    dialog.get_by_role("button", name=action, exact=True).click()
    expect(dialog).to_be_hidden()


def test_live_messages_are_decoded_and_a_request_is_answered(visit: Visits, box: DashboardBox, admin: Browser) -> None:
    somebody = visit()
    page = somebody.go("live?subject=plant.*.out")
    expect(page.get_by_text("listening")).to_be_visible()
    forms = {"cbor": b"\xa1avG?\xf0\x00\x00\x00\x00\x00"[:3] + b"\x18\x2a", "msgpack": b"\x81\xa1v\x2a", "text": b"on"}
    for name, content in forms.items():
        body = {"subject": f"plant.{name}.out", "data": base64.b64encode(content).decode(), "encoding": "base64"}
        assert admin.post("live/publish", body).status == 200
    assert admin.post("live/publish", {"subject": "plant.not", "data": "unheard"}).status == 200
    messages = page.get_by_role("log", name="Messages").get_by_role("article")
    expect(messages).to_have_count(3)
    shown = page.get_by_label("Show values as")
    for name, text in (("cbor", '{ "v": 42 }'), ("msgpack", '{ "v": 42 }'), ("text", "on")):
        shown.select_option(name)
        message = messages.filter(has_text=f"plant.{name}.out")
        expect(message.locator("pre")).to_have_text(text)
    shown.select_option("hex")
    expect(messages.filter(has_text="plant.text.out").locator("pre")).to_contain_text("6f 6e")
    expect(page.get_by_role("region", name="Subjects").get_by_title("plant.not", exact=True)).to_be_visible()
    page.get_by_label("Subject to listen to").fill("plant..out")
    expect(page.get_by_text("There is an empty word between two dots.")).to_be_visible()
    page.get_by_label("Subject", exact=True).fill("plant.ask")
    page.get_by_label("Value", exact=True).fill("pressure")
    with Responder(box):
        page.get_by_role("button", name="Request", exact=True).click()
        expect(page.get_by_text("Answered in")).to_be_visible()
        expect(page.get_by_text('"asked": "pressure"')).to_be_visible()
        somebody.look("live-answered")
    page.get_by_role("button", name="Request", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("no_responders")


def test_keys_and_objects_are_made_read_changed_and_deleted(visit: Visits, admin: Browser, tmp_path: Path) -> None:
    somebody = visit()
    page = somebody.go("kv")
    page.get_by_role("button", name="New bucket").first.click()
    page.get_by_label("Name", exact=True).fill("setpoints")
    page.get_by_label("Values kept of each key").fill("3")
    confirm(page, "Make it")
    page.get_by_role("link", name="setpoints").click()
    page.get_by_role("button", name="Set a value").click()
    page.get_by_label("Key", exact=True).fill("press.max")
    page.get_by_label("Value", exact=True).fill("3.5")
    confirm(page, "Store")
    page.get_by_role("button", name="press.max").click()
    page.get_by_role("button", name="Change", exact=True).click()
    page.get_by_label("Value", exact=True).fill("4.5")
    confirm(page, "Store")
    row = page.get_by_role("region", name="Keys").get_by_role("row").filter(has_text="press.max")
    expect(row).to_contain_text("4.5")
    page.get_by_role("button", name="press.max").click()
    expect(page.get_by_role("dialog").get_by_text("Earlier values")).to_be_visible()
    expect(page.get_by_role("dialog").get_by_text("3.5")).to_be_visible()
    somebody.look("kv-key")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    confirm(page, "Delete")
    expect(page.get_by_text("This bucket is empty")).to_be_visible()
    page.get_by_role("button", name="Delete", exact=True).click()
    confirm(page, "Delete", "setpoints")
    expect(page.get_by_text("No bucket yet")).to_be_visible()

    page = somebody.go("objects")
    page.get_by_role("button", name="New store").first.click()
    page.get_by_label("Name", exact=True).fill("recipes")
    confirm(page, "Make it")
    page.get_by_role("link", name="recipes").click()
    recipe = tmp_path / "bread 1.bin"
    recipe.write_bytes(bytes(range(256)) * 700)
    page.locator("input[type=file]").set_input_files(recipe)
    page.get_by_role("button", name="Upload bread 1.bin").click()
    expect(page.get_by_role("region", name="Objects")).to_contain_text("175 KiB")
    with page.expect_download() as begun:
        page.get_by_role("link", name="Download bread 1.bin").click()
    assert Path(begun.value.path()).read_bytes() == recipe.read_bytes()
    page.get_by_role("button", name="Delete bread 1.bin").click()
    confirm(page, "Delete")
    expect(page.get_by_text("This store is empty")).to_be_visible()
    page.get_by_role("button", name="Delete", exact=True).click()
    confirm(page, "Delete", "recipes")
    expect(page.get_by_text("No store yet")).to_be_visible()
    assert admin.get("objects").json["stores"] == []


def test_a_consumer_is_made_paused_let_go_on_and_set_back(visit: Visits, admin: Browser) -> None:
    assert admin.post("streams", {"name": "line", "subjects": ["line.>"]}).status == 201
    for number in range(7):
        assert admin.post("live/publish", {"subject": "line.a", "data": str(number)}).json["stream"] == "line"
    somebody = visit()
    page = somebody.go("streams/line?tab=consumers")
    page.get_by_role("button", name="New consumer").click()
    page.get_by_label("Name", exact=True).fill("archive")
    confirm(page, "Make it")
    row = page.get_by_role("region", name="Consumers").get_by_role("row").filter(has_text="archive")
    expect(row.get_by_role("cell").nth(2)).to_have_text("7")
    page.get_by_role("button", name="Pause archive").click()
    page.get_by_label("For how long").fill("soon")
    expect(page.get_by_role("dialog").get_by_role("button", name="Pause", exact=True)).to_be_disabled()
    page.get_by_label("For how long").fill("2h")
    confirm(page, "Pause")
    expect(row).to_contain_text("paused")
    assert admin.get("streams/line/consumers/archive").json["paused"] is True
    somebody.look("consumer-paused")
    page.get_by_role("button", name="Let archive go on").click()
    expect(row).not_to_contain_text("paused")
    page.get_by_role("button", name="Start archive again").click()
    page.get_by_label("From number").fill("5")
    confirm(page, "Start again")
    expect(row.get_by_role("cell").nth(2)).to_have_text("3")
    page.get_by_role("button", name="Delete archive").click()
    confirm(page, "Delete")
    expect(page.get_by_text("Nobody takes from this stream")).to_be_visible()


def test_a_connection_is_seen_answered_by_and_closed(visit: Visits, box: DashboardBox) -> None:
    somebody = visit()
    with Responder(box) as responder:
        page = somebody.go("connections")
        row = page.get_by_role("row").filter(has_text="plc")
        expect(row).to_be_visible()
        page.get_by_role("button", name="plc", exact=True).click()
        expect(page.get_by_role("dialog").get_by_text("plant.ask")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Close the connection of plc").click()
        confirm(page, "Close it")
        assert responder.was_closed.wait(30)
        expect(row).to_be_hidden()
        page.get_by_role("button", name="Closed lately").click()
        expect(page.get_by_role("row").filter(has_text="plc").filter(has_text="Kicked")).to_be_visible()


def test_access_is_tested_given_and_taken(visit: Visits, box: DashboardBox, admin: Browser) -> None:
    somebody = visit()
    page = somebody.go("access?tab=users")
    expect(page.get_by_role("row").filter(has_text="plc")).to_contain_text("plant.secret")
    page.get_by_label("User", exact=True).fill("plc")
    for subject, answer in (("plant.press", "Yes, that is allowed"), ("plant.secret", "No, that is refused")):
        page.get_by_label("Subject", exact=True).fill(subject)
        page.get_by_role("button", name="Ask").click()
        expect(page.get_by_text(answer)).to_be_visible()
    page.get_by_label("Does what").select_option("subscribe")
    page.get_by_label("Subject", exact=True).fill("other")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_text("No, that is refused")).to_be_visible()
    somebody.look("access-tested")

    page = somebody.go("access?tab=people")
    page.get_by_role("button", name="Add a person").click()
    page.get_by_label("Name", exact=True).fill("nina")
    page.get_by_label("First password").fill("short")
    page.get_by_role("dialog").get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
    page.get_by_label("First password").fill(PASSWORD)
    confirm(page, "Add")
    other = visit(is_admin=False)
    log_in(other.go(""), "nina")
    expect(other.page.get_by_role("navigation", name="Pages")).to_be_visible()
    page.get_by_role("button", name="Change nina").click()
    page.get_by_role("radio", name="Operator").check()
    confirm(page, "Change")
    expect(page.get_by_role("row").filter(has_text="nina")).to_contain_text("Operator")
    page.get_by_role("button", name="Remove nina").click()
    confirm(page, "Remove")
    expect(other.page.get_by_role("button", name="Log in")).to_be_visible(timeout=PATIENCE_MS)

    page = somebody.go("access?tab=tokens")
    page.get_by_role("button", name="New token").click()
    page.get_by_label("Name", exact=True).fill("prometheus")
    page.get_by_role("checkbox", name="monitoring").check()
    page.get_by_role("dialog").get_by_role("button", name="Make it").click()
    shown = page.get_by_role("dialog", name="Token prometheus")
    secret = shown.locator("pre").first.inner_text()
    script = Browser(box.url, token=secret, origin=None)
    assert script.get("/varz").status == 200
    assert script.get("streams").code == "scope_missing"
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Remove prometheus").click()
    confirm(page, "Remove")
    assert script.get("/varz").code == "login_needed"

    page = somebody.go("access?tab=certificates")
    expect(page.get_by_role("heading", name="Listener WebSocket")).to_be_visible()
    expect(page.get_by_text("CN=localhost").first).to_be_visible()
    somebody.look("access-certificates")


@pytest.mark.capability("OP06")
def test_a_backup_is_made_checked_taken_away_and_a_new_box_made_of_it(
    visit: Visits, admin: Browser, tmp_path: Path
) -> None:
    assert admin.post("streams", {"name": "kept", "subjects": ["kept.>"]}).status == 201
    assert admin.post("live/publish", {"subject": "kept.a", "data": "worth keeping"}).json["stored"] is True
    somebody = visit()
    page = somebody.go("system")
    page.get_by_role("button", name="Make a backup").click()
    page.get_by_label("Passphrase").fill("short")
    page.get_by_role("dialog").get_by_role("button", name="Make it").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("8 characters")
    page.get_by_label("Passphrase").fill(PASSWORD)
    page.get_by_role("dialog").get_by_role("button", name="Make it").click()
    expect(page.get_by_role("dialog")).to_be_hidden(timeout=PATIENCE_MS)
    row = page.get_by_role("region", name="Backups").get_by_role("row").nth(1)
    expect(row).to_contain_text("complete")
    for passphrase, said in (("a wrong passphrase", "this is not its passphrase"), (PASSWORD, "The backup is sound")):
        page.get_by_role("button", name="Check leafbox-").click()
        page.get_by_label("Passphrase").fill(passphrase)
        page.get_by_role("dialog").get_by_role("button", name="Check", exact=True).click()
        expect(page.get_by_text(said)).to_be_visible(timeout=PATIENCE_MS)
        expect(page.get_by_role("dialog")).to_be_hidden()
        page.locator(".toasts").get_by_role("button", name="Close").first.click()
    somebody.look("backups")
    with page.expect_download() as begun:
        page.get_by_role("link", name="Download leafbox-").click()
    file = tmp_path / "taken.backup"
    begun.value.save_as(file)
    restored = run_command("backup", "restore", str(file), "--data", str(tmp_path / "data"), typed=PASSWORD + "\n")
    assert restored.returncode == 0, restored.stderr
    with running_box(tmp_path) as new:

        async def stored() -> bytes | None:
            async with await nats.connect(new.url) as client:
                return (await client.jetstream().get_msg("kept", 1)).data

        # In a thread: this one is Playwright's.
        found: list[bytes | None] = []
        reading = threading.Thread(target=lambda: found.append(asyncio.run(stored())))
        reading.start()
        reading.join(60)
        assert found == [b"worth keeping"]


def test_what_happened_is_on_record(visit: Visits, admin: Browser) -> None:
    somebody = visit()
    page = somebody.go("records?tab=audit")
    expect(page.get_by_role("region", name="Audit").get_by_role("row").nth(1)).to_contain_text("admin")
    page = somebody.go("records?tab=logs")
    lines = page.get_by_role("log", name="Logs")
    expect(lines).to_contain_text("Server is ready")
    page.get_by_label("Only lines with").fill("websocket")
    expect(lines).not_to_contain_text("Server is ready")
    expect(lines).to_contain_text("Listening for websocket clients")


def test_a_login_that_nobody_used_for_half_a_day_ends(visit: Visits, folder: Path, box: DashboardBox) -> None:
    """Last in this file: the clock of the box goes on by half a day, and its users' logins end."""
    page = visit().go("connections")
    expect(page.get_by_role("heading", name="Connections")).to_be_visible()
    # The page itself asks now and then, which is no activity of a person but keeps a login; so it is away meanwhile.
    page.goto("about:blank")
    (folder / "shift").write_text(str(SESSION_IDLE_S + 3600))
    page.goto(f"{box.url}/#/connections")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    page.screenshot(path=RESULTS / "login-after-expiry.png")
    log_in(page, "admin")
    expect(page.get_by_role("heading", name="Connections")).to_be_visible()
