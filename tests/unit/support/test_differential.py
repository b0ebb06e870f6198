"""The differential runner: what is masked, how scripts are cut, what counts as equal."""

from __future__ import annotations

import json

from tests.support.differential import EVERY_BYTE, WHOLE, Script, Step, Transcript, Variant, masked, variants_of

_ID = "N" + "A" * 55


def test_info_keeps_what_the_protocol_fixes() -> None:
    """Ids, keys and ports become their kind, a malformed id stays visible, everything else is kept."""
    info = {"server_id": _ID, "version": "2.15.1", "port": 4222, "xkey": "bad", "git_commit": "abc", "max_payload": 8}
    (text,) = masked(b"INFO " + json.dumps(info).encode() + b" \r\n")
    assert json.loads(text[5:]) == {
        "server_id": "<server_id>",
        "version": "<version>",
        "port": "<port>",
        "xkey": "bad",
        "max_payload": 8,
    }


def test_masks() -> None:
    """PINGs are left out; reply tokens, round-trip times and, when asked, sids are replaced."""
    stream = b'PING\r\nMSG a 7 _R_.abc.X1 2\r\nhi\r\nHMSG a 7 30 30\r\nNATS/1.0\r\nX: {"rtt":123}\r\n\r\n\r\n'
    assert masked(stream, masks_sid=True) == (
        r"MSG a <sid> _R_.<token> 2\r\nhi\r\n",
        r'HMSG a <sid> <sizes>\r\nNATS/1.0\r\nX: {"rtt":<rtt>}\r\n\r\n\r\n',
    )


def test_every_byte_is_cut_once() -> None:
    """All positions inside a step, none between steps; a CONNECT line or step of an earlier script is not cut again."""
    first = Script("first", (Step("a", b"CONNECT {}\r\nPING\r\n"), Step("b", b"abc")))
    second = Script("second", (Step("a", b"CONNECT {}\r\nXY\r\n"), Step("b", b"abc")))
    cuts = [(script.name, variant.cut_at) for script, variant in variants_of([first, second]) if variant.cut_at]
    assert cuts == [
        *(("first", position) for position in range(1, 18)),
        *(("first", position) for position in (19, 20)),
        *(("second", position) for position in (12, 13, 14, 15)),
    ]


def test_pieces() -> None:
    """A cut outside the step leaves it whole; every byte of a short step travels by itself."""
    assert WHOLE.pieces(b"abc", 0) == [b"abc"]
    assert EVERY_BYTE.pieces(b"abc", 0) == [b"a", b"b", b"c"]
    assert Variant(cut_at=12).pieces(b"abc", 10) == [b"ab", b"c"]
    assert Variant(cut_at=10).pieces(b"abc", 10) == [b"abc"]
    assert b"".join(EVERY_BYTE.pieces(bytes(1000), 0)) == bytes(1000)


def test_repeated_pedantic_errors_count_once() -> None:
    """Only `Invalid Publish Subject` is shortened; other repetitions are answers of their own."""
    error = "-ERR 'Invalid Publish Subject'"
    transcript = Transcript({"a": (error, error, "+OK", "+OK", error)}, {"a": "open"})
    assert transcript.without_repeats().heard["a"] == (error, "+OK", "+OK", error)
