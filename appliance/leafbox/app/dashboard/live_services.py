"""`$LEAFBOX.live.*`: looking at messages as they pass, without being noticed and without becoming a load.

A watch stands in the account's index beside the subscriptions, but it is none: leaf links and importers are not told,
so no hub sends its traffic because somebody opened a page, and it takes no message, so a request without a responder
is still answered as such. It takes at most so many messages a second, then it is out of the index until its reader
comes again: what is shown of a storm is a sample. A reader that stays away ends its watch.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import time
from collections.abc import Callable

from leafbox.app.dashboard.people_services import optional, text
from leafbox.broker.account import Account
from leafbox.broker.broker import Broker
from leafbox.dataplane.routing import CallbackReceiver, Receiver, Subscription
from leafbox.dataplane.subjects import is_valid_subject
from leafbox.monitoring.box_services import BoxServices
from leafbox.protocol.errors import BoxRequestFailed
from leafbox.protocol.jetstream.go_json import Json, JsonObject

WATCHES_MAX = 24
"""Twenty pages with a tail and the subject trees of four accounts."""
MESSAGES_PER_S_MAX = 1000
"""Of one watch; each costs a few microseconds here, and nobody reads more."""
KEPT_MAX = 1000
"""Messages that wait for the reader."""
BYTES_KEPT_MAX = 2 * 1024 * 1024
PAYLOAD_BYTES_MAX = 16 * 1024
LEASE_S = 5.0
"""A reader comes several times a second; one that does not is gone."""


class Watch:
    """One subject of one account, watched."""

    def __init__(self, account: Account, subject: bytes, per_s: int, payload_bytes: int) -> None:
        self._account = account
        self._subject = subject
        self._per_s = per_s
        self._payload_bytes = payload_bytes
        self._kept: list[Json] = []
        self._kept_bytes = 0
        self._left = per_s
        self._is_sampled = False
        self._read_at = time.monotonic()
        self._subscription: Subscription | None = None
        self._enter()

    @property
    def idle_s(self) -> float:
        """How long the reader has been away."""
        return time.monotonic() - self._read_at

    def take(self) -> JsonObject:
        """What passed since the last time."""
        now = time.monotonic()
        # A second's worth at most: a reader that was late gets no burst.
        self._left = min(self._per_s, self._left + int(self._per_s * (now - self._read_at)) + 1)
        self._read_at = now
        messages, self._kept, self._kept_bytes = self._kept, [], 0
        is_sampled, self._is_sampled = self._is_sampled, False
        self._enter()
        return {"messages": messages, "sampled": is_sampled}

    def leave(self) -> None:
        """Watch no more, for now or for good."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.closed = True
            self._account.sublist.remove(self._subject, None, subscription)

    def _enter(self) -> None:
        if self._subscription is None:
            # Past `Account.add`, which would tell the links.
            self._subscription = Subscription(self._account, CallbackReceiver(self._look), self._subject)
            self._account.sublist.insert(self._subject, None, self._subscription)

    def _look(self, subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: Receiver | None) -> bool:
        self._left -= 1
        shown = payload[: self._payload_bytes]
        self._kept.append(
            {
                "subject": subject.decode("utf-8", "replace"),
                "reply": reply.decode("utf-8", "replace"),
                "header": base64.b64encode(header[:PAYLOAD_BYTES_MAX]).decode(),
                "payload": base64.b64encode(shown).decode(),
                "size": len(payload),
                "at_s": time.time(),
            }
        )
        self._kept_bytes += len(shown) + len(header)
        if self._left <= 0 or len(self._kept) >= KEPT_MAX or self._kept_bytes >= BYTES_KEPT_MAX:
            self._is_sampled = True
            # Not while the index is walked.
            if self._subscription is not None:
                self._subscription.closed = True
            asyncio.get_running_loop().call_soon(self.leave)
        return False


class LiveServices:
    """The watches of one box. Belongs to the loop."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._watches: dict[int, Watch] = {}
        self._ids = itertools.count(1)
        self._call_later: Callable[..., asyncio.TimerHandle] = asyncio.get_running_loop().call_later
        self._sweep_timer: asyncio.TimerHandle | None = None

    def register(self, services: BoxServices) -> None:
        """Answer the noun."""
        services.add("live.open", self.open)
        services.add("live.take", self.take)
        services.add("live.close", self.close)

    def stop(self) -> None:
        """End every watch."""
        for watch in self._watches.values():
            watch.leave()
        self._watches.clear()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()

    def open(self, request: JsonObject) -> JsonObject:
        """Watch a subject, wildcards allowed."""
        account = self._broker.account(text(request, "account"))
        if account is None:
            raise BoxRequestFailed("not_found", f"there is no account {request['account']}", "choose another")
        subject = text(request, "subject").encode()
        if not is_valid_subject(subject):
            raise BoxRequestFailed("invalid", f"{request['subject']} is no subject", "words joined by dots, * or >")
        if len(self._watches) >= WATCHES_MAX:
            raise BoxRequestFailed("busy", f"{WATCHES_MAX} watches are open", "close a page that shows live messages")
        per_s = min(max(optional(request, "per_s", MESSAGES_PER_S_MAX), 1), MESSAGES_PER_S_MAX)
        payload_bytes = min(max(optional(request, "payload_bytes", PAYLOAD_BYTES_MAX), 0), PAYLOAD_BYTES_MAX)
        number = next(self._ids)
        self._watches[number] = Watch(account, subject, per_s, payload_bytes)
        if self._sweep_timer is None:
            self._sweep_timer = self._call_later(LEASE_S, self._sweep)
        return {"id": number}

    def take(self, request: JsonObject) -> JsonObject:
        """What a watch has seen since the last time."""
        watch = self._watches.get(optional(request, "id", 0))
        if watch is None:
            raise BoxRequestFailed("not_found", "this watch has ended", "open it again")
        return watch.take()

    def close(self, request: JsonObject) -> JsonObject:
        """End a watch; one that has ended is fine."""
        watch = self._watches.pop(optional(request, "id", 0), None)
        if watch is not None:
            watch.leave()
        return {}

    def _sweep(self) -> None:
        for number, watch in list(self._watches.items()):
            if watch.idle_s > LEASE_S:
                watch.leave()
                del self._watches[number]
        self._sweep_timer = self._call_later(LEASE_S, self._sweep) if self._watches else None
