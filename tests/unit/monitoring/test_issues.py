"""Each check on a box that is well and on one that is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leafbox.monitoring.box_snapshot import (
    BacklogFact,
    BoxSnapshot,
    BridgeFact,
    CertificateFact,
    ChildFact,
    ConsumerFact,
    ListenerFact,
    StoreFact,
    StreamFact,
    UplinkFact,
)
from leafbox.monitoring.issues import CHECKS, Severity, find_issues, sentence, state_word, worst
from leafbox.monitoring.machine import MachineFacts, StorageDevice
from tests.architecture.source import ROOT

NOW = 1_800_000_000
GIB = 1 << 30
MACHINE = MachineFacts(
    memory_bytes=GIB,
    memory_available_bytes=GIB // 2,
    temperature_c=50.0,
    is_undervoltage=False,
    flash_bytes=32 * GIB,
    flash_free_bytes=20 * GIB,
    device=StorageDevice("mmcblk0", 0, 10, "normal"),
    is_clock_synchronised=True,
)
STORE = StoreFact("ready", "", is_accepting=True, is_congested=False)
WELL = BoxSnapshot(
    now_s=NOW,
    start_s=NOW - 86400,
    machine=MACHINE,
    memory_bytes=50 << 20,
    is_claimed=True,
    listeners=(
        ListenerFact("NATS", "127.0.0.1", 4222, is_login_required=False, is_tls=False),
        ListenerFact("MQTT", "0.0.0.0", 8883, is_login_required=True, is_tls=True),
    ),
    config_file="/etc/leafbox.conf",
    config_mode=0o600,
    data_directory="data",
    data_mode=0o700,
    store=STORE,
    sync_mean_us=3000.0,
    free_bytes_min=64 << 20,
    certificates=(CertificateFact("MQTT", "cert.pem", NOW + 90 * 86400),),
    uplinks=(UplinkFact("hub", "up", NOW - 1000),),
    backlog=BacklogFact(0, 0, 3600),
    streams=(StreamFact("$G", "S", 10, 100, -1, -1, refuses_when_full=True),),
    consumers=(ConsumerFact("$G", "S", "C", 5, 10, 1000, NOW - 5, NOW - 5),),
    children=(ChildFact("web", is_running=True),),
)


def sick(code: str) -> dict[str, object]:
    """What to change of a well box to get the issue."""
    stuck = ConsumerFact("$G", "S", "C", 5, 1000, 1000, NOW - 900, NOW - 10)
    return {
        "store-failing": {"store": replace(STORE, state="failed", reason="fdatasync: I/O error", is_accepting=False)},
        "store-full": {"store": replace(STORE, state="full", reason="no space", is_accepting=False)},
        "store-damaged": {"store": replace(STORE, damages=("block: checksum",))},
        "checkpoint-failing": {"store": replace(STORE, checkpoint_error="no space")},
        "store-congested": {"store": replace(STORE, is_congested=True)},
        "open-listener": {"listeners": (ListenerFact("NATS", "0.0.0.0", 4222, False, False),)},
        "clear-text-listener": {"listeners": (ListenerFact("MQTT", "10.0.0.1", 1883, True, False),)},
        "certificate-expiring": {"certificates": (CertificateFact("MQTT", "cert.pem", NOW + 86400),)},
        "clock-not-set": {"machine": replace(MACHINE, is_clock_synchronised=False)},
        "uplink-stalled": {"uplinks": (UplinkFact("hub", "stalled", NOW - 20),)},
        "uplink-down": {"uplinks": (UplinkFact("hub", "waiting", NOW - 60, "The name cannot be resolved."),)},
        "bridge-refused": {"bridges": (BridgeFact("b", 3, "not authorized"),)},
        "uplink-paused": {"uplinks": (UplinkFact("hub", "paused", NOW - 60),)},
        "backlog-growing": {"backlog": BacklogFact(5000, 100, 3600)},
        "stream-full": {"streams": (StreamFact("$G", "S", 96, 100, 100, -1, refuses_when_full=True),)},
        "consumer-stuck": {"consumers": (stuck,)},
        "flash-nearly-full": {"machine": replace(MACHINE, flash_free_bytes=4 * GIB)},
        "sync-slow": {"sync_mean_us": 250_000.0},
        "flash-worn": {"machine": replace(MACHINE, device=StorageDevice("mmcblk0", 0, 90, "normal"))},
        "undervoltage": {"machine": replace(MACHINE, is_undervoltage=True)},
        "temperature": {"machine": replace(MACHINE, temperature_c=82.0)},
        "memory-low": {"machine": replace(MACHINE, memory_available_bytes=GIB // 20)},
        "process-restarting": {"children": (ChildFact("web", False, 5, "killed by SIGKILL"),)},
        "config-readable": {"config_mode": 0o644, "has_plain_passwords": True},
        "data-writable": {"data_mode": 0o777},
        "plain-passwords": {"has_plain_passwords": True},
        "slow-consumers": {"slow_consumers_last_hour": 3},
        "unclaimed": {"is_claimed": False},
    }[code]  # type: ignore[return-value]


def test_a_well_box_has_no_issues() -> None:
    assert find_issues(WELL) == []
    assert (sentence([]), state_word([]), worst([])) == ("Everything works.", "ok", "ok")


def test_a_box_of_which_nothing_is_known_has_none_either() -> None:
    assert find_issues(BoxSnapshot(NOW, NOW)) == []


@pytest.mark.parametrize("code", [check.code for check in CHECKS])
def test_what_is_wrong_is_found_and_explained(code: str) -> None:
    box = replace(WELL, **sick(code))  # type: ignore[arg-type]
    found = [issue for issue in find_issues(box) if issue.code == code]
    assert len(found) == 1, find_issues(box)
    issue = found[0]
    assert issue.title
    assert issue.cause.endswith((".", ".)"))
    assert issue.next_step
    assert state_word(find_issues(box)) == ("ok" if issue.severity is Severity.INFO else state_word([issue]))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"certificates": (CertificateFact("MQTT", "c", NOW - 1),)}, "certificate-expiring"),
        ({"now_s": 1000}, "clock-not-set"),
        ({"machine": replace(MACHINE, flash_free_bytes=100 << 20)}, "flash-nearly-full"),
        ({"machine": replace(MACHINE, temperature_c=90.0)}, "temperature"),
        ({"streams": (StreamFact("$G", "S", 100, 1, 100, -1, True),)}, "stream-full"),
        ({"machine": replace(MACHINE, device=StorageDevice("m", 0, None, "urgent"))}, "flash-worn"),
    ],
)
def test_some_become_critical(changes: dict[str, object], code: str) -> None:
    issues = find_issues(replace(WELL, **changes))  # type: ignore[arg-type]
    assert [issue.severity for issue in issues if issue.code == code] == [Severity.CRITICAL]
    assert issues[0].severity is Severity.CRITICAL


@pytest.mark.parametrize(
    "changes",
    [
        {"uplinks": (UplinkFact("hub", "dialling", NOW - 5),)},
        {"streams": (StreamFact("$G", "S", 100, 1, 100, -1, refuses_when_full=False),)},
        {"consumers": (ConsumerFact("$G", "S", "C", 5, 10**6, -1, 0, 0),)},
        {"consumers": (ConsumerFact("$G", "S", "C", 5, 9, 9, 0, 0, is_paused=True),)},
        {"consumers": (ConsumerFact("$G", "S", "C", 5, 9, 9, 0, 0),), "start_s": NOW - 10},
        {"backlog": BacklogFact(900, 0, 3600)},
        {"config_mode": 0o644},
        {"bridges": (BridgeFact("b", 0),)},
    ],
)
def test_what_is_no_issue(changes: dict[str, object]) -> None:
    assert find_issues(replace(WELL, **changes)) == []  # type: ignore[arg-type]


def test_the_sentence_names_the_worst_and_counts_the_others() -> None:
    box = replace(WELL, is_claimed=False, data_mode=0o777, sync_mean_us=250_000.0)
    assert sentence(find_issues(box)) == "The storage device is slow, and 1 more."


def test_codes_are_used_once_and_each_is_documented() -> None:
    codes = [check.code for check in CHECKS]
    assert len(set(codes)) == len(codes)
    page = (ROOT / "docs" / "operating" / "issues.md").read_text(encoding="utf-8")
    assert [code for code in codes if f"| `{code}` |" not in page] == []
