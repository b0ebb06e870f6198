"""Who asked: the `Nats-Request-Info` header of requests that cross a service import (config spec section 5).

The importing account's name and the round trip always travel; the client's own details only when the import is shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from leafbox.dataplane.routing import Receiver

if TYPE_CHECKING:
    from leafbox.broker.account import Account

NAME = b"Nats-Request-Info"


class RequestInfo(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The header's value, keys in nats-server's order; durations in ns."""

    start: str = ""
    host: str = ""
    id: int = 0
    acc: str = ""
    user: str = ""
    name: str = ""
    lang: str = ""
    ver: str = ""
    rtt: int = 0
    server: str = ""
    kind: str = ""
    client_type: str = ""


def info_of(origin: Receiver | None) -> RequestInfo | None:
    """All that is known of a client; None for what is none."""
    describe = getattr(origin, "request_info", None)
    found: RequestInfo | None = describe() if describe is not None else None
    return found


def with_request_info(header: bytes, account: Account, origin: Receiver | None, *, is_shared: bool) -> bytes:
    """`header` with the requester's information; a value that the client itself sent does not survive."""
    info = info_of(origin) or RequestInfo()
    if not is_shared:
        info = RequestInfo(rtt=info.rtt)
    info.acc = account.name
    lines = header.split(b"\r\n")[:-2] if header else [b"NATS/1.0"]
    kept = [line for line in lines if not line.lower().startswith(NAME.lower() + b":")]
    return b"\r\n".join(kept) + b"\r\n" + NAME + b": " + msgspec.json.encode(info) + b"\r\n\r\n"
