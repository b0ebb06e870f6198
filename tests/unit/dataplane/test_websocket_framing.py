"""Frame rules, one by one: what is accepted, what ends the connection and with which close frame."""

from __future__ import annotations

import pytest

from leafbox.dataplane.websocket_framing import (
    CLOSE_STATUS,
    Deflater,
    WebsocketFraming,
    close_payload,
    message_bytes_max,
)
from tests.support.websocket_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    deflate,
    inflate,
    read_frames,
    write_frame,
)

pytestmark = pytest.mark.capability("WS03")

KEY = b"\x11\x22\x33\x44"


def close_frame(framing: WebsocketFraming) -> tuple[int | None, str]:
    """Status and text the connection will close with."""
    assert framing.end_reason is not None
    frames, rest = read_frames(framing.close_frame(framing.end_reason))
    assert rest == b""
    (frame,) = frames
    assert (frame.opcode, frame.is_final) == (CLOSE, True)
    return frame.close_status, frame.close_text


VIOLATIONS: dict[str, tuple[bytes, str]] = {
    "unmasked": (write_frame(Frame(BINARY, b"PING\r\n"), None), "mask bit missing"),
    "RSV2": (b"\xa2\x80" + KEY, "RSV2 and RSV3 must be clear"),
    "RSV3": (b"\x92\x80" + KEY, "RSV2 and RSV3 must be clear"),
    "compressed, not negotiated": (
        write_frame(Frame(BINARY, b"", is_compressed=True)),
        "compressed frame received without negotiated permessage-deflate",
    ),
    "control frame too long": (
        b"\x89\xfe\x00\x7e" + KEY,
        "control frame length bigger than maximum allowed of 125 bytes",
    ),
    "control frame in fragments": (
        write_frame(Frame(PING, is_final=False)),
        "control frame does not have final bit set",
    ),
    "message inside a message": (
        write_frame(Frame(BINARY, b"a", is_final=False)) + write_frame(Frame(BINARY, b"b")),
        "new message started before final frame for previous message was received",
    ),
    "continuation of nothing": (write_frame(Frame(CONTINUATION)), "invalid continuation frame"),
    "unknown opcode": (write_frame(Frame(3)), "unknown opcode 3"),
    "unknown control opcode": (write_frame(Frame(11)), "unknown opcode 11"),
    "length with the top bit": (b"\x82\xff" + b"\xff" * 8 + KEY, "invalid 64-bit payload length"),
    "close of one byte": (write_frame(Frame(CLOSE, b"\x03")), "close frame payload cannot be 1 byte"),
    "close with a reserved status": (write_frame(Frame(CLOSE, b"\x03\xed")), "invalid close status code 1005"),
    "close with an unassigned status": (write_frame(Frame(CLOSE, b"\x08\x00")), "invalid close status code 2048"),
}


@pytest.mark.parametrize("case", VIOLATIONS)
def test_a_violation_ends_the_connection_with_1002(case: str) -> None:
    data, text = VIOLATIONS[case]
    framing = WebsocketFraming()
    framing.decode(data)
    assert framing.end_reason == "Read Error"
    assert close_frame(framing) == (1002, text)
    assert framing.decode(write_frame(Frame(BINARY, b"more"))) == b""


def test_what_came_before_a_violation_counts() -> None:
    framing = WebsocketFraming()
    assert framing.decode(write_frame(Frame(BINARY, b"PING\r\n")) + b"\xff\xff") == b"PING\r\n"
    assert framing.end_reason == "Read Error"


def test_compressed_bit_belongs_to_the_first_frame_only() -> None:
    framing = WebsocketFraming(deflater=Deflater())
    framing.decode(write_frame(Frame(BINARY, b"", is_final=False, is_compressed=True)))
    framing.decode(write_frame(Frame(CONTINUATION, b"", is_compressed=True)))
    assert close_frame(framing) == (1002, "invalid continuation frame")
    framing = WebsocketFraming(deflater=Deflater())
    framing.decode(write_frame(Frame(PING, b"", is_compressed=True)))
    assert close_frame(framing) == (1002, "control frame must not be compressed")


def test_a_server_must_not_mask() -> None:
    framing = WebsocketFraming(demands_mask=False, forbids_mask=True, masks_output=True)
    assert framing.decode(write_frame(Frame(BINARY, b"INFO"), None)) == b"INFO"
    framing.decode(write_frame(Frame(BINARY, b"INFO")))
    assert close_frame(framing)[0] == 1002


def test_without_masking_both_kinds_are_read() -> None:
    """`Nats-No-Masking` frees from the duty, it forbids nothing."""
    framing = WebsocketFraming(demands_mask=False)
    data = write_frame(Frame(BINARY, b"ab"), None) + write_frame(Frame(BINARY, b"cd"))
    assert framing.decode(data) == b"abcd"


def test_text_frames_are_data() -> None:
    framing = WebsocketFraming()
    assert framing.decode(write_frame(Frame(TEXT, b"\xff\xfePING\r\n"))) == b"\xff\xfePING\r\n"


def test_a_peer_that_closes_gets_its_own_status_and_text_back() -> None:
    framing = WebsocketFraming()
    framing.decode(write_frame(Frame(CLOSE, close_payload(1001, "bye"))))
    assert framing.end_reason == "Client Closed"
    assert close_frame(framing) == (1001, "bye")


def test_a_close_without_status_is_answered_without_one() -> None:
    framing = WebsocketFraming()
    framing.decode(write_frame(Frame(CLOSE)))
    assert close_frame(framing) == (None, "")


def test_a_close_text_that_is_not_utf8_is_answered_with_1007() -> None:
    framing = WebsocketFraming()
    framing.decode(write_frame(Frame(CLOSE, b"\x03\xe8\xff\xff")))
    assert close_frame(framing) == (1007, "invalid utf8 body in close frame")


def test_a_flood_of_pings_leaves_the_newest_answered() -> None:
    framing = WebsocketFraming()
    framing.decode(b"".join(write_frame(Frame(PING, b"%120d" % i)) for i in range(1000)))
    assert len(framing.pending_control) <= 4096
    pongs, _ = read_frames(framing.pending_control)
    assert pongs[-1] == Frame(PONG, b"%120d" % 999)


def test_a_ping_of_a_client_is_masked() -> None:
    frame = WebsocketFraming(demands_mask=False, masks_output=True).ping_frame(b"hi")
    assert frame[1] & 0x80
    assert read_frames(frame)[0] == [Frame(PING, b"hi")]


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("Client Closed", 1000),
        ("Authentication Failure", 1008),
        ("Protocol Violation", 1002),
        ("Maximum Message Payload Exceeded", 1009),
        ("Server Shutdown", 1001),
        ("Stale Connection", 1001),
        ("Duplicate Client ID", 1011),
    ],
)
def test_close_statuses(reason: str, status: int) -> None:
    frames, _ = read_frames(WebsocketFraming().close_frame(reason))
    assert (frames[0].close_status, frames[0].close_text) == (status, reason)
    assert CLOSE_STATUS.get(reason, 1011) == status


def test_a_long_close_text_is_cut_at_a_character() -> None:
    payload = close_payload(1011, "ä" * 100)
    assert len(payload) <= 125
    assert payload[2:].decode().endswith("ä...")


@pytest.mark.capability("WS02")
class TestCompression:
    """permessage-deflate without context takeover."""

    def test_small_output_is_not_compressed(self) -> None:
        framing = WebsocketFraming(deflater=Deflater())
        small, large = (read_frames(framing.encode(b"a" * size))[0][0] for size in (64, 65))
        assert (small.is_compressed, small.payload) == (False, b"a" * 64)
        assert large.is_compressed
        assert inflate(large.payload) == b"a" * 65

    def test_messages_of_one_compressor_stand_alone(self) -> None:
        deflater = Deflater()
        text = b"the same text again and again " * 20
        frames = [read_frames(WebsocketFraming(deflater=deflater).encode(text))[0][0] for _ in range(3)]
        assert [inflate(frame.payload) for frame in frames] == [text] * 3
        assert len({len(frame.payload) for frame in frames[1:]}) == 1

    def test_browsers_get_fragments_of_one_message(self) -> None:
        framing = WebsocketFraming(deflater=Deflater(), frame_bytes_max=10)
        frames, _ = read_frames(framing.encode(bytes(range(256))))
        assert [frame.is_compressed for frame in frames] == [True] + [False] * (len(frames) - 1)
        assert [frame.is_final for frame in frames] == [False] * (len(frames) - 1) + [True]
        assert {frame.opcode for frame in frames[1:]} == {CONTINUATION}
        assert inflate(b"".join(frame.payload for frame in frames)) == bytes(range(256))

    def test_safari_gets_no_fragments(self) -> None:
        framing = WebsocketFraming(deflater=Deflater(), frame_bytes_max=10, fragments_compressed=False)
        assert len(read_frames(framing.encode(bytes(range(256))))[0]) == 1

    def test_uncompressed_output_to_browsers_is_many_messages(self) -> None:
        frames, _ = read_frames(WebsocketFraming(frame_bytes_max=4096).encode(b"x" * 9000))
        assert [(frame.opcode, frame.is_final, len(frame.payload)) for frame in frames] == [
            (BINARY, True, 4096),
            (BINARY, True, 4096),
            (BINARY, True, 808),
        ]

    def test_a_bomb_stops_at_the_limit(self) -> None:
        framing = WebsocketFraming(deflater=Deflater(), message_bytes_max=1_000_000)
        bomb = deflate(b"\0" * 20_000_000)
        assert len(bomb) < 30_000
        assert framing.decode(write_frame(Frame(BINARY, bomb, is_compressed=True))) == b""
        assert close_frame(framing) == (1001, "Read Error")

    def test_compressed_bytes_are_counted_as_they_come(self) -> None:
        framing = WebsocketFraming(deflater=Deflater(), message_bytes_max=1000)
        framing.decode(write_frame(Frame(BINARY, b"z" * 100, is_final=False, is_compressed=True)))
        framing.decode(write_frame(Frame(CONTINUATION, b"z" * 900, is_final=False)))
        assert framing.end_reason is None
        framing.decode(write_frame(Frame(CONTINUATION, b"z", is_final=False)))
        assert framing.end_reason == "Read Error"

    @pytest.mark.parametrize("payload", [b"\xff\xff\xff", deflate(b"some text of many words" * 9)[:-5]])
    def test_what_is_no_deflate_stream_ends_the_connection(self, payload: bytes) -> None:
        framing = WebsocketFraming(deflater=Deflater())
        assert framing.decode(write_frame(Frame(BINARY, payload, is_compressed=True))) == b""
        assert framing.end_reason == "Read Error"

    def test_a_message_at_the_limit_passes(self) -> None:
        framing = WebsocketFraming(deflater=Deflater(), message_bytes_max=1_000_000)
        payload = deflate(b"\0" * 1_000_000)
        assert len(framing.decode(write_frame(Frame(BINARY, payload, is_compressed=True)))) == 1_000_000

    def test_limit_follows_max_payload(self) -> None:
        assert message_bytes_max(1024) == 8192
        assert message_bytes_max(1 << 30) == 64 * 1024 * 1024
        assert message_bytes_max(-1) == 8 * 1024 * 1024
