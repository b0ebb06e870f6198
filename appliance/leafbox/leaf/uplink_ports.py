"""What an uplink needs of the rest of the box; wiring supplies it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from leafbox.leaf.config import LeafRemoteOptions
from leafbox.leaf.uplink_backlog import BufferState
from leafbox.leaf.uplink_definition import Definition
from leafbox.leaf.uplink_ledger import Outage


class UplinkStore(Protocol):
    """Durable values."""

    def definitions(self) -> list[Definition]:
        """Every uplink that was added."""
        ...

    def save_definition(self, definition: Definition) -> Awaitable[None]:
        """Keep one; done when it is on flash."""
        ...

    def remove_definition(self, name: str) -> Awaitable[None]:
        """Forget one and its outages; done when that is on flash."""
        ...

    def outages(self, name: str) -> list[Outage]:
        """The outages of one uplink."""
        ...

    def save_outage(self, name: str, number: int, outage: Outage | None) -> None:
        """Keep one; None: forget it."""
        ...


class Buffers(Protocol):
    """The local streams that keep messages until the hub has them."""

    def state(self, account: str, stream: str) -> BufferState | None:
        """How one stands; None: there is no such stream."""
        ...

    def steer(self, account: str, stream: str, bytes_per_second: int, *, is_held: bool) -> None:
        """Cap what the hub fetches from it, or hold it back."""
        ...


class RemoteMaker(Protocol):
    """From a definition to what the link layer dials with."""

    def __call__(self, definition: Definition) -> LeafRemoteOptions:
        """Raises `BoxRequestFailed` for a URL or a file that cannot be used."""
        ...
