"""The commands that look after a box, on one that runs with its dashboard, and on one that does not."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from leafbox.app.control_client import ask, read_control
from tests.support.boxes import Box, run_command, running_box

pytestmark = pytest.mark.slow

MEBIBYTE = 1 << 20
CORE_BYTES_MAX = 60 * MEBIBYTE
WEB_BYTES_MAX = 90 * MEBIBYTE


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with running_box(tmp_path_factory.mktemp("box"), web=True) as running:
        yield running


def wait_until(condition: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    until_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < until_s, "waited too long"
        time.sleep(0.1)
    return found


def web_pid(box: Box) -> int | None:
    """The dashboard's process, once it has told core where it is."""
    children = Path(f"/proc/{box.pid}/task/{box.pid}/children").read_text().split()
    return int(children[0]) if children and read_control(box.data).web else None


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.memory
@pytest.mark.capability("AP08")
def test_a_started_box_is_small(box: Box) -> None:
    """Issue 6: core at most 60 MiB, web at most 90."""
    pid = wait_until(lambda: web_pid(box))
    core, web = resident_bytes(box.pid), resident_bytes(pid)
    assert core <= CORE_BYTES_MAX, f"core {core / MEBIBYTE:.1f} MiB"
    assert web <= WEB_BYTES_MAX, f"web {web / MEBIBYTE:.1f} MiB"


def test_status_says_how_it_is(box: Box) -> None:
    done = box.command("status")
    document = box.document("status", code=done.returncode)
    assert done.returncode == (0 if document["state"] == "ok" else 3)
    assert document["sentence"] in done.stdout
    assert document["addresses"]["nats"] == [box.url]
    assert {tile["name"] for tile in document["tiles"]} == {"devices", "messages", "uplink", "storage"}


def test_doctor_finds_and_fixes(box: Box) -> None:
    os.chmod(box.data, 0o777)
    try:
        # What was looked at a moment ago is not looked at again.
        wait_until(lambda: box.command("doctor").returncode == 3)
        found = box.document("doctor", code=3)
        assert "data-writable" in [issue["code"] for issue in found["issues"]]
        fixed = box.command("doctor", "--fix", "--only", "data-writable")
        assert "fixed: " in fixed.stdout
        assert stat.S_IMODE(box.data.stat().st_mode) == 0o755
        assert box.command("doctor", "--fix", "--only", "data-writable").returncode == 1
    finally:
        os.chmod(box.data, 0o700)
    kinds = [(event["kind"], event["text"]) for event in box.document("events")["events"]]
    assert ("issue-raised", "Other users of this machine can change the data directory") in kinds


def test_the_history_fills_second_by_second(box: Box) -> None:
    def points() -> list[float]:
        found = ask(box.data, "history.get", {"series": ["memory_bytes"], "span": "1h", "points": 3600})
        series: Any = found["series"]
        return [value for value in series[0]["means"] if value is not None]

    wait_until(lambda: len(points()) >= 3)
    assert all(value > MEBIBYTE for value in points())


def test_logs_and_top(box: Box) -> None:
    lines = box.document("logs", "--text", "Server is ready")["lines"]
    assert [line["level"] for line in lines] == ["info"]
    reading = box.document("top", "--once", "--interval", "0.2")
    assert reading["status"]["box_name"]
    assert isinstance(reading["connections"], list)
    assert box.command("top", "--sort", "beauty").returncode == 2


@pytest.mark.capability("AP08")
def test_a_killed_dashboard_comes_back_and_is_told(box: Box) -> None:
    first = wait_until(lambda: web_pid(box))
    os.kill(first, signal.SIGKILL)
    again = wait_until(lambda: (pid := web_pid(box)) and pid != first and pid)
    assert again != first
    ends = [event for event in box.document("events")["events"] if event["kind"] == "process-ended"]
    assert ends[0]["subject"] == "web"
    assert "SIGKILL" in ends[0]["text"]


def call(url: str, body: object = None, **headers: str) -> tuple[int, str, str]:
    """(status, body, cookie) of one request; with a body it is a POST from the dashboard's own page."""
    data = None if body is None else json.dumps(body).encode()
    origin = "/".join(url.split("/")[:3])
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", "Origin": origin, **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            cookie = (answer.headers.get("Set-Cookie") or "").partition(";")[0]
            return answer.status, answer.read().decode(), cookie
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), ""


def web_answers(box: Box) -> bool:
    """A web process that was just begun again has a process number before it listens."""
    try:
        return call(f"{read_control(box.data).web}/healthz")[0] > 0
    except urllib.error.URLError:
        return False


@pytest.mark.capability("MO10", "AP06")
def test_metrics_are_for_who_has_a_token_and_a_forgotten_password_can_be_set(box: Box) -> None:
    wait_until(lambda: web_answers(box))
    web = read_control(box.data).web
    assert call(f"{web}/metrics")[0] == 401
    code = re.search(r"one-time code\s+(\S+)", box.said)
    assert code is not None, box.said
    claim = {"code": code[1], "name": "admin", "password": "a long password"}
    status, text, cookie = call(f"{web}/api/v1/setup", claim)
    assert status in (200, 201), text
    status, text, _ = call(f"{web}/api/v1/tokens", {"name": "scraper"}, Cookie=cookie)
    assert status == 201, text
    bearer = "Bearer " + json.loads(text)["secret"]
    status, text, _ = call(f"{web}/metrics", Authorization=bearer)
    assert status == 200, text
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"gnatsd_varz_connections", "jetstream_server_total_streams", "leafbox_store_accepting"} <= names

    short = box.command("passwd", "admin", typed="short\n")
    assert (short.returncode, "characters" in short.stderr) == (1, True)
    assert box.command("passwd", "nobody", typed="another password\n").returncode == 1
    assert box.command("passwd", "admin", typed="another password\n").returncode == 0
    assert call(f"{web}/api/v1/session", Cookie=cookie)[0] == 401
    assert call(f"{web}/api/v1/session", {"name": "admin", "password": "a long password"})[0] == 401
    assert call(f"{web}/api/v1/session", {"name": "admin", "password": "another password"})[0] in (200, 201)


def test_the_support_bundle_holds_no_secrets(box: Box, tmp_path: Path) -> None:
    config = tmp_path / "box.conf"
    config.write_text('authorization { user: "joe", password: "hunter2" }\n')
    target = tmp_path / "bundle.tar.gz"
    made = box.document("support", "bundle", "-o", str(target), "--config", str(config))
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    secrets = ("hunter2", read_control(box.data).password)
    with tarfile.open(target) as tar:
        names = {member.name.removeprefix("leafbox-support/") for member in tar}
        texts = [tar.extractfile(member).read().decode() for member in tar]  # type: ignore[union-attr]
    assert names == set(made["files"]) >= {"status.json", "logs.json", "configuration.conf", "monitoring.json"}
    assert not [secret for secret in secrets for text in texts if secret in text]
    assert box.command("support", "bundle", "-o", str(target)).returncode == 1


def test_reset_is_refused_while_it_runs(box: Box) -> None:
    refused = box.command("reset", "--confirm", box.data.name)
    assert (refused.returncode, "runs" in refused.stderr) == (1, True)
    assert box.command("status").returncode in (0, 3)


def test_a_box_that_does_not_run(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "jetstream").mkdir()
    (data / "jetstream" / "x").write_text("x")
    (data / "backups").mkdir()
    for command in ("status", "events", "logs", "top"):
        done = run_command(command, "--data", str(data))
        assert (done.returncode, "no box is running" in done.stderr) == (4, True)
    doctor = run_command("doctor", "--json", "--data", str(data))
    assert doctor.returncode in (3, 4)
    assert json.loads(doctor.stdout)["is_running"] is False
    unconfirmed = run_command("reset", "--data", str(data))
    assert (unconfirmed.returncode, "nothing was deleted" in unconfirmed.stderr) == (2, True)
    assert (data / "jetstream" / "x").exists()
    assert run_command("reset", "--data", str(data), "--confirm", "data").returncode == 0
    assert [path.name for path in data.iterdir()] == ["backups"]
    assert run_command("reset", "--data", str(data), "--confirm", "data", "--with-backups").returncode == 0
    assert list(data.iterdir()) == []
