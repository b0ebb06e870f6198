"""Payloads and headers on their way to JSON and back."""

from __future__ import annotations

import base64

import pytest

from leafbox.web.jetstream import JetStreamRefused, body_of, headers_of, payload_of
from leafbox.web.problems import Refusal

pytestmark = pytest.mark.capability("MO11")


@pytest.mark.parametrize("data", [b"", b"text", "grün".encode(), b"\xff\x00", b"\x00"])
def test_a_payload_comes_back_as_it_was(data: bytes) -> None:
    body = body_of(data)
    assert (payload_of(body.data, body.encoding), body.size, body.cut) == (data, len(data), False)


def test_a_cut_through_a_character_leaves_text_text() -> None:
    body = body_of("ää".encode(), 3)
    assert (body.data, body.encoding, body.size, body.cut) == ("ä", "text", 4, True)
    assert body_of(b"\xff" * 10, 4).data == base64.b64encode(b"\xff" * 4).decode()
    assert body_of(b"abc", 10, 99).cut


def test_bad_base64_is_refused() -> None:
    with pytest.raises(Refusal, match="base64"):
        payload_of("*", "base64")


def test_headers_keep_their_values() -> None:
    raw = b"NATS/1.0\r\nA: 1\r\nA: 2\r\nB:x:y\r\nbroken\r\n\r\n"
    assert headers_of(raw) == {"A": ["1", "2"], "B": ["x:y"]}


def test_api_errors_get_a_status_and_a_stable_code() -> None:
    error = JetStreamRefused({"code": 404, "err_code": 10059, "description": "stream not found"})
    problem = error.problem
    assert (problem.status, problem.code, problem.detail) == (404, "jetstream_10059", "Stream not found")
    assert problem.next_step
    assert JetStreamRefused({"code": 400, "err_code": 10058}).problem.status == 409
    assert JetStreamRefused({"code": 500, "err_code": 1}).problem.status == 422
