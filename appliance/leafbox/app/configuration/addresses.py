"""Listen addresses and URLs of the configuration, accepted and refused as nats-server does.

Source: Go `net.SplitHostPort`, `net/url` (the rules that decide whether a URL parses), nats-server `parseListen`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from leafbox.app.configuration.go_text import quoted


class AddressError(ValueError):
    """The text is no address or URL."""


@dataclass(frozen=True, slots=True)
class Url:
    """A parsed URL; `host` is without brackets, `port` empty when not given."""

    scheme: str
    host: str
    port: str
    path: str
    username: str = ""
    password: str | None = field(default=None, repr=False)
    has_user: bool = False


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_USERINFO = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BAD_HOST = re.compile(r"[ \"<>\\^`{|}]")


def split_host_port(text: str) -> tuple[str, str]:
    """Host and port of `host:port` or `[host]:port`. Raises `AddressError`."""
    host, colon, port = text.rpartition(":")
    if not colon:
        raise AddressError(f"address {text}: missing port in address")
    if text.startswith("["):
        end = text.find("]")
        if end < 0:
            raise AddressError(f"address {text}: missing ']' in address")
        if end + 1 == len(text):
            raise AddressError(f"address {text}: missing port in address")
        if end + 1 != len(host):
            reason = "too many colons in address" if text[end + 1] == ":" else "missing port in address"
            raise AddressError(f"address {text}: {reason}")
        host = host[1:end]
        if "[" in host or "]" in text[end + 1 :] or "[" in text[end + 1 :]:
            raise AddressError(f"address {text}: unexpected '[' in address")
        return host, port
    if ":" in host:
        raise AddressError(f"address {text}: too many colons in address")
    if "[" in text or "]" in text:
        raise AddressError(f"address {text}: unexpected '[' in address")
    return host, port


def parse_host_port(text: str) -> tuple[str, int]:
    """Host and port of a `listen` value. Raises `AddressError` with nats-server's text."""
    try:
        host, port = split_host_port(text)
    except AddressError as error:
        raise AddressError(f"could not parse address string {quoted(text)}") from error
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", port):
        raise AddressError(f"could not parse port {quoted(port)}")
    return host, int(port)


def parse_url(text: str) -> Url:
    """A URL as Go's `url.Parse` takes it. Raises `AddressError`."""
    if any(ord(character) < 0x20 or character == "\x7f" for character in text):
        raise AddressError("invalid control character in URL")
    rest = text.partition("#")[0]
    if rest == "*":
        return Url("", "", "", "*")
    scheme, rest = _scheme(rest)
    rest = rest.partition("?")[0]
    if not rest.startswith("/"):
        if scheme:
            return Url(scheme, "", "", rest)
        if ":" in rest.partition("/")[0]:
            raise AddressError("first path segment in URL cannot contain colon")
    if not rest.startswith("//") or (rest.startswith("///") and not scheme):
        return Url(scheme, "", "", _unescaped(rest))
    authority, slash, path = rest[2:].partition("/")
    userinfo, at, host_port = authority.rpartition("@")
    host, port = _host(host_port)
    username, password = _user(userinfo)
    return Url(scheme, host, port, _unescaped(slash + path), username, password, bool(at))


def _scheme(text: str) -> tuple[str, str]:
    head, colon, rest = text.partition(":")
    if not colon:
        return "", text
    if not head:
        raise AddressError("missing protocol scheme")
    if _SCHEME.fullmatch(head):
        return head.lower(), rest
    # A first character that cannot start a scheme means "no scheme"; a bad one later as well.
    return "", text


def _unescaped(text: str) -> str:
    if match := _BAD_ESCAPE.search(text):
        raise AddressError(f"invalid URL escape {quoted(text[match.start() : match.start() + 3])}")
    return unquote(text)


def _host(text: str) -> tuple[str, str]:
    if text.startswith("["):
        end = text.rfind("]")
        if end < 0:
            raise AddressError("missing ']' in host")
        host, port = text[1:end], text[end + 1 :]
    else:
        host, colon, digits = text.rpartition(":")
        host, port = (host, colon + digits) if colon else (text, "")
    if port and not re.fullmatch(":[0-9]*", port):
        raise AddressError(f"invalid port {quoted(port)} after host")
    if match := _BAD_HOST.search(host):
        raise AddressError(f"invalid character {quoted(match.group())} in host name")
    return _unescaped(host), port[1:]


def _user(text: str) -> tuple[str, str | None]:
    if not _USERINFO.fullmatch(text):
        raise AddressError("net/url: invalid userinfo")
    name, colon, password = text.partition(":")
    return _unescaped(name), _unescaped(password) if colon else None
