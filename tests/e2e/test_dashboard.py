"""The dashboard in a real browser against the running appliance with real data: what a person does and sees.

Screenshots of every page in light, dark and phone size are kept in `results/dashboard/`.
"""

from __future__ import annotations

import http.server
import json
import re
import statistics
import threading
import time
from collections.abc import Iterator

import paho.mqtt.client
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, Route, expect

from tests.support.dashboard import (
    NARROWEST_PX,
    RESULTS,
    DashboardBox,
    Sensor,
    Visits,
    fill_with_data,
    log_in,
    open_browser,
    violations,
)
from tests.support.web_client import ADMIN, PASSWORD

# A page is looked at by axe, which takes a second of processor time each on a busy machine.
pytestmark = [pytest.mark.capability("MO11"), pytest.mark.slow, pytest.mark.timeout(300)]

PAGES = (
    "",
    "flow",
    "devices",
    "live",
    "streams",
    "streams/readings",
    "streams/readings?tab=consumers",
    "kv",
    "kv/limits",
    "objects",
    "objects/firmware",
    "uplink",
    "connections",
    "access?tab=people",
    "access?tab=tokens",
    "access?tab=users",
    "access?tab=sessions",
    "access?tab=certificates",
    "system",
    "config",
    "records?tab=events",
    "records?tab=logs",
    "records?tab=audit",
)
LOAD_S_MAX = 1.0
UPDATE_S_MAX = 1.0
CONFIRM_WITHIN_S = 60
expect.set_options(timeout=10_000)


@pytest.fixture(scope="module")
def chromium(box: DashboardBox) -> Iterator[Chromium]:
    """After the box, which asks for its code in a loop of its own; Playwright occupies this thread's."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardBox]:
    with DashboardBox(tmp_path_factory.mktemp("box")) as running:
        yield running


@pytest.fixture(scope="module")
def cookie(box: DashboardBox, chromium: Chromium) -> str:
    """Claims the box in the browser, the first thing anybody does; the cookie of its administrator."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(box.url)
    expect(page.get_by_role("heading", name="Welcome to your box")).to_be_visible()
    assert violations(page) == []
    page.screenshot(path=RESULTS / "claim.png")
    page.get_by_label("One-time code").fill("wrong-code")
    page.get_by_label("Your name").fill(ADMIN)
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same password again").fill(PASSWORD + "x")
    page.get_by_role("button", name="Claim this box").click()
    expect(page.get_by_role("alert")).to_contain_text("differ")
    page.get_by_label("The same password again").fill(PASSWORD)
    page.get_by_role("button", name="Claim this box").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong_code")
    page.get_by_label("One-time code").fill(box.setup_code)
    page.get_by_role("button", name="Claim this box").click()
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    (kept,) = context.cookies()
    context.close()
    return f"{kept['name']}={kept['value']}"


@pytest.fixture(scope="module")
def site(box: DashboardBox, cookie: str) -> Iterator[DashboardBox]:
    """The claimed box with data in it and a program that sends readings."""
    fill_with_data(box.admin(), box)
    with Sensor(box.port, "press-line", "site.press.temperature"):
        yield box


@pytest.fixture
def visit(site: DashboardBox, chromium: Chromium, cookie: str) -> Iterator[Visits]:
    """Opens pages as the administrator, or as nobody; all are closed afterwards."""
    with Visits(chromium, site.url, cookie) as visits:
        yield visits


def file_name(place: str) -> str:
    return re.sub(r"\W+", "-", place.replace("?tab=", "-")) or "home"


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("dark", NARROWEST_PX)])
def test_every_page_is_accessible_fits_and_asks_nobody_else(visit: Visits, theme: str, width: int) -> None:
    somebody = visit(theme=theme, width=width)
    found: dict[str, object] = {}
    for place in PAGES:
        page = somebody.go(place)
        somebody.settle()
        page.screenshot(path=RESULTS / f"{file_name(place)}-{theme}-{width}.png", full_page=True)
        if wrong := violations(page):
            found[place] = wrong
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found[f"{place} too wide"] = page.evaluate("document.documentElement.scrollWidth")
    assert found == {}
    # What this machine or this box cannot say is told as a problem, and Chromium writes refused requests down.
    assert [error for error in somebody.errors if "501" not in error] == []


def test_the_page_loads_cold_within_a_second_and_paints_before_data(visit: Visits) -> None:
    times = []
    for _ in range(3):
        somebody = visit()
        page = somebody.go("")
        expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
        # Since the navigation began, as the page's own clock has it.
        times.append(page.evaluate("performance.now()") / 1000)
    assert statistics.median(times) <= LOAD_S_MAX, times
    slow = visit()
    slow.page.route("**/api/v1/**", lambda route: None)
    slow.go("")
    expect(slow.page.get_by_role("heading", name="Leafbox")).to_be_visible()


def test_wrong_passwords_lock_out_and_say_so(visit: Visits, site: DashboardBox) -> None:
    page = visit(is_admin=False).go("")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    page.screenshot(path=RESULTS / "login.png")
    assert violations(page) == []
    site.admin().post("people", {"name": "lena", "password": PASSWORD, "role": "viewer"})
    for _ in range(5):
        log_in(page, "lena", "not the password")
        expect(page.get_by_role("alert")).to_contain_text("wrong_login")
        expect(page.get_by_role("button", name="Log in")).to_be_enabled()
    # Even the right password has to wait now.
    log_in(page, "lena")
    expect(page.get_by_role("alert")).to_contain_text("throttled")


def test_a_viewer_cannot_purge_but_an_operator_can(visit: Visits, site: DashboardBox) -> None:
    page = visit(is_admin=False).go("streams/scratch")
    log_in(page, "vera")
    purge = page.get_by_role("button", name="Purge", exact=True)
    expect(purge).to_be_disabled()
    expect(page.get_by_role("link", name="Configuration")).to_be_visible()
    refused = page.evaluate(
        "fetch('/api/v1/streams/scratch/purge', {method: 'POST'})"
        ".then(async answer => [answer.status, (await answer.json()).code])"
    )
    assert refused[0] == 403
    assert site.admin().get("streams/scratch").json["state"]["messages"] == 13
    other = visit(is_admin=False).go("streams/scratch")
    log_in(other, "otto")
    other.get_by_role("button", name="Purge", exact=True).click()
    dialog = other.get_by_role("dialog")
    assert violations(other) == []
    action = dialog.get_by_role("button", name="Purge")
    expect(action).to_be_disabled()
    dialog.get_by_label("Type scratch to go on").fill("scratch")
    dialog.get_by_label("Only this subject").fill("scratch.cbor")
    action.click()
    expect(other.get_by_text("1 messages are gone")).to_be_visible()
    assert site.admin().get("streams/scratch").json["state"]["messages"] == 12


def test_an_ended_session_leads_to_the_login_and_back(visit: Visits, site: DashboardBox) -> None:
    page = visit(is_admin=False).go("connections")
    log_in(page, "otto")
    expect(page.get_by_role("heading", name="Connections")).to_be_visible()
    admin = site.admin()
    for session in admin.get("sessions").json["sessions"]:
        if session["name"] == "otto":
            assert admin.delete(f"sessions/{session['id']}").status == 200
    expect(page.get_by_text("Your session ended")).to_be_visible(timeout=15_000)
    log_in(page, "otto")
    expect(page.get_by_role("heading", name="Connections")).to_be_visible()


def test_another_origin_can_change_nothing(visit: Visits, site: DashboardBox) -> None:
    """The other page is on the same host, so that even a strict cookie is sent: only its origin tells it apart."""

    class Evil(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>evil</title>")

        def log_message(self, format: str, *arguments: object) -> None:
            """Quiet."""

    with http.server.HTTPServer(("127.0.0.1", 0), Evil) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        somebody = visit()
        page = somebody.page
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.evaluate(
            "url => fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include', body: '{\"name\": \"EVIL\"}',"
            " headers: {'Content-Type': 'text/plain'}}).catch(() => null)",
            f"{site.url}/api/v1/streams",
        )
        status = f"{site.url}/api/v1/status"
        reading = "url => fetch(url, {credentials: 'include'}).then(() => 'read', () => 'refused')"
        read = page.evaluate(reading, status)
        server.shutdown()
    # Here the other page is what the test is about; nothing of the dashboard's asked it anything.
    assert {url.rsplit("/", 1)[0] for url in somebody.foreign} == {f"http://127.0.0.1:{server.server_port}"}
    somebody.foreign.clear()
    assert read == "refused"
    assert site.admin().get("streams/EVIL").status == 404


def test_a_published_message_is_on_screen_within_a_second(visit: Visits, site: DashboardBox) -> None:
    page = visit().go("live?subject=watch.%3E")
    expect(page.get_by_text("listening")).to_be_visible()
    admin = site.admin()
    taken = []
    for number in range(3):
        started = time.monotonic()
        assert admin.post("live/publish", {"subject": "watch.door", "data": f"open {number}"}).status == 200
        expect(page.locator(".message").filter(has_text=f"open {number}")).to_be_visible()
        taken.append(time.monotonic() - started)
    assert statistics.median(taken) <= UPDATE_S_MAX, taken
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused")).to_be_visible()
    page.get_by_label("Subject", exact=True).fill("watch.window")
    page.get_by_label("Value", exact=True).fill("closed")
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_text("no stream keeps this subject")).to_be_visible()


def test_the_page_says_that_it_is_offline_and_reconnects(visit: Visits, site: DashboardBox) -> None:
    page = visit().go("streams")
    expect(page.get_by_role("link", name="readings")).to_be_visible()
    page.wait_for_timeout(1000)
    site.kill_web()
    banner = page.get_by_text("No connection to the box")
    expect(banner).to_be_visible(timeout=15_000)
    page.screenshot(path=RESULTS / "offline.png")
    site.wait_web()
    expect(banner).to_be_hidden(timeout=30_000)
    assert site.admin().post("streams", {"name": "afterwards", "subjects": ["afterwards"]}).status == 201
    expect(page.get_by_role("link", name="afterwards")).to_be_visible(timeout=10_000)
    site.admin().delete("streams/afterwards")


def test_a_stream_is_made_in_plain_words_and_its_messages_read(visit: Visits, site: DashboardBox) -> None:
    page = visit().go("streams")
    page.get_by_role("button", name="New stream").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Name")).to_be_focused()
    dialog.get_by_label("Name").fill("orders")
    dialog.get_by_label("Subjects").fill("orders.>")
    dialog.get_by_label("A queue of work").check()
    assert violations(page) == []
    page.screenshot(path=RESULTS / "new-stream.png")
    dialog.get_by_role("button", name="Make it").click()
    expect(dialog).to_be_hidden()
    config = site.admin().get("streams/orders").json["config"]
    assert (config["retention"], config["subjects"]) == ("workqueue", ["orders.>"])
    site.admin().post("live/publish", {"subject": "orders.new", "data": "oWF2GCo=", "encoding": "base64"})
    page.get_by_role("link", name="orders").click()
    expect(page.get_by_text('{ "v": 42 }')).to_be_visible()
    page.get_by_label("Show values as").select_option("hex")
    expect(page.get_by_text("a1 61 76 18 2a")).to_be_visible()


def test_a_device_added_on_the_page_sends_its_first_reading(visit: Visits, site: DashboardBox) -> None:
    page = visit().go("devices")
    page.get_by_role("button", name="Add a device").first.click()
    page.get_by_role("dialog").get_by_label("Name").fill("pump-1")
    page.get_by_role("dialog").get_by_role("button", name="Add", exact=True).click()
    dialog = page.get_by_role("dialog", name="Credential of pump-1")
    expect(dialog.get_by_text("The password is shown only now")).to_be_visible()
    assert violations(page) == []
    page.screenshot(path=RESULTS / "device-credential.png")
    user, password = dialog.locator("dl code").all_inner_texts()
    client = paho.mqtt.client.Client(CallbackAPIVersion.VERSION2, client_id="pump-1")
    client.username_pw_set(user, password)
    client.connect("127.0.0.1", site.mqtt_port)
    client.loop_start()
    client.publish("pump-1/pressure", b"3.25", qos=1).wait_for_publish(20)
    dialog.get_by_role("button", name="Done").click()
    row = page.get_by_role("row").filter(has_text="pump-1")
    expect(row).to_contain_text("online")
    expect(row).to_contain_text("MQTT")
    expect(row).to_contain_text("3.25")
    assert site.admin().get("devices/pump-1").json["messages"] == 1
    client.disconnect()
    client.loop_stop()
    row.get_by_role("link", name="pump-1").click()
    page.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("heading", name="Devices")).to_be_visible()
    assert site.admin().get("devices").json["devices"] == []


def test_a_configuration_is_checked_applied_and_taken_back(visit: Visits, site: DashboardBox) -> None:
    somebody = visit()
    page = somebody.go("config")
    editor = page.get_by_label("Text of the configuration")
    before = editor.input_value()
    editor.fill(before + "\nmax_paylod: 1MB\n")
    line = len(before.split("\n")) + 1
    expect(page.get_by_role("button", name=re.compile(rf"Line {line}, column 1"))).to_be_visible()
    expect(page.get_by_role("button", name="Review and apply")).to_be_disabled()
    assert violations(page) == []
    page.screenshot(path=RESULTS / "config-wrong.png")
    editor.fill(before + "\nmax_payload: 777216\n")
    page.get_by_role("button", name="Review and apply").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".added").filter(has_text="max_payload: 777216")).to_be_visible()
    assert violations(page) == []
    dialog.get_by_role("button", name="Apply").click()
    keep = page.get_by_role("button", name="Keep it")
    expect(keep).to_be_visible()
    expect(page.get_by_text(re.compile(r"taken back by itself in \d+ seconds"))).to_be_visible()
    page.screenshot(path=RESULTS / "config-trial.png")
    assert site.admin().get("/varz").json["max_payload"] == 777216
    page.get_by_role("button", name="Take it back now").click()
    expect(keep).to_be_hidden()
    assert site.admin().get("/varz").json["max_payload"] == 1048576
    # Nobody confirms: it comes back by itself, and the page shows it. The page's minute passes in five seconds here.
    page.route("**/api/v1/config/apply", hurry)
    editor.fill(before + "\nmax_payload: 888216\n")
    page.get_by_role("button", name="Review and apply").click()
    dialog.get_by_role("button", name="Apply").click()
    expect(keep).to_be_visible()
    assert site.admin().get("/varz").json["max_payload"] == 888216
    expect(keep).to_be_hidden(timeout=30_000)
    assert site.admin().get("/varz").json["max_payload"] == 1048576
    expect(editor).to_have_value(before)


def hurry(route: Route) -> None:
    asked = route.request.post_data_json
    assert isinstance(asked, dict)
    assert asked["confirm_within_s"] == CONFIRM_WITHIN_S
    route.continue_(post_data=json.dumps(asked | {"confirm_within_s": 5}))


def test_the_keyboard_reaches_everything(visit: Visits) -> None:
    somebody = visit()
    page = somebody.go("")
    somebody.settle()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the page")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for name in ("Flow", "Devices"):
        page.get_by_role("link", name=name, exact=True).first.focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Shift+Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        expect(page.locator("main h1")).to_be_focused()
        expect(page.locator("main h1")).to_have_text(name)


FOCUSABLE = (
    "a[href], button:enabled, input:enabled:not([type=radio]):not([type=file]), select, textarea, [tabindex='0']"
)


def tab_through(page: Page) -> set[str]:
    """What Tab stops at, from the beginning of the page on, as numbers that the page's elements were given."""
    page.evaluate(
        "selector => [...document.querySelectorAll(selector)].filter(each => each.checkVisibility())"
        ".forEach((each, index) => each.dataset.stop = index)",
        FOCUSABLE,
    )
    page.evaluate("document.activeElement.blur()")
    seen: set[str] = set()
    while True:
        page.keyboard.press("Tab")
        stop = page.evaluate("document.activeElement.dataset.stop ?? ''")
        if stop in seen or (not stop and seen):
            return seen
        seen.add(stop)


@pytest.mark.parametrize("place", ["live", "streams/readings", "uplink", "access?tab=users", "config"])
def test_tab_stops_at_everything_that_can_be_used(visit: Visits, place: str) -> None:
    somebody = visit()
    page = somebody.go(place)
    somebody.settle()
    # What comes with time would be new between counting and walking.
    page.route("**/api/v1/**", lambda route: None)
    for _ in range(3):
        seen = tab_through(page)
        stops = {str(number) for number in range(page.locator("[data-stop]").count())}
        # An answer that was still under way may have brought something new.
        if seen == stops:
            break
    assert len(stops) > 15
    assert seen == stops


def test_a_dialog_keeps_the_focus_and_gives_it_back(visit: Visits) -> None:
    page = visit().go("streams")
    button = page.get_by_role("button", name="New stream").first
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_label("Name")).to_be_focused()
    for _ in range(40):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(button).to_be_focused()


def test_the_theme_is_chosen_and_kept_and_a_chart_has_its_table(visit: Visits) -> None:
    somebody = visit()
    page = somebody.go("")
    somebody.settle()
    light = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_role("button", name="Colours as the system has them").click()
    page.get_by_role("button", name="Light colours").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    somebody.settle()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != light
    page.get_by_role("button", name="Show “Messages” as table").click()
    expect(page.get_by_role("region", name="Messages").get_by_role("row").nth(1)).to_be_visible()
    page.get_by_role("button", name="Deutsch").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
