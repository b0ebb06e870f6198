"""Permissions that a client connection applies itself: the filter on delivery, and replies (allow_responses)."""

from __future__ import annotations

import time

import pytest

from leafbox.dataplane.permissions import Permissions
from tests.support.playbook import Actor, Playbook


@pytest.mark.capability("SE04")
def test_denied_messages_of_a_wildcard_are_filtered(book: Playbook) -> None:
    alice = book.client(permissions=Permissions(subscribe_deny=[(b"a.secret", None)]))
    alice.says(b"SUB a.* 1")
    alice.connection.subscriptions[b"1"].filters_deliveries = True
    assert book.account.publish(b"a.secret", b"x") == 0
    assert book.account.publish(b"a.open", b"y") == 1
    assert alice.hears() == b"MSG a.open 1 1\r\ny\r\n"
    alice.connection.permissions = None
    assert book.account.publish(b"a.secret", b"x") == 1


def replier(book: Playbook, most: int | None, ttl_s: float | None) -> Actor:
    """A service that may only answer."""
    actor = book.client(permissions=Permissions(responses_max=most, responses_ttl_s=ttl_s), reply_permissions={})
    actor.says(b"SUB service 1")
    return actor


@pytest.mark.capability("SE06")
def test_a_reply_may_be_published_as_often_as_allowed(book: Playbook) -> None:
    service = replier(book, 2, None)
    book.account.publish(b"service", b"", reply=b"inbox")
    for _ in range(3):
        service.says(b"PUB inbox 0", b"")
    assert service.saw("publish denied") == [(b"inbox",)]
    assert service.connection.reply_permissions == {}
    # Asked again, it may answer again.
    book.account.publish(b"service", b"", reply=b"inbox")
    service.says(b"PUB inbox 0", b"")
    assert len(service.saw("publish denied")) == 1


@pytest.mark.capability("SE06")
def test_a_reply_permission_expires(book: Playbook) -> None:
    service = replier(book, 5, 0.01)
    book.account.publish(b"service", b"", reply=b"inbox")
    service.says(b"PUB inbox 0", b"")
    assert service.saw("publish denied") == []
    ends = time.monotonic() + 0.011
    while time.monotonic() < ends:
        pass
    service.says(b"PUB inbox 0", b"")
    assert service.saw("publish denied") == [(b"inbox",)]
    assert service.connection.reply_permissions == {}


@pytest.mark.capability("SE06")
def test_unlimited_replies(book: Playbook) -> None:
    service = replier(book, -1, -1)
    book.account.publish(b"service", b"", reply=b"inbox")
    for _ in range(50):
        service.says(b"PUB inbox 0", b"")
    service.says(b"PUB other 0", b"")
    assert service.saw("publish denied") == [(b"other",)]


@pytest.mark.capability("SE06")
def test_no_replies_means_none(book: Playbook) -> None:
    """0 is no number of replies; counting down from it must not end in "unlimited"."""
    service = replier(book, 0, None)
    book.account.publish(b"service", b"", reply=b"inbox")
    service.says(b"PUB inbox 0", b"")
    assert service.saw("publish denied") == [(b"inbox",)]


@pytest.mark.capability("SE06")
def test_remembered_replies_are_bounded(book: Playbook) -> None:
    service = replier(book, 1, 60.0)
    for number in range(4200):
        book.account.publish(b"service", b"", reply=b"inbox.%d" % number)
    # Asked again: it counts as new.
    book.account.publish(b"service", b"", reply=b"inbox.105")
    book.account.publish(b"service", b"", reply=b"inbox.9999")
    known = service.connection.reply_permissions
    assert known is not None
    assert len(known) == 4096
    assert b"inbox.104" not in known
    assert {b"inbox.105", b"inbox.106", b"inbox.4199", b"inbox.9999"} <= set(known)
    for number in range(4200, 8294):
        book.account.publish(b"service", b"", reply=b"inbox.%d" % number)
    assert b"inbox.105" in known
    assert b"inbox.4199" not in known


def test_reply_permissions_without_permissions_are_harmless(book: Playbook) -> None:
    service = book.client(reply_permissions={})
    service.says(b"SUB service 1")
    assert book.account.publish(b"service", b"", reply=b"inbox") == 1
    assert service.connection.reply_permissions == {}
