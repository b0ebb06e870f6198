from collections.abc import Callable

from leafbox.dataplane.routing import Callback, CallbackReceiver
from leafbox.dataplane.stream_ingest import StreamIngest

class OriginIntake(CallbackReceiver):
    ingest: StreamIngest
    is_mirror: bool
    is_plain: bool
    consumer: bytes
    consumer_seq: int
    place: int
    lag: int
    last_heard_ns: int
    on_moved: Callable[[], object] | None
    is_told: bool
    def __init__(self, callback: Callback, ingest: StreamIngest, *, is_mirror: bool) -> None: ...
    def set_note(self, start: bytes, middle: bytes, end: bytes) -> None: ...

def place_of(reply: bytes) -> tuple[bytes, int, int, int, int, int] | None: ...
