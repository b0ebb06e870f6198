"""Requests that the server answers over NATS: monitoring, user information, kick and reload (core-protocol 7.2).

On the system account everything is answered; in any other account only four subjects are, each limited to that account
(nats-server gives every account an implicit import of them). Answers go to whoever asked locally: requests that came in
over a link are answered by the server they started from.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from typing import Protocol

from leafbox.broker.account import Account
from leafbox.broker.broker import Broker
from leafbox.dataplane.routing import Receiver, Subscription
from leafbox.dataplane.subjects import is_subset, is_valid_literal
from leafbox.monitoring.advisories import ServerStamp
from leafbox.monitoring.documents import MonitoredFeatures, MonitoringDocuments, Unavailable
from leafbox.monitoring.query import BadQuery
from leafbox.monitoring.request_options import BadRequest, RequestBody
from leafbox.monitoring.statsz import statsz_document
from leafbox.monitoring.system_events import SystemEvents
from leafbox.monitoring.user_info import user_info
from leafbox.monitoring.wire_format import Document, encode

Answerer = Callable[[RequestBody], Document | None]
"""Makes the `data` of an answer (None: it has none); see `_answer` for its errors."""

# Below this a compressed answer is hardly smaller; readers accept a plain one at any time.
GZIP_BYTES_MIN = 256


class ActionFailed(Exception):
    """What was to be done cannot be done: error 500 with this text."""


class NotForUs(Exception):
    """Another server may know; we stay silent."""


class ServerActions(Protocol):
    """What an operator may do to the running server."""

    def kick(self, cid: int) -> bool:
        """Close a connection as `Kicked`; False when there is none with this id."""
        ...

    def ask_to_leave(self, cid: int) -> bool:
        """Tell one client that the server is in lame duck mode; False when there is none with this id."""
        ...

    def reload_configuration(self) -> str:
        """Read the configuration again; the reason when it cannot be applied, else empty."""
        ...


class SystemServices:
    """Subscribes for one server. `cover_accounts` again after accounts have changed. Belongs to the loop."""

    def __init__(
        self,
        broker: Broker,
        features: MonitoredFeatures,
        documents: MonitoringDocuments,
        events: SystemEvents,
        stamp: ServerStamp,
        actions: ServerActions,
    ) -> None:
        self._broker = broker
        self._features = features
        self._documents = documents
        self._events = events
        self._stamp = stamp
        self._actions = actions
        self._covered: dict[str, Account] = {}
        self._on_server: dict[str, Answerer] = {
            "VARZ": lambda body: documents.varz(),
            "CONNZ": lambda body: documents.connz(body.connz(), time.time_ns()),
            "SUBSZ": lambda body: documents.subsz(body.subsz(), time.time_ns()),
            "ACCOUNTZ": lambda body: documents.accountz(body.text("account"), time.time_ns()),
            "LEAFZ": lambda body: self._leafz(body, body.text("account")),
            "ROUTEZ": lambda body: documents.routez(time.time_ns()),
            "GATEWAYZ": lambda body: documents.gatewayz(time.time_ns()),
            "JSZ": lambda body: documents.jsz(body.jsz(), time.time_ns()),
            "HEALTHZ": self._healthz,
            # There are no queues between goroutines here and no Raft groups.
            "IPQUEUESZ": lambda body: {},
            "RAFTZ": lambda body: {},
            "PROFILEZ": self._no_profile,
        }

    # -- subscriptions ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Subscribe on the system account and in every other account."""
        system = self._broker.system_account
        if system is None:
            return
        server_id = self._broker.identity.server_id
        for target in ("PING", server_id):
            for name, answerer in self._on_server.items():
                self._serve(system, f"$SYS.REQ.SERVER.{target}.{name}", answerer)
            self._listen(system, f"$SYS.REQ.SERVER.{target}.STATSZ", self._answer_statsz)
            self._listen(system, f"$SYS.REQ.SERVER.{target}.IDZ", self._answer_idz)
        self._listen(system, "$SYS.REQ.SERVER.PING", self._answer_statsz)
        self._serve(system, f"$SYS.REQ.SERVER.{server_id}.KICK", self._kick)
        self._serve(system, f"$SYS.REQ.SERVER.{server_id}.LDM", self._ask_to_leave)
        self._serve(system, f"$SYS.REQ.SERVER.{server_id}.RELOAD", self._reload)
        self._listen(system, "$SYS.REQ.ACCOUNT.*.*", self._answer_account)
        self._serve(system, "$SYS.REQ.ACCOUNT.PING.STATZ", self._statz)
        self._listen(system, "$SYS.REQ.ACCOUNT.NSUBS", self._answer_count)
        self._listen(system, "$SYS.DEBUG.SUBSCRIBERS", self._answer_subscribers)
        self.cover_accounts()

    def cover_accounts(self) -> None:
        """Subscribe in accounts that are new since the last time."""
        if self._broker.system_account is None:
            return
        for account in self._broker.accounts.values():
            if self._covered.get(account.name) is account:
                continue
            self._covered[account.name] = account
            self._listen(account, "$SYS.REQ.USER.INFO", self._answer_user_info)
            if not account.is_system:
                self._serve_own(account)
        for name in self._covered.keys() - self._broker.accounts.keys():
            del self._covered[name]

    def _serve_own(self, account: Account) -> None:
        """The requests a normal account may make, about itself only."""
        name = account.name

        def connz(body: RequestBody) -> Document:
            return self._documents.connz(body.connz(name), time.time_ns())

        def statz(body: RequestBody) -> Document:
            return self._documents.accstatz(includes_unused=True, now_ns=time.time_ns(), names=[name])

        self._serve(account, "$SYS.REQ.ACCOUNT.PING.CONNZ", connz)
        self._serve(account, "$SYS.REQ.SERVER.PING.CONNZ", connz)
        self._serve(account, "$SYS.REQ.ACCOUNT.PING.STATZ", statz)

    def _listen(self, account: Account, subject: str, answer: Callable[[_Request], None]) -> Subscription:
        def take(subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: Receiver | None) -> bool:
            if origin is not None and origin.is_remote:
                return False
            if reply:
                answer(_Request(account, subject, reply, header, payload, origin))
            return True

        return account.subscribe(subject.encode(), take)

    def _serve(self, account: Account, subject: str, answerer: Answerer) -> None:
        self._listen(account, subject, lambda request: self._answer(request, answerer))

    # -- answers ------------------------------------------------------------------------------------------------------

    def _answer(self, request: _Request, answerer: Answerer) -> None:
        """Answer in the envelope `{server, data | error}`; a filter that means other servers keeps us silent."""
        document: Document = {}
        try:
            body = RequestBody(request.payload)
            if not self._is_meant(body):
                return
            data = answerer(body)
            document = {"data": data} if data is not None else {}
        except BadRequest as problem:
            document = {"error": {"code": 400, "description": str(problem)}}
        except (BadQuery, Unavailable) as problem:
            document = {"data": None, "error": {"code": 500, "description": str(problem)}}
        except ActionFailed as problem:
            document = {"error": {"code": 500, "description": str(problem)}}
        except NotForUs:
            return
        request.answer({"server": self._stamp.document()} | document)

    def _is_meant(self, body: RequestBody) -> bool:
        identity = self._broker.identity
        return body.selects(identity.name, identity.cluster, self._features.facts)

    def _answer_statsz(self, request: _Request) -> None:
        try:
            is_meant = self._is_meant(RequestBody(request.payload))
        except BadRequest:
            is_meant = True
        if is_meant:
            request.answer(statsz_document(self._stamp.document(), self._documents.statsz()))

    def _answer_idz(self, request: _Request) -> None:
        identity = self._broker.identity
        host = self._features.facts.host
        request.answer({"name": identity.name, "host": host, "id": identity.server_id})

    def _healthz(self, body: RequestBody) -> Document:
        status, document = self._documents.healthz(body.healthz())
        return document | {"status_code": status}

    def _leafz(self, body: RequestBody, account: str) -> Document:
        return self._documents.leafz(
            account=account, lists_subscriptions=body.flag("subscriptions"), now_ns=time.time_ns()
        )

    def _statz(self, body: RequestBody) -> Document:
        return self._used_statz(body, body.texts("accounts"))

    def _used_statz(self, body: RequestBody, names: list[str]) -> Document:
        unused = body.flag("include_unused")
        document = self._documents.accstatz(includes_unused=unused, now_ns=time.time_ns(), names=names)
        if not document["account_statz"] and not unused:
            raise NotForUs
        return document

    def _answer_account(self, request: _Request) -> None:
        """`$SYS.REQ.ACCOUNT.<account>.<what>`; PING and NSUBS have subscriptions of their own."""
        _, _, _, name, what = request.subject.decode("utf-8", "replace").split(".")
        if name == "PING":
            return
        if what == "CONNS":
            if self._broker.account(name) is not None:
                request.answer(self._events.account_connections(name))
            return
        documents = self._documents
        answerers: dict[str, Answerer] = {
            "CONNZ": lambda body: documents.connz(body.connz(name), time.time_ns()),
            "SUBSZ": lambda body: documents.subsz(body.subsz(name), time.time_ns()),
            "LEAFZ": lambda body: self._leafz(body, name),
            "JSZ": lambda body: documents.account_jsz(name, body.account_jsz()),
            "INFO": lambda body: documents.account_detail(name),
            "STATZ": lambda body: self._used_statz(body, [name]),
        }
        answerer = answerers.get(what)
        if answerer is not None:
            self._answer(request, answerer)

    def _no_profile(self, body: RequestBody) -> Document:
        # They are the Go runtime's; who asks is told so instead of waiting.
        name = body.text("name")
        return {"profile": None, "error": f'Profile "{name}" not found' if name else "Profile name not specified"}

    def _answer_user_info(self, request: _Request) -> None:
        info = user_info(request.origin, request.account.name)
        if info is not None:
            request.answer({"server": self._stamp.document(), "data": info})

    # -- counting -----------------------------------------------------------------------------------------------------

    def _answer_subscribers(self, request: _Request) -> None:
        """How many clients subscribe to a subject, optionally of one queue group, in the requester's account."""
        account = getattr(request.origin, "account", None)
        words = request.payload.strip().split(b" ")
        queue = words[1] if len(words) > 1 else None
        if isinstance(account, Account):
            request.reply_with(str(count_subscribers(account, words[0], queue)).encode())

    def _answer_count(self, request: _Request) -> None:
        """The same among servers: account and subject are named in the body."""
        try:
            body = RequestBody(request.payload)
            account = self._broker.account(body.text("acc"))
            subject = body.text("subject").encode()
        except BadRequest:
            return
        if account is not None:
            request.reply_with(str(count_subscribers(account, subject, None)).encode())

    # -- actions ------------------------------------------------------------------------------------------------------

    def _kick(self, body: RequestBody) -> None:
        if not self._actions.kick(body.number("cid")):
            raise ActionFailed("no such client or leafnode id")

    def _ask_to_leave(self, body: RequestBody) -> None:
        if not self._actions.ask_to_leave(body.number("cid")):
            raise ActionFailed("no such client id")

    def _reload(self, body: RequestBody) -> None:
        if problem := self._actions.reload_configuration():
            raise ActionFailed(problem)


class _Request:
    """One request with its way back."""

    __slots__ = ("_header", "_reply", "account", "origin", "payload", "subject")

    def __init__(
        self, account: Account, subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: Receiver | None
    ) -> None:
        self.account = account
        self.subject = subject
        self.payload = payload
        self.origin = origin
        self._reply = reply
        self._header = header

    def answer(self, document: Document) -> None:
        """Reply with a document, compressed if the requester can read that."""
        content = encode(document, indent=None)
        accepted = self._header.lower().partition(b"accept-encoding:")[2].partition(b"\r\n")[0]
        if b"gzip" in accepted and len(content) >= GZIP_BYTES_MIN:
            header = b"NATS/1.0\r\nContent-Encoding: gzip\r\n\r\n"
            self.account.publish(self._reply, gzip.compress(content, 1), header=header)
        else:
            self.account.publish(self._reply, content)

    def reply_with(self, payload: bytes) -> None:
        """Reply with bytes."""
        self.account.publish(self._reply, payload)


def count_subscribers(account: Account, subject: bytes, queue: bytes | None) -> int:
    """Subscriptions of clients that a literal subject would reach, or that a wildcard covers."""
    if is_valid_literal(subject):
        result = account.sublist.find(subject)
        found = [*result.entries, *(member for group in result.groups for member in group)]
    else:
        found = [entry for entry in account.subscriptions() if subject and is_subset(entry.subject, subject)]
    return sum(_is_client(entry.receiver) and queue in (None, entry.queue) for entry in found)


def _is_client(receiver: Receiver) -> bool:
    return not receiver.is_remote and bool(getattr(receiver, "cid", 0))
