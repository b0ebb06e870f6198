"""Accounts that come and go while the server runs: pushed, deleted, or looked up when a user of theirs logs in.

One `AccountResolver` stands beside one `OperatorMode`. Every change is judged first (signature, trust, content), is on
flash where there is a directory, takes effect on the connections that are here, and only then is answered. Changes run
one after the other. Source: config specification section 7; nats-server 2.15.1 `server/accounts.go`. Not here: subjects
and answers (`claims_requests`), files (`account_directory`), what a changed account means for the server (`apply`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import Protocol

from leafbox.protocol.errors import LeafboxError
from leafbox.protocol.jwt import InvalidJwt
from leafbox.security.account_claims import KnownAccount, objections
from leafbox.security.account_directory import AccountDirectory
from leafbox.security.operator import OperatorMode

logger = logging.getLogger(__name__)

LOOKUPS_MAX = 100
"""Accounts asked for at once. Anybody may present a JWT of an account that nobody knows."""
UNKNOWN_S = 2.0
"""So long an account that was not found is not asked for again."""
UNKNOWN_MAX = 1000
"""Accounts remembered as not found; some 200 bytes each."""
EXPORTERS_MAX = 32
"""Further accounts that one login may have looked up, because the first imports from them."""


class AccountSource(Protocol):
    """Where accounts are asked for: other servers, or a web server."""

    async def fetch(self, key: str) -> str | None:
        """The account's token; None when it is not there or no answer came in time. Raises nothing."""
        ...


class Rejected(LeafboxError):
    """A change that is not made; the text says why."""


class AccountResolver:
    """Belongs to the loop. `apply` brings the server in line with the accounts of the mode."""

    def __init__(
        self,
        mode: OperatorMode,
        apply: Callable[[Collection[str]], None],
        *,
        source: AccountSource | None = None,
        directory: AccountDirectory | None = None,
        ttl_s: float = 0.0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.mode = mode
        self.directory = directory
        self._apply = apply
        self._source = source
        self._ttl_s = ttl_s
        self._clock_s = clock_s
        self._changes = asyncio.Lock()
        self._lookups: dict[str, asyncio.Future[None]] = {}
        self._unknown: dict[str, float] = {}
        self._found_at_s: dict[str, float] = {}

    # -- changes ------------------------------------------------------------------------------------------------------

    def check(self, token: str, key: str = "") -> KnownAccount:
        """The account of a pushed token. Raises `InvalidJwt`."""
        account = self.mode.read(token)
        if key and account.key != key:
            raise InvalidJwt("subject does not match jwt content")
        return account

    async def update(self, account: KnownAccount) -> None:
        """Take an account on, or its new claims. Raises `LeafboxError` or OSError, and nothing has changed then."""
        async with self._changes:
            known = self.mode.accounts.get(account.key)
            if known is not None and known.token == account.token and self._is_kept(account):
                return
            evicted = ""
            if self.directory is not None:
                evicted = await asyncio.to_thread(self.directory.save, account.key, account.token)
            self.mode.accounts[account.key] = account
            self._unknown.pop(account.key, None)
            self._found_at_s[account.key] = self._clock_s()
            if evicted:
                logger.info("account=%s is no longer kept in the cache", evicted)
            self._apply((account.key,))

    def _is_kept(self, account: KnownAccount) -> bool:
        return self.directory is None or self.directory.tokens.get(account.key) == account.token

    async def delete(self, keys: Collection[str]) -> None:
        """Let accounts go; who is there is sent away. Raises OSError, and those before it are gone then."""
        async with self._changes:
            gone = []
            try:
                for key in keys:
                    if self.directory is not None:
                        await asyncio.to_thread(self.directory.delete, key)
                    if self.mode.accounts.pop(key, None) is not None:
                        gone.append(key)
            finally:
                if gone:
                    self._apply(gone)

    async def merge(self, key: str, token: str) -> None:
        """Take what another server keeps, if it is newer than what is here. Raises `LeafboxError` or OSError."""
        account = self.check(token, key)
        if found := objections(account):
            raise Rejected("; ".join(found))
        known = self.mode.accounts.get(key)
        if known is None or known.claims.issued_at_s < account.claims.issued_at_s:
            await self.update(account)

    # -- lookups ------------------------------------------------------------------------------------------------------

    def may_find(self, key: str) -> bool:
        """Whether to ask for the account before deciding without it."""
        if self._source is None or key in self._lookups:
            return self._source is not None
        if self._unknown.get(key, 0.0) > self._clock_s():
            return False
        return len(self._lookups) < LOOKUPS_MAX

    def is_stale(self, key: str) -> bool:
        """Whether a cached account is so old that it is asked for again; it counts until another one is there."""
        if self.directory is not None:
            self.directory.use(key)
        if not self._ttl_s or self._source is None:
            return False
        return self._clock_s() - self._found_at_s.get(key, 0.0) >= self._ttl_s

    async def find(self, key: str) -> None:
        """Ask for an account, and for those it imports from. Raises nothing."""
        waiting = self._lookups.get(key)
        if waiting is not None:
            await asyncio.shield(waiting)
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lookups[key] = done
        try:
            await self._find(key)
        finally:
            del self._lookups[key]
            done.set_result(None)

    async def _find(self, key: str) -> None:
        if not await self._fetch(key):
            return
        account = self.mode.accounts.get(key)
        imports = account.claims.nats.get("imports") or [] if account is not None else []
        exporters = dict.fromkeys(str(entry.get("account")) for entry in imports)
        for exporter in list(exporters)[:EXPORTERS_MAX]:
            if exporter not in self.mode.accounts and self._unknown.get(exporter, 0.0) <= self._clock_s():
                await self._fetch(exporter)

    async def _fetch(self, key: str) -> bool:
        assert self._source is not None
        token = await self._source.fetch(key)
        if token is None:
            self._remember_unknown(key)
            return False
        try:
            account = self.check(token.strip(), key)
            if found := objections(account):
                raise Rejected("; ".join(found))
            await self.update(account)
        except (LeafboxError, OSError) as error:
            logger.error("account=%s was found and is not usable: %s", key, error)
            self._remember_unknown(key)
            return False
        return True

    def _remember_unknown(self, key: str) -> None:
        now_s = self._clock_s()
        # A stale account that is not found again counts on, and is asked for again after its time.
        self._found_at_s[key] = now_s
        self._unknown.pop(key, None)
        self._unknown[key] = now_s + UNKNOWN_S
        while len(self._unknown) > UNKNOWN_MAX:
            oldest = next(iter(self._unknown))
            del self._unknown[oldest]
        while len(self._found_at_s) > UNKNOWN_MAX + len(self.mode.accounts):
            del self._found_at_s[next(iter(self._found_at_s))]
