from collections.abc import Iterator

class PullRequest:
    reply: bytes
    batch: int
    delivered: int
    bytes_left: int
    expires_ns: int
    received_ns: int
    heartbeat_ns: int
    next_heartbeat_ns: int
    no_wait: bool
    has_group: bool
    group: str
    pin_id: str
    min_pending: int
    min_ack_pending: int
    priority: int
    def __init__(
        self,
        reply: bytes,
        batch: int = 1,
        *,
        bytes_left: int = 0,
        expires_ns: int = 0,
        received_ns: int = 0,
        heartbeat_ns: int = 0,
        no_wait: bool = False,
        has_group: bool = False,
        group: str = "",
        pin_id: str = "",
        min_pending: int = 0,
        min_ack_pending: int = 0,
        priority: int = 0,
    ) -> None: ...

class WaitQueue:
    limit: int
    last_received_ns: int
    by_priority: bool
    def __init__(self, limit: int, by_priority: bool = False) -> None: ...
    @property
    def count(self) -> int: ...
    @property
    def is_full(self) -> bool: ...
    @property
    def head(self) -> PullRequest | None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[PullRequest]: ...
    def add(self, request: PullRequest) -> bool: ...
    def remove(self, request: PullRequest) -> bool: ...
    def clear(self) -> list[PullRequest]: ...
