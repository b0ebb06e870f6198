"""What the MQTT connections of one listener share."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from leafbox.broker.broker import Broker
from leafbox.broker.config import ConnectionType
from leafbox.mqtt.config import MqttOptions
from leafbox.mqtt.ports import ConnectionEvents
from leafbox.security.authentication import Authenticator, ListenerRules


@dataclass(slots=True)
class MqttContext:
    """Mutable only by its owner (wiring and reload); connections read it when they need it."""

    broker: Broker
    authenticator: Authenticator
    options: MqttOptions
    kind: ConnectionType
    tasks: asyncio.TaskGroup
    events: ConnectionEvents
    rules: ListenerRules = field(default_factory=ListenerRules)
    auth_timeout_s: float = 2.0
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("leafbox.mqtt"))
