"""The WebSocket dialect of raw conversations: refusals, data and control frames, masks."""

from __future__ import annotations

from tests.support.websocket_dialect import WEBSOCKET
from tests.support.websocket_frames import BINARY, CLOSE, PING, Frame, write_frame

_ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def test_frame_borders_mean_nothing_and_control_frames_come_last() -> None:
    """A PONG over two frames is one PONG; a close frame between them is told after the stream."""
    frames = [Frame(BINARY, b"+OK\r\nPO"), Frame(PING, b"x"), Frame(BINARY, b"NG\r\n"), Frame(CLOSE, b"\x03\xe8bye")]
    received = _ACCEPTED + b"".join(write_frame(frame, None) for frame in frames)
    assert WEBSOCKET.pong_count(received) == 1
    assert WEBSOCKET.heard(received, False) == (
        "HTTP/1.1 101 Switching Protocols",
        "Connection: Upgrade",
        "Upgrade: websocket",
        r"+OK\r\n",
        r"PONG\r\n",
        "control frame 9 b'x'",
        "close 1000 'bye'",
    )


def test_refusal_keeps_the_body_and_drops_the_clock() -> None:
    """Any status but 101 ends the conversation; the date is no answer."""
    received = b"HTTP/1.1 403 Forbidden\r\nDate: now\r\nX: y\r\n\r\nno\n"
    assert WEBSOCKET.is_refused(received)
    assert not WEBSOCKET.is_refused(received[:20])
    assert WEBSOCKET.heard(received, False) == ("HTTP/1.1 403 Forbidden", "X: y", r"b'no\n'")
