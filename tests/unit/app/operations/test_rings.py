"""What was said and what happened, bounded and without secrets."""

from __future__ import annotations

import logging

from leafbox.app.operations.rings import EVENTS_MAX, LOG_LINE_CHARS_MAX, LOG_LINES_MAX, BoxEvent, EventRing, LogRing


def ring_with(*texts: str) -> LogRing:
    ring = LogRing()
    for text in texts:
        ring.handle(logging.LogRecord("leafbox.web", logging.WARNING, "", 0, "%s", (text,), None))
    return ring


def test_lines_after_a_number() -> None:
    ring = ring_with("a", "b", "c")
    assert [line.text for line in ring.lines(after=1)] == ["b", "c"]
    assert ring.last_seq == 3
    line = ring.lines()[0].document()
    assert (line["seq"], line["level"], line["logger"], line["text"]) == (1, "warning", "web", "a")


def test_lines_of_a_level_and_with_a_text() -> None:
    ring = ring_with("disk slow", "all well")
    assert [line.text for line in ring.lines(text="SLOW")] == ["disk slow"]
    assert ring.lines(levels=frozenset({"error"})) == []


def test_the_ring_is_bounded_and_so_is_a_line() -> None:
    ring = ring_with(*(str(number) for number in range(LOG_LINES_MAX + 5)), "x" * 10_000)
    assert len(ring.lines()) == LOG_LINES_MAX
    assert len(ring.lines()[-1].text) == LOG_LINE_CHARS_MAX


def test_secrets_are_taken_out() -> None:
    assert "hunter2" not in ring_with('CONNECT {"pass":"hunter2","user":"a"}').lines()[0].text


def test_an_exception_is_shown_with_its_place() -> None:
    ring = LogRing()
    logger = logging.getLogger("leafbox.test_rings")
    logger.addHandler(ring)
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("it failed")
    finally:
        logger.removeHandler(ring)
    assert "it failed\nTraceback" in ring.lines()[0].text
    assert "ValueError: broken" in ring.lines()[0].text


def test_events_are_told_and_remembered() -> None:
    told: list[BoxEvent] = []
    events = EventRing(told.append)
    for number in range(EVENTS_MAX + 10):
        events.add("issue-raised", str(number), severity="warning", subject="s")
    assert len(told) == EVENTS_MAX + 10
    assert len(events.events()) == EVENTS_MAX
    assert [event.text for event in events.events(limit=2)] == [str(EVENTS_MAX + 8), str(EVENTS_MAX + 9)]
    assert events.events(after=events.last_seq) == []
    assert told[0].document()["severity"] == "warning"
