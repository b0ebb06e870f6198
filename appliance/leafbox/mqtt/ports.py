"""What the gateway needs of the rest: a place for what sessions must not forget, and somebody who hears of clients."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from leafbox.security.authentication import Decision

if TYPE_CHECKING:
    from leafbox.mqtt.connection import MqttClient

RightsOfUser = Callable[[str, str], Decision]
"""What a user (by name and account) may do by the present configuration, without a login."""


class SessionValue(enum.Enum):
    """Namespaces of the gateway's durable values."""

    DEFINITION = "definition"
    """Who a session is and what it subscribed to."""
    PROGRESS = "progress"
    """What it was sent and what it acknowledged: steps of the data plane."""


class SessionStore(Protocol):
    """Durable values with deltas behind them. Used on the loop; nothing waits for the disk.

    What changes something returns the log number at which the change is on flash.
    """

    def put(self, kind: SessionValue, key: bytes, value: bytes) -> int:
        """Set a value and drop its deltas."""
        ...

    def extend(self, kind: SessionValue, key: bytes, delta: bytes, is_urgent: bool = True) -> int:
        """Add a delta to a value; not urgent: it waits for the next commit."""
        ...

    def delete(self, kind: SessionValue, key: bytes) -> int:
        """Remove a value and its deltas; unknown keys are ignored."""
        ...

    def values(self, kind: SessionValue) -> Iterable[tuple[bytes, bytes, list[bytes]]]:
        """Every (key, value, deltas) as recovered at the start; the value is empty where only deltas are left."""
        ...

    def supply_snapshots(self, kind: SessionValue, snapshot: Callable[[bytes], bytes | None]) -> None:
        """Whenever the storage folds its log it asks for the value that supersedes a key's deltas; None: it is gone."""
        ...


class ConnectionEvents(Protocol):
    """Told about clients (system events, monitoring). Must not raise."""

    def connected(self, client: MqttClient) -> None: ...

    def disconnected(self, client: MqttClient) -> None: ...

    def login_refused(self, client: MqttClient, reason: str) -> None: ...
