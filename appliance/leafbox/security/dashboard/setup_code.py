"""The one-time code with which the first person claims a new box: made at each start, shown by `leafbox run`.

Kept as a digest only, and worthless once somebody has claimed the box. 60 bits and a throttle make guessing hopeless.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without letters and digits that look alike."""
GROUPS = 3
GROUP_CHARACTERS = 4


class SetupCode:
    """One code. `text` is there until `forget`, for printing."""

    def __init__(self) -> None:
        groups = ("".join(secrets.choice(ALPHABET) for _ in range(GROUP_CHARACTERS)) for _ in range(GROUPS))
        self.text = "-".join(groups)
        self._digest = _digest(self.text)
        self._is_used = False

    def matches(self, given: str) -> bool:
        """Whether it is the one; case, spaces and dashes do not matter."""
        return not self._is_used and hmac.compare_digest(_digest(given), self._digest)

    def use_up(self) -> None:
        """It was used: it opens nothing any more."""
        self._is_used = True
        self.text = ""


def _digest(text: str) -> bytes:
    plain = "".join(c for c in text.upper() if c.isalnum())
    return hashlib.sha256(plain.encode()).digest()
