"""From one message to its receivers: plain, queue groups, links, shadows of imports, and what no failure may do."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from leafbox.dataplane.permissions import Permissions
from leafbox.dataplane.routing import AccountPlane, CallbackReceiver, Receiver, Subscription
from tests.support.playbook import Actor, Playbook

Heard = tuple[bytes, bytes, bytes, bytes]


class Listener:
    """An internal subscriber that keeps what it heard."""

    def __init__(self, account: AccountPlane, subject: bytes, queue: bytes | None = None) -> None:
        self.heard: list[Heard] = []
        self.origins: list[Receiver | None] = []
        self.answer: bool | None = None
        self.receiver = CallbackReceiver(self.take)
        self.subscription = Subscription(account, self.receiver, subject, queue)
        account.sublist.insert(subject, queue, self.subscription)

    def take(self, subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: Receiver | None) -> bool | None:
        self.heard.append((subject, reply, header, payload))
        self.origins.append(origin)
        return self.answer

    def leave(self) -> None:
        subscription = self.subscription
        subscription.closed = True
        subscription.account.sublist.remove(subscription.subject, subscription.queue, subscription)


@pytest.fixture
def account() -> AccountPlane:
    return AccountPlane()


# -- plain subscriptions -----------------------------------------------------------------------------------------------


@pytest.mark.capability("C03")
def test_a_message_reaches_every_subscription_as_it_was(account: AccountPlane) -> None:
    first, second, other = Listener(account, b"a.b"), Listener(account, b"a.>"), Listener(account, b"x")
    header = b"NATS/1.0\r\nK: v\r\n\r\n"
    assert account.publish(b"a.b", b"body\x00", b"reply", header) == 2
    assert first.heard == second.heard == [(b"a.b", b"reply", header, b"body\x00")]
    assert first.origins == [None]
    assert other.heard == []
    assert account.publish(b"nobody", b"") == 0


@pytest.mark.parametrize("header", [b"", b"H"])
@pytest.mark.parametrize("payload", [b"", b"p"])
def test_empty_parts_are_empty_bytes(account: AccountPlane, header: bytes, payload: bytes) -> None:
    listener = Listener(account, b"a")
    account.publish(b"a", payload, header=header)
    assert listener.heard == [(b"a", b"", header, payload)]


def test_a_receiver_may_decline(account: AccountPlane) -> None:
    listener = Listener(account, b"a")
    for answer, counted in ((False, 0), (True, 1), (None, 1)):
        listener.answer = answer
        assert account.publish(b"a") == counted


def test_the_origin_is_handed_on(account: AccountPlane) -> None:
    listener = Listener(account, b"a")
    origin = Receiver()
    account.publish(b"a", origin=origin)
    assert listener.origins == [origin]


def test_a_bare_receiver_takes_nothing(account: AccountPlane) -> None:
    account.sublist.insert(b"a", None, Subscription(account, Receiver(), b"a"))
    assert account.publish(b"a") == 0


def test_who_is_closed_gets_nothing_even_when_it_is_still_found(account: AccountPlane) -> None:
    listener = Listener(account, b"a")
    account.publish(b"a")
    listener.subscription.closed = True
    assert account.publish(b"a") == 0
    assert len(listener.heard) == 1


@pytest.mark.capability("C10")
def test_a_callback_ends_after_its_last_message(account: AccountPlane) -> None:
    listener = Listener(account, b"a")
    listener.subscription.max_deliver = 2
    assert [account.publish(b"a") for _ in range(4)] == [1, 1, 0, 0]
    assert listener.subscription.closed
    assert listener.subscription.delivered == 2


@pytest.mark.capability("C10")
def test_a_limit_that_is_reached_already_delivers_nothing(account: AccountPlane) -> None:
    listener = Listener(account, b"a")
    listener.subscription.delivered = 5
    listener.subscription.max_deliver = 5
    assert account.publish(b"a") == 0


def test_an_account_takes_subscriptions_only(account: AccountPlane) -> None:
    """Routing does not look at what it finds; anything else there would be read as a subscription."""
    with pytest.raises(TypeError):
        account.sublist.insert(b"a", None, "not a subscription")


def test_an_account_is_complete_before_its_subclass_is() -> None:
    class Late(AccountPlane):
        def __init__(self, name: str) -> None:
            self.found = self.publish(b"a")

    assert Late("any arguments").found == 0


# -- changes while a message is on its way -----------------------------------------------------------------------------


def test_subscriptions_may_end_while_a_message_is_routed(account: AccountPlane) -> None:
    listeners = [Listener(account, b"a") for _ in range(10)]
    groups = [Listener(account, b"a", b"q%d" % number) for number in range(10)]

    def end_all(*_: object) -> None:
        for listener in listeners + groups:
            listener.leave()

    bomb = CallbackReceiver(end_all)
    account.sublist.insert(b"a", None, Subscription(account, bomb, b"a"))
    assert account.publish(b"a") == 11
    assert [len(listener.heard) for listener in listeners] == [1] * 10
    assert [len(listener.heard) for listener in groups] == [0] * 10
    assert account.publish(b"a") == 1


def test_a_callback_may_publish_and_subscribe(account: AccountPlane) -> None:
    late: list[Listener] = []
    echo = Listener(account, b"echo")

    def answer(subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: Receiver | None) -> None:
        late.append(Listener(account, b"request"))
        account.publish(reply, payload * 2)

    account.sublist.insert(b"request", None, Subscription(account, CallbackReceiver(answer), b"request"))
    after = Listener(account, b"request")
    account.publish(b"request", b"x", b"echo")
    assert echo.heard == [(b"echo", b"", b"", b"xx")]
    assert after.heard == [(b"request", b"echo", b"", b"x")]
    assert late[0].heard == []
    account.publish(b"request", b"y", b"echo")
    assert len(late[0].heard) == 1


def test_a_loop_of_callbacks_ends_in_an_error_not_in_a_crash(
    account: AccountPlane, caplog: pytest.LogCaptureFixture
) -> None:
    account.sublist.insert(
        b"a", None, Subscription(account, CallbackReceiver(lambda *_: bool(account.publish(b"a"))), b"a")
    )
    for _ in range(3):
        caplog.clear()
        account.publish(b"a")
        assert caplog.text.count("callback_loop subscription=b'a'") == 1
    assert account.publish(b"b") == 0


def test_a_failing_callback_is_logged_and_the_others_go_on(
    account: AccountPlane, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise LookupError("a defect")

    before = Listener(account, b"a")
    account.sublist.insert(b"a", None, Subscription(account, CallbackReceiver(fail), b"a"))
    after = Listener(account, b"a")
    group = Listener(account, b"a", b"q")
    assert account.publish(b"a", b"secret") == 4
    assert [len(listener.heard) for listener in (before, after, group)] == [1, 1, 1]
    assert "callback_failed subscription=b'a'" in caplog.text
    assert "LookupError" in caplog.text
    assert "secret" not in caplog.text


class Stop(BaseException):
    """Not an error that a callback may have, and still no affair of the sender's."""


@pytest.mark.parametrize("is_remote", [False, True])
def test_whatever_escapes_a_receiver_stops_nobody_else(
    account: AccountPlane, monkeypatch: pytest.MonkeyPatch, is_remote: bool
) -> None:
    def fail(*_: object) -> None:
        raise Stop

    seen: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: seen.append(report.exc_type))
    before = Listener(account, b"a")
    failing = CallbackReceiver(fail)
    failing.is_remote = is_remote
    account.sublist.insert(b"a", None, Subscription(account, failing, b"a"))
    account.sublist.insert(b"a", b"q", Subscription(account, failing, b"a", b"q"))
    after = Listener(account, b"a")
    assert account.publish(b"a") == 2
    assert [len(listener.heard) for listener in (before, after)] == [1, 1]
    assert set(seen) == {Stop}


def test_a_callback_may_free_its_own_subscription(account: AccountPlane) -> None:
    held: list[Subscription] = []

    def leave(*_: object) -> None:
        subscription = held.pop()
        subscription.closed = True
        account.sublist.remove(b"a", None, subscription)

    held.append(Subscription(account, CallbackReceiver(leave), b"a"))
    account.sublist.insert(b"a", None, held[0])
    after = Listener(account, b"a")
    assert account.publish(b"a", b"x") == 2
    assert held == []
    assert after.heard == [(b"a", b"", b"", b"x")]


# -- queue groups ------------------------------------------------------------------------------------------------------


@pytest.mark.capability("C11")
def test_each_group_gets_one_copy_and_members_share_evenly(account: AccountPlane) -> None:
    members = [Listener(account, b"a", b"q") for _ in range(3)]
    wild = Listener(account, b"*", b"q")
    other = Listener(account, b"a", b"other")
    everyone = Listener(account, b"a")
    for _ in range(1200):
        assert account.publish(b"a") == 3
    counts = [len(member.heard) for member in [*members, wild]]
    assert sum(counts) == 1200
    assert min(counts) > 200
    assert len(other.heard) == len(everyone.heard) == 1200


@pytest.mark.capability("C11")
def test_a_member_that_declines_is_followed_by_the_next(account: AccountPlane) -> None:
    members = [Listener(account, b"a", b"q") for _ in range(4)]
    for member in members[1:]:
        member.answer = False
    for _ in range(50):
        assert account.publish(b"a") == 1
    members[0].subscription.closed = True
    assert account.publish(b"a") == 0


def link(book: Playbook) -> Actor:
    """A client that counts as a link to another server."""
    actor = book.client()
    actor.connection.is_remote = True
    return actor


@pytest.mark.capability("C11")
def test_members_here_come_before_links() -> None:
    book = Playbook()
    remote, local = link(book), book.client()
    remote.says(b"SUB a q 1")
    local.says(b"SUB a q 1")
    for _ in range(50):
        assert book.account.publish(b"a", b"x") == 1
    assert remote.hears() == b""
    local.says(b"UNSUB 1")
    assert book.account.publish(b"a", b"x") == 1
    assert remote.hears() == b"MSG a 1 1\r\nx\r\n"


def test_links_share_in_proportion_to_the_members_behind_them() -> None:
    book = Playbook()
    links = [link(book) for _ in range(3)]
    for each, weight in zip(links, (1, 3, 0), strict=True):
        each.says(b"SUB a q 1")
        each.connection.subscriptions[b"1"].queue_weight = weight
    for _ in range(2000):
        assert book.account.publish(b"a") == 1
    counts = [each.connection.out_msgs for each in links]
    assert sum(counts) == 2000
    assert 280 < counts[0] < 520
    assert 1040 < counts[1] < 1360
    assert 280 < counts[2] < 520


def test_a_message_does_not_go_back_over_the_link_it_came_from() -> None:
    book = Playbook()
    first, second = link(book), link(book)
    first.says(b"SUB a q 1")
    for _ in range(20):
        assert book.account.publish(b"a", origin=first.connection) == 0
    second.says(b"SUB a q 1")
    for _ in range(20):
        assert book.account.publish(b"a", origin=first.connection) == 1
    assert first.hears() == b""


def test_a_link_that_does_not_take_it_is_followed_by_another() -> None:
    """Also when the one that was picked is the last of the group."""
    book = Playbook()
    links = [link(book) for _ in range(3)]
    for each in links:
        each.says(b"SUB a q 1")
    for refusing in links:
        subscription = refusing.connection.subscriptions[b"1"]
        subscription.filters_deliveries = True
        refusing.hears()
        refusing.connection.permissions = Permissions(subscribe_deny=[(b"a", None)])
        for _ in range(30):
            assert book.account.publish(b"a") == 1
        assert refusing.hears() == b""
        subscription.filters_deliveries = False


def test_a_closed_link_is_passed_over() -> None:
    book = Playbook()
    good, bad = link(book), link(book)
    for each in (good, bad):
        each.says(b"SUB a q 1")
    bad.connection.abort("Kicked")
    for _ in range(30):
        assert book.account.publish(b"a") == 1


def test_nobody_is_left_in_a_group() -> None:
    book = Playbook()
    each = link(book)
    each.says(b"SUB a q 1")
    book.account.sublist.find(b"a")
    each.connection.subscriptions[b"1"].closed = True
    assert book.account.publish(b"a") == 0


# -- shadows of imports ------------------------------------------------------------------------------------------------


def shadow_of(
    exporter: AccountPlane, importer: Subscription, subject: bytes, local: Callable[[bytes], bytes | None] | None
) -> Subscription:
    """The importer's subscription as it stands in the exporter's index."""
    shadow = Subscription(exporter, importer.receiver, subject, importer.queue, importer.sid)
    shadow.primary = importer
    shadow.local_subject = local
    exporter.sublist.insert(subject, importer.queue, shadow)
    return shadow


def test_a_shadow_maps_the_subject_and_counts_on_its_primary() -> None:
    book, exporter = Playbook(), AccountPlane()
    actor = book.client()
    actor.says(b"SUB mine.* 7")
    primary = actor.connection.subscriptions[b"7"]
    primary.max_deliver = 2
    shadow_of(exporter, primary, b"theirs.*", lambda subject: b"mine." + subject.removeprefix(b"theirs."))
    assert exporter.publish(b"theirs.a", b"1", b"reply") == 1
    assert book.account.publish(b"mine.b", b"2") == 1
    assert exporter.publish(b"theirs.c", b"3") == 0
    assert actor.hears() == b"MSG mine.a 7 reply 1\r\n1\r\nMSG mine.b 7 1\r\n2\r\n"
    assert primary.delivered == 2
    assert actor.saw("exhausted") == [(b"7",)]


def test_a_shadow_without_mapping_keeps_the_subject() -> None:
    book, exporter = Playbook(), AccountPlane()
    actor = book.client()
    actor.says(b"SUB a 7")
    shadow_of(exporter, actor.connection.subscriptions[b"7"], b"a", None)
    assert exporter.publish(b"a", b"1") == 1
    assert actor.hears() == b"MSG a 7 1\r\n1\r\n"


def test_a_shadow_may_map_to_nothing_or_fail(caplog: pytest.LogCaptureFixture) -> None:
    book, exporter = Playbook(), AccountPlane()
    actor = book.client()
    actor.says(b"SUB mine 7")

    def mapping(subject: bytes) -> bytes | None:
        if subject == b"theirs.bad":
            raise LookupError("a defect")
        return None

    shadow_of(exporter, actor.connection.subscriptions[b"7"], b"theirs.*", mapping)
    after = Listener(exporter, b"theirs.*")
    assert exporter.publish(b"theirs.none") == 1
    assert exporter.publish(b"theirs.bad") == 1
    assert len(after.heard) == 2
    assert "import_failed subscription=b'theirs.*'" in caplog.text
    assert actor.hears() == b""
