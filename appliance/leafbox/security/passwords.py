"""Passwords and tokens: plain or bcrypt, compared in constant time, without stalling the event loop.

One bcrypt check of cost 11 takes 0.1–0.3 s on the machines we run on, and a site's sensors all come back at once after
a power cut. So a check runs on one worker thread (bcrypt releases the GIL), connections that wait for the same answer
share one check, and what was right is remembered in a bounded cache. The cache holds no password and no plain hash of
one: its keys are HMAC-SHA256 of (user, password, stored hash) under a key that lives and dies with the process. The
stored hash is part of it, so a changed configuration needs no invalidation. Wrong passwords are not remembered: an
attacker could push the right ones out.

Known weakness: who can read the process's memory can guess against the HMAC faster than against bcrypt; who can read
it can also read the passwords as they arrive.
Source: config.md section 6; nats-server 2.15.1 `server/auth.go` (which prefixes count as bcrypt).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from collections import Counter, OrderedDict
from concurrent.futures import ThreadPoolExecutor

import bcrypt

from leafbox.protocol.errors import LimitExceeded

BCRYPT_COST = 11
"""Cost of the hashes we make; the `nats server passwd` default. Each step doubles the time."""

BCRYPT_PASSWORD_BYTES_MAX = 72
"""What bcrypt looks at; further bytes never counted, in any implementation."""

PASSWORD_BYTES_MIN = 8
"""Shortest password `hash_password` accepts."""

CHECKS_WAITING_MAX = 1024
"""Checks queued or running. Each is a connection whose reading is paused; at 0.25 s a check this is over four minutes
of work, more than any client waits."""

CHECKS_WAITING_PER_USER_MAX = 16
"""Of one user name, so that guessing at one user's password cannot keep the others out."""

REMEMBERED_MAX = 4096
"""Right passwords remembered, about 200 bytes each. A Pi-class box serves fewer users than that."""

_BCRYPT_HASH = re.compile(r"\$2[abxy]\$\d{2}\$.*", re.DOTALL)


def is_bcrypt(stored: str) -> bool:
    """Whether a configured password or token is meant as a bcrypt hash rather than as the secret itself."""
    return _BCRYPT_HASH.fullmatch(stored) is not None


def hash_password(password: str, cost: int = BCRYPT_COST) -> str:
    """A `$2a$` hash for a configuration file: the prefix nats.conf accepts without quotes.

    Raises ValueError for a password bcrypt would cut or that is too short to be one. Takes 0.1 s and more: not for
    the event loop.
    """
    raw = password.encode()
    if len(raw) < PASSWORD_BYTES_MIN:
        raise ValueError(f"a password needs at least {PASSWORD_BYTES_MIN} bytes")
    if len(raw) > BCRYPT_PASSWORD_BYTES_MAX:
        raise ValueError(f"bcrypt looks at {BCRYPT_PASSWORD_BYTES_MAX} bytes, the password has {len(raw)}")
    return bcrypt.hashpw(raw, bcrypt.gensalt(cost, b"2a")).decode()


def check_bcrypt(password: str, stored: str) -> bool:
    """Whether `password` is the one of the hash; a malformed hash matches none. Blocks as long as the cost asks."""
    try:
        return bcrypt.checkpw(_to_bytes(password)[:BCRYPT_PASSWORD_BYTES_MAX], _to_bytes(stored))
    except ValueError:
        return False


def check_plain(password: str, stored: str) -> bool:
    """Compare two secrets in a time that does not tell where they differ."""
    return hmac.compare_digest(_to_bytes(password), _to_bytes(stored))


class PasswordVerifier:
    """Checks passwords for one event loop; close it when the server stops.

    All methods are called on the loop's thread; only bcrypt itself runs on the worker.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, None] = OrderedDict()
        self._running: dict[bytes, asyncio.Future[bool]] = {}
        self._running_of_user: Counter[str] = Counter()
        # One thread: more would take the cores from the data plane without checking sooner on a small box.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passwords")

    def check(self, user: str, password: str, stored: str) -> bool | asyncio.Future[bool]:
        """Whether `password` matches `stored` (plain or bcrypt): at once if that is known, else as a future.

        `user` keeps equal passwords of two users apart and bounds what one name can queue. The future is shared: wait
        for it under `asyncio.shield`, or use a callback. It goes on when nobody waits any more, so a client that
        timed out finds the answer remembered at its next attempt. Raises `LimitExceeded` when too many checks wait.
        """
        if not is_bcrypt(stored):
            return check_plain(password, stored)
        fingerprint = self._fingerprint(user, password, stored)
        if fingerprint in self._remembered:
            self._remembered.move_to_end(fingerprint)
            return True
        running = self._running.get(fingerprint)
        return running if running is not None else self._start(fingerprint, user, password, stored)

    def fingerprint(self, stored: str) -> bytes:
        """A digest by which to see later whether a configured secret changed; useless outside this process."""
        return self._fingerprint(stored)

    @property
    def checks_waiting(self) -> int:
        """Checks queued or running."""
        return len(self._running)

    @property
    def remembered(self) -> int:
        """Right passwords in the cache."""
        return len(self._remembered)

    def close(self) -> None:
        """Drop what is queued and forget what is known; a running check ends by itself, unheard."""
        self._worker.shutdown(wait=False, cancel_futures=True)
        self._remembered.clear()

    def _start(self, fingerprint: bytes, user: str, password: str, stored: str) -> asyncio.Future[bool]:
        if len(self._running) >= CHECKS_WAITING_MAX:
            raise LimitExceeded("password checks waiting", CHECKS_WAITING_MAX, len(self._running) + 1)
        if self._running_of_user[user] >= CHECKS_WAITING_PER_USER_MAX:
            raise LimitExceeded(
                "password checks waiting of one user", CHECKS_WAITING_PER_USER_MAX, self._running_of_user[user] + 1
            )
        check = self._loop.run_in_executor(self._worker, check_bcrypt, password, stored)
        self._running[fingerprint] = check
        self._running_of_user[user] += 1
        check.add_done_callback(lambda done: self._finished(fingerprint, user, done))
        return check

    def _finished(self, fingerprint: bytes, user: str, check: asyncio.Future[bool]) -> None:
        del self._running[fingerprint]
        self._running_of_user[user] -= 1
        if not self._running_of_user[user]:
            del self._running_of_user[user]
        if check.cancelled() or check.exception() is not None or not check.result():
            return
        self._remembered[fingerprint] = None
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)

    def _fingerprint(self, *parts: str) -> bytes:
        """Keyed digest of the parts; their lengths go in, so that no two sequences of parts run together."""
        digest = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in parts:
            raw = _to_bytes(part)
            digest.update(len(raw).to_bytes(4, "big"))
            digest.update(raw)
        return digest.digest()


def _to_bytes(text: str) -> bytes:
    """JSON can carry half a surrogate pair, which plain UTF-8 encoding would raise on."""
    return text.encode(errors="surrogatepass")
