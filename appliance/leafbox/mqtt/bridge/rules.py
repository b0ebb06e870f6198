"""What a bridge is told: where the other broker is, which topics go out and come in, and what they are called there.

Values and their rules only. A topic of a rule is `prefix + rest` on either side; the filter is about the rest, so one
rule names both sides: `sensors/#` out with the remote prefix `site7/` sends `sensors/hall` as `site7/sensors/hall`.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from leafbox.protocol.mqtt.filters import filter_problem, matches
from leafbox.protocol.mqtt.packets import Version

PORTS = {"mqtt": 1883, "mqtts": 8883}
VERSIONS = {"3.1.1": Version.V3_1_1, "5": Version.V5}
"""As users write them."""
NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
BRIDGES_MAX = 16
"""Each has a connection, a consumer and two streams; a box is no hub of brokers."""
RULES_MAX = 64
"""Rules of one direction; each is a subject of a stream and a subscription at the other broker."""
BUFFER_BYTES_DEFAULT = 1 << 30


class ClientKind(enum.Enum):
    """Which client talks to the other broker."""

    OWN = "own"
    AMQTT = "amqtt"


@dataclass(frozen=True, slots=True)
class TopicRule:
    """One branch of topics that crosses the bridge."""

    filter: str
    qos: int = 1
    local_prefix: str = ""
    remote_prefix: str = ""

    @property
    def local_filter(self) -> bytes:
        """What to take, or how to call it, on this side."""
        return (self.local_prefix + self.filter).encode()

    @property
    def remote_filter(self) -> bytes:
        """The same at the other broker."""
        return (self.remote_prefix + self.filter).encode()

    def to_remote(self, topic: bytes) -> bytes | None:
        """The topic at the other broker; None: this rule is not about it."""
        if not matches(self.local_filter, topic):
            return None
        return self.remote_prefix.encode() + topic[len(self.local_prefix.encode()) :]

    def to_local(self, topic: bytes) -> bytes | None:
        """The topic on this side; None: this rule is not about it."""
        if not matches(self.remote_filter, topic):
            return None
        return self.local_prefix.encode() + topic[len(self.remote_prefix.encode()) :]

    def problem(self) -> str:
        """Why it cannot be used; empty when it can."""
        if self.qos not in (0, 1, 2):
            return f"QoS {self.qos} does not exist"
        for prefix in (self.local_prefix, self.remote_prefix):
            if "+" in prefix or "#" in prefix:
                return f"the prefix {prefix} has a wildcard"
        for whole in (self.local_filter, self.remote_filter):
            if whole.startswith(b"$share/"):
                return "a shared subscription cannot be bridged"
            if text := filter_problem(whole):
                return f"{whole.decode()}: {text}"
        return ""


def rule_of(text: str, local_prefix: str, remote_prefix: str) -> TopicRule:
    """`FILTER[:QOS]`; a filter may hold a colon, so only a last digit after one counts."""
    topic_filter, colon, qos = text.rpartition(":")
    if not colon or qos not in ("0", "1", "2"):
        topic_filter, qos = text, "1"
    return TopicRule(topic_filter, int(qos), local_prefix, remote_prefix)


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """One bridge."""

    name: str
    """1 to 32 letters, digits, - and _; its streams have it in their names."""
    url: str
    """The other broker: `mqtt://host:1883` or `mqtts://host:8883`."""
    outbound: tuple[TopicRule, ...] = ()
    """Topics that go there, as `FILTER[:QOS]`."""
    inbound: tuple[TopicRule, ...] = ()
    """Topics that come from there, as `FILTER[:QOS]`."""
    user: str = ""
    """User there; empty: none."""
    password: str = field(default="", repr=False)
    """Its password. Danger: better a variable of the environment (`$NAME`) than clear text."""
    version: Version = Version.V5
    """MQTT version: 3.1.1 or 5."""
    client: ClientKind = ClientKind.OWN
    """`own`, or `amqtt` (3.1.1; a crash may lose what comes in)."""
    client_id: str = ""
    """At the other broker; empty: `leafbox-<name>`. It names the session there, so it must not change."""
    account: str = "$G"
    """Local account whose topics cross."""
    ca_file: str = ""
    """CA that the broker's certificate is checked with; empty: those of the system."""
    cert_file: str = ""
    """Client certificate."""
    key_file: str = ""
    """Its private key."""
    keep_alive_s: int = 30
    """Seconds of silence after which the other broker is asked whether it is there."""
    buffer_bytes: int = BUFFER_BYTES_DEFAULT
    """Bound of what is kept for the other side; beyond it publishers are refused, nothing is dropped."""

    @property
    def parts(self) -> SplitResult:
        """The URL taken apart."""
        return urlsplit(self.url)

    @property
    def host(self) -> str:
        """Host of the other broker."""
        return self.parts.hostname or ""

    @property
    def port(self) -> int:
        """Its port."""
        return self.parts.port or PORTS[self.parts.scheme]

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is used."""
        return self.parts.scheme == "mqtts"

    def problem(self) -> str:
        """Why it cannot be used; empty when it can."""
        if not NAME.fullmatch(self.name):
            return "a bridge's name is 1 to 32 letters, digits, - and _"
        try:
            is_usable = self.parts.scheme in PORTS and bool(self.host) and self.port > 0
        except ValueError:
            is_usable = False
        if not is_usable:
            return f"{self.url} is no broker's address; write mqtt://host:1883 or mqtts://host:8883"
        if self.parts.username or self.parts.password:
            return "user and password do not belong into the address; they would end in logs"
        if not self.outbound and not self.inbound:
            return "a bridge without topics carries nothing"
        if len(self.outbound) > RULES_MAX or len(self.inbound) > RULES_MAX:
            return f"{RULES_MAX} rules each way are the most"
        if self.client is ClientKind.AMQTT and self.version is Version.V5:
            return "amqtt's client speaks 3.1.1 only; choose version 3.1.1 or the client `own`"
        if self.version is Version.V3_1:
            return "a bridge speaks 3.1.1 or 5"
        return next((text for rule in (*self.outbound, *self.inbound) if (text := rule.problem())), "")
