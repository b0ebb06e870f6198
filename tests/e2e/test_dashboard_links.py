"""Links of the box to elsewhere in a real browser: a real nats-server as the hub, mosquitto as the other broker.

Both are taken away while data goes on, as a line would be; the pages must say so, count what waits, and see it go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from leafbox.protocol.mqtt.packets import Version
from tests.support.box import free_port
from tests.support.dashboard import DashboardBox, Visits
from tests.support.mqtt_brokers import BrokerKind, MqttBroker
from tests.support.mqtt_client import RawMqttClient
from tests.support.servers import ServerKind, ServerProcess
from tests.support.web_client import Browser

pytestmark = [pytest.mark.capability("MO11"), pytest.mark.slow, pytest.mark.timeout(300)]

# A link that broke is tried again after pauses that grow; the rest of it is a busy machine.
PATIENCE_MS = 90_000
expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardBox]:
    with DashboardBox(tmp_path_factory.mktemp("box")) as running:
        yield running


def send(admin: Browser, subject: str, count: int) -> None:
    for number in range(count):
        assert admin.post("live/publish", {"subject": subject, "data": f"{subject} {number}"}).status == 200


def fact(page: Page, name: str) -> Locator:
    """The value beside a word of a list of facts."""
    return page.locator("dl.facts > dt").get_by_text(name, exact=True).locator("xpath=following-sibling::dd[1]").first


@pytest.mark.capability("AP07")
def test_a_hub_is_linked_tested_lost_caught_up_with_and_removed(visit: Visits, admin: Browser, tmp_path: Path) -> None:
    port = free_port()
    config = (
        f'server_name: hub\nleafnodes {{ listen: "127.0.0.1:{port}" }}\n'
        f'jetstream {{ store_dir: "{tmp_path / "store"}", domain: HUB }}\n'
    )
    somebody = visit()
    page = somebody.go("uplink")
    expect(page.get_by_text("No hub yet")).to_be_visible()
    page.get_by_role("button", name="Link to a hub").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address of the hub").fill(f"nats-leaf://127.0.0.1:{port}")
    dialog.get_by_label("Name", exact=True).fill("cloud")
    dialog.get_by_label("Not at all").check()
    dialog.get_by_label("Subjects to store and forward").fill("plant.>")
    somebody.look("uplink-new")
    with ServerProcess(ServerKind.REAL, tmp_path / "hub", config=config) as hub:
        dialog.get_by_role("button", name="Link", exact=True).click()
        expect(dialog).to_be_hidden()
        steps = page.get_by_role("list", name="Steps to the hub").get_by_role("listitem")
        expect(steps.filter(has_text="Data is stored at the hub")).to_contain_text("done", timeout=PATIENCE_MS)
        expect(page.locator(".badge").get_by_text("flowing", exact=True)).to_be_visible()
        send(admin, "plant.press", 5)
        forwarded = page.get_by_role("region", name="Forwarded by cloud").get_by_role("row").nth(1)
        expect(forwarded.get_by_role("cell").last).to_have_text("5", timeout=PATIENCE_MS)
        page.get_by_role("button", name="Test", exact=True).click()
        tested = page.get_by_role("dialog", name="Test of cloud")
        expect(tested.get_by_text("Every step to the hub works.")).to_be_visible(timeout=PATIENCE_MS)
        somebody.look("uplink-tested")
        tested.get_by_role("button", name="Close").click()
        page.get_by_role("button", name="For the hub", exact=True).click()
        expect(page.get_by_role("dialog").locator("pre")).to_contain_text("leafnodes")
        page.keyboard.press("Escape")
        somebody.look("uplink-flowing")
        hub.stop()
        expect(page.locator(".badge").get_by_text("down", exact=True)).to_be_visible(timeout=PATIENCE_MS)
        expect(steps.filter(has_text="Connected to the hub")).to_contain_text("failed")
        outage = page.get_by_role("region", name="Outages").get_by_role("row").nth(1)
        expect(outage).to_contain_text("still", timeout=PATIENCE_MS)
        send(admin, "plant.press", 40)
        expect(fact(page, "Waiting")).to_have_text(re.compile(r"^40 \("))
        send(admin, "plant.press", 10)
        expect(fact(page, "Waiting")).to_have_text(re.compile(r"^50 \("))
        page.get_by_role("button", name="Show “Waiting for the hub” as table").click()
        chart = page.get_by_role("region", name="Waiting for the hub")
        expect(chart.get_by_role("cell").get_by_text("50", exact=True).first).to_be_visible(timeout=PATIENCE_MS)
        somebody.look("uplink-down")
        hub.start()
        expect(fact(page, "Waiting")).to_have_text(re.compile(r"^0 \("), timeout=PATIENCE_MS)
        expect(steps.filter(has_text="Data is stored at the hub")).to_contain_text("done", timeout=PATIENCE_MS)
        expect(outage).not_to_contain_text("still", timeout=PATIENCE_MS)
        cells = outage.get_by_role("cell")
        expect(cells.nth(4)).to_have_text("50")
        expect(cells.nth(5)).to_have_text("50", timeout=PATIENCE_MS)
        expect(cells.nth(6)).to_have_text("0")
        page.get_by_role("button", name="Pause", exact=True).click()
        expect(page.locator(".badge").get_by_text("paused", exact=True)).to_be_visible(timeout=PATIENCE_MS)
        send(admin, "plant.press", 3)
        page.get_by_role("button", name="Remove cloud").click()
        page.get_by_label("Type cloud to go on").fill("cloud")
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(page.get_by_text("No hub yet")).to_be_visible(timeout=PATIENCE_MS)
    # What waited is kept, as the dialog had said.
    kept = [each["state"]["messages"] for each in admin.get("streams").json["streams"]]
    assert 3 in kept, kept


@pytest.mark.capability("AP42")
def test_a_bridge_is_added_lost_caught_up_with_and_removed(visit: Visits, admin: Browser, tmp_path: Path) -> None:
    somebody = visit()
    page = somebody.go("uplink")
    page.get_by_role("button", name="Add a bridge").click()
    dialog = page.get_by_role("dialog")
    with MqttBroker(BrokerKind.MOSQUITTO, tmp_path / "other", "max_queued_messages 0\n") as other:
        dialog.get_by_label("Name", exact=True).fill("works")
        dialog.get_by_label("Address of the broker").fill(f"http://127.0.0.1:{other.port}")
        dialog.get_by_label("Topics that go there").fill("line/#")
        dialog.get_by_label("Topics that come from there").fill("orders/#")
        dialog.get_by_label("What they begin with there").fill("site7/")
        somebody.look("bridge-new")
        dialog.get_by_role("button", name="Add", exact=True).click()
        expect(dialog.get_by_role("alert")).to_contain_text("no broker's address")
        dialog.get_by_label("Address of the broker").fill(f"mqtt://127.0.0.1:{other.port}")
        dialog.get_by_role("button", name="Add", exact=True).click()
        expect(dialog).to_be_hidden()
        row = page.get_by_role("region", name="Bridges").get_by_role("row").filter(has_text="works")
        expect(row).to_contain_text("flowing", timeout=PATIENCE_MS)
        reader = RawMqttClient(other.port, Version.V5)
        reader.connect("reader", keep_alive_s=0)
        reader.subscribe("site7/#", 1)
        send(admin, "line.hall", 1)
        assert reader.receive_message(60).topic == b"site7/line/hall"
        reader.close()
        somebody.look("bridge-flowing")
        other.stop()
        expect(row).to_contain_text("refused", timeout=PATIENCE_MS)
        send(admin, "line.hall", 12)
        expect(row).to_contain_text(re.compile(r"12 \("), timeout=PATIENCE_MS)
        somebody.look("bridge-refused")
        other.start()
        expect(row).to_contain_text("flowing", timeout=PATIENCE_MS)
        expect(row).to_contain_text(re.compile(r"\b0 \("), timeout=PATIENCE_MS)
        page.get_by_role("button", name="Remove works").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(page.get_by_text("None. A bridge carries topics")).to_be_visible()
    assert admin.get("bridges").json == {"bridges": []}
    assert admin.get("streams/BRIDGE_works").status == 200, "what waited is the user's"
