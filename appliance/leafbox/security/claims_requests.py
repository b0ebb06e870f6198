"""Requests about accounts on the system account: `$SYS.REQ.CLAIMS.*` and `$SYS.REQ.ACCOUNT.<account>.CLAIMS.*`.

Tools (`nsc push`, `nats auth account push`) decode the answers, so their form is nats-server's, a full directory's, a
cache's or one of accounts in memory; reasons are in our own words. Answers say what is done, never what will be. One
thing differs: a token that no trusted operator signed is refused here; nats-server answers that it was updated and then
ignores it. Source: config specification section 7, monitoring specification section 7; nats-server 2.15.1
`server/accounts.go` (`DirAccResolver.Start`), tried in `tests/conformance/security/test_claims_requests.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from leafbox.broker.account import Account
from leafbox.dataplane.routing import Receiver
from leafbox.protocol.errors import LeafboxError
from leafbox.protocol.jwt import InvalidJwt, decode_jwt
from leafbox.protocol.nkeys import KeyRole, is_public
from leafbox.security.account_claims import KnownAccount, objections
from leafbox.security.config import ResolverKind
from leafbox.security.resolver import AccountResolver

logger = logging.getLogger(__name__)

Document = dict[str, object]

CHANGES_MAX = 64
"""Pushes and deletes that may wait for the disk; each holds at most one message."""
RESPONDERS = b"responder"
"""Queue group of the servers that answer who compares directories: one is enough."""
_UPDATE_SUBJECTS = ("$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE", "$SYS.ACCOUNT.*.CLAIMS.UPDATE")


class ClaimsRequests:
    """Answers for one server; `resolver` is the one in force, which a reload may replace. Belongs to the loop."""

    def __init__(
        self,
        system: Account,
        resolver: Callable[[], AccountResolver],
        *,
        stamp: Callable[[], Document],
        encode: Callable[[Document], bytes],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._system = system
        self._resolver = resolver
        self._stamp = stamp
        self._encode = encode
        self._tasks = tasks
        self._waiting = 0

    def start(self, kind: ResolverKind, *, is_delete_allowed: bool) -> None:
        """Subscribe as a resolver of this kind does."""
        self._kind = kind
        self._is_delete_allowed = is_delete_allowed or kind is ResolverKind.CACHE
        for subject in _UPDATE_SUBJECTS:
            self._listen(subject, self._update_one)
        if kind not in (ResolverKind.FULL, ResolverKind.CACHE):
            return
        self._listen("$SYS.REQ.CLAIMS.UPDATE", self._update_any)
        self._listen("$SYS.REQ.CLAIMS.DELETE", self._delete)
        self._listen("$SYS.REQ.CLAIMS.LIST", self._list)
        if kind is ResolverKind.FULL:
            self._listen("$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP", self._look_up)
            self._listen("$SYS.REQ.CLAIMS.PACK", self._pack, RESPONDERS)

    def _listen(self, subject: str, take: Callable[[bytes, bytes, bytes], None], queue: bytes | None = None) -> None:
        def receive(subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: Receiver | None) -> bool:
            if origin is None:
                # Our own question, meant for other servers.
                return False
            take(subject, reply, payload)
            return True

        self._system.subscribe(subject.encode(), receive, queue)

    # -- changes ------------------------------------------------------------------------------------------------------

    def _update_one(self, subject: bytes, reply: bytes, payload: bytes) -> None:
        key = subject.split(b".")[-3].decode("ascii", "replace")
        if not payload and not self._is_stored:
            self._fail(reply, key, "jwt update error", "request body is empty")
            return
        self._begin(self._update(reply, payload, key), reply, key)

    def _update_any(self, subject: bytes, reply: bytes, payload: bytes) -> None:
        self._begin(self._update(reply, payload, ""), reply, "n/a")

    @property
    def _is_stored(self) -> bool:
        return self._kind in (ResolverKind.FULL, ResolverKind.CACHE)

    @property
    def _what(self) -> str:
        return "jwt update cache" if self._kind is ResolverKind.CACHE else "jwt update"

    async def _update(self, reply: bytes, payload: bytes, key: str) -> None:
        resolver, failed = self._resolver(), f"{self._what} resulted in error"
        unnamed = key if key and self._kind is not ResolverKind.FULL else "n/a"
        try:
            account = resolver.check(payload.decode("ascii", "replace"))
        except InvalidJwt as error:
            self._fail(reply, unnamed, failed, str(error))
            return
        if key and account.key != key:
            self._fail(reply, key, failed, "subject does not match jwt content")
        elif self._kind is not ResolverKind.FULL and account.key not in resolver.mode.accounts:
            self._done(reply, account.key, f"{self._what} skipped")
        elif found := objections(account):
            is_cache = self._kind is ResolverKind.CACHE
            what = "jwt update cache validation failed" if is_cache else "jwt validation failed"
            self._fail(reply, account.key, what, f"validation errors: [{' '.join(found)}]")
        else:
            await self._keep(resolver, account, reply, failed)

    async def _keep(self, resolver: AccountResolver, account: KnownAccount, reply: bytes, failed: str) -> None:
        try:
            await resolver.update(account)
        except (LeafboxError, OSError) as error:
            self._fail(reply, account.key, failed, str(error))
        else:
            self._done(reply, account.key, "jwt updated cache" if self._kind is ResolverKind.CACHE else "jwt updated")

    def _delete(self, subject: bytes, reply: bytes, payload: bytes) -> None:
        self._begin(self._delete_all(reply, payload), reply, "")

    async def _delete_all(self, reply: bytes, payload: bytes) -> None:
        asked_by = ""
        try:
            request = decode_jwt(payload.decode("ascii", "replace"))
            asked_by = request.subject
            keys = self._to_delete(request.nats.get("accounts"), request.subject, request.issuer)
            request.check_time(time.time())
        except InvalidJwt as error:
            self._fail(reply, "", f"delete accounts request by {asked_by} failed", str(error))
            return
        try:
            await self._resolver().delete(keys)
        except OSError as error:
            self._fail(reply, "", f"deleted of {len(keys)} accounts not all", str(error))
        else:
            self._done(reply, "", f"deleted {len(keys)} accounts")

    def _to_delete(self, accounts: object, subject: str, issuer: str) -> list[str]:
        """The accounts that a request may have deleted. Raises `InvalidJwt`."""
        if not self._is_delete_allowed:
            raise InvalidJwt("delete must be enabled in server config")
        if subject != issuer:
            raise InvalidJwt("not self signed")
        if issuer not in self._resolver().mode.trusted:
            raise InvalidJwt("not trusted")
        if not isinstance(accounts, list) or not all(
            isinstance(key, str) and is_public(key, KeyRole.ACCOUNT) for key in accounts
        ):
            raise InvalidJwt("malformed request")
        if self._system.name in accounts:
            raise InvalidJwt("not allowed to delete system account")
        return accounts

    def _begin(self, change: Coroutine[Any, Any, None], reply: bytes, key: str) -> None:
        if self._waiting >= CHANGES_MAX:
            change.close()
            self._fail(reply, key, f"{self._what} resulted in error", f"{CHANGES_MAX} changes wait: try again")
            return
        self._waiting += 1
        self._tasks.create_task(self._run(change), name="account claims")

    async def _run(self, change: Coroutine[Any, Any, None]) -> None:
        try:
            await change
        finally:
            self._waiting -= 1

    # -- reading ------------------------------------------------------------------------------------------------------

    def _list(self, subject: bytes, reply: bytes, payload: bytes) -> None:
        if reply:
            self._system.publish(reply, self._encode({"data": list(self._listed()), "server": self._stamp()}))

    def _listed(self) -> dict[str, str]:
        """Accounts that are kept and have not ended, with their tokens."""
        resolver, now_s = self._resolver(), time.time()
        tokens = resolver.directory.tokens if resolver.directory is not None else {}
        accounts = resolver.mode.accounts
        return {
            key: tokens[key]
            for key in sorted(tokens)
            if key not in accounts or not accounts[key].claims.has_ended(now_s)
        }

    def _look_up(self, subject: bytes, reply: bytes, payload: bytes) -> None:
        directory = self._resolver().directory
        if reply and directory is not None:
            key = subject.split(b".")[3].decode("ascii", "replace")
            self._system.publish(reply, directory.tokens.get(key, "").encode())

    def _pack(self, subject: bytes, reply: bytes, payload: bytes) -> None:
        """Everything for who has something else; an empty message is the end."""
        directory = self._resolver().directory
        if not reply or directory is None:
            return
        if payload != directory.digest():
            for key, token in self._listed().items():
                self._system.publish(reply, f"{key}|{token}".encode())
        self._system.publish(reply, b"")

    # -- answers ------------------------------------------------------------------------------------------------------

    def _done(self, reply: bytes, key: str, message: str) -> None:
        logger.debug("account=%s %s", key, message)
        data: Document = {"code": 200, "message": message}
        self._answer(reply, {"data": ({"account": key} if key else {}) | data})

    def _fail(self, reply: bytes, key: str, what: str, why: str) -> None:
        logger.error("account=%s %s: %s", key, what, why)
        error: Document = {"code": 500, "description": f"{what} - {why}"}
        self._answer(reply, {"error": ({"account": key} if key else {}) | error})

    def _answer(self, reply: bytes, document: Document) -> None:
        if reply:
            self._system.publish(reply, self._encode({"server": self._stamp()} | document))
