"""Listen addresses and URLs."""

from __future__ import annotations

import pytest

from leafbox.app.configuration.addresses import AddressError, Url, parse_host_port, parse_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a:1", ("a", 1)), (":1", ("", 1)), ("[::1]:-1", ("::1", -1)), ("0.0.0.0:+5", ("0.0.0.0", 5))],
)
def test_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert parse_host_port(text) == expected


@pytest.mark.parametrize("text", ["", "a", "::1:4", "[::1]", "[::1", "[a]b:1", "a:", "a:x", "[a]]:1", "[[a]:1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(AddressError):
        parse_host_port(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nats://h:1", Url("nats", "h", "1", "")),
        ("WS://h/p/q?x#y", Url("ws", "h", "", "/p/q")),
        ("tls://u:p%40@[::1]:7422", Url("tls", "::1", "7422", "", "u", "p@", True)),
        ("nats://tok@h", Url("nats", "h", "", "", "tok", None, True)),
        ("hub:7422", Url("hub", "", "", "7422")),
        ("/only/path", Url("", "", "", "/only/path")),
        ("//h:5/x", Url("", "h", "5", "/x")),
        ("", Url("", "", "", "")),
    ],
)
def test_urls(text: str, expected: Url) -> None:
    assert parse_url(text) == expected


@pytest.mark.parametrize(
    "text",
    ["nats://h:x", "127.0.0.1:4222", ":x", "nats://h%zz", "nats://[::1", "nats://u ser@h", "nats://a b", "a\nb"],
)
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(AddressError):
        parse_url(text)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(parse_url("nats://u:secret@h"))
