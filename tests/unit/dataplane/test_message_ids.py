"""Ids in compiled code: read as Python reads headers, remembered for the window; what is unusual is left to Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.dataplane.message_ids import DuplicateWindow, only_id
from leafbox.protocol.jetstream import headers
from tests.support.jetstream_harness import Harness


def block(*lines: str) -> bytes:
    return ("NATS/1.0\r\n" + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode()


@pytest.mark.parametrize(
    "header",
    [
        block("Nats-Msg-Id: a"),
        block("Nats-Msg-Id:a"),
        block("X: y", "Nats-Msg-Id:  two words \t", "Z: Nats-Msg-Id: q"),
        block("Nats-Msg-Id: " + "x" * 200),
    ],
)
def test_a_plain_id_is_read(header: bytes) -> None:
    assert only_id(header) == headers.get(header, headers.MSG_ID)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        block(),
        block("X: y"),
        block("Nats-Msg-Id:"),
        block("Nats-Msg-Id: ä"),
        block("Nats-Msg-Id: " + "x" * 201),
        block("Nats-Msg-Id: a", "Nats-TTL: 5"),
        block("Nats-TTL: 5", "Nats-Msg-Id: a"),
        block("Nats-Msg-Id: a", "Nats-Msg-Id: b"),
        block("nats-msg-id: a"),
        b"NATS/1.0 503\r\nNats-Msg-Id: a\r\n\r\n",
        b"NATS/1.0\r\nX: y\nNats-Msg-Id: a\r\n\r\n",
    ],
)
def test_anything_else_is_left_to_python(header: bytes) -> None:
    assert only_id(header) is None


_lines = st.lists(
    st.tuples(
        st.sampled_from(("Nats-Msg-Id", "Nats-TTL", "X", "nats-Msg-Id", "")), st.text("ab :\t\r\nNats-é", max_size=8)
    ),
    max_size=3,
)


@given(_lines)
def test_whatever_is_read_is_read_as_python_reads_it(lines: list[tuple[str, str]]) -> None:
    header = block(*(f"{name}:{value}" for name, value in lines))
    found = only_id(header)
    assert found is None or found == headers.get(header, headers.MSG_ID)


def test_ids_leave_with_the_window() -> None:
    window = DuplicateWindow(10)
    for ts_ns in range(5):
        window.remember(f"id-{ts_ns}", ts_ns + 1, ts_ns)
    window.remember("id-0", 9, 4)
    assert [window.find(f"id-{n}", 12) for n in range(5)] == [9, 0, 0, 4, 5]
    window.follow_clock(100)
    assert (window.find("id-4", 113), window.find("id-4", 114), len(window)) == (5, 0, 0)
    window.window_ns = 0
    window.remember("id", 1, 200)
    assert len(window) == 0


@pytest.mark.capability("JS09")
@pytest.mark.parametrize("storage", ["memory", "file"])
def test_rules_hold_for_messages_with_an_id_alone(storage: str) -> None:
    """Size, discard new, interest and the expected last id, whichever way the message before came."""
    with Harness() as harness:
        harness.stream("S", storage=storage, max_msg_size=60, max_msgs=2, discard="new")
        assert harness.publish("s.a", b"1", Nats_Msg_Id="one") == {"stream": "S", "seq": 1}
        assert harness.publish("s.a", b"1", Nats_Msg_Id="one") == {"stream": "S", "seq": 1, "duplicate": True}
        assert harness.publish("s.a", b"x" * 60, Nats_Msg_Id="large")["error"]["err_code"] == 10054
        wrong = harness.publish("s.a", b"2", Nats_Expected_Last_Msg_Id="other")
        assert wrong["error"]["err_code"] == 10070, wrong
        assert harness.publish("s.a", b"2", Nats_Expected_Last_Msg_Id="one") == {"stream": "S", "seq": 2}
        assert harness.publish("s.a", b"3", Nats_Msg_Id="three")["error"]["err_code"] == 10077
        harness.stream("I", storage=storage, retention="interest")
        assert harness.publish("i.a", b"1", Nats_Msg_Id="one") == {"stream": "I", "seq": 1}
        assert harness.info("I")["state"]["messages"] == 0
        assert harness.publish("i.a", b"1", Nats_Msg_Id="one") == {"stream": "I", "seq": 1, "duplicate": True}
        harness.loop.advance(121)
        assert harness.publish("i.a", b"1", Nats_Msg_Id="one") == {"stream": "I", "seq": 2}
