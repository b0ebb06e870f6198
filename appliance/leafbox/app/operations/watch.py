"""Watches for issues: looks every few seconds, remembers since when each is there, tells when one comes or goes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from leafbox.monitoring.box_snapshot import BoxSnapshot
from leafbox.monitoring.issues import Issue, Severity, find_issues, sentence, state_word, worst
from leafbox.protocol.jetstream.go_json import JsonObject

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 10.0
FRESH_S = 1.0
"""Who asks gets a look at most so old: ten dashboards cost one look a second."""

IssueKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Known:
    """An issue and since when (wall clock) it is known."""

    issue: Issue
    since_s: int


class IssueWatch:
    """The issues of one server. `take` makes a snapshot; `on_change(kind, issue)` is told `raised` and `cleared`."""

    def __init__(self, take: Callable[[], BoxSnapshot], on_change: Callable[[str, Issue], None]) -> None:
        self._take = take
        self._on_change = on_change
        self._known: dict[IssueKey, Known] = {}
        self._looked_s = 0.0
        self.snapshot: BoxSnapshot | None = None

    def look(self, older_than_s: float = 0.0) -> list[Known]:
        """The issues now; looks again if the last look is older than that."""
        now_s = time.monotonic()
        if self.snapshot is None or now_s - self._looked_s >= older_than_s:
            self._looked_s = now_s
            self.snapshot = self._take()
            self._compare(find_issues(self.snapshot), self.snapshot.now_s)
        return list(self._known.values())

    def _compare(self, issues: list[Issue], now_s: int) -> None:
        before = self._known
        self._known = {}
        for issue in issues:
            key = (issue.code, issue.subject)
            earlier = before.get(key)
            self._known[key] = Known(issue, earlier.since_s if earlier else now_s)
            if earlier is None:
                level = logging.INFO if issue.severity is Severity.INFO else logging.WARNING
                logger.log(level, "issue raised code=%s %s: %s", issue.code, issue.title, issue.next_step)
                self._on_change("raised", issue)
        for key, known in before.items():
            if key not in self._known:
                logger.info("issue cleared code=%s %s", known.issue.code, known.issue.title)
                self._on_change("cleared", known.issue)


def issue_document(known: Known) -> JsonObject:
    """One issue for JSON."""
    issue = known.issue
    return {
        "code": issue.code,
        "subject": issue.subject,
        "severity": issue.severity.value,
        "title": issue.title,
        "cause": issue.cause,
        "next_step": issue.next_step,
        "fix_label": issue.fix.label if issue.fix else "",
        "fix_is_safe": issue.fix.is_safe if issue.fix else False,
        "since_s": known.since_s,
    }


def issues_document(issues: list[Known]) -> JsonObject:
    """All of them with the state they add up to."""
    found = [known.issue for known in issues]
    return {
        "state": state_word(found),
        "sentence": sentence(found),
        "severity": worst(found),
        "checked_s": time.time(),
        "issues": [issue_document(known) for known in issues],
    }
