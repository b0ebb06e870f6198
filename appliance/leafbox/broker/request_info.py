"""Who asked: the `Nats-Request-Info` header that a shared service import adds to a request (config spec section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from leafbox.dataplane.routing import Receiver

if TYPE_CHECKING:
    from leafbox.broker.account import Account

NAME = b"Nats-Request-Info"


def share_request_info(header: bytes, account: Account, origin: Receiver | None) -> bytes:
    """`header` with the requester's information; a value that the client itself sent does not survive."""
    describe = getattr(origin, "request_info", None)
    info = {"acc": account.name, **(describe() if describe is not None else {})}
    line = NAME + b": " + msgspec.json.encode(info) + b"\r\n"
    lines = header.split(b"\r\n")[:-2] if header else [b"NATS/1.0"]
    kept = [entry for entry in lines if not entry.lower().startswith(NAME.lower() + b":")]
    return b"\r\n".join(kept) + b"\r\n" + line + b"\r\n"
