"""Account: an isolated subject space, its connections and limits, and the port in which features meet.

Owns who is subscribed to what in the account. Does not know protocols: clients, leaf links, JetStream and MQTT add
`Subscription`s with a receiver of their own, watchers are told about every change of interest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from leafbox.broker.config import UNLIMITED, AccountLimits, MessageTrace
from leafbox.dataplane.routing import AccountPlane, CallbackReceiver, Subscription

if TYPE_CHECKING:
    from leafbox.dataplane.routing import Callback


STAYS_HERE = "stays here"
"""Context of a subscription that other servers are not told of: it answers only for this one."""


class InterestWatcher(Protocol):
    """Told about interest that comes and goes, in the order in which it does (leaf links, imports)."""

    def interest_added(self, subscription: Subscription) -> None: ...

    def interest_removed(self, subscription: Subscription) -> None: ...


class Account(AccountPlane):
    """One account. Belongs to the event loop.

    Messages published here reach only subscriptions made here; `broker.imports` makes the exceptions.
    """

    def __init__(self, name: str, limits: AccountLimits | None = None) -> None:
        super().__init__()
        self.name = name
        self.limits = limits or AccountLimits()
        self.is_system = False
        self.connections: set[object] = set()
        self.leaf_links: set[object] = set()
        self.watchers: list[InterestWatcher] = []
        self.total_connections = 0
        self.message_trace: MessageTrace | None = None

    def __repr__(self) -> str:
        return f"Account({self.name!r})"

    # -- subscriptions ------------------------------------------------------------------------------------------------

    def add(self, subscription: Subscription) -> None:
        """Put a subscription into effect. Its subject must be valid."""
        self.sublist.insert(subscription.subject, subscription.queue, subscription)
        for watcher in self.watchers:
            watcher.interest_added(subscription)

    def remove(self, subscription: Subscription) -> None:
        """Take a subscription out of effect; no message reaches it afterwards. Twice is harmless."""
        subscription.closed = True
        if self.sublist.remove(subscription.subject, subscription.queue, subscription):
            for watcher in self.watchers:
                watcher.interest_removed(subscription)

    def subscribe(
        self, subject: bytes, callback: Callback, queue: bytes | None = None, context: str | None = None
    ) -> Subscription:
        """Subscribe from inside the appliance; `callback(subject, reply, header, payload, origin)` runs on the loop.

        It runs inside the sender's turn: it must be short and must not raise.
        """
        subscription = Subscription(self, CallbackReceiver(callback), subject, queue)
        subscription.context = context
        self.add(subscription)
        return subscription

    def subscriptions(self) -> list[Subscription]:
        """Every subscription in effect; shadows and internal ones included."""
        return self.sublist.all_entries()

    def has_interest(self, subject: bytes) -> bool:
        """Whether a message on this literal subject would reach anybody."""
        return self.sublist.has_interest(subject)

    def has_own_interest(self, subject: bytes) -> bool:
        """Whether somebody, outside queue groups, subscribed to exactly this literal subject."""
        return any(entry.subject == subject for entry in self.sublist.find(subject).entries)

    def trace_messages(self, wanted: MessageTrace | None) -> None:
        """Where `traceparent` headers send traces; None: nowhere."""
        self.message_trace = wanted
        self.traces_parents = wanted is not None

    # -- limits -------------------------------------------------------------------------------------------------------

    def has_room_for_connection(self) -> bool:
        """Whether one more client connection is within the account's limit."""
        most = self.limits.connections_max
        return most == UNLIMITED or len(self.connections) < most

    def attach(self, connection: object) -> None:
        """Count a client connection in."""
        self.connections.add(connection)
        self.total_connections += 1

    def detach(self, connection: object) -> None:
        """Count a client connection out."""
        self.connections.discard(connection)

    def payload_limit(self, server_limit: int, user_limit: int = UNLIMITED) -> int:
        """Largest message of a connection here: the smallest of the account's, the server's and the user's limit."""
        limits = (server_limit, self.limits.payload_bytes_max, user_limit)
        return min((limit for limit in limits if limit != UNLIMITED), default=UNLIMITED)

    def subscription_limit(self, server_limit: int, user_limit: int = UNLIMITED) -> int:
        """Most subscriptions of one connection here; -1: no limit. (A `server_limit` of 0 is none.)"""
        limits = (server_limit or UNLIMITED, self.limits.subscriptions_max, user_limit)
        return min((limit for limit in limits if limit != UNLIMITED), default=UNLIMITED)
