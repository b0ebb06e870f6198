"""The gateway's streams in an account, named as nats-server names them, so that tools find what they expect.

`$MQTT_msgs` holds QoS 1 and 2 messages until every session that wanted them has acknowledged; `$MQTT_rmsgs` the
retained message of each topic; `$MQTT_sess` shows the sessions, one message each. `$MQTT_out` and `$MQTT_qos2in` stay
empty: what nats-server keeps there is in the sessions' own log records. Nobody but the gateway writes or changes them.
"""

from __future__ import annotations

from dataclasses import dataclass

from leafbox.jetstream.account import JetStreamAccount
from leafbox.jetstream.stream import Stream
from leafbox.protocol.jetstream.stream_config import DiscardPolicy, StorageType, StreamConfig

MESSAGES = "$MQTT_msgs"
RETAINED = "$MQTT_rmsgs"
SESSIONS = "$MQTT_sess"

_CONFIGURATIONS = (
    StreamConfig(name=MESSAGES, subjects=("$MQTT.msgs.>",), storage=StorageType.FILE),
    StreamConfig(name=RETAINED, subjects=("$MQTT.rmsgs.>",), storage=StorageType.FILE, max_msgs_per_subject=1),
    StreamConfig(name=SESSIONS, subjects=("$MQTT.sess.>",), storage=StorageType.FILE, max_msgs_per_subject=1),
    StreamConfig(name="$MQTT_out", subjects=("$MQTT.out.>",), storage=StorageType.FILE),
    StreamConfig(
        name="$MQTT_qos2in",
        subjects=("$MQTT.qos2.in.>",),
        storage=StorageType.FILE,
        max_msgs_per_subject=1,
        discard=DiscardPolicy.NEW,
        discard_new_per_subject=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Assets:
    """The streams that the gateway uses."""

    messages: Stream
    retained: Stream
    sessions: Stream


def open_assets(owner: JetStreamAccount) -> Assets:
    """The account's streams, made where they are missing. Raises `RequestRejected` when a limit forbids them."""
    streams = {}
    for config in _CONFIGURATIONS:
        stream = owner.streams.get(config.name)
        if stream is None:
            stream, _ = owner.create_stream(config)
        streams[config.name] = stream
    return Assets(streams[MESSAGES], streams[RETAINED], streams[SESSIONS])
