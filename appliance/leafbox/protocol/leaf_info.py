"""INFO and CONNECT of the leaf protocol as typed values (leaf node specification, section 1).

The keys are nats-server 2.15.1's, in its order. Unknown keys of a peer are ignored. Not here: who may log in, what the
two sides do with it.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from leafbox.protocol.errors import ProtocolViolation

LEAF_PROTOCOL = 3
"""Server-to-server protocol version: with message tracing."""

Value = TypeVar("Value", bound="LeafInfo | LeafConnect")


class SubjectRules(msgspec.Struct, omit_defaults=True):
    """One direction of a leaf user's permissions as INFO carries it; None: everything is allowed."""

    allow: list[str] | None = None
    deny: list[str] | None = None


class LeafInfo(msgspec.Struct, omit_defaults=True, kw_only=True):
    """INFO between leafs. The accepting side sends it twice: with a nonce, and with `connect_info` after CONNECT.

    `imports` is what the leaf may subscribe, `exports` what it may publish: its user's permissions.
    """

    server_id: str = ""
    server_name: str = ""
    version: str = ""
    proto: int = 0
    git_commit: str = ""
    go: str = ""
    host: str = ""
    port: int = 0
    headers: bool = False
    auth_required: bool = False
    tls_required: bool = False
    tls_verify: bool = False
    tls_available: bool = False
    max_payload: int = 0
    jetstream: bool = False
    ip: str = ""
    client_id: int = 0
    nonce: str = ""
    cluster: str = ""
    domain: str = ""
    compression: str = ""
    ldm: bool = False
    connect_info: bool = False
    remote_account: str = ""
    acc_is_sys: bool = False
    api_lvl: int = 0
    info_on_connect: bool = False
    leafnode_urls: list[str] | None = None
    imports: SubjectRules | None = msgspec.field(default=None, name="import")
    exports: SubjectRules | None = msgspec.field(default=None, name="export")

    def line(self) -> bytes:
        """The whole protocol line, with the blank that nats-server puts before the line end."""
        return b"INFO " + msgspec.json.encode(self) + b" \r\n"


class LeafConnect(msgspec.Struct, omit_defaults=True, kw_only=True):
    """CONNECT of the side that dialled. `lang` and `gateway` are never sent: who sends them is no leaf."""

    version: str = ""
    nkey: str = ""
    jwt: str = ""
    sig: str = ""
    user: str = ""
    password: str = msgspec.field(default="", name="pass")
    auth_token: str = ""
    server_id: str = ""
    domain: str = ""
    name: str = ""
    is_hub: bool = False
    cluster: str = ""
    headers: bool = False
    jetstream: bool = False
    deny_pub: list[str] | None = None
    isolate: bool = False
    compress_mode: str = ""
    remote_account: str = ""
    protocol: int = 0
    lang: str = ""
    gateway: str = ""

    def line(self) -> bytes:
        """The whole protocol line."""
        return b"CONNECT " + msgspec.json.encode(self) + b"\r\n"


def decode_leaf_info(data: bytes) -> LeafInfo:
    """Decode INFO's JSON. Raises `ProtocolViolation` without a text for the peer."""
    return _decode(data, LeafInfo)


def decode_leaf_connect(data: bytes) -> LeafConnect:
    """Decode CONNECT's JSON. Raises `ProtocolViolation` without a text for the peer."""
    return _decode(data, LeafConnect)


def _decode(data: bytes, kind: type[Value]) -> Value:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolViolation("") from error
