from collections.abc import Callable

from leafbox.dataplane.consumer_progress import ConsumerProgress
from leafbox.dataplane.consumer_requests import PullRequest, WaitQueue
from leafbox.dataplane.store_subjects import SubjectFilter
from leafbox.dataplane.stream_ingest import StreamIngest

MessageCallback = Callable[[bytes, bytes, bytes, bytes, int, int], bool | None]

class ConsumerDelivery(ConsumerProgress):
    deliver_subject: bytes | None
    deliver_group: bytes | None
    headers_only: bool
    is_paused: bool
    watches_drain: bool
    priority_policy: int
    waiting: WaitQueue | None
    pin_id: str
    request_batch_max: int
    request_bytes_max: int
    request_wait_max_ns: int
    last_used_ns: int
    bytes_per_second: int
    burst_bytes: int
    replays: bool
    replay_to: int
    resume_ns: int
    window_bytes: int
    window_max_bytes: int
    unanswered_bytes: int
    answered_bytes: int
    flow_subject: bytes | None
    @property
    def has_interest(self) -> bool: ...
    @property
    def last_sent_ns(self) -> int: ...
    def __init__(
        self,
        ingest: StreamIngest,
        ack_prefix: bytes,
        filter: SubjectFilter | None = None,
        wait_limit: int = 0,
        by_priority: bool = False,
    ) -> None: ...
    def close(self) -> None: ...
    def set_callback(self, callback: MessageCallback | None) -> None: ...
    def wake(self) -> None: ...
    def update_interest(self) -> bool: ...
    def has_listener(self, subject: bytes) -> bool: ...
    def flow_answered(self) -> None: ...
    def on_request_timer(self, when_ns: int) -> None: ...
    def on_drained(self, is_stalled: bool) -> None: ...
    def on_expired(self, request: PullRequest) -> None: ...
    def on_too_large(self, request: PullRequest) -> None: ...
    def on_interest_lost(self, request: PullRequest) -> None: ...
    def on_batch_completed(self, request: PullRequest) -> None: ...
    def on_priority(self, request: PullRequest) -> bool | None: ...
    def on_flow_control(self) -> None: ...
