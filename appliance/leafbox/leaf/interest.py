"""What one link tells its peer about local interest: LS+ and LS-, counted per (subject, queue).

The first subscriber of a subject makes an LS+, the last one gone an LS-; a queue group's LS+ carries how many members
stand behind it and is sent again when that number changes.

New interest is told at once, because a request may follow it in the same read and its answer must find the way back.
Lost interest waits for the end of the loop turn: imports that are taken down and put up again by a reload, and inboxes
that serve one request after the other, then cost nothing. (nats-server tells both at once.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from leafbox.broker.account import Account
from leafbox.dataplane.routing import Subscription

Key = tuple[bytes, bytes | None]


class InterestRules(Protocol):
    """Which interest a link may tell; the answer for one subscription never changes while it lives."""

    def includes(self, subscription: Subscription) -> bool:
        """Whether this subscription counts for the peer at all: not its own, not another hub's."""
        ...

    def may_tell(self, subject: bytes, queue: bytes | None) -> bool:
        """Whether permissions let the peer know."""
        ...


class _Entry:
    """One (subject, queue): how many members it has and how many the peer was told; 0: not told."""

    __slots__ = ("members", "told")

    def __init__(self) -> None:
        self.members = 0
        self.told = 0


class LeafInterest:
    """The interest told on one link. An account watcher; `send` takes protocol bytes, `call_soon` defers a call."""

    def __init__(
        self, rules: InterestRules, send: Callable[[bytes], None], call_soon: Callable[[Callable[[], None]], object]
    ) -> None:
        self._rules = rules
        self._send = send
        self._call_soon = call_soon
        self._entries: dict[Key, _Entry] = {}
        self._lowered: set[Key] = set()
        self._is_open = False

    def __len__(self) -> int:
        return len(self._entries)

    def open(self, account: Account, held: list[bytes]) -> None:
        """Tell everything there is, in one piece; `held` are subjects that are no subscriptions (mappings, `$LDS`).

        From now on the account's changes are followed.
        """
        for subject in held:
            self._entry((subject, None)).members += 1
        for subscription in account.subscriptions():
            if not subscription.closed and self._rules.includes(subscription):
                entry = self._entry((subscription.subject, subscription.queue))
                entry.members += _weight(subscription)
        account.watchers.append(self)
        self._is_open = True
        lines = []
        for (subject, queue), entry in self._entries.items():
            if self._rules.may_tell(subject, queue):
                entry.told = entry.members
                lines.append(_added_line(subject, queue, entry.members))
        self._send(b"".join(lines))

    def close(self, account: Account) -> None:
        """Stop following. The peer is not told: the link is gone."""
        if self._is_open:
            self._is_open = False
            account.watchers.remove(self)
            self._entries.clear()
            self._lowered.clear()

    # -- account watcher ----------------------------------------------------------------------------------------------

    def interest_added(self, subscription: Subscription) -> None:
        if self._rules.includes(subscription):
            self._change((subscription.subject, subscription.queue), _weight(subscription))

    def interest_removed(self, subscription: Subscription) -> None:
        if self._rules.includes(subscription):
            self._change((subscription.subject, subscription.queue), -_weight(subscription))

    def interest_reweighed(self, subscription: Subscription, change: int) -> None:
        """The members behind a queue subscription of another link became more or fewer."""
        if self._rules.includes(subscription):
            self._change((subscription.subject, subscription.queue), change)

    def hold(self, subject: bytes) -> None:
        """Tell interest that is no subscription."""
        self._change((subject, None), 1)

    def release(self, subject: bytes) -> None:
        """The end of `hold`."""
        self._change((subject, None), -1)

    # -- telling ------------------------------------------------------------------------------------------------------

    def _entry(self, key: Key) -> _Entry:
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
        return entry

    def _change(self, key: Key, change: int) -> None:
        entry = self._entry(key)
        entry.members += change
        subject, queue = key
        if change > 0:
            is_news = entry.told == 0 or (queue is not None and entry.members > entry.told)
            if is_news and self._rules.may_tell(subject, queue):
                entry.told = entry.members
                self._send(_added_line(subject, queue, entry.members))
            return
        if not self._lowered:
            self._call_soon(self._tell_lowered)
        self._lowered.add(key)

    def _tell_lowered(self) -> None:
        lines = []
        for key in self._lowered:
            entry = self._entries.get(key)
            if entry is None:
                continue
            subject, queue = key
            if entry.members <= 0:
                del self._entries[key]
                if entry.told:
                    lines.append(_gone_line(subject, queue))
            elif queue is not None and entry.told and entry.told != entry.members:
                entry.told = entry.members
                lines.append(_added_line(subject, queue, entry.members))
        self._lowered.clear()
        if lines:
            self._send(b"".join(lines))


def _weight(subscription: Subscription) -> int:
    return max(subscription.queue_weight, 1) if subscription.queue is not None else 1


def _added_line(subject: bytes, queue: bytes | None, members: int) -> bytes:
    if queue is None:
        return b"LS+ %b\r\n" % subject
    return b"LS+ %b %b %d\r\n" % (subject, queue, members)


def _gone_line(subject: bytes, queue: bytes | None) -> bytes:
    return b"LS- %b\r\n" % subject if queue is None else b"LS- %b %b\r\n" % (subject, queue)
