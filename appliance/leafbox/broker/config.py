"""Configuration of the broker: accounts, what they share, permissions, mappings, and the limits of a connection.

Values only: nothing here reads a file. `app/configuration` fills them from nats.conf and the command line; a feature
receives its own section. Names say the unit; the nats.conf key of each field is in `docs/config/reference.md`.
Source: nats-server 2.15.1 `server/opts.go`, `server/const.go`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

GLOBAL_ACCOUNT = "$G"
SYSTEM_ACCOUNT = "$SYS"
UNLIMITED = -1


class WriteTimeoutPolicy(enum.Enum):
    """What happens to a connection whose write was not done within the write deadline."""

    DEFAULT = "default"
    CLOSE = "close"
    RETRY = "retry"


class ConnectionType(enum.Enum):
    """The kinds of connection a user can be restricted to."""

    STANDARD = "STANDARD"
    WEBSOCKET = "WEBSOCKET"
    LEAFNODE = "LEAFNODE"
    LEAFNODE_WS = "LEAFNODE_WS"
    MQTT = "MQTT"
    MQTT_WS = "MQTT_WS"
    IN_PROCESS = "IN_PROCESS"


class ServiceResponseType(enum.Enum):
    """How many messages answer one service request."""

    SINGLETON = "singleton"
    STREAM = "stream"
    CHUNKED = "chunked"


@dataclass(frozen=True, slots=True)
class SubjectPermission:
    """Allowed and denied subjects of one direction; a denied subject wins over an allowed one."""

    allow: tuple[str, ...] | None = None
    """Subjects (or "subject queue" pairs when subscribing) that are allowed. Not given: all. (In code `None` is all,
    empty is none at all.)"""
    deny: tuple[str, ...] = ()
    """Subjects that are refused even when allowed above."""


@dataclass(frozen=True, slots=True)
class ResponsePermission:
    """Permission to publish on the reply subject of a request one has received."""

    messages_max: int = 1
    """Replies allowed per request; negative: no limit. One is enough for a request/reply service."""
    expires_s: float = 120.0
    """Seconds the reply subject stays allowed; negative: for ever (the permission table then only grows)."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a user may do; a missing direction is unrestricted."""

    publish: SubjectPermission | None = None
    """Publish rules (a cluster calls this direction `import`)."""
    subscribe: SubjectPermission | None = None
    """Subscribe rules, entries may be "subject queue" (a cluster calls this direction `export`)."""
    responses: ResponsePermission | None = None
    """Dynamic permission for replies. Setting it without publish rules denies every other publish."""


@dataclass(frozen=True, slots=True)
class MappingDestination:
    """One weighted destination of a subject mapping."""

    subject: str
    """Destination with `$1` or `{{function(args)}}` tokens."""
    weight_percent: int = 100
    """Share of the messages, 0..100; what is left over of 100 goes to the original subject unless that is listed."""
    cluster: str = ""
    """Only used when the server is in this cluster; empty: everywhere."""


@dataclass(frozen=True, slots=True)
class SubjectMapping:
    """Messages published to `source` by clients and leaf links go to one of the destinations instead."""

    source: str
    """Subject or wildcard pattern; the first matching mapping in sorted order wins."""
    destinations: tuple[MappingDestination, ...]
    """Weighted choice; weights of one cluster add up to at most 100."""


@dataclass(frozen=True, slots=True)
class ServiceLatency:
    """Latency measurements of an exported service."""

    subject: str
    """Where the metric messages are published, in the exporting account."""
    sampling_percent: int = 100
    """Share of requests measured, 1..100; 0: only requests with a trace header."""


@dataclass(frozen=True, slots=True)
class StreamExport:
    """Subjects whose messages other accounts may import."""

    subject: str
    """Exported subject, wildcards allowed."""
    accounts: tuple[str, ...] = ()
    """Accounts that may import it; empty: every account (public)."""
    account_token_position: int = 0
    """1-based token that must equal the importing account's name; 0: none."""


@dataclass(frozen=True, slots=True)
class ServiceExport:
    """Request subjects that other accounts may call."""

    subject: str
    """Exported request subject, wildcards allowed."""
    accounts: tuple[str, ...] = ()
    """Accounts that may import it; empty: every account (public)."""
    response_type: ServiceResponseType = ServiceResponseType.SINGLETON
    """How many replies a request gets; the reverse mapping is removed after the last one."""
    response_threshold_s: float = 0.0
    """Seconds to wait for a reply before the reverse mapping is dropped; 0: two minutes."""
    latency: ServiceLatency | None = None
    """Publish latency metrics for this service."""
    account_token_position: int = 0
    """1-based token that must equal the importing account's name; 0: none."""
    allow_trace: bool = False
    """Let message traces of the importer continue inside this account (shows its layout to the importer)."""


@dataclass(frozen=True, slots=True)
class StreamImport:
    """Messages of another account that appear here."""

    account: str
    """Exporting account."""
    subject: str
    """Subject in the exporting account."""
    prefix: str = ""
    """Put in front of the subject here; not together with `to`."""
    to: str = ""
    """Subject here, may use `$1`; empty: same subject."""
    allow_trace: bool = False
    """Let message traces of the exporter continue inside this account."""


@dataclass(frozen=True, slots=True)
class ServiceImport:
    """A service of another account that can be called here."""

    account: str
    """Exporting account."""
    subject: str
    """Request subject in the exporting account."""
    to: str = ""
    """Local request subject; empty: the same as `subject`."""
    is_shared: bool = False
    """Send the requester's connection information along (header `Nats-Request-Info`)."""


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """Limits over all connections of one account; -1: no limit."""

    connections_max: int = UNLIMITED
    """Client connections; the next one is refused with `maximum account active connections exceeded`."""
    subscriptions_max: int = UNLIMITED
    """Subscriptions of one connection of the account."""
    payload_bytes_max: int = UNLIMITED
    """Bytes of one message (headers included); the smaller of this and the server's limit counts."""
    leafnodes_max: int = UNLIMITED
    """Leaf links bound to the account."""


@dataclass(frozen=True, slots=True)
class AccountJetStreamLimits:
    """JetStream resources of one account; -1: whatever the server has."""

    memory_bytes_max: int = UNLIMITED
    """Bytes of memory streams."""
    storage_bytes_max: int = UNLIMITED
    """Bytes of file streams."""
    streams_max: int = UNLIMITED
    """Number of streams."""
    consumers_max: int = UNLIMITED
    """Number of consumers of one stream."""
    ack_pending_max: int = UNLIMITED
    """Largest `max_ack_pending` a consumer may ask for."""
    memory_stream_bytes_max: int = UNLIMITED
    """Largest `max_bytes` of one memory stream."""
    storage_stream_bytes_max: int = UNLIMITED
    """Largest `max_bytes` of one file stream."""
    is_stream_size_required: bool = False
    """Refuse streams without `max_bytes`, so that one stream cannot take all the flash."""


@dataclass(frozen=True, slots=True)
class MessageTrace:
    """Account-wide message tracing started by a sampled `traceparent` header."""

    destination: str
    """Subject that receives the trace events."""
    sampling_percent: int = 100
    """Share of traced messages, 1..100."""


@dataclass(frozen=True, slots=True)
class AccountOptions:
    """One account: an isolated subject space with what it shares and what it may use."""

    name: str
    """Unique; `$G` appears here only to carry the top-level mappings, `$SYS` only to carry users."""
    nkey: str = ""
    """Optional public account key (`A...`)."""
    default_permissions: Permissions | None = None
    """Permissions of the account's users that have none of their own."""
    stream_exports: tuple[StreamExport, ...] = ()
    """Messages offered to other accounts."""
    service_exports: tuple[ServiceExport, ...] = ()
    """Services offered to other accounts."""
    stream_imports: tuple[StreamImport, ...] = ()
    """Messages taken from other accounts."""
    service_imports: tuple[ServiceImport, ...] = ()
    """Services taken from other accounts."""
    mappings: tuple[SubjectMapping, ...] = ()
    """Subject mappings applied to what clients and leaf links publish here, in file order."""
    limits: AccountLimits = AccountLimits()
    """Connection and message limits; unlimited by default as in nats-server."""
    jetstream: AccountJetStreamLimits | None = None
    """JetStream for the account, on or with limits; not given: off, unless no account has it (then `$G` does)."""
    jetstream_tiers: Mapping[str, AccountJetStreamLimits] = field(default_factory=dict)
    """Limits by tier (`R1`: streams with one replica) of accounts whose JWT has tiers; `jetstream` is ignored then."""
    is_cluster_traffic_owner: bool = False
    """`cluster_traffic: owner`; without clustered streams it changes nothing."""
    message_trace: MessageTrace | None = None
    """Tracing by `traceparent`; off by default because each trace costs extra messages."""


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """Accounts and the limits every connection lives under."""

    accounts: tuple[AccountOptions, ...] = ()
    """Configured accounts. If none of them turns JetStream on, `$G` has it; otherwise only those that do."""
    system_account: str = SYSTEM_ACCOUNT
    """Account of events and server requests; empty if there is to be none."""
    is_system_account_disabled: bool = False
    """Run without a system account: no events, no `$SYS` requests, no remote monitoring."""
    payload_bytes_max: int = 1_048_576
    """Bytes of one message, headers included. 1 MiB as nats-server; above 8 MiB latency for others suffers."""
    control_line_bytes_max: int = 4096
    """Bytes of one protocol line; bounds the memory an unauthenticated peer can pin."""
    pending_bytes_max: int = 67_108_864
    """Bytes queued for one connection before it is closed as a slow consumer. Danger on a small box:
    connections x this value is the worst case of memory."""
    connections_max: int = 65_536
    """Client connections; further ones are refused with `maximum connections exceeded`. -1: refuse all."""
    subscriptions_max: int = 0
    """Subscriptions of one connection; 0: no limit."""
    subject_tokens_max: int = 0
    """Tokens of a subscription's subject, 1..255; 0: no limit."""
    closed_clients_max: int = 10_000
    """Closed connections remembered for monitoring (`state=closed`); oldest are forgotten first."""
    write_deadline_s: float = 10.0
    """Seconds one write may take before the peer counts as a slow consumer; a leaf link over a thin uplink may need
    more."""
    write_timeout: WriteTimeoutPolicy = WriteTimeoutPolicy.DEFAULT
    """After a missed write deadline: close (clients), retry (leaf links), or always one of them."""
    is_fast_producer_stall_disabled: bool = False
    """Drop for the slow receiver instead of holding the fast sender back for some milliseconds."""
    is_sublist_cache_disabled: bool = False
    """Match each message anew; only useful with very many distinct subjects."""
    is_header_support_disabled: bool = False
    """Refuse message headers; JetStream needs them, so leave it off."""
    ping_interval_s: float = 120.0
    """Seconds between pings to a silent connection; half-open links are noticed after this times `ping_max`."""
    pings_out_max: int = 2
    """Unanswered pings before the connection is closed as stale."""
