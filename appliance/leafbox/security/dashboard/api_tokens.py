"""API tokens: for programs, with a role, narrowed by scopes, with or without an end. Durable.

Known by the SHA-256 of their secret. When one was used last is kept in memory and written once an hour at most.
"""

from __future__ import annotations

import msgspec

from leafbox.protocol.errors import BoxRequestFailed
from leafbox.security.dashboard.people import Role
from leafbox.security.dashboard.records import RecordKind, Records, decoded

TOKENS_MAX = 500
SAVE_S = 3600.0
ID_CHARACTERS = 16


class TokenRecord(msgspec.Struct, frozen=True):
    """A token, as stored."""

    digest: str
    name: str
    role: Role
    scopes: tuple[str, ...]
    created_s: float
    created_by: str
    expires_s: float = 0
    last_used_s: float = 0

    @property
    def id(self) -> str:
        """By which people see it."""
        return self.digest[:ID_CHARACTERS]


class TokenRegistry:
    """All tokens. Belongs to the loop."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._tokens = {
            token.digest: token
            for token in (decoded(value, TokenRecord) for _, value in records.items(RecordKind.TOKEN))
        }
        self._saved_s = {digest: token.last_used_s for digest, token in self._tokens.items()}

    def add(self, token: TokenRecord) -> None:
        """A token more."""
        if len(self._tokens) >= TOKENS_MAX:
            raise BoxRequestFailed("full", f"{TOKENS_MAX} tokens are the most", "remove some first")
        self._save(token)

    def resolve(self, digest: str, now_s: float) -> TokenRecord | None:
        """The token of a secret, if it still holds."""
        token = self._tokens.get(digest)
        if token is None or (token.expires_s and now_s >= token.expires_s):
            return None
        token = msgspec.structs.replace(token, last_used_s=now_s)
        if now_s - self._saved_s.get(digest, 0) >= SAVE_S:
            self._save(token)
        else:
            self._tokens[digest] = token
        return token

    def find(self, id: str, now_s: float) -> TokenRecord | None:
        """The token of an id, if it still holds; does not count as use."""
        for token in self._tokens.values():
            if token.id == id:
                return None if token.expires_s and now_s >= token.expires_s else token
        return None

    def all(self) -> list[TokenRecord]:
        """By name."""
        return sorted(self._tokens.values(), key=lambda token: (token.name, token.created_s))

    def remove(self, id: str) -> bool:
        """Make a token worthless; False if there is none."""
        for digest, token in self._tokens.items():
            if token.id == id:
                self._remove(digest)
                return True
        return False

    def remove_of(self, person: str) -> int:
        """Those that somebody made; how many."""
        made = [digest for digest, token in self._tokens.items() if token.created_by == person]
        for digest in made:
            self._remove(digest)
        return len(made)

    def _remove(self, digest: str) -> None:
        del self._tokens[digest]
        self._saved_s.pop(digest, None)
        self._records.delete(RecordKind.TOKEN, digest.encode())

    def _save(self, token: TokenRecord) -> None:
        self._records.put(RecordKind.TOKEN, token.digest.encode(), msgspec.json.encode(token))
        self._tokens[token.digest] = token
        self._saved_s[token.digest] = token.last_used_s
