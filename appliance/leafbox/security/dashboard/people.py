"""The people of the dashboard: name, role, password hash. Durable; small enough to be held in memory.

The hash is made and checked in the web process (argon2id takes memory and time that core does not have to spare); here
it is an opaque text.
"""

from __future__ import annotations

import enum

import msgspec

from leafbox.protocol.errors import BoxRequestFailed
from leafbox.security.dashboard.records import RecordKind, Records, decoded

PEOPLE_MAX = 200
"""A site has a handful; the bound keeps a mistaken script from filling the store."""
NAME_CHARACTERS_MAX = 64


class Role(enum.StrEnum):
    """What somebody may do, each including the one before."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class PersonRecord(msgspec.Struct, frozen=True):
    """Somebody, as stored."""

    name: str
    role: Role
    password_hash: str
    created_s: float
    last_login_s: float = 0

    def __repr__(self) -> str:
        return f"PersonRecord(name={self.name!r}, role={self.role.value!r})"


class PeopleRegistry:
    """Everybody. Belongs to the loop."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._people = {
            person.name: person
            for person in (decoded(value, PersonRecord) for _, value in records.items(RecordKind.PERSON))
        }

    @property
    def is_claimed(self) -> bool:
        """Whether anybody may log in."""
        return bool(self._people)

    def get(self, name: str) -> PersonRecord | None:
        """Somebody, or None."""
        return self._people.get(name)

    def all(self) -> list[PersonRecord]:
        """Everybody, by name."""
        return [self._people[name] for name in sorted(self._people)]

    def add(self, name: str, role: Role, password_hash: str, now_s: float) -> PersonRecord:
        """Somebody more."""
        if name in self._people:
            raise BoxRequestFailed("exists", f"there is somebody called {name} already", "choose another name")
        if len(self._people) >= PEOPLE_MAX:
            raise BoxRequestFailed("full", f"{PEOPLE_MAX} people are the most", "remove somebody first")
        if not name or len(name) > NAME_CHARACTERS_MAX or any(ord(c) < 32 or ord(c) == 127 for c in name):
            raise BoxRequestFailed("invalid", "this is no name", f"1 to {NAME_CHARACTERS_MAX} printable characters")
        return self._keep(PersonRecord(name, role, password_hash, now_s))

    def change(self, name: str, role: Role | None, password_hash: str | None) -> PersonRecord:
        """Another role or password. The last administrator stays one."""
        person = self.need(name)
        if role is not None and role is not Role.ADMIN:
            self._refuse_last_admin(person)
        return self._keep(
            msgspec.structs.replace(
                person, role=role or person.role, password_hash=password_hash or person.password_hash
            )
        )

    def logged_in(self, name: str, now_s: float) -> None:
        """Remember when somebody came last."""
        self._keep(msgspec.structs.replace(self.need(name), last_login_s=now_s))

    def remove(self, name: str) -> None:
        """Take somebody's access. The last administrator stays."""
        self._refuse_last_admin(self.need(name))
        del self._people[name]
        self._records.delete(RecordKind.PERSON, name.encode())

    def need(self, name: str) -> PersonRecord:
        """Somebody; raises `not_found`."""
        person = self._people.get(name)
        if person is None:
            raise BoxRequestFailed("not_found", f"there is nobody called {name}", "see the list of people")
        return person

    def _keep(self, person: PersonRecord) -> PersonRecord:
        self._records.put(RecordKind.PERSON, person.name.encode(), msgspec.json.encode(person))
        self._people[person.name] = person
        return person

    def _refuse_last_admin(self, person: PersonRecord) -> None:
        admins = [each for each in self._people.values() if each.role is Role.ADMIN]
        if admins == [person]:
            reason = f"{person.name} is the only administrator"
            raise BoxRequestFailed("conflict", reason, "make somebody else an administrator first")
