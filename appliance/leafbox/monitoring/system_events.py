"""What the server tells the system account by itself: clients that come and go, refused logins, its own statistics.

Nothing is made that nobody listens to: each event looks for interest in its subject first. Source: core-protocol
section 7.1, monitoring section 3 (STATSZ).
"""

from __future__ import annotations

import time
from asyncio import TimerHandle
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from leafbox.broker.account import Account
from leafbox.broker.broker import Broker
from leafbox.broker.config import GLOBAL_ACCOUNT
from leafbox.broker.registry import ConnectionSnapshot
from leafbox.monitoring.accountz import statz_document
from leafbox.monitoring.advisories import (
    ACCOUNT_CONNECTIONS,
    CLIENT_CONNECT,
    CLIENT_DISCONNECT,
    ServerStamp,
    client_document,
    typed_event,
)
from leafbox.monitoring.snapshots import take_account
from leafbox.monitoring.statsz import statsz_document
from leafbox.monitoring.wire_format import Document, encode

STATSZ_INTERVAL_S = 10.0
# Soon after the start, then ever more rarely: tools that wait for a box to come up see it at once.
STATSZ_FIRST_S = 0.25


class ObservedClient(Protocol):
    """What events need of a client session."""

    @property
    def account(self) -> object: ...

    def snapshot(self) -> ConnectionSnapshot: ...


def _account_name(client: ObservedClient) -> str:
    """Without a snapshot: a site's sensors all come back at once, and mostly nobody listens."""
    account = client.account
    return account.name if isinstance(account, Account) else ""


class SystemEvents:
    """Publishes on the system account; does nothing while there is none. Belongs to the loop."""

    def __init__(self, broker: Broker, stamp: ServerStamp, statsz: Callable[[], Document]) -> None:
        self._broker = broker
        self._stamp = stamp
        self._statsz = statsz
        self._timer: TimerHandle | None = None
        self._next_statsz_s = STATSZ_FIRST_S

    # -- clients ------------------------------------------------------------------------------------------------------

    def connected(self, client: ObservedClient) -> None:
        """A client has logged in."""
        if self._broker.system_account is None:
            return
        name = _account_name(client)
        self._connections_changed(name)
        self._publish(
            f"$SYS.ACCOUNT.{name}.CONNECT",
            lambda: (
                typed_event(CLIENT_CONNECT, self._stamp.document())
                | {"client": client_document(replace(client.snapshot(), rtt_ns=0))}
            ),
        )

    def disconnected(self, client: ObservedClient) -> None:
        """A client that had logged in is gone."""
        if self._broker.system_account is None:
            return
        name = _account_name(client)
        self._connections_changed(name)
        self._publish(f"$SYS.ACCOUNT.{name}.DISCONNECT", lambda: self._disconnect(client.snapshot()))

    def login_refused(self, client: ObservedClient, reason: str) -> None:
        """A client may not log in; it is being closed."""
        if self._broker.system_account is None:
            return
        snapshot = replace(
            client.snapshot(), account=GLOBAL_ACCOUNT, stop_ns=time.time_ns(), reason="Authentication Failure"
        )
        server_id = self._broker.identity.server_id
        self._publish(f"$SYS.SERVER.{server_id}.CLIENT.AUTH.ERR", lambda: self._disconnect(snapshot))
        self._publish(f"$SYS.ACCOUNT.{GLOBAL_ACCOUNT}.DISCONNECT", lambda: self._disconnect(snapshot))

    def _disconnect(self, client: ConnectionSnapshot) -> Document:
        return typed_event(CLIENT_DISCONNECT, self._stamp.document()) | {
            "client": client_document(client),
            "sent": {"msgs": client.out_msgs, "bytes": client.out_bytes},
            "received": {"msgs": client.in_msgs, "bytes": client.in_bytes},
            "reason": client.reason,
        }

    def _connections_changed(self, name: str) -> None:
        for subject in (f"$SYS.SERVER.ACCOUNT.{name}.CONNS", f"$SYS.ACCOUNT.{name}.SERVER.CONNS"):
            self._publish(subject, lambda: self.account_connections(name))

    def account_connections(self, name: str) -> Document:
        """The connections and traffic of one account, as an event."""
        account = self._broker.account(name)
        traffic = statz_document(take_account(account)) if account is not None else {}
        return typed_event(ACCOUNT_CONNECTIONS, self._stamp.document()) | traffic

    # -- the server itself --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to publish statistics: at once, and settling down to every STATSZ_INTERVAL_S."""
        loop = self._broker.engine.loop
        self._timer = loop.call_later(self._next_statsz_s, self._heartbeat)
        self._next_statsz_s = min(self._next_statsz_s * 2, STATSZ_INTERVAL_S)

    def stop(self) -> None:
        """Say that the server goes, and fall silent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._announce("SHUTDOWN")

    def lame_duck(self) -> None:
        """Say that clients should leave."""
        self._announce("LAMEDUCK")

    def _announce(self, what: str) -> None:
        self._publish(f"$SYS.SERVER.{self._broker.identity.server_id}.{what}", self._stamp.document)

    def _heartbeat(self) -> None:
        self.start()
        subject = f"$SYS.SERVER.{self._broker.identity.server_id}.STATSZ"
        self._publish(subject, lambda: statsz_document(self._stamp.document(), self._statsz()))

    def _publish(self, subject: str, make: Callable[[], Document]) -> None:
        system = self._broker.system_account
        if system is not None and system.has_interest(subject.encode()):
            system.publish(subject.encode(), encode(make(), indent=None))
