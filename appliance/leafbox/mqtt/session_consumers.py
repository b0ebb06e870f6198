"""Sessions in the form of consumers of `$MQTT_msgs`, for tools: one for each session that subscribed at QoS 1 or 2.

They are a view: what they say is true at the moment of asking, and nothing can be done to them, since there is nothing
but the session behind them (decision 0004). nats-server has a consumer for each filter instead, with the same hash of
the client id in its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from leafbox.jetstream.names import SHOWN_PREFIX, short_hash
from leafbox.mqtt.assets import MESSAGES
from leafbox.mqtt.config import MqttOptions
from leafbox.protocol.jetstream.consumer_config import AckPolicy, ConsumerConfig, DeliverPolicy
from leafbox.protocol.jetstream.go_time import SECOND
from leafbox.protocol.jetstream.info import ConsumerInfo, SequenceInfo

if TYPE_CHECKING:
    from leafbox.mqtt.session import Session

# A session may have thousands of filters, an answer may not be endless; the metadata says how many there are.
FILTERS_SHOWN = 1000
FILTERS_LISTED = 20

_VERSIONS = {3: "3.1", 4: "3.1.1", 5: "5.0"}


class SessionConsumers:
    """What a stream shows (`jetstream.ports.ShownConsumers`); `sessions` are those of the account by client id."""

    def __init__(
        self, sessions: dict[str, Session], options: Callable[[], MqttOptions], now_ns: Callable[[], int]
    ) -> None:
        self._sessions = sessions
        self._options = options
        self._now_ns = now_ns
        self._names: dict[str, str] = {}
        self._ids: dict[str, str] = {}

    def count(self) -> int:
        """How many sessions are shown."""
        return sum(map(_has_durable_filter, self._sessions.values()))

    def names(self) -> list[str]:
        """Their names as consumers."""
        # A hash is made once for each client id that is here.
        self._names = {each: self._names.get(each) or consumer_name_of(each) for each in self._sessions}
        self._ids = {name: client_id for client_id, name in self._names.items()}
        return [self._names[each] for each, session in self._sessions.items() if _has_durable_filter(session)]

    def info(self, name: str, *, is_listed: bool = False) -> ConsumerInfo | None:
        """One session; with few of its filters where many sessions are listed."""
        if not name.startswith(SHOWN_PREFIX):
            return None
        if name not in self._ids:
            self.names()
        session = self._sessions.get(self._ids.get(name, ""))
        if session is None or not _has_durable_filter(session):
            return None
        progress = session.core.progress()
        return ConsumerInfo(
            stream_name=MESSAGES,
            name=name,
            created=session.created_ns,
            config=self._config(session, name, FILTERS_LISTED if is_listed else FILTERS_SHOWN),
            delivered=SequenceInfo(consumer_seq=progress.given_out, stream_seq=progress.last_given_out_seq),
            ack_floor=SequenceInfo(
                consumer_seq=progress.given_out - progress.ack_pending, stream_seq=progress.floor_seq
            ),
            num_ack_pending=progress.ack_pending,
            num_redelivered=progress.redelivered,
            num_pending=progress.waiting,
            push_bound=session.client is not None,
            ts=self._now_ns(),
        )

    def _config(self, session: Session, name: str, most: int) -> ConsumerConfig:
        filters = [
            f"$MQTT.msgs.{subscription.subject.decode('utf-8', 'replace')}"
            for interest in session.interests.values()
            if interest.qos
            for subscription in interest.subscriptions
        ]
        return ConsumerConfig(
            durable_name=name,
            name=name,
            description=f"MQTT session of client id {session.client_id!r}",
            deliver_policy=DeliverPolicy.NEW,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=int(self._options().ack_wait_s * SECOND),
            max_deliver=-1,
            max_ack_pending=session.core.window,
            filter_subject=filters[0] if len(filters) == 1 else "",
            filter_subjects=tuple(filters[:most]) if len(filters) > 1 else (),
            deliver_subject=f"$MQTT.sub.{name}",
            metadata={
                "mqtt.client_id": session.client_id,
                "mqtt.filters": str(len(filters)),
                "mqtt.kept": str(session.core.is_persistent).lower(),
                "mqtt.version": _VERSIONS.get(session.version, ""),
            },
        )


def consumer_name_of(client_id: str) -> str:
    """The name under which a client's session is shown."""
    return SHOWN_PREFIX + short_hash(client_id)


def _has_durable_filter(session: Session) -> bool:
    return any(interest.qos for interest in session.interests.values())
