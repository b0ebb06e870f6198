"""One session: who it is, what it subscribed to, when it ends. The messages are the data plane's (`MqttSession`).

A session outlives its connection when the client asked for it: for ever with MQTT 3's clean session 0, for so many
seconds with MQTT 5. Then every change of it is in the log before the client hears that it was made.
"""

from __future__ import annotations

from asyncio import TimerHandle
from typing import TYPE_CHECKING

from leafbox.broker.account import Account
from leafbox.dataplane.mqtt_interest import MqttInterest
from leafbox.dataplane.mqtt_session import MqttSession
from leafbox.dataplane.routing import Subscription
from leafbox.dataplane.stream_ingest import now_ns
from leafbox.mqtt.interest import Wanted, wanted_by
from leafbox.mqtt.records import (
    NEVER_EXPIRES_S,
    FilterRecord,
    SessionHead,
    SessionRecord,
    encode_filter,
    encode_head,
    encode_removal,
)
from leafbox.mqtt.will import PendingWill, WillSender

if TYPE_CHECKING:
    from leafbox.mqtt.connection import MqttClient
    from leafbox.mqtt.sessions import AccountSessions


class Session:
    """Made and ended by `AccountSessions`."""

    __slots__ = (
        "away_ns",
        "client",
        "client_id",
        "core",
        "created_ns",
        "expiry_s",
        "expiry_timer",
        "interests",
        "is_stored",
        "owner",
        "quiet_until_s",
        "records",
        "user",
        "version",
        "wildcards",
        "will",
        "will_sender",
        "will_timer",
    )

    def __init__(self, owner: AccountSessions, client_id: str, core: MqttSession, expiry_s: int) -> None:
        self.owner = owner
        self.client_id = client_id
        self.core = core
        self.expiry_s = expiry_s
        """Seconds the session stays when its client is gone; 0: it ends with the connection."""
        self.client: MqttClient | None = None
        self.interests: dict[bytes, MqttInterest] = {}
        self.records: dict[bytes, FilterRecord] = {}
        self.wildcards = 0
        self.user = ""
        self.version = 4
        self.created_ns = now_ns()
        self.away_ns = 0
        self.expiry_timer: TimerHandle | None = None
        self.is_stored = False
        """The log knows of it."""
        self.quiet_until_s = 0.0
        """Nothing is logged of its full queue before this monotonic time."""
        self.will: PendingWill | None = None
        """Not sent and not called off: of the client that is here, or waiting for its delay. Part of the record."""
        self.will_timer: TimerHandle | None = None
        self.will_sender: WillSender | None = None
        """Who sends the will that waits for its delay."""

    # -- records ------------------------------------------------------------------------------------------------------

    def head(self) -> SessionHead:
        """What is kept beside the subscriptions."""
        return SessionHead(
            account=self.owner.account.name,
            client_id=self.client_id,
            user=self.user,
            version=self.version,
            expiry_s=self.expiry_s,
            created_ns=self.created_ns,
            away_ns=self.away_ns,
            will=self.will,
        )

    def record(self) -> SessionRecord:
        """Everything that is kept."""
        return SessionRecord(self.head(), list(self.records.values()))

    def save_head(self) -> int:
        """Log who the session is; returns the log number, 0 for a session that is not kept and has no will."""
        if not self.core.is_persistent and not self.is_stored and self.will is None:
            return 0
        return self.owner.log(self, encode_head(self.head()))

    # -- subscriptions ------------------------------------------------------------------------------------------------

    def subscribe(self, record: FilterRecord) -> bool:
        """Add or replace a subscription that was found permitted; True when it is new."""
        topic_filter = record.filter.encode()
        is_new = topic_filter not in self.interests
        if not is_new:
            self._withdraw(topic_filter)
        wanted = wanted_by(topic_filter)
        interest = MqttInterest(
            topic_filter,
            record.qos,
            no_local=record.no_local,
            retain_as_published=record.retain_as_published,
            retain_handling=record.retain_handling,
            identifier=record.identifier,
            is_shared=wanted.queue is not None,
            skips_dollar=wanted.skips_dollar,
        )
        interest.subscriptions = [self._subscription(interest, subject, wanted) for subject in wanted.subjects]
        self.core.add_interest(interest)
        self.interests[topic_filter] = interest
        self.records[topic_filter] = record
        if wanted.queue is None:
            self.wildcards += wanted.has_wildcard
            self._note_overlaps()
        for subscription in interest.subscriptions:
            self.owner.account.add(subscription)
        if interest.is_shared:
            self.owner.group_joined(interest, self)
        return is_new

    def log_subscription(self, record: FilterRecord) -> int:
        """Keep a subscription; the log number."""
        return self.owner.log(self, encode_filter(record)) if self.core.is_persistent else 0

    def unsubscribe(self, topic_filter: bytes) -> int | None:
        """Remove a subscription; the log number (0: not kept), None when there was none."""
        if topic_filter not in self.interests:
            return None
        self._withdraw(topic_filter)
        return self.owner.log(self, encode_removal(topic_filter)) if self.core.is_persistent else 0

    def withdraw_all(self) -> None:
        """The session ends: no message reaches it any more."""
        for topic_filter in list(self.interests):
            self._withdraw(topic_filter)

    def apply_permissions(self) -> list[bytes]:
        """After a login or a reload: drop what is not permitted any more, and return those filters."""
        permissions = self.core.permissions
        lost = []
        for topic_filter, interest in list(self.interests.items()):
            for subscription in interest.subscriptions:
                subscription.filters_deliveries = permissions is not None and permissions.filters(subscription.subject)
            if permissions is not None and not all(
                permissions.allows_subscribe(each.subject, each.queue) for each in interest.subscriptions
            ):
                lost.append(topic_filter)
        for topic_filter in lost:
            self.unsubscribe(topic_filter)
        return lost

    def _subscription(self, interest: MqttInterest, subject: bytes, wanted: Wanted) -> Subscription:
        account: Account = self.owner.account
        subscription = Subscription(account, self.core, subject, wanted.queue, interest.filter)
        permissions = self.core.permissions
        subscription.filters_deliveries = permissions is not None and permissions.filters(subject)
        subscription.context = interest
        return subscription

    def _withdraw(self, topic_filter: bytes) -> None:
        interest = self.interests.pop(topic_filter)
        self.records.pop(topic_filter, None)
        self.core.remove_interest(interest)
        for subscription in interest.subscriptions:
            self.owner.account.remove(subscription)
        if interest.is_shared:
            self.owner.group_left(interest, self)
            return
        was_wildcard = b"+" in topic_filter or b"#" in topic_filter
        self.wildcards -= was_wildcard
        self._note_overlaps()

    def _note_overlaps(self) -> None:
        """Two filters can match one topic only if one of them has a wildcard; then each message is looked at twice."""
        overlaps = self.wildcards > 0 and len(self.interests) > 1
        newest = next(reversed(self.interests.values()), None)
        if newest is not None and newest.overlaps == overlaps and self._first_overlaps() == overlaps:
            return
        for interest in self.interests.values():
            interest.overlaps = overlaps and not interest.is_shared

    def _first_overlaps(self) -> bool:
        return next((each.overlaps for each in self.interests.values() if not each.is_shared), False)

    # -- life ---------------------------------------------------------------------------------------------------------

    @property
    def never_expires(self) -> bool:
        """Whether it stays until somebody removes it."""
        return self.expiry_s >= NEVER_EXPIRES_S
