"""Named permission sets and the probes that are put to each: SUB, PUB and deliveries, answered by model and servers."""

from __future__ import annotations

from itertools import product

from leafbox.broker.config import Permissions, SubjectPermission

Entries = tuple[str, ...]


def publish(allow: Entries | None = None, deny: Entries = ()) -> Permissions:
    return Permissions(publish=SubjectPermission(allow, deny))


def subscribe(allow: Entries | None = None, deny: Entries = ()) -> Permissions:
    return Permissions(subscribe=SubjectPermission(allow, deny))


CASES: dict[str, Permissions] = {
    "nothing said": Permissions(),
    "empty lists": Permissions(SubjectPermission(), SubjectPermission()),
    "publish one": publish(("foo.x",)),
    "publish with wildcards": publish(("foo.*", "bar.>")),
    "publish all but one": publish(None, ("foo.x",)),
    "publish nothing": publish(None, (">",)),
    "publish allow and deny": publish(("foo.>",), ("foo.x", "foo.*.z")),
    "subscribe one": subscribe(("foo.x",)),
    "subscribe star": subscribe(("foo.*",)),
    "subscribe rest": subscribe(("foo.>",)),
    "subscribe star in the middle": subscribe(("*.x", "foo.*.z")),
    "subscribe everything": subscribe((">",)),
    "subscribe deny one": subscribe(None, ("foo.y",)),
    "subscribe deny star": subscribe(None, ("foo.*",)),
    "subscribe deny rest": subscribe(None, ("foo.>",)),
    "subscribe deny all": subscribe(None, (">",)),
    "subscribe allow and deny": subscribe(("foo.>",), ("foo.y", "foo.x.*")),
    "subscribe deny overlapping": subscribe(None, ("*.y", "foo.x.>")),
    "subscribe one token": subscribe(("*",)),
    "queue one": subscribe(("foo.x q1",)),
    "queue and plain": subscribe(("foo.x", "foo.x q1")),
    "queue with wildcards": subscribe(("foo.* v1.*", "> *.prod")),
    "queue elsewhere": subscribe(("foo.>", "bar.x q1")),
    "queue wide plain narrow": subscribe(("foo.x", "> q1")),
    "queue deny": subscribe(None, ("foo.x q1",)),
    "queue deny wildcards": subscribe(None, ("foo.* v1.>",)),
    "queue deny and plain deny": subscribe(None, ("foo.x", "foo.x q1")),
    "queue allow and deny": subscribe(("foo.>", "foo.> *.prod"), ("foo.x a.prod",)),
    "queue deny all": subscribe(("foo.>",), ("> >",)),
}

_WORDS: list[tuple[str, ...]] = [(first,) for first in ("foo", "bar", "*", ">")]
_WORDS += product(("foo", "bar", "*"), ("x", "y", "*", ">"))
_WORDS += product(("foo", "*"), ("x", "*"), ("z", "*", ">"))
SUBSCRIPTIONS: tuple[str, ...] = tuple(".".join(words) for words in _WORDS)
LITERALS: tuple[str, ...] = tuple(subject for subject in SUBSCRIPTIONS if not set(subject.split(".")) & {"*", ">"})
QUEUES: tuple[str, ...] = ("", "q1", "q2", "v1.a", "a.prod", "v1.*")
