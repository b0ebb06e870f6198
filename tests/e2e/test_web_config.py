"""The configuration by dashboard: checked with places, tried, undone by itself, kept when confirmed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest

from tests.support.web_client import Browser, RunningBox

pytestmark = pytest.mark.capability("MO11", "CF03", "CF08")

CONFIRM_S = 5


def payload_limit(box: RunningBox) -> int:
    async def ask() -> int:
        async with await nats.connect(box.nats_url) as client:
            return client.max_payload

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("box")


@pytest.fixture(scope="module")
def box(folder: Path) -> Iterator[RunningBox]:
    with RunningBox(folder) as running:
        yield running


@pytest.fixture(scope="module")
def admin(box: RunningBox) -> Browser:
    return box.claim()


def test_a_box_without_a_file_shows_the_file_that_says_the_same(admin: Browser) -> None:
    config = admin.get("config").json
    assert (config["path"], config["pending_revert_s"], config["previous"]) == ("", 0, False)
    assert 'listen: "127.0.0.1:' in config["text"]
    checked = admin.post("config/check", {"text": config["text"]}).json
    assert (checked["valid"], checked["findings"], checked["restart_needed"]) == (True, [], [])


def test_what_is_wrong_is_named_with_its_place(box: RunningBox, admin: Browser) -> None:
    config = admin.get("config").json["text"]
    checked = admin.post("config/check", {"text": f"{config}max_paylod: 1MB\n"}).json
    assert checked["valid"] is False
    found = checked["findings"][0]
    assert (found["line"], found["column"]) == (config.count("\n") + 1, 1)
    assert "max_paylod" in found["message"]
    assert "max_payload" in found["suggestion"]
    broken = admin.post("config/check", {"text": "accounts {"}).json
    assert broken["valid"] is False
    restart = admin.post("config/check", {"text": config.replace("store_dir: ", "store_dir: other")}).json
    assert restart["restart_needed"] or not restart["valid"]
    (box.folder / "secret.conf").write_text("port: 1\n")
    outside = admin.post("config/check", {"text": f"{config}include ../secret.conf\n"}).json
    assert outside["valid"] is False
    assert "cannot be included" in outside["findings"][0]["message"]
    refused = admin.post("config/apply", {"text": "accounts {"})
    assert (refused.status, refused.code) == (422, "invalid")


def test_an_apply_nobody_confirms_is_undone(box: RunningBox, admin: Browser) -> None:
    config = admin.get("config").json
    text = f"{config['text']}max_payload: 4096\n"
    difference = admin.post("config/diff", {"text": text}).json
    assert (difference["changed"], difference["added"], difference["removed"]) == (True, 1, 0)
    body = {"text": text, "digest": config["digest"], "confirm_within_s": CONFIRM_S}
    applied = admin.post("config/apply", body)
    assert applied.status == 200, applied.body
    assert applied.json["pending_revert_s"] > time.time()
    assert payload_limit(box) == 4096
    assert admin.post("config/apply", body).code == "conflict"
    deadline = time.monotonic() + 30
    while admin.get("config").json["pending_revert_s"] and time.monotonic() < deadline:
        time.sleep(0.2)
    assert payload_limit(box) == 1048576
    assert admin.get("config").json["text"] == config["text"]
    assert admin.post("config/confirm").code == "conflict"
    assert not (box.data / "leafbox.conf").exists()


def test_a_confirmed_one_is_kept_and_can_be_taken_back(box: RunningBox, admin: Browser) -> None:
    config = admin.get("config").json
    text = f"{config['text']}max_payload: 8192\n"
    assert admin.post("config/apply", {"text": text}).status == 200
    assert admin.post("config/confirm").json["previous"] is True
    file = box.data / "leafbox.conf"
    assert file.read_text() == text
    assert file.stat().st_mode & 0o077 == 0
    stale = admin.post("config/apply", {"text": text, "digest": config["digest"]})
    assert stale.code == "conflict"
    assert admin.post("config/revert").json["text"] == config["text"]
    assert payload_limit(box) == 1048576
    assert admin.post("config/revert").json["text"] == text, "taking back can be taken back"
    assert payload_limit(box) == 8192


def test_the_next_start_reads_what_was_confirmed(box: RunningBox, admin: Browser, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    text = (box.data / "leafbox.conf").read_text().replace('store_dir: "data"', f'store_dir: "{tmp_path}/data"')
    (tmp_path / "data" / "leafbox.conf").write_text(text)
    with RunningBox(tmp_path) as second:
        assert payload_limit(second) == 8192
        browser = second.claim()
        assert browser.get("config").json["path"].endswith("leafbox.conf")
