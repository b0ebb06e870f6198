"""What a user may publish, subscribe to and receive: the rules in the most obvious form, one linear scan each.

The specification of `leafbox.dataplane.permissions`, itself held to nats-server 2.15.1 by
`tests/conformance/security/test_permissions.py`. Source: config.md section 4, nats-server `server/client.go`
(`canSubscribe`, `pubAllowed`, `queueMatches`).

As in `broker.config`, `allow` None is everything and an empty tuple nothing (an empty list in nats.conf is None).

One difference is wanted. nats-server compares an allow entry with the tokens of SUB's subject as if they were words,
so that `*` takes a `>`: with `allow: "*"` it accepts `SUB >` and delivers everything. Ours accepts a subscription only
if each of its subjects is allowed; `takes_tail_for_a_word` models the other behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from leafbox.broker.config import Permissions, SubjectPermission

EVERYTHING = SubjectPermission()


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject, taken token by token, is in a pattern; its own wildcards are tokens like others."""
    wanted, tokens = pattern.split("."), subject.split(".")
    for index, token in enumerate(wanted):
        if token == ">":
            return len(tokens) > index
        if index >= len(tokens) or token not in ("*", tokens[index]):
            return False
    return len(wanted) == len(tokens)


@dataclass(slots=True)
class PermissionModel:
    """The rules of one connection; `replies` is what it may answer: subject to (replies left, time of expiry)."""

    permissions: Permissions
    takes_tail_for_a_word: bool = False
    replies: dict[str, tuple[int, float]] = field(default_factory=dict)

    # Subscribing ----------------------------------------------------------------------------------------------------

    def may_subscribe(self, subject: str, queue: str = "") -> bool:
        """Whether SUB is accepted."""
        rules = self.permissions.subscribe or EVERYTHING
        if rules.allow is not None and not self._is_allowed(rules.allow, subject, queue):
            return False
        return not self._is_denied(rules.deny, subject, queue)

    def is_delivered(self, subscribed: str, subject: str) -> bool:
        """Whether a message on `subject` reaches an accepted subscription to `subscribed`."""
        rules = self.permissions.subscribe or EVERYTHING
        if not matches(subscribed, subject):
            return False
        if "*" not in subscribed.split(".") and ">" not in subscribed.split("."):
            return True
        return not any(matches(entry, subject) for entry in rules.deny if " " not in entry)

    def _is_allowed(self, entries: tuple[str, ...], subject: str, queue: str) -> bool:
        """An entry without a queue allows every queue, unless entries with queues are there for the subject too."""
        covers = matches if self.takes_tail_for_a_word else contains
        plain, queues = split_entries([entry for entry in entries if covers(entry.split()[0], subject)])
        if queue and queues:
            return any(matches_queue(each, queue) for each in queues)
        return plain

    @staticmethod
    def _is_denied(entries: tuple[str, ...], subject: str, queue: str) -> bool:
        plain, queues = split_entries([entry for entry in entries if matches(entry.split()[0], subject)])
        return plain or (bool(queue) and any(matches_queue(each, queue) for each in queues))

    # Publishing -----------------------------------------------------------------------------------------------------

    def may_publish(self, subject: str, now_s: float = 0.0) -> bool:
        """Whether a message may be published; a permission to reply is used up by asking."""
        rules = self.permissions.publish or EVERYTHING
        is_allowed = rules.allow is None or any(matches(entry, subject) for entry in rules.allow)
        if is_allowed and not any(matches(entry, subject) for entry in rules.deny):
            return True
        return self._may_reply(subject, now_s)

    def received(self, reply: str, now_s: float = 0.0) -> None:
        """A message with a reply subject was delivered to the connection."""
        responses = self.permissions.responses
        if responses is not None and reply:
            expires_s = now_s + responses.expires_s if responses.expires_s >= 0 else float("inf")
            self.replies[reply] = (responses.messages_max, expires_s)

    def _may_reply(self, subject: str, now_s: float) -> bool:
        left, expires_s = self.replies.get(subject, (0, 0.0))
        if left == 0 or now_s >= expires_s:
            return False
        self.replies[subject] = (left - 1, expires_s)
        return True


def contains(pattern: str, subject: str) -> bool:
    """Whether every literal subject of a (wildcard) subject is in the pattern."""
    wanted, tokens = pattern.split("."), subject.split(".")
    if ">" in tokens and (">" not in wanted or len(wanted) > len(tokens)):
        return False
    return matches(pattern, subject)


def split_entries(entries: list[str]) -> tuple[bool, list[str]]:
    """Whether there is an entry without a queue, and the queues of the others."""
    split = [entry.split() for entry in entries]
    return any(len(entry) == 1 for entry in split), [entry[1] for entry in split if len(entry) == 2]


def matches_queue(pattern: str, queue: str) -> bool:
    """A queue name matches by its text or, if the entry has wildcards, as a subject would."""
    return pattern == queue or matches(pattern, queue)
