"""INFO and CONNECT of the client protocol as typed values (core-protocol sections 1.1 and 1.2)."""

from __future__ import annotations

from typing import Any

import msgspec

from leafbox.protocol.errors import ProtocolViolation


class Info(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The server's INFO, keys in the order in which nats-server sends them; defaults are left out."""

    server_id: str
    server_name: str
    version: str
    proto: int
    git_commit: str = ""
    go: str
    host: str
    port: int
    headers: bool
    auth_required: bool = False
    tls_required: bool = False
    tls_verify: bool = False
    tls_available: bool = False
    max_payload: int
    jetstream: bool = False
    client_id: int = 0
    client_ip: str = ""
    nonce: str = ""
    cluster: str = ""
    domain: str = ""
    connect_urls: list[str] = msgspec.field(default_factory=list)
    ldm: bool = False
    connect_info: bool = False
    remote_account: str = ""
    acc_is_sys: bool = False
    api_lvl: int
    xkey: str

    def line(self) -> bytes:
        """The whole protocol line, with the blank that nats-server puts before the line end."""
        return b"INFO " + msgspec.json.encode(self) + b" \r\n"


class Connect(msgspec.Struct, kw_only=True):
    """Options of CONNECT. JSON null means the default, unknown keys are ignored, key case does not matter."""

    verbose: bool | None = None
    pedantic: bool | None = None
    tls_required: bool | None = None
    auth_token: str | None = None
    user: str | None = None
    password: str | None = msgspec.field(default=None, name="pass")
    jwt: str | None = None
    nkey: str | None = None
    sig: str | None = None
    name: str | None = None
    lang: str | None = None
    version: str | None = None
    protocol: int | None = None
    echo: bool | None = None
    headers: bool | None = None
    no_responders: bool | None = None
    account: str | None = None
    new_account: bool | None = None
    proxy_sig: str | None = None


def decode_connect(data: bytes) -> Connect:
    """Decode CONNECT's JSON; `ProtocolViolation` without a text (close silently) when it is not usable."""
    try:
        # Go replaces what is no UTF-8 and takes `null` for an object without keys.
        values: Any = msgspec.json.decode(data.decode("utf-8", "replace"))
        if values is None:
            return Connect()
        if not isinstance(values, dict):
            raise ProtocolViolation("")
        # Go matches keys in any case; so do clients that were only ever tried against it.
        return msgspec.convert({key.lower(): value for key, value in values.items()}, Connect)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolViolation("") from error
