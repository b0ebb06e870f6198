"""How the script tables are written down: short constructors, no protocol knowledge."""

from __future__ import annotations

import json

from tests.support.differential import NATS, Dialect, Script, Step

Said = bytes | tuple[str, bytes] | Step


def script(
    name: str,
    *said: Said,
    config: str = "open",
    rows: str = "C08",
    silent: bool = False,
    exclusive: bool = False,
    pooled: tuple[str, ...] = (),
    masks_sid: bool = False,
    whole_only: bool = False,
    hasty: bool = False,
    dialect: Dialect = NATS,
) -> Script:
    """A script; bare bytes are said by connection `a`, a pair names another one. `rows` are the capability rows."""
    return Script(
        name=name,
        steps=tuple(_step(one) for one in said),
        config=config,
        capabilities=tuple(rows.split()),
        is_silent=silent,
        is_exclusive=exclusive,
        pooled=pooled,
        masks_sid=masks_sid,
        is_whole_only=whole_only,
        is_hasty=hasty,
        dialect=dialect,
    )


def connect(**options: object) -> bytes:
    """A CONNECT line with exactly these options."""
    return b"CONNECT " + json.dumps(options, separators=(",", ":")).encode() + b"\r\n"


def login(user: str, phrase: str = "pw", **options: object) -> bytes:
    """A quiet CONNECT with user and password, headers on."""
    return connect(**{"verbose": False, "pedantic": False, "headers": True, "user": user, "pass": phrase, **options})


def token(text: str) -> bytes:
    """A quiet CONNECT with a token."""
    return connect(verbose=False, auth_token=text)


def pub(subject: bytes, payload: bytes = b"hi", reply: bytes = b"") -> bytes:
    """A well-formed PUB."""
    return (
        b" ".join(part for part in (b"PUB", subject, reply, b"%d" % len(payload)) if part) + b"\r\n" + payload + b"\r\n"
    )


def hpub(subject: bytes, header: bytes, payload: bytes = b"hi", reply: bytes = b"") -> bytes:
    """A well-formed HPUB; `header` is sent as it is."""
    sizes = b"%d %d" % (len(header), len(header) + len(payload))
    line = b" ".join(part for part in (b"HPUB", subject, reply, sizes) if part)
    return line + b"\r\n" + header + payload + b"\r\n"


# A client as libraries open it: no +OK, second INFO wanted.
QUIET = connect(verbose=False, pedantic=False, protocol=1)
# The same with headers and no-responders.
MODERN = connect(verbose=False, pedantic=False, protocol=1, headers=True, no_responders=True)
HEADERS = connect(verbose=False, pedantic=False, headers=True)


def _step(said: Said) -> Step:
    match said:
        case Step():
            return said
        case bytes():
            return Step("a", said)
        case (connection, data):
            return Step(connection, data)
