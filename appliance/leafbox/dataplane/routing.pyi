from collections.abc import Callable
from typing import Any, Protocol

from leafbox.dataplane.sublist import Sublist

class SubjectMapper(Protocol):
    def map(self, subject: bytes) -> bytes | None: ...

class Receiver:
    is_remote: bool
    def trace_refusal(self, subscription: Subscription, origin: Receiver | None, subject: bytes) -> str: ...

class Subscription:
    subject: bytes
    queue: bytes | None
    sid: bytes
    receiver: Receiver
    account: AccountPlane
    closed: bool
    filters_deliveries: bool
    delivered: int
    max_deliver: int
    queue_weight: int
    primary: Subscription | None
    local_subject: Callable[[bytes], bytes | None] | None
    context: Any
    def __init__(
        self, account: AccountPlane, receiver: Receiver, subject: bytes, queue: bytes | None = None, sid: bytes = b""
    ) -> None: ...

Callback = Callable[[bytes, bytes, bytes, bytes, Receiver | None], bool | None]

class CallbackReceiver(Receiver):
    callback: Callback
    def __init__(self, callback: Callback) -> None: ...

InboxCallback = Callable[[bytes, bytes, bytes, bytes, bytes, Receiver | None], bool | None]

class InboxReceiver(Receiver):
    callback: InboxCallback
    def __init__(self, callback: InboxCallback) -> None: ...

class AccountPlane:
    sublist: Sublist
    mappings: SubjectMapper | None
    in_msgs: int
    in_bytes: int
    out_msgs: int
    out_bytes: int
    slow_consumers: int
    traces_parents: bool
    def __init__(self) -> None: ...
    def publish(
        self,
        subject: bytes,
        payload: bytes = b"",
        reply: bytes = b"",
        header: bytes = b"",
        origin: Receiver | None = None,
    ) -> int: ...
    def publish_to(
        self, inbox: bytes, subject: bytes, payload: bytes = b"", reply: bytes = b"", header: bytes = b""
    ) -> int: ...

def hand(
    subscriptions: list[Subscription],
    origin: Receiver | None,
    subject: bytes,
    reply: bytes,
    header: bytes,
    payload: bytes,
) -> bool: ...
