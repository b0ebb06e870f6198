"""Raw conversations over WebSocket: what a server answered to the HTTP request, and the NATS stream in its frames.

Where a server puts the borders of its data frames means nothing, so data and control frames are compared apart.
"""

from __future__ import annotations

from tests.support.differential import masked
from tests.support.raw_client import operations_of
from tests.support.websocket_frames import BINARY, CLOSE, Frame, content, read_frames, write_frame

# A legal mask that leaves the payload readable, so that `room` can be found and replaced in it.
NO_MASK = b"\0\0\0\0"
# Headers whose value says when the answer was given.
_CLOCK_HEADERS = ("date:",)


class Websocket:
    """NATS inside WebSocket frames, from the HTTP upgrade on."""

    listener = "websocket"
    greets = False
    question = write_frame(Frame(BINARY, b"PING\r\n"), NO_MASK)

    def is_ready(self, received: bytes) -> bool:
        return b"\r\n\r\n" in received

    def is_refused(self, received: bytes) -> bool:
        return self.is_ready(received) and not received.startswith(b"HTTP/1.1 101 ")

    def pong_count(self, received: bytes) -> int:
        frames, _ = read_frames(received.partition(b"\r\n\r\n")[2])
        return operations_of(content(frames)).count(b"PONG\r\n")

    def heard(self, received: bytes, masks_sid: bool) -> tuple[str, ...]:
        head, _, rest = received.partition(b"\r\n\r\n")
        status, *headers = head.decode("latin-1").split("\r\n")
        kept = sorted(line for line in headers if not line.lower().startswith(_CLOCK_HEADERS))
        if self.is_refused(received):
            return (status, *kept, repr(rest))
        frames, left = read_frames(rest)
        return (
            status,
            *kept,
            *masked(content(frames), masks_sid),
            *(_control_text(frame) for frame in frames if frame.opcode >= CLOSE),
            *([f"unfinished frame {left!r}"] if left else []),
        )


WEBSOCKET = Websocket()


def _control_text(frame: Frame) -> str:
    if frame.opcode == CLOSE:
        return f"close {frame.close_status} {frame.close_text!r}"
    return f"control frame {frame.opcode} {frame.payload!r}"
