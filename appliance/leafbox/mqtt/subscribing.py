"""SUBSCRIBE and UNSUBSCRIBE: each filter is judged alone, kept, put into effect, and gets its retained messages.

For a session that is kept the answer waits until the log has the change; the connection parses nothing meanwhile, so
answers keep the order of their requests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from leafbox.broker.config import UNLIMITED
from leafbox.mqtt.interest import wanted_by
from leafbox.mqtt.records import FilterRecord
from leafbox.protocol.mqtt.filters import filter_problem
from leafbox.protocol.mqtt.packets import Suback, Subscribe, Subscription, Unsuback, Unsubscribe
from leafbox.protocol.mqtt.reason_codes import ReasonCode

if TYPE_CHECKING:
    from leafbox.mqtt.connection import MqttClient
    from leafbox.mqtt.session import Session

_GRANTED = (ReasonCode.SUCCESS, ReasonCode.GRANTED_QOS_1, ReasonCode.GRANTED_QOS_2)


def subscribe(client: MqttClient, packet: Subscribe) -> None:
    """Add subscriptions and answer with a code for each."""
    session = client.member
    assert session is not None
    identifiers = packet.properties.subscription_identifiers
    identifier = identifiers[0] if identifiers else 0
    codes: list[ReasonCode] = []
    replay: list[tuple[bytes, ...]] = []
    newest_lsn = 0
    for wanted in packet.subscriptions:
        code, lsn, retained_of = _subscribe_one(client, session, wanted, identifier)
        codes.append(code)
        newest_lsn = max(newest_lsn, lsn)
        if retained_of:
            replay.append((wanted.filter, *retained_of))

    def answer() -> None:
        client.send_packet(Suback(packet.packet_id, tuple(codes)))
        for topic_filter, *subjects in replay:
            interest = session.interests.get(topic_filter)
            for subject in subjects if interest is not None else ():
                assert interest is not None
                session.core.send_retained(interest, subject)

    _when_kept(client, session, newest_lsn, answer)


def _subscribe_one(
    client: MqttClient, session: Session, wanted: Subscription, identifier: int
) -> tuple[ReasonCode, int, tuple[bytes, ...]]:
    """The code, the log number, and the subjects whose retained messages are due."""
    if filter_problem(wanted.filter):
        return ReasonCode.TOPIC_FILTER_INVALID, 0, ()
    asked = wanted_by(wanted.filter)
    permissions = client.permissions
    if asked.is_internal or (
        permissions is not None
        and permissions.restricts_subscribe
        and not all(permissions.allows_subscribe(subject, asked.queue) for subject in asked.subjects)
    ):
        client.context.logger.error("%s - Subscription Violation - %r", client, wanted.filter.decode())
        return ReasonCode.NOT_AUTHORIZED, 0, ()
    options = client.context.options
    account = session.owner.account
    own = client.identity.limits.subscriptions_max if client.identity is not None else UNLIMITED
    most = account.subscription_limit(client.context.broker.options.subscriptions_max, own)
    if wanted.filter not in session.interests and 0 <= most <= len(session.interests):
        return ReasonCode.QUOTA_EXCEEDED, 0, ()
    qos = min(wanted.qos, 1) if options.is_qos2_subscribe_downgraded else wanted.qos
    record = FilterRecord(
        wanted.filter.decode(),
        qos,
        wanted.is_no_local,
        wanted.is_retain_as_published,
        int(wanted.retain_handling),
        identifier,
    )
    is_changed = session.records.get(wanted.filter) != record
    is_new = session.subscribe(record)
    lsn = session.log_subscription(record) if is_changed else 0
    # [MQTT-3.3.1-9..11]; shared subscriptions get none (section 4.8.2).
    is_due = wanted.retain_handling == 0 or (wanted.retain_handling == 1 and is_new)
    return _GRANTED[qos], lsn, asked.subjects if is_due and asked.queue is None else ()


def unsubscribe(client: MqttClient, packet: Unsubscribe) -> None:
    """Remove subscriptions and answer."""
    session = client.member
    assert session is not None
    codes = []
    newest_lsn = 0
    for topic_filter in packet.filters:
        lsn = session.unsubscribe(topic_filter)
        codes.append(ReasonCode.NO_SUBSCRIPTION_EXISTED if lsn is None else ReasonCode.SUCCESS)
        newest_lsn = max(newest_lsn, lsn or 0)
    _when_kept(client, session, newest_lsn, lambda: client.send_packet(Unsuback(packet.packet_id, tuple(codes))))


def _when_kept(client: MqttClient, session: Session, lsn: int, answer: Callable[[], None]) -> None:
    gate = session.owner.gate
    if lsn <= gate.durable_lsn:
        answer()
        return
    client.suspend()

    def kept() -> None:
        if not client.closed:
            answer()
            client.resume()

    gate.when_durable(lsn, kept)
