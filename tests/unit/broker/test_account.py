"""Who an account says listens."""

from __future__ import annotations

from leafbox.broker.account import Account


def ignore(*_: object) -> None:
    """What arrives is of no interest here."""


def test_own_interest_is_of_the_very_subject_and_outside_queue_groups() -> None:
    account = Account("A")
    account.subscribe(b"inbox.*", ignore)
    account.subscribe(b"inbox.1", ignore, b"workers")
    assert account.has_interest(b"inbox.1")
    assert not account.has_own_interest(b"inbox.1")
    own = account.subscribe(b"inbox.1", ignore)
    assert account.has_own_interest(b"inbox.1")
    account.remove(own)
    assert not account.has_own_interest(b"inbox.1")
