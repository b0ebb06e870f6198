"""Logins of the dashboard: opaque, revocable, ended by idleness or age. Durable, so a restart logs nobody out.

Known by the SHA-256 of the cookie's secret: who can read the store cannot log in with it. That somebody is active is
kept in memory and written now and then, so that an open page does not wear the flash.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from leafbox.protocol.errors import BoxRequestFailed
from leafbox.security.dashboard.records import RecordKind, Records, decoded

IDLE_S = 12 * 3600.0
"""A working day; a page that is only left open is not activity."""
AGE_S = 14 * 86400.0
SAVE_S = 900.0
"""Activity is written at most this often: one small record in a quarter of an hour."""
SESSIONS_OF_PERSON_MAX = 20
"""The oldest ends when there is one more: browsers that are cleaned leave sessions behind."""
SESSIONS_MAX = 1000
ID_CHARACTERS = 16
"""Of the digest; enough to name a session, too little to find the secret."""


class SessionRecord(msgspec.Struct, frozen=True):
    """A login, as stored; wall-clock times."""

    digest: str
    name: str
    created_s: float
    last_seen_s: float
    ip: str = ""
    agent: str = ""

    @property
    def id(self) -> str:
        """By which people see it."""
        return self.digest[:ID_CHARACTERS]

    @property
    def expires_s(self) -> float:
        """When it ends at the latest."""
        return self.created_s + AGE_S


class SessionRegistry:
    """All logins. Belongs to the loop."""

    def __init__(self, records: Records, idle_s: float = IDLE_S) -> None:
        self._records = records
        self.idle_s = idle_s
        self._sessions = {
            session.digest: session
            for session in (decoded(value, SessionRecord) for _, value in records.items(RecordKind.SESSION))
        }
        self._saved_s = {digest: session.last_seen_s for digest, session in self._sessions.items()}

    def open(self, digest: str, name: str, ip: str, agent: str, now_s: float) -> SessionRecord:
        """A new login."""
        self._sweep(now_s)
        own = sorted((each for each in self._sessions.values() if each.name == name), key=lambda each: each.last_seen_s)
        for oldest in own[: max(0, len(own) + 1 - SESSIONS_OF_PERSON_MAX)]:
            self._end(oldest)
        if len(self._sessions) >= SESSIONS_MAX:
            raise BoxRequestFailed("full", f"{SESSIONS_MAX} logins are open", "end some of them")
        session = SessionRecord(digest, name, now_s, now_s, ip, agent)
        self._save(session)
        return session

    def resolve(self, digest: str, now_s: float) -> SessionRecord | None:
        """The login of a secret, if it still holds; counts as activity."""
        session = self._sessions.get(digest)
        if session is None:
            return None
        if self._is_over(session, now_s):
            self._end(session)
            return None
        session = msgspec.structs.replace(session, last_seen_s=max(now_s, session.last_seen_s))
        if now_s - self._saved_s.get(digest, 0) >= SAVE_S:
            self._save(session)
        else:
            self._sessions[digest] = session
        return session

    def find(self, id: str, now_s: float) -> SessionRecord | None:
        """The login of an id, if it still holds; does not count as activity."""
        for session in self._sessions.values():
            if session.id == id:
                return None if self._is_over(session, now_s) else session
        return None

    def all(self, now_s: float) -> list[SessionRecord]:
        """Open logins, the latest activity first."""
        self._sweep(now_s)
        return sorted(self._sessions.values(), key=lambda each: -each.last_seen_s)

    def end(self, id: str) -> bool:
        """End a login; False if there is none."""
        return bool(self.end_where(lambda session: session.id == id))

    def end_where(self, is_meant: Callable[[SessionRecord], bool]) -> int:
        """End all of which that is true; how many."""
        meant = [session for session in self._sessions.values() if is_meant(session)]
        for session in meant:
            self._end(session)
        return len(meant)

    def _is_over(self, session: SessionRecord, now_s: float) -> bool:
        return now_s >= session.expires_s or now_s - session.last_seen_s > self.idle_s

    def _sweep(self, now_s: float) -> None:
        self.end_where(lambda session: self._is_over(session, now_s))

    def _save(self, session: SessionRecord) -> None:
        self._records.put(RecordKind.SESSION, session.digest.encode(), msgspec.json.encode(session))
        self._sessions[session.digest] = session
        self._saved_s[session.digest] = session.last_seen_s

    def _end(self, session: SessionRecord) -> None:
        self._sessions.pop(session.digest, None)
        self._saved_s.pop(session.digest, None)
        self._records.delete(RecordKind.SESSION, session.digest.encode())
