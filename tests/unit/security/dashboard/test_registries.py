"""People, sessions, tokens, audit and the one-time code: rules, bounds, and that a restart finds them again."""

from __future__ import annotations

import pytest

from leafbox.protocol.errors import BoxRequestFailed
from leafbox.security.dashboard.api_tokens import TokenRecord, TokenRegistry
from leafbox.security.dashboard.audit import AuditLog, AuditRecord
from leafbox.security.dashboard.people import PEOPLE_MAX, PeopleRegistry, Role
from leafbox.security.dashboard.sessions import AGE_S, IDLE_S, SAVE_S, SESSIONS_OF_PERSON_MAX, SessionRegistry
from leafbox.security.dashboard.setup_code import SetupCode
from tests.support.memory_records import MemoryRecords

pytestmark = pytest.mark.capability("AP06", "MO11")


def digest(number: int) -> str:
    return f"{number:064x}"[::-1]


def test_people_are_found_again_and_the_last_administrator_stays() -> None:
    records = MemoryRecords()
    people = PeopleRegistry(records)
    assert not people.is_claimed
    people.add("ada", Role.ADMIN, "hash", 1)
    people.add("bob", Role.VIEWER, "hash", 2)
    for refused in (
        lambda: people.remove("ada"),
        lambda: people.change("ada", Role.VIEWER, None),
    ):
        with pytest.raises(BoxRequestFailed, match="only administrator"):
            refused()
    with pytest.raises(BoxRequestFailed, match="already"):
        people.add("bob", Role.VIEWER, "hash", 3)
    people.change("bob", Role.ADMIN, "other")
    people.remove("ada")
    again = PeopleRegistry(records)
    assert [(each.name, each.role, each.password_hash) for each in again.all()] == [("bob", Role.ADMIN, "other")]
    assert "other" not in repr(again.all())


def test_people_are_bounded_and_named_sanely() -> None:
    people = PeopleRegistry(MemoryRecords())
    for bad in ("", "x" * 65, "a\nb"):
        with pytest.raises(BoxRequestFailed, match="no name"):
            people.add(bad, Role.VIEWER, "hash", 1)
    for number in range(PEOPLE_MAX):
        people.add(str(number), Role.VIEWER, "hash", 1)
    with pytest.raises(BoxRequestFailed, match="the most"):
        people.add("one more", Role.VIEWER, "hash", 1)


def test_sessions_end_by_idleness_and_by_age() -> None:
    sessions = SessionRegistry(MemoryRecords())
    session = sessions.open(digest(1), "ada", "", "", 1000)
    assert sessions.resolve(digest(1), 1000 + IDLE_S) is not None
    assert sessions.resolve(digest(1), 1001 + 2 * IDLE_S) is None
    assert sessions.resolve(digest(1), 1001) is None, "what ended stays ended"
    session = sessions.open(digest(2), "ada", "", "", 1000)
    now = 1000.0
    while now < session.expires_s:
        assert sessions.resolve(digest(2), now) is not None
        now += IDLE_S / 2
    assert session.expires_s == 1000 + AGE_S
    assert sessions.resolve(digest(2), session.expires_s) is None


def test_looking_whether_a_session_holds_is_no_activity() -> None:
    sessions = SessionRegistry(MemoryRecords())
    session = sessions.open(digest(1), "ada", "", "", 0)
    assert sessions.find(session.id, IDLE_S - 1) is not None
    assert sessions.find(session.id, IDLE_S + 1) is None


def test_activity_is_written_now_and_then_only() -> None:
    records = MemoryRecords()
    sessions = SessionRegistry(records)
    sessions.open(digest(1), "ada", "", "", 0)
    before = records.writes
    for second in range(int(SAVE_S) - 1):
        sessions.resolve(digest(1), second)
    assert records.writes == before
    sessions.resolve(digest(1), SAVE_S)
    assert records.writes == before + 1
    assert SessionRegistry(records).resolve(digest(1), SAVE_S + IDLE_S) is not None


def test_the_oldest_session_of_a_person_makes_room() -> None:
    sessions = SessionRegistry(MemoryRecords())
    for number in range(SESSIONS_OF_PERSON_MAX + 1):
        sessions.open(digest(number), "ada", "", "", number)
    sessions.open(digest(999), "bob", "", "", 0)
    assert sessions.resolve(digest(0), 100) is None
    assert sessions.resolve(digest(1), 100) is not None
    assert sessions.end_where(lambda session: session.name == "ada") == SESSIONS_OF_PERSON_MAX
    assert [each.name for each in sessions.all(100)] == ["bob"]


def test_tokens_end_at_their_time_or_when_removed() -> None:
    records = MemoryRecords()
    tokens = TokenRegistry(records)
    tokens.add(TokenRecord(digest(1), "scraper", Role.VIEWER, ("monitoring",), 0, "ada", expires_s=100))
    tokens.add(TokenRecord(digest(2), "script", Role.ADMIN, (), 0, "bob"))
    assert tokens.resolve(digest(1), 99) is not None
    assert tokens.resolve(digest(1), 100) is None
    again = TokenRegistry(records)
    found = again.resolve(digest(2), 1e9)
    assert found is not None
    assert again.remove(found.id)
    assert not again.remove(found.id)
    assert again.resolve(digest(2), 1) is None
    assert again.remove_of("ada") == 1
    assert again.all() == []


def entry(who: str) -> AuditRecord:
    return AuditRecord(id=0, at_s=1, who=who, via="session", ip="::1", action="POST /x")


def test_the_audit_record_is_a_ring_and_goes_on_after_a_restart() -> None:
    records = MemoryRecords()
    log = AuditLog(records, entries_max=3)
    for number in range(5):
        log.finish(log.begin(entry(str(number))).id, 200 + number)
    found, has_more = log.page(None, 2)
    assert [(each.who, each.status) for each in found] == [("4", 204), ("3", 203)]
    assert has_more
    found, has_more = log.page(found[-1].id, 2)
    assert ([each.who for each in found], has_more) == (["2"], False)
    again = AuditLog(records, entries_max=3)
    assert again.begin(entry("after")).id == 6
    with pytest.raises(BoxRequestFailed):
        again.finish(1, 200)
    assert len(again.begin(entry("x" * 1000)).who) == 300


def test_the_one_time_code_is_one_time() -> None:
    code = SetupCode()
    shown = code.text
    assert len(shown) == 14
    assert code.matches(shown)
    assert code.matches(f" {shown.lower().replace('-', ' ')} ")
    assert not code.matches("")
    assert not code.matches(SetupCode().text)
    code.use_up()
    assert code.text == ""
    assert not code.matches(shown)
    assert not code.matches("")
