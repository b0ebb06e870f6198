"""The whole box at one moment, as far as its state can be right or wrong: what issues, status and metrics are made of.

Values only, taken by `app/observation.py` in one go. A fact of a part that this box does not have, or that cannot be
known, is None or empty; the checks say nothing then.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from leafbox.monitoring.machine import MachineFacts


@dataclass(frozen=True, slots=True)
class ListenerFact:
    """One door of the box."""

    name: str
    """`NATS`, `WebSocket`, `MQTT`, `leaf`, `monitoring` or `dashboard`."""
    host: str
    port: int
    is_login_required: bool
    is_tls: bool

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


@dataclass(frozen=True, slots=True)
class StoreFact:
    """The store on flash."""

    state: str
    """`ready`, `failed`, `full` or `closed`."""
    reason: str
    is_accepting: bool
    is_congested: bool
    damages: tuple[str, ...] = ()
    checkpoint_error: str = ""
    written_bytes: int = 0
    checkpoint_bytes: int = 0
    commit_count: int = 0
    sync_count: int = 0
    sync_us: int = 0
    unsaved_bytes: int = 0
    segment_count: int = 0
    failure_count: int = 0


@dataclass(frozen=True, slots=True)
class CertificateFact:
    """A certificate the box shows to others."""

    listener: str
    path: str
    not_after_s: int


@dataclass(frozen=True, slots=True)
class UplinkFact:
    """A link to a hub."""

    name: str
    state: str
    """`up`, `stalled`, `waiting`, `dialling`, `handshake`, `paused` or `disabled`."""
    since_s: int
    reason: str = ""
    next_step: str = ""
    backlog_messages: int | None = None
    backlog_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class BridgeFact:
    """A bridge to another MQTT broker."""

    name: str
    refused_messages: int
    """Kept in its stream of refused messages."""
    refused_reason: str = ""
    """Why the last one was, if it was since the bridge's start."""


@dataclass(frozen=True, slots=True)
class StreamFact:
    """A stream and its limits (-1: none)."""

    account: str
    name: str
    messages: int
    stored_bytes: int
    max_messages: int
    max_bytes: int
    refuses_when_full: bool
    """Discard policy `new`: at the limit publishers get errors; with `old` the oldest message goes, as ordered."""


@dataclass(frozen=True, slots=True)
class ConsumerFact:
    """A consumer and how far it is."""

    account: str
    stream: str
    name: str
    waiting_messages: int
    """Not yet delivered."""
    ack_pending: int
    max_ack_pending: int
    """0 or less: no limit."""
    last_acknowledged_s: int
    last_delivered_s: int
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class ChildFact:
    """A process that the supervisor keeps running."""

    name: str
    is_running: bool
    restarts_last_hour: int = 0
    last_end: str = ""


@dataclass(frozen=True, slots=True)
class BacklogFact:
    """What waits for the uplink, now and before."""

    now_messages: int
    before_messages: int
    before_s: int
    """How long ago `before` was."""


@dataclass(frozen=True, slots=True)
class BoxSnapshot:
    """Everything the checks look at; times are wall-clock seconds."""

    now_s: int
    start_s: int
    machine: MachineFacts = field(default_factory=MachineFacts)
    memory_bytes: int = 0
    is_claimed: bool | None = None
    listeners: tuple[ListenerFact, ...] = ()
    has_plain_passwords: bool = False
    config_file: str = ""
    config_mode: int | None = None
    """Permission bits of the configuration file."""
    data_directory: str = ""
    data_mode: int | None = None
    store: StoreFact | None = None
    sync_mean_us: float | None = None
    """Mean duration of the syncs of the last minute."""
    free_bytes_min: int = 0
    """Free space below which the store refuses messages."""
    certificates: tuple[CertificateFact, ...] = ()
    uplinks: tuple[UplinkFact, ...] = ()
    backlog: BacklogFact | None = None
    slow_consumers_last_hour: int = 0
    streams: tuple[StreamFact, ...] = ()
    consumers: tuple[ConsumerFact, ...] = ()
    children: tuple[ChildFact, ...] = ()
    bridges: tuple[BridgeFact, ...] = ()
