"""What CONNACK says: the limits of this server, what it changed of the client's wishes, or why it says no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leafbox.mqtt.config import MqttOptions, Redirect
from leafbox.mqtt.records import NEVER_EXPIRES_S
from leafbox.protocol.mqtt.encoder import encode_packet
from leafbox.protocol.mqtt.packets import Connack, Connect, Version
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode

if TYPE_CHECKING:
    from leafbox.mqtt.connection import MqttClient

# QoS 1 and 2 publishes that an MQTT 5 client may have unacknowledged: each costs us 16 bytes until it is on flash.
RECEIVE_MAXIMUM = 1024
# Topic aliases of a client: each holds the text of a topic, so this bounds a client to 2 MiB.
TOPIC_ALIAS_MAXIMUM = 32


_REDIRECTS = {Redirect.ANOTHER: ReasonCode.USE_ANOTHER_SERVER, Redirect.MOVED: ReasonCode.SERVER_MOVED}


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a client comes in."""

    session_expiry_s: int
    keep_alive_s: int
    properties: Properties


def terms_for(client: MqttClient, connect: Connect, assigned_id: str) -> Terms:
    """The terms for an accepted CONNECT; `assigned_id` is empty when the client named itself."""
    options = client.context.options
    expiry_s = connect.properties.session_expiry_interval_s or 0
    if connect.version != Version.V5:
        expiry_s = 0 if connect.is_clean else NEVER_EXPIRES_S
    longest_s = int(options.consumer_inactive_threshold_s)
    granted_s = min(expiry_s, longest_s) if longest_s > 0 else expiry_s
    if connect.version != Version.V5:
        return Terms(granted_s, connect.keep_alive_s, NO_PROPERTIES)
    client.receive_maximum = RECEIVE_MAXIMUM
    client.peer_alias_max = TOPIC_ALIAS_MAXIMUM
    keep_alive_s, most_s = connect.keep_alive_s, int(options.keep_alive_max_s)
    if most_s and not 0 < keep_alive_s <= most_s:
        keep_alive_s = most_s  # [MQTT-3.1.2-21]: the client goes by what CONNACK says.
    properties = Properties(
        session_expiry_interval_s=granted_s if granted_s != expiry_s else None,
        receive_maximum=RECEIVE_MAXIMUM,
        maximum_qos=1 if options.is_qos2_publish_rejected else None,
        maximum_packet_size=None,
        server_keep_alive_s=keep_alive_s if keep_alive_s != connect.keep_alive_s else None,
        assigned_client_identifier=assigned_id or None,
        topic_alias_maximum=TOPIC_ALIAS_MAXIMUM,
    )
    return Terms(granted_s, keep_alive_s, properties)


def refused_as(code: ReasonCode, version: Version, reference: str = "") -> bytes:
    """A CONNACK that refuses, in the words of the client's version; `reference`: where to go instead."""
    properties = Properties(server_reference=reference) if reference and version is Version.V5 else NO_PROPERTIES
    return encode_packet(Connack(code, properties=properties), version)


def elsewhere(options: MqttOptions) -> ReasonCode | None:
    """The reason code for clients that have to go to another server at any time; None: they may stay."""
    return _REDIRECTS.get(options.redirect)
