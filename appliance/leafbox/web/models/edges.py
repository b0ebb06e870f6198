"""Devices, uplinks, bridges and connections."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from leafbox.web.models.base import Asked, Severity, Told

DeviceName = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")


class Device(Told):
    """Something that sends or takes readings, with a credential of its own."""

    name: str
    state: Literal["online", "offline", "never"] = "never"
    protocol: str = Field(default="", description="nats, mqtt, websocket; empty: never seen.")
    account: str = ""
    created_s: float = 0
    last_seen_s: float = 0
    last_subject: str = ""
    last_value: str = ""
    messages: int = 0
    messages_per_s: float = 0
    sparkline: list[float | None] = []
    publish: list[str] = []
    subscribe: list[str] = []
    ip: str = ""
    cid: int = 0


class Devices(Told):
    """All devices."""

    devices: list[Device]


class NewDevice(Asked):
    """A device to be made. Without subjects it may use its own: `<name>.>`."""

    name: str = DeviceName
    publish: list[str] = Field(default=[], max_length=64)
    subscribe: list[str] = Field(default=[], max_length=64)
    account: str | None = None


class Snippet(Told):
    """Lines to paste."""

    label: str
    language: str = ""
    text: str


class DeviceCredential(Told):
    """The only time that the secret is shown."""

    device: Device
    user: str
    password: str
    snippets: list[Snippet] = []


class UplinkState(Told):
    """One step of the ladder from nothing to data that flows."""

    name: str
    label: str = ""
    reached: bool
    failed: bool = False
    detail: str = ""


class ForwardedStream(Told):
    """A local stream on its way to the hub."""

    stream: str
    subjects: list[str] = []
    backlog_messages: int = 0
    backlog_bytes: int = 0
    oldest_age_s: float | None = None
    drain_messages_per_s: float = 0
    eta_s: float | None = None
    delivered: int = 0


class Uplink(Told):
    """A link to a hub and whether data flows over it."""

    name: str
    url: str = Field(description="Without credentials.")
    account: str = ""
    state: str = Field(description="flowing, connecting, stalled, paused, draining, refused, ...")
    severity: Severity = "ok"
    sentence: str = ""
    reason: str = ""
    next_step: str = ""
    since_s: float = 0
    rtt_ms: float | None = None
    ladder: list[UplinkState] = []
    backlog_messages: int = 0
    backlog_bytes: int = 0
    oldest_age_s: float | None = None
    drain_messages_per_s: float = 0
    eta_s: float | None = None
    streams: list[ForwardedStream] = []


class Uplinks(Told):
    """All uplinks."""

    uplinks: list[Uplink]


class NewUplink(Asked):
    """An uplink to be made."""

    name: str | None = Field(default=None, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    url: str = Field(min_length=1, max_length=1024)
    credentials: str | None = Field(default=None, max_length=65536, description="Text of a .creds file.")
    user: str | None = Field(default=None, max_length=256)
    password: str | None = Field(default=None, max_length=256)
    token: str | None = Field(default=None, max_length=1024)
    forward: list[str] = Field(default=[], max_length=64, description="Subjects to store and forward.")
    account: str | None = Field(default=None, max_length=256)


class UplinkTest(Told):
    """What a try found, step by step."""

    ok: bool
    sentence: str = ""
    next_step: str = ""
    steps: list[UplinkState] = []


class Outage(Told):
    """A time in which data did not flow."""

    start_s: float
    end_s: float | None = None
    reason: str = ""
    queued: int = 0
    delivered: int = 0
    lost: int = 0


class Outages(Told):
    """The outage ledger, newest first."""

    outages: list[Outage]


class HubSnippet(Told):
    """What to run or paste at the hub."""

    snippets: list[Snippet]


class Connection(Told):
    """A client that is connected, or was."""

    cid: int
    kind: str = ""
    type: str = ""
    name: str = ""
    user: str = ""
    account: str = ""
    ip: str = ""
    port: int = 0
    language: str = ""
    version: str = ""
    start: str = ""
    last_activity: str = ""
    stop: str = ""
    reason: str = ""
    uptime: str = ""
    idle: str = ""
    rtt: str = ""
    pending_bytes: int = 0
    in_messages: int = 0
    out_messages: int = 0
    in_bytes: int = 0
    out_bytes: int = 0
    subscriptions: int = 0
    subscription_subjects: list[str] = []
    tls_version: str = ""
    mqtt_client: str = ""


class Connections(Told):
    """Clients, as `/connz` lists them; rates are made of two of these."""

    connections: list[Connection]
    total: int = 0
    at_s: float = 0


class BridgeRule(Told):
    """A branch of topics that crosses a bridge."""

    filter: str
    qos: int = 1
    local_prefix: str = ""
    remote_prefix: str = ""


class Bridge(Told):
    """A bridge to another MQTT broker."""

    name: str
    url: str
    state: str
    severity: Severity = "ok"
    sentence: str = ""
    next_step: str = ""
    backlog_messages: int = 0
    backlog_bytes: int = 0
    outbound: list[BridgeRule] = []
    inbound: list[BridgeRule] = []
    origin: str = Field(default="command", description="configuration: it is changed there only.")


class Bridges(Told):
    """All bridges."""

    bridges: list[Bridge]


class NewBridgeRule(Asked):
    """Topics to carry. The filter is about what follows the prefixes, so one rule names both sides."""

    filter: str = Field(min_length=1, max_length=1024)
    qos: int = Field(default=1, ge=0, le=2)
    local_prefix: str = Field(default="", max_length=256)
    remote_prefix: str = Field(default="", max_length=256)


class NewBridge(Asked):
    """A bridge to be made."""

    name: str = Field(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_-]+$")
    url: str = Field(min_length=1, max_length=1024, description="mqtt://host:1883 or mqtts://host:8883")
    outbound: list[NewBridgeRule] = Field(default=[], max_length=64)
    inbound: list[NewBridgeRule] = Field(default=[], max_length=64)
    user: str = Field(default="", max_length=256)
    password: str = Field(default="", max_length=256)
    version: Literal["3.1.1", "5"] = "5"
    account: str | None = Field(default=None, max_length=256)
