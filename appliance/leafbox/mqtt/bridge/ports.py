"""What a bridge needs of a client to the other broker, and what can go wrong with it.

Two clients serve it, ours and amqtt's; users choose. Not here: what is sent and kept (`worker`).
"""

from __future__ import annotations

import ssl
from asyncio import Future
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from leafbox.protocol.errors import LeafboxError
from leafbox.protocol.mqtt.reason_codes import ReasonCode


@dataclass
class BridgeLost(LeafboxError):
    """The other broker is not there, or refused us; the bridge tries again. Texts hold no secrets."""

    state: str
    """Short and stable, for programs: `dns`, `refused`, `tls`, `auth`, `timeout`, `closed`, `protocol`."""
    sentence: str
    next_step: str = ""

    def __str__(self) -> str:
        return self.sentence


@dataclass
class MessageRefused(LeafboxError):
    """The other broker does not take one message; the connection goes on. `refusals` decides what becomes of it."""

    code: ReasonCode
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def lost_by(error: OSError, where: str) -> BridgeLost:
    """What an error of the network means for people."""
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "verify_message", "") or error.reason or "handshake failed"
        return BridgeLost(
            "tls",
            f"no TLS with {where}: {reason}",
            "check --ca, --cert and --key, and that the name is the certificate's",
        )
    if isinstance(error, ConnectionRefusedError):
        return BridgeLost("refused", f"nobody listens at {where}", "is the broker running?")
    return BridgeLost("dns", f"{where} cannot be reached: {error.strerror or error}")


@dataclass(frozen=True, slots=True)
class BridgeMessage:
    """One message in either direction. `user_properties` cross in MQTT 5 only."""

    topic: bytes
    payload: bytes
    qos: int = 0
    is_retained: bool = False
    user_properties: tuple[tuple[str, str], ...] = ()


Taker = Callable[[BridgeMessage], "Future[None]"]
"""Called once for each message that comes in, in order; the message is acknowledged when the future is done."""


class BridgeClient(Protocol):
    """One connection to the other broker. Everything raises `BridgeLost`."""

    async def connect(self) -> None:
        """Log in and resume the session there."""
        ...

    async def subscribe(self, filters: list[tuple[bytes, int]]) -> None:
        """Ask for these filters at these QoS; messages may come before it returns."""
        ...

    def publish(self, message: BridgeMessage) -> Future[None]:
        """Send; done when the other side has acknowledged, or at QoS 0 when it is written. `MessageRefused` when the
        other side says no, or has said that it would."""
        ...

    async def wait_lost(self) -> None:
        """Return never; raise when the connection is lost."""
        ...

    async def close(self) -> None:
        """End the connection; the session there stays."""
        ...
