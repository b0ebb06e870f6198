"""WebSocket frames around a byte stream; the specification is in `websocket_framing.pyx`."""

CLOSE_STATUS: dict[str, int]
COMPRESS_BYTES_MIN: int
FRAME_BYTES_FOR_BROWSERS: int

def message_bytes_max(max_payload: int) -> int: ...
def close_payload(status: int, text: str) -> bytes: ...

class Deflater:
    def __init__(self) -> None: ...

class WebsocketFraming:
    demands_mask: bool
    forbids_mask: bool
    masks_output: bool
    refuses_text: bool
    deflater: Deflater | None
    frame_bytes_max: int
    fragments_compressed: bool
    message_bytes_max: int
    pending_control: bytes
    end_reason: str | None
    @property
    def has_more(self) -> bool: ...
    def __init__(
        self,
        *,
        demands_mask: bool = True,
        forbids_mask: bool = False,
        masks_output: bool = False,
        refuses_text: bool = False,
        deflater: Deflater | None = None,
        frame_bytes_max: int = 0,
        fragments_compressed: bool = True,
        message_bytes_max: int = ...,
    ) -> None: ...
    def decode(self, data: bytes) -> bytes: ...
    def encode(self, data: bytes) -> bytes: ...
    def ping_frame(self, payload: bytes = b"") -> bytes: ...
    def close_frame(self, reason: str) -> bytes: ...
