"""What `status`, `doctor` and `events` make of documents, and of a box that does not run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from leafbox.app.control_client import BoxUnreachable
from leafbox.app.exit_codes import EXIT_DEGRADED, EXIT_OK
from leafbox.app.status_commands import event_of, examine_stopped, exit_code_for, issue_lines, status_text


def test_exit_codes() -> None:
    assert [exit_code_for({"state": state}) for state in ("ok", "degraded", "failing")] == [
        EXIT_OK,
        *[EXIT_DEGRADED] * 2,
    ]


def test_a_status_with_nothing_in_it_can_be_shown() -> None:
    assert "running" in status_text({})


def test_an_uplink_says_why_it_is_not_up() -> None:
    uplinks: Any = [
        {"name": "hub", "state": "waiting", "reason": "refused"},
        {"name": "b", "state": "up", "reason": "old"},
    ]
    text = status_text({"sentence": "x", "uplinks": uplinks})
    assert "hub is waiting: refused" in text
    assert "b is up\n" in text + "\n"


def test_an_issue_is_told_with_cause_step_and_fix() -> None:
    issue: Any = {
        "code": "data-writable",
        "severity": "warning",
        "title": "T",
        "cause": "C",
        "next_step": "N",
        "fix_label": "F",
    }
    text = "\n".join(issue_lines({"issues": [issue]}))
    for part in ("! T   [data-writable]", "why:  C", "next: N", "leafbox doctor --fix --only data-writable"):
        assert part in text


def test_events_of_nats_server_become_sentences() -> None:
    client: Any = {"id": 7, "name": "sensor", "acc": "A", "host": "10.0.0.9"}
    connected = event_of("$SYS.ACCOUNT.A.CONNECT", {"client": client})
    left = event_of("$SYS.ACCOUNT.A.DISCONNECT", {"client": client, "reason": "Client Closed"})
    refused = event_of("$SYS.SERVER.N.CLIENT.AUTH.ERR", {"client": client, "reason": "Authentication Failure"})
    assert connected["text"] == "sensor (10.0.0.9, id 7) connected to account A"
    assert left["text"] == "sensor (10.0.0.9, id 7) left account A: Client Closed"
    assert (refused["kind"], refused["severity"]) == ("login-refused", "warning")
    assert event_of("$LEAFBOX.events.on.events", {"kind": "x"}) == {"kind": "x"}


def test_a_stopped_box_is_examined_and_its_files_mended(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o777)
    found = examine_stopped(tmp_path, None, "it does not run")
    assert found["is_running"] is False
    assert "data-writable" in str(found["issues"])
    mended = examine_stopped(tmp_path, "", "it does not run")
    assert "755" in str(mended["done"])
    assert "data-writable" not in str(mended["issues"])
    with pytest.raises(BoxUnreachable):
        examine_stopped(tmp_path / "nothing", None, "it does not run")
