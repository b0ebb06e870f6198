"""Issues come and go; each change is told once, and since when it is there is remembered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from leafbox.app.operations.watch import IssueWatch, issues_document
from leafbox.monitoring.box_snapshot import BoxSnapshot


def test_what_comes_and_goes_is_told_once() -> None:
    told: list[tuple[str, str]] = []
    box = BoxSnapshot(1_800_000_000, 1_800_000_000)
    boxes = [replace(box, is_claimed=False), replace(box, is_claimed=False, now_s=box.now_s + 9), box]
    watch = IssueWatch(lambda: boxes.pop(0), lambda kind, issue: told.append((kind, issue.code)))
    first = watch.look()
    second = watch.look()
    assert [known.since_s for known in first] == [known.since_s for known in second] == [box.now_s]
    assert watch.look() == []
    assert told == [("raised", "unclaimed"), ("cleared", "unclaimed")]


def test_a_fresh_look_serves_many() -> None:
    looks: list[int] = []

    def take() -> BoxSnapshot:
        looks.append(1)
        return BoxSnapshot(1_800_000_000, 0)

    watch = IssueWatch(take, lambda kind, issue: None)
    for _ in range(10):
        watch.look(60.0)
    assert len(looks) == 1


def test_the_document() -> None:
    box = BoxSnapshot(1_800_000_000, 0, data_directory="d", data_mode=0o777)
    document = issues_document(IssueWatch(lambda: box, lambda kind, issue: None).look())
    assert (document["state"], document["severity"]) == ("degraded", "warning")
    issues: Any = document["issues"]
    assert [(issue["code"], bool(issue["fix_label"]), issue["since_s"]) for issue in issues] == [
        ("data-writable", True, box.now_s)
    ]
