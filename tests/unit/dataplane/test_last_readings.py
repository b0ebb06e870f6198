"""The last message of each sender: kept in place, bounded, and invisible to everybody else."""

from __future__ import annotations

import pytest

from leafbox.dataplane.last_readings import LastReadings, Reading
from leafbox.dataplane.routing import AccountPlane, CallbackReceiver, Receiver, Subscription


@pytest.fixture
def account() -> AccountPlane:
    return AccountPlane()


def sender() -> Receiver:
    return CallbackReceiver(lambda *_: True)


def listening(account: AccountPlane, table: LastReadings, subject: bytes = b">") -> Subscription:
    subscription = Subscription(account, table, subject)
    account.sublist.insert(subject, None, subscription)
    return subscription


def test_each_sender_has_its_own(account: AccountPlane) -> None:
    first, second = sender(), sender()
    readings: dict[Receiver, Reading | None] = {first: Reading(), second: Reading()}
    asked: list[Receiver] = []

    def find(origin: Receiver) -> Reading | None:
        asked.append(origin)
        return readings.get(origin)

    table = LastReadings(find)
    listening(account, table)
    header = b"NATS/1.0\r\nK: v\r\n\r\n"
    for value in (b"1", b"2"):
        account.publish(b"a.b", value, origin=first)
        account.publish(b"c", value + b"!", header=header, origin=second)
        account.publish(b"x", b"nobody's", origin=sender())
        account.publish(b"x", b"the server's own")
    found = [readings[each] for each in (first, second)]
    assert [(each.subject, each.value, each.count, each.size) for each in found if each] == [
        (b"a.b", b"2", 2, 1),
        (b"c", b"2!", 2, 2),
    ]
    assert asked.count(first) == asked.count(second) == 1


def test_nobody_notices(account: AccountPlane) -> None:
    """It takes nothing: a request without a responder stays one."""
    table = LastReadings(lambda origin: Reading())
    listening(account, table, b"a.*")
    assert account.publish(b"a.b", b"x", origin=sender()) == 0
    assert account.out_msgs == 0


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 100_000])
def test_only_the_beginning_is_kept(account: AccountPlane, length: int) -> None:
    reading = Reading()
    table = LastReadings(lambda origin: reading)
    listening(account, table)
    subject, value = b"s" * max(length % 1000, 1), bytes(each % 251 for each in range(length))
    account.publish(subject, value, origin=sender())
    assert reading.subject == subject[:128]
    assert reading.value == value[:256]
    assert reading.size == length


def test_what_is_forgotten_is_asked_for_again(account: AccountPlane) -> None:
    """The owner forgets senders that are gone."""
    found: list[Reading] = []

    def find(origin: Receiver) -> Reading:
        found.append(Reading())
        return found[-1]

    table, origin = LastReadings(find), sender()
    listening(account, table)
    account.publish(b"a", b"1", origin=origin)
    table.by_sender.clear()
    account.publish(b"a", b"2", origin=origin)
    assert [each.value for each in found] == [b"1", b"2"]
