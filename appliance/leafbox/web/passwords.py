"""Argon2id beside the event loop, few at a time.

The parameters stay within OWASP's recommendation for argon2id (at least 19 MiB with two passes) and within what a
board with 512 MB can spare.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import nacl.exceptions
import nacl.pwhash

OPERATIONS = 3
MEMORY_BYTES = 24 * 1024 * 1024
WAITING_MAX = 16
"""Checks queued or running: at a tenth of a second each nobody waits longer than two seconds."""


class TooBusy(Exception):
    """Too many passwords are being checked."""


def hash_password(password: str) -> str:
    """The text to store. Takes a tenth of a second and 24 MiB."""
    return nacl.pwhash.argon2id.str(password.encode(), OPERATIONS, MEMORY_BYTES).decode()


def check_password(password: str, stored: str) -> bool:
    """Whether it is the one; a malformed hash matches none."""
    try:
        return nacl.pwhash.verify(stored.encode(), password.encode())
    except (nacl.exceptions.CryptoError, ValueError):
        return False


class PasswordWork:
    """One worker thread: more would only take memory and the data plane's cores."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="argon2")
        self._waiting = 0
        # Checked for names that do not exist, so that the time does not tell.
        self._nobody = hash_password("nobody has this password")

    async def hash(self, password: str) -> str:
        """As `hash_password`. Raises `TooBusy`."""
        self._enter()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, hash_password, password)
        finally:
            self._waiting -= 1

    async def check(self, password: str, stored: str) -> bool:
        """As `check_password`; an empty `stored` takes as long and is False. Raises `TooBusy`."""
        self._enter()
        try:
            matches = await asyncio.get_running_loop().run_in_executor(
                self._worker, check_password, password, stored or self._nobody
            )
        finally:
            self._waiting -= 1
        return matches and bool(stored)

    def close(self) -> None:
        """Drop what is queued."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _enter(self) -> None:
        if self._waiting >= WAITING_MAX:
            raise TooBusy
        self._waiting += 1
