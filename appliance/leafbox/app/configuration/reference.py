"""The reference page and the annotated example file, made from the key tables and the options' docstrings.

`python -m leafbox.app.configuration.reference docs/config` writes both; a test holds them current. A line of the
example that starts with `#` and a key shows the default: taking the `#` away changes nothing.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import inspect
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from leafbox.app.configuration.account_keys import ACCOUNT_KEYS, JETSTREAM_KEYS, LIMIT_KEYS, TRACE_KEYS
from leafbox.app.configuration.authorization_keys import (
    AUTHORIZATION_KEYS,
    CALLOUT_KEYS,
    SIMPLE_AUTHORIZATION_KEYS,
    USER_KEYS,
    Authorization,
)
from leafbox.app.configuration.bridge_keys import BRIDGE_KEYS
from leafbox.app.configuration.cluster_keys import CLUSTER_KEYS, GATEWAY_KEYS, GATEWAY_REMOTE_KEYS
from leafbox.app.configuration.cluster_options import GatewayRemoteOptions
from leafbox.app.configuration.compression_keys import COMPRESSION_KEYS
from leafbox.app.configuration.durations import seconds_text
from leafbox.app.configuration.fields import Block, Key
from leafbox.app.configuration.jetstream_keys import BATCH_KEYS, TPM_KEYS
from leafbox.app.configuration.jetstream_keys import JETSTREAM_KEYS as SERVER_JETSTREAM_KEYS
from leafbox.app.configuration.jetstream_keys import LIMIT_KEYS as SERVER_LIMIT_KEYS
from leafbox.app.configuration.leaf_keys import AUTHORIZATION_KEYS as LEAF_AUTHORIZATION_KEYS
from leafbox.app.configuration.leaf_keys import LEAF_KEYS
from leafbox.app.configuration.leaf_keys import USER_KEYS as LEAF_USER_KEYS
from leafbox.app.configuration.listener_keys import MQTT_KEYS, WEBSOCKET_KEYS
from leafbox.app.configuration.mapping_keys import DESTINATION_KEYS
from leafbox.app.configuration.ocsp_keys import OCSP_CACHE_KEYS, OCSP_KEYS
from leafbox.app.configuration.operator_keys import PROXY_KEYS as PROXIES_KEYS
from leafbox.app.configuration.options import Options
from leafbox.app.configuration.permission_keys import PERMISSION_KEYS, PUBLISH_KEYS, RESPONSE_KEYS
from leafbox.app.configuration.reload import is_reloadable
from leafbox.app.configuration.remote_keys import PROXY_KEYS, REMOTE_KEYS
from leafbox.app.configuration.share_keys import EXPORT_KEYS, IMPORT_KEYS
from leafbox.app.configuration.tls_keys import OCSP_PEER_KEYS, TLS_KEYS
from leafbox.app.configuration.top_level_keys import TOP_LEVEL_KEYS
from leafbox.broker.config import (
    AccountJetStreamLimits,
    AccountLimits,
    AccountOptions,
    MappingDestination,
    MessageTrace,
    Permissions,
    ResponsePermission,
    ServiceExport,
    ServiceImport,
    StreamExport,
    StreamImport,
    SubjectPermission,
)
from leafbox.jetstream.config import JetStreamServerLimits, TpmOptions
from leafbox.leaf.config import CompressionOptions, LeafProxyOptions, LeafRemoteOptions, LeafUserOptions
from leafbox.mqtt.bridge.rules import BridgeOptions
from leafbox.security.config import (
    AuthCalloutOptions,
    OcspOptions,
    OcspPeerOptions,
    SimpleAuthorization,
    TlsOptions,
    UserOptions,
)

LINE_MAX = 118


@dataclass(frozen=True, slots=True)
class Chapter:
    """One block of keys: where it is written, its table, and the option classes its fields belong to."""

    path: str
    keys: Block
    owners: tuple[type, ...]
    introduction: str = ""


CHAPTERS: tuple[Chapter, ...] = (
    Chapter("", TOP_LEVEL_KEYS, (Options,)),
    Chapter(
        "tls",
        TLS_KEYS,
        (TlsOptions,),
        "The same keys in every `tls {}` block: top level, `websocket`, `mqtt`, "
        "`leafnodes`, `leafnodes.remotes[]`, `cluster`, `gateway`, `resolver_tls`.",
    ),
    Chapter("tls.ocsp_peer", OCSP_PEER_KEYS, (OcspPeerOptions,)),
    Chapter("authorization", AUTHORIZATION_KEYS, (Authorization,)),
    Chapter("authorization.users[], accounts.<name>.users[]", USER_KEYS, (UserOptions,)),
    Chapter("authorization.auth_callout", CALLOUT_KEYS, (AuthCalloutOptions,)),
    Chapter("permissions", PERMISSION_KEYS, (Permissions,), "In users, accounts and `authorization`."),
    Chapter("permissions.publish, permissions.subscribe", PUBLISH_KEYS, (SubjectPermission,)),
    Chapter("permissions.allow_responses", RESPONSE_KEYS, (ResponsePermission,)),
    Chapter("accounts.<name>", ACCOUNT_KEYS, (AccountOptions,)),
    Chapter("accounts.<name>.limits", LIMIT_KEYS, (AccountLimits,)),
    Chapter("accounts.<name>.jetstream", JETSTREAM_KEYS, (AccountJetStreamLimits, AccountOptions)),
    Chapter("accounts.<name>.msg_trace", TRACE_KEYS, (MessageTrace,)),
    Chapter("accounts.<name>.exports[]", EXPORT_KEYS, (ServiceExport, StreamExport)),
    Chapter("accounts.<name>.imports[]", IMPORT_KEYS, (ServiceImport, StreamImport)),
    Chapter(
        'mappings."<subject>"',
        DESTINATION_KEYS,
        (MappingDestination,),
        "Top level (for clients without an "
        "account of their own) and in `accounts.<name>`; a plain string is a destination with all the weight.",
    ),
    Chapter("jetstream", SERVER_JETSTREAM_KEYS, (Options,)),
    Chapter("jetstream.limits", SERVER_LIMIT_KEYS, (JetStreamServerLimits,)),
    Chapter("jetstream.limits.batch", BATCH_KEYS, (JetStreamServerLimits,)),
    Chapter("jetstream.tpm", TPM_KEYS, (TpmOptions,)),
    Chapter("leafnodes", LEAF_KEYS, (Options,)),
    Chapter("leafnodes.authorization", LEAF_AUTHORIZATION_KEYS, (Options,)),
    Chapter("leafnodes.authorization.users[]", LEAF_USER_KEYS, (LeafUserOptions,)),
    Chapter("leafnodes.remotes[]", REMOTE_KEYS, (LeafRemoteOptions,)),
    Chapter("leafnodes.remotes[].proxy", PROXY_KEYS, (LeafProxyOptions,)),
    Chapter("leafnodes.compression, leafnodes.remotes[].compression", COMPRESSION_KEYS, (CompressionOptions,)),
    Chapter("websocket", WEBSOCKET_KEYS, (Options,)),
    Chapter("websocket.authorization, mqtt.authorization", SIMPLE_AUTHORIZATION_KEYS, (SimpleAuthorization,)),
    Chapter("mqtt", MQTT_KEYS, (Options,)),
    Chapter("bridges.<name>", BRIDGE_KEYS, (BridgeOptions,), "The fields of `leafbox bridge add`; ours."),
    Chapter("cluster", CLUSTER_KEYS, (Options,)),
    Chapter("gateway", GATEWAY_KEYS, (Options,)),
    Chapter("gateway.gateways[]", GATEWAY_REMOTE_KEYS, (GatewayRemoteOptions,)),
    Chapter("proxies", PROXIES_KEYS, (Options,)),
    Chapter("ocsp", OCSP_KEYS, (OcspOptions,)),
    Chapter("ocsp_cache", OCSP_CACHE_KEYS, (Options,)),
)
NOTES = {
    ".authorization": "Who may connect; see `authorization` below.",
    ".websocket": "Listener for WebSocket clients; see `websocket` below.",
    ".mqtt": "MQTT gateway; see `mqtt` below.",
    ".bridges": "Bridges to other MQTT brokers by name, run by `leafbox run`; see below.",
    "bridges.<name>.local_prefix": "What these topics begin with on this side.",
    "bridges.<name>.remote_prefix": "What they begin with there.",
    ".leafnodes": "Links to and from other servers; see `leafnodes` below.",
    ".cluster": "Read but not supported; see `cluster` below.",
    ".gateway": "Read but not supported; see `gateway` below.",
    ".ocsp_cache": "Cache of OCSP answers: on, off, or `{ type, local_store }`.",
    ".jetstream": "Streams and consumers: on, off, or the block below, which switches them on.",
    ".mappings": "Subject mappings of clients without an account of their own.",
    "authorization.user": "Single user; not together with `users` or `token`.",
    "authorization.password": "Its password, clear or bcrypt.",
    "authorization.token": "Single shared token, clear or bcrypt.",
    "authorization.timeout": "Seconds for CONNECT, as number or duration; default 2, with TLS its timeout plus one.",
    "authorization.users": "Users; see below.",
    "authorization.default_permissions": "Permissions of the users that have none of their own.",
    "authorization.auth_callout": "Authentication delegated to a NATS service; see below.",
    "authorization.proxy_required": "Only through a trusted proxy.",
    "accounts.<name>.users": "Users of the account; see below.",
    "accounts.<name>.exports": "What is offered to other accounts; see below.",
    "accounts.<name>.imports": "What is taken from other accounts; see below.",
    "accounts.<name>.exports[].stream": "Messages on this subject are offered.",
    "accounts.<name>.exports[].service": "Requests on this subject are offered.",
    "accounts.<name>.imports[].stream": "`{ account, subject }` whose messages appear here.",
    "accounts.<name>.imports[].service": "`{ account, subject }` that can be requested here.",
    "jetstream.limits.batch": "Limits of atomic batches; see below.",
    "jetstream.tpm.cipher": "Cipher of encryption at rest: `chacha` or `aes`.",
    "leafnodes.authorization": "Who may connect as a leaf; see below.",
    "leafnodes.compression, leafnodes.remotes[].compression.mode": (
        "`off`, `accept`, `s2_fast`, `s2_better`, `s2_best`, or `s2_auto`: by round-trip time."
    ),
    "mqtt.consumer_replicas": "Ignored, with a warning.",
    "cluster.authorization": "User and password of routes.",
    "gateway.authorization": "User and password of gateways.",
    "proxies.trusted": "`[ { key: <public key> } ]` of the proxies that may vouch for clients.",
    "ocsp_cache.preserve_revoked": "Read and ignored.",
    "ocsp_cache.save_interval": "Read and ignored.",
    "tls.cert_store": "Windows only; refused.",
    "tls.ca_certs_match": "Windows only; ignored.",
}
"""What to say of a key (`<chapter>.<key>`) instead of its option's docstring."""


# -- what the code says of an option ---------------------------------------------------------------------------------


@functools.cache
def field_texts(owner: type) -> dict[str, str]:
    """Field name to its docstring, read from the class's source."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    assert isinstance(tree, ast.ClassDef), "options are classes"
    texts: dict[str, str] = {}
    for statement, following in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            texts[statement.target.id] = " ".join(str(following.value.value).split())
    return texts


def _owner_and_field(chapter: Chapter, path: str) -> tuple[type, str] | None:
    """The class and field a key sets; `None` if it sets none directly."""
    if chapter.owners == (Options,):
        value: object = Options()
        *sections, field = path.split(".")
        for section in sections:
            value = getattr(value, section)
        return (type(value), field) if sections else None
    for owner in chapter.owners:
        if path in {item.name for item in dataclasses.fields(owner)}:
            return owner, path
    return None


def key_text(chapter: Chapter, key: Key) -> str:
    """What a key means."""
    note = NOTES.get(f"{chapter.path}.{key.names[0]}")
    if note is not None:
        return note
    if key.names[0] in ("listen", "http", "https"):
        return "`host:port`, or a port alone."
    found = _owner_and_field(chapter, key.fields.split()[0]) if key.fields else None
    return field_texts(found[0]).get(found[1], "") if found is not None else ""


def key_default(chapter: Chapter, key: Key) -> object:
    """The default of the option a key sets; `dataclasses.MISSING` if it has none."""
    paths = key.fields.split()
    found = _owner_and_field(chapter, paths[0]) if len(paths) == 1 else None
    if found is None:
        return dataclasses.MISSING
    item = next(item for item in dataclasses.fields(found[0]) if item.name == found[1])
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return item.default


def literal(value: object, field: str) -> str:
    """A value as written in a configuration file; empty if it cannot be written as one value."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return _size(value) if "bytes" in field else str(value)
        case float():
            return f'"{seconds_text(value)}"'
        case enum.Enum():
            return str(value.value)
        case str():
            return f'"{value}"'
        case tuple() | frozenset():
            return "[ ]" if not value else ""
        case dict():
            return "{ }" if not value else ""
    return ""


def _size(number: int) -> str:
    for suffix, unit in (("GB", 1024**3), ("MB", 1024**2), ("KB", 1024)):
        if number >= unit and number % unit == 0:
            return f"{number // unit}{suffix}"
    return str(number)


# -- the reference page ----------------------------------------------------------------------------------------------


def reference_page() -> str:
    """`docs/config/reference.md`."""
    parts = [_PAGE_HEAD]
    for chapter in CHAPTERS:
        title = f"`{chapter.path}`" if chapter.path else "Top level"
        parts.append(f"## {title}\n")
        if chapter.introduction:
            parts.append(chapter.introduction + "\n")
        parts.append("| key | default | reload | meaning |\n|---|---|---|---|")
        parts.extend(_row(chapter, key) for key in chapter.keys.keys)
        parts.append("")
    return "\n".join(parts) + "\n"


_PAGE_HEAD = """# Configuration reference

Generated from the code (`python -m leafbox.app.configuration.reference docs/config`); do not edit.

One file in the grammar of nats-server: `key: value`, `key = value` or `key value`; maps `{ }`, arrays `[ ]`, comments
`#` and `//`, variables `$NAME` (from the file, then from the environment), `include ./other.conf`. Sizes: `1K` is 1000,
`1KB` is 1024. Durations are quoted when they end in `m`: `"2m"` (an unquoted `2m` is two million). An unknown key is an
error. `leafbox-server -t -c FILE` checks a file without starting.

Keys of nats-server that are read but have no effect here are named at start: with a warning, or by refusing to start
where ignoring them would open the server or lose data (`appliance/leafbox/app/configuration/unsupported.py`).

**reload** says whether SIGHUP applies a change (yes), or refuses the whole new file (no). Other names of a key follow
it in brackets.
"""


def _row(chapter: Chapter, key: Key) -> str:
    name, *aliases = key.names
    names = f"`{name}`" + (" (" + ", ".join(f"`{alias}`" for alias in aliases) + ")" if aliases else "")
    default = key_default(chapter, key)
    field = key.fields.rpartition(".")[2]
    shown = "" if default is dataclasses.MISSING else literal(default, field)
    reload = ""
    if chapter.owners == (Options,) and key.fields:
        reload = "yes" if all(is_reloadable(path) for path in key.fields.split()) else "no"
    text = key_text(chapter, key).replace("|", "\\|")
    return f"| {names} | {f'`{shown}`' if shown else ''} | {reload} | {text} |"


# -- the annotated example -------------------------------------------------------------------------------------------

_EXAMPLE_HEAD = """# Leafbox: annotated example configuration.
#
# Generated from the code (python -m leafbox.app.configuration.reference docs/config); copy it, do not edit it here.
# Lines that start with # and a key show the default: remove the # and change the value.
# docs/config/reference.md lists every key with its other names.

# A box that only talks to itself until users are defined:
host: "127.0.0.1"
port: 4222
server_name: "leafbox"

# Users: passwords are better stored as bcrypt hashes ("leafbox-server" warns about clear text).
# authorization {
#   users: [
#     { user: "sensor", password: "$2a$11$...", permissions: { publish: "site.>", subscribe: "_INBOX.>" } }
#   ]
# }

# A hub in the cloud for the subjects of the default account:
# leafnodes { remotes: [ { url: "tls://hub.example.com:7422", credentials: "/etc/leafbox/hub.creds" } ] }
"""
_EXAMPLE_BLOCKS = ("jetstream", "leafnodes", "websocket", "mqtt")
_NOT_IN_EXAMPLE = frozenset(
    (
        "host",
        "port",
        "server_name",
        "prof_port",
        "prof_block_rate",
        "default_sentinel",
        "system_account",
        "accounts",
        "mappings",
        "operator",
        "trusted_keys",
        "resolver_preload",
        "resolver_pinned_accounts",
        "proxies",
        "max_sub_tokens",
        "bridges",
        "leafnodes.min_version",
    )
)


def example_file() -> str:
    """`docs/config/leafbox.conf.example`."""
    by_path = {chapter.path: chapter for chapter in CHAPTERS}
    lines = [_EXAMPLE_HEAD]
    lines.extend(_example_keys(by_path[""], indent=""))
    for name in _EXAMPLE_BLOCKS:
        lines.append(f"# -- {name} " + "-" * (LINE_MAX - len(name) - 6) + "\n")
        lines.append(f"#{name} {{")
        lines.extend(_example_keys(by_path[name], indent="  "))
        lines.append("#}\n")
    return "\n".join(lines)


def _example_keys(chapter: Chapter, indent: str) -> list[str]:
    lines: list[str] = []
    for key in chapter.keys.keys:
        default = key_default(chapter, key)
        field = key.fields.rpartition(".")[2]
        value = "" if default is dataclasses.MISSING else literal(default, field)
        if not value or f"{chapter.path}.{key.names[0]}".removeprefix(".") in _NOT_IN_EXAMPLE:
            continue
        text = textwrap.wrap(key_text(chapter, key), LINE_MAX - len(indent) - 2)
        lines.extend(f"{indent}# {line}" for line in text)
        lines.append(f"{indent}#{key.names[0]}: {value}")
        lines.append("")
    return lines


def main(arguments: list[str]) -> int:
    """Write both files into the directory given."""
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "reference.md").write_text(reference_page(), encoding="utf-8")
    (folder / "leafbox.conf.example").write_text(example_file(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
