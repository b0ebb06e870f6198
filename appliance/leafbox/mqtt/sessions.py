"""The sessions of one account: found by client id, resumed, taken over, expired, and brought back after a restart."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from leafbox.broker.account import Account
from leafbox.dataplane.mqtt_interest import MqttInterest
from leafbox.dataplane.mqtt_plane import MqttPlane
from leafbox.dataplane.mqtt_session import MqttSession
from leafbox.dataplane.mqtt_session_state import WhenFull
from leafbox.dataplane.stream_ingest import CommitGate, now_ns
from leafbox.mqtt.absent_sender import AbsentSender
from leafbox.mqtt.assets import Assets
from leafbox.mqtt.config import MqttOptions, QueueFull
from leafbox.mqtt.ports import RightsOfUser, SessionStore, SessionValue
from leafbox.mqtt.records import SessionRecord, decode_record, encode_record
from leafbox.mqtt.session import Session
from leafbox.mqtt.session_consumers import SessionConsumers
from leafbox.mqtt.session_stream import SessionStream
from leafbox.mqtt.will import PendingWill
from leafbox.protocol.mqtt.reason_codes import ReasonCode

if TYPE_CHECKING:
    import asyncio

    from leafbox.dataplane.connection import Engine
    from leafbox.mqtt.connection import MqttClient

logger = logging.getLogger(__name__)

# The longest time a timer of the loop is set for; longer waits are taken in pieces.
TIMER_MAX_S = 3600.0
# A queue at its limit may fill and empty with every message; a person is told this often.
FULL_WARNING_INTERVAL_S = 60.0

_WHEN_FULL = {
    QueueFull.REFUSE: WhenFull.FULL_REFUSES,
    QueueFull.DROP_NEW: WhenFull.FULL_DROPS_NEW,
    QueueFull.DROP_OLD: WhenFull.FULL_DROPS_OLD,
}
_CONSEQUENCES = {
    QueueFull.REFUSE: "publishers of what it subscribed to are refused",
    QueueFull.DROP_NEW: "it loses new messages",
    QueueFull.DROP_OLD: "it loses its oldest messages",
}


def record_key(account: str, client_id: str) -> bytes:
    """Key of a session's durable values: of one size, however long names are."""
    return hashlib.sha256(account.encode() + b"\0" + client_id.encode()).digest()


class AccountSessions:
    """All MQTT sessions of one account, with clients connected or not."""

    def __init__(
        self,
        account: Account,
        assets: Assets,
        gate: CommitGate,
        store: SessionStore,
        loop: asyncio.AbstractEventLoop,
        options: Callable[[], MqttOptions],
    ) -> None:
        self.account = account
        self._options = options
        self.assets = assets
        self.store = store
        self.gate = gate
        self._loop = loop
        self.plane = MqttPlane(
            account, assets.messages.ingest, assets.retained.ingest, gate, partial(store.extend, SessionValue.PROGRESS)
        )
        self.plane.is_restoring = True
        self.plane.on_full = self._queue_is_full
        self.by_id: dict[str, Session] = {}
        self._by_key: dict[bytes, Session] = {}
        self._groups: dict[tuple[bytes | None, bytes], set[Session]] = {}
        self._shown = SessionStream(assets.sessions, loop)
        assets.messages.shown = SessionConsumers(self.by_id, options, now_ns)

    # -- finding and making -------------------------------------------------------------------------------------------

    def open(self, client_id: str, is_clean: bool, expiry_s: int, *, has_will: bool = False) -> tuple[Session, bool]:
        """The session for a client that connects, and whether it was there before. The former client must be gone."""
        session = self.by_id.get(client_id)
        if session is not None and is_clean:
            self.end(session)
            session = None
        if session is not None:
            if session.expiry_timer is not None:
                session.expiry_timer.cancel()
                session.expiry_timer = None
            session.expiry_s = expiry_s
            session.away_ns = 0
            return session, True
        return self._make(client_id, expiry_s, expiry_s > 0 or has_will), False

    def _make(self, client_id: str, expiry_s: int, has_record: bool) -> Session:
        # A session that ends with its connection has a record for its will only; its key would be half its cost.
        key = record_key(self.account.name, client_id) if has_record else b""
        core = MqttSession(self.plane, key, is_persistent=expiry_s > 0)
        core.group_has_others = self.group_has_others
        self._limit_queue(core)
        session = Session(self, client_id, core, expiry_s)
        self.by_id[client_id] = session
        if key:
            self._by_key[key] = session
        return session

    def taken(self, session: Session, client: MqttClient, will: PendingWill | None) -> int:
        """A client takes the session on. Returns the log number at which its will is on flash; 0: it has none."""
        session.client = client
        session.will = will
        lsn = session.save_head()
        return lsn if will is not None else 0

    def attached(self, session: Session) -> None:
        """The client was told so, and gets messages from now on."""
        for interest in session.interests.values():
            if interest.is_shared:
                self.group_joined(interest, session)
        if session.core.is_persistent:
            self._shown.show(session)

    def detached(self, session: Session) -> None:
        """The session's client is gone: end it, or wait for it to come back."""
        session.client = None
        session.core.detach()
        for interest in session.interests.values():
            if interest.is_shared:
                self.group_left(interest, session)
        if session.expiry_s == 0:
            self.end(session)
            return
        session.away_ns = now_ns()
        session.save_head()
        self._arm_expiry(session)

    def _arm_expiry(self, session: Session) -> None:
        if session.never_expires:
            return
        left_s = session.away_ns / 1e9 + session.expiry_s - now_ns() / 1e9
        session.expiry_timer = self._loop.call_later(min(max(left_s, 0.0), TIMER_MAX_S), self._expire, session)

    def _expire(self, session: Session) -> None:
        session.expiry_timer = None
        if session.client is not None or self.by_id.get(session.client_id) is not session:
            return
        if now_ns() / 1e9 < session.away_ns / 1e9 + session.expiry_s:
            self._arm_expiry(session)
            return
        logger.info("session expired client_id=%r account=%s", session.client_id, self.account.name)
        self.end(session)

    def end(self, session: Session) -> int:
        """The session is over; everything of it goes. Returns the log number."""
        for timer in (session.expiry_timer, session.will_timer):
            if timer is not None:
                timer.cancel()
        session.expiry_timer = session.will_timer = None
        if session.will_sender is not None:
            # [MQTT-3.1.2-8]: a will that waits for its delay is sent when the session ends.
            sender, session.will_sender = session.will_sender, None
            sender.publish_will()
        session.will = None
        was_kept, was_shown = session.is_stored, session.core.is_persistent
        session.withdraw_all()
        session.core.discard()
        if self.by_id.get(session.client_id) is session:
            del self.by_id[session.client_id]
        self._by_key.pop(session.core.key, None)
        if not was_kept:
            return 0
        if was_shown:
            self._shown.hide(session)
        self.store.delete(SessionValue.PROGRESS, session.core.key)
        return self.store.delete(SessionValue.DEFINITION, session.core.key)

    def log(self, session: Session, delta: bytes) -> int:
        """Keep a change of a session's definition."""
        session.is_stored = True
        if session.core.is_persistent:
            self._shown.show(session)
        return self.store.extend(SessionValue.DEFINITION, session.core.key, delta)

    @property
    def is_store_refusing(self) -> bool:
        """Whether the log takes nothing at the moment, so that waiting for it would be in vain."""
        journal = self.assets.messages.store.journal
        return journal is not None and journal.is_refusing

    # -- full queues ---------------------------------------------------------------------------------------------------

    def _limit_queue(self, core: MqttSession) -> None:
        options = self._options()
        core.limit_queue(options.queued_messages_max, _WHEN_FULL[options.when_queue_full])

    def apply_options(self) -> None:
        """After a reload."""
        for session in self.by_id.values():
            self._limit_queue(session.core)

    def _queue_is_full(self, core: MqttSession) -> None:
        session = next((each for each in self.by_id.values() if each.core is core), None)
        if session is None or time.monotonic() < session.quiet_until_s:
            return
        session.quiet_until_s = time.monotonic() + FULL_WARNING_INTERVAL_S
        logger.warning(
            "the queue of an MQTT session is full client_id=%r account=%s messages=%d consequence=%r: %s",
            session.client_id,
            self.account.name,
            core.queued,
            _CONSEQUENCES[self._options().when_queue_full],
            "bring the client back, remove its session, or raise mqtt.max_queued_messages",
        )

    # -- shared subscriptions -----------------------------------------------------------------------------------------

    def group_joined(self, interest: MqttInterest, session: Session) -> None:
        """A member of a group is online."""
        if session.client is None:
            return
        for subscription in interest.subscriptions:
            self._groups.setdefault((subscription.queue, subscription.subject), set()).add(session)

    def group_left(self, interest: MqttInterest, session: Session) -> None:
        """A member of a group is gone, or away."""
        for subscription in interest.subscriptions:
            key = (subscription.queue, subscription.subject)
            members = self._groups.get(key)
            if members is not None:
                members.discard(session)
                if not members:
                    del self._groups[key]

    def group_has_others(self, interest: MqttInterest) -> bool:
        """Whether somebody of the group is online, so that a member who is away need not keep the message."""
        return any((each.queue, each.subject) in self._groups for each in interest.subscriptions)

    # -- keeping ------------------------------------------------------------------------------------------------------

    def definition(self, key: bytes) -> bytes | None:
        """For a checkpoint: a session's definition; None when it is gone."""
        session = self._by_key.get(key)
        return encode_record(session.record()) if session is not None and session.is_stored else None

    def progress(self, key: bytes) -> bytes | None:
        """For a checkpoint: the steps that lead to a session's present state; None when it is gone."""
        session = self._by_key.get(key)
        return session.core.snapshot_steps() if session is not None and session.is_stored else None

    def restore(self, record: SessionRecord, steps: list[bytes]) -> None:
        """Bring one session back; its client may come any time."""
        session = self._make(record.head.client_id, record.head.expiry_s, True)
        session.is_stored = True
        session.will = record.head.will
        session.user = record.head.user
        session.version = record.head.version
        session.created_ns = record.head.created_ns
        session.away_ns = record.head.away_ns or now_ns()
        if record.head.expiry_s == 0:
            # It was to end with its connection, and so it does, once its will can be sent.
            return
        for each in record.filters:
            session.subscribe(each)
        for packed in steps:
            session.core.restore_steps(packed)
        self._arm_expiry(session)

    def restored(self, engine: Engine, rights_of: RightsOfUser) -> None:
        """All sessions are back. What nobody waits for goes; wills that are due go out, others wait on.

        The connections of before ended when the box did. A client that was here is gone from now on, as far as its
        will's delay counts; for one that was away already the time that the box was down counts too.
        """
        self._drop_unneeded()
        for session in list(self.by_id.values()):
            will = session.will
            if will is None:
                if session.expiry_s == 0:
                    self.end(session)
                continue
            session.will_sender = AbsentSender(engine, session, rights_of)
            if session.expiry_s == 0:
                self.end(session)
                continue
            session.save_head()
            due_s = session.away_ns / 1e9 + min(will.delay_s, session.expiry_s) - now_ns() / 1e9
            self.send_will_later(session, max(due_s, 0.0))

    def send_will_later(self, session: Session, delay_s: float) -> None:
        """The session's `will_sender` sends the will after so many seconds, unless somebody comes back before."""
        if delay_s > 0:
            session.will_timer = self._loop.call_later(delay_s, self._send_will, session)
        else:
            self._send_will(session)

    def _send_will(self, session: Session) -> None:
        sender, session.will_sender, session.will_timer = session.will_sender, None, None
        if sender is not None:
            sender.publish_will()
            session.save_head()

    def _drop_unneeded(self) -> None:
        self.plane.is_restoring = False
        removed = self.plane.drop_unneeded()
        if removed:
            logger.info("dropped %d stored messages that no session needs account=%s", removed, self.account.name)

    def stop(self) -> None:
        """Log what sessions noted, show nothing more. Wills that wait are in the log too and go on waiting."""
        self._shown.stop()
        self.plane.end_turn()
        for session in self.by_id.values():
            for timer in (session.expiry_timer, session.will_timer):
                if timer is not None:
                    timer.cancel()

    def retire(self) -> None:
        """The account has no JetStream, or other streams than before: clients go, sessions wait in the store.

        Nothing of them is changed: whoever reads them from there goes on where they stood.
        """
        for session in list(self.by_id.values()):
            if session.client is not None:
                session.client.say_goodbye(ReasonCode.ADMINISTRATIVE_ACTION, "Client Closed")
        self.stop()
        for key in self._by_key:
            for kind, value in (
                (SessionValue.DEFINITION, self.definition(key)),
                (SessionValue.PROGRESS, self.progress(key)),
            ):
                if value is not None:
                    self.store.put(kind, key, value)
        for session in self.by_id.values():
            for interest in session.interests.values():
                for subscription in interest.subscriptions:
                    self.account.remove(subscription)


Restored = dict[str, list[tuple[SessionRecord, list[bytes]]]]


def read_sessions(store: SessionStore) -> Restored:
    """What the store kept of sessions, by account. A damaged record is reported and left out, never the others."""
    progress = {key: ([value] if value else []) + deltas for key, value, deltas in store.values(SessionValue.PROGRESS)}
    found: Restored = {}
    for key, value, deltas in store.values(SessionValue.DEFINITION):
        try:
            record = decode_record(value, deltas)
        except (msgspec.DecodeError, ValueError) as error:
            logger.error("session record is damaged key=%s reason=%s", key.hex(), error)
            continue
        if record is not None:
            found.setdefault(record.head.account, []).append((record, progress.get(key, [])))
    return found
