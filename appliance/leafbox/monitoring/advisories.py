"""The parts that events and answers over NATS have in common: who speaks (`server`), about whom (`client`), and ids.

Shapes are nats-server 2.15.1's (core-protocol section 7.1).
"""

from __future__ import annotations

import secrets
import time

from leafbox.broker.broker import Broker
from leafbox.broker.config import GLOBAL_ACCOUNT
from leafbox.broker.registry import ConnectionSnapshot
from leafbox.monitoring.documents import MonitoredFeatures
from leafbox.monitoring.varz import FEATURE_FLAGS
from leafbox.monitoring.wire_format import Document, time_text, without_empty

ID_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH = 22
# JetStream is on, it knows the newer snapshot form, accounts may carry their own replication traffic.
JETSTREAM_FLAGS = 7

CLIENT_CONNECT = "io.nats.server.advisory.v1.client_connect"
CLIENT_DISCONNECT = "io.nats.server.advisory.v1.client_disconnect"
ACCOUNT_CONNECTIONS = "io.nats.server.advisory.v1.account_connections"


class ServerStamp:
    """Makes the `server` object of every message; `seq` counts them, so that listeners notice gaps."""

    def __init__(self, broker: Broker, features: MonitoredFeatures) -> None:
        self._broker = broker
        self._features = features
        self._seq = 0

    def document(self) -> Document:
        """The next one."""
        self._seq += 1
        identity, facts = self._broker.identity, self._features.facts
        has_jetstream = self._features.jetstream is not None
        document: Document = {
            "name": identity.name,
            "host": facts.host,
            "id": identity.server_id,
            "cluster": identity.cluster,
            "domain": facts.jetstream_domain if has_jetstream else "",
            "ver": identity.version,
            "tags": list(facts.tags),
            "metadata": dict(facts.metadata),
            "feature_flags": {name: facts.feature_flags.get(name, value) for name, value in FEATURE_FLAGS.items()},
            "jetstream": has_jetstream,
            "flags": JETSTREAM_FLAGS if has_jetstream else 0,
            "seq": self._seq,
            "time": time_text(time.time_ns()),
        }
        return without_empty(document, "cluster", "domain", "tags", "metadata")


def typed_event(kind: str, server: Document) -> Document:
    """The envelope that an event's own fields follow."""
    event_id = "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_LENGTH))
    return {"type": kind, "id": event_id, "timestamp": time_text(time.time_ns()), "server": server}


def client_document(client: ConnectionSnapshot) -> Document:
    """Who the event is about; a client that never logged in belongs to the global account."""
    account = client.account or GLOBAL_ACCOUNT
    document: Document = {
        "start": time_text(client.start_ns),
        "host": client.ip,
        "id": client.cid,
        "acc": account,
        "user": client.user,
        "name": client.name,
        "lang": client.lang,
        "ver": client.version,
        "rtt": client.rtt_ns,
        "stop": time_text(client.stop_ns) if client.stop_ns else "",
        "name_tag": account,
        "kind": client.kind,
        "client_type": client.type,
        "client_id": client.mqtt_client,
    }
    return without_empty(document, "user", "name", "lang", "ver", "rtt", "stop", "client_type", "client_id")
