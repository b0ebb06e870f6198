"""What may cross a link: a leaf user's permissions, our deny lists, and what JetStream domains keep apart.

Composed once, when a link comes up, into the data plane's tables. A side that dialled filters by itself what its user
may not do, because a violation would end the link; a side that accepted ends the link at a violation of the user's
permissions, and drops without a word what only the denies keep out.

Source: leaf node specification sections 2, 8.1 and 9; the JetStream denies as nats-server 2.15.1 logs them ("Adding
deny"): only a side whose own JetStream is on adds them, so a box without JetStream leaves the protection to its hub.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from leafbox.broker.config import Permissions as PermissionOptions
from leafbox.broker.config import SubjectPermission
from leafbox.broker.permission_tables import permission_tables
from leafbox.dataplane.permissions import Permissions
from leafbox.protocol.leaf_info import SubjectRules

JETSTREAM_CLIENT_SUBJECTS = ("$JS.API.>", "$KV.>", "$OBJ.>")
JETSTREAM_CLUSTER_SUBJECTS = ("$JSC.>", "$NRG.>", *JETSTREAM_CLIENT_SUBJECTS)


@dataclass(frozen=True, slots=True)
class Domains:
    """JetStream on both ends of a link, for its account; an empty domain is a domain like any other."""

    is_enabled_here: bool
    local: str = ""
    remote: str = ""
    is_system_account: bool = False

    def denied_both_ways(self) -> tuple[str, ...]:
        """Subjects that must not cross in either direction."""
        if self.is_system_account:
            return JETSTREAM_CLUSTER_SUBJECTS
        return JETSTREAM_CLIENT_SUBJECTS if self.is_enabled_here else ()

    def denied_outgoing(self) -> tuple[str, ...]:
        """Requests to our own domain are for us."""
        if self.is_enabled_here and self.local and self.local != self.remote:
            return (f"$JS.{self.local}.API.>",)
        return ()


@dataclass(frozen=True, slots=True)
class LinkRules:
    """The tables of one link; None: no rule."""

    outgoing: Permissions | None = None
    """Checked as publishing: messages we send."""
    incoming: Permissions | None = None
    """Checked as publishing: messages we take."""
    telling: Permissions | None = None
    """Checked as subscribing: interest we announce."""
    user: Permissions | None = None
    """The peer's own permissions, publish and subscribe, whose violation ends the link."""


def dialled_rules(
    imports: SubjectRules | None,
    exports: SubjectRules | None,
    deny_imports: Iterable[str],
    deny_exports: Iterable[str],
    domains: Domains,
) -> LinkRules:
    """The rules of the side that dialled: its user's permissions came with INFO."""
    both = domains.denied_both_ways()
    coming = _with_denied(_from_wire(imports), (*deny_imports, *both))
    going = _with_denied(_from_wire(exports), (*deny_exports, *both, *domains.denied_outgoing()))
    return LinkRules(
        outgoing=_message_table(going),
        incoming=_message_table(coming),
        telling=permission_tables(PermissionOptions(subscribe=coming)) if coming else None,
    )


def accepted_rules(user: PermissionOptions | None, deny_outgoing: Iterable[str], domains: Domains) -> LinkRules:
    """The rules of the side that accepted: the leaf's user is ours, `deny_outgoing` it asked for in CONNECT."""
    both = domains.denied_both_ways()
    going = _with_denied(user.subscribe if user else None, (*deny_outgoing, *both, *domains.denied_outgoing()))
    coming = _with_denied(user.publish if user else None, both)
    return LinkRules(
        outgoing=_message_table(going), incoming=_message_table(coming), user=permission_tables(user) if user else None
    )


def to_wire(rules: SubjectPermission | None) -> SubjectRules | None:
    """One direction of a user's permissions for INFO."""
    if rules is None or (rules.allow is None and not rules.deny):
        return None
    return SubjectRules(
        list(rules.allow) if rules.allow is not None else None, list(rules.deny) if rules.deny else None
    )


def _from_wire(rules: SubjectRules | None) -> SubjectPermission | None:
    if rules is None or not (rules.allow or rules.deny):
        return None
    return SubjectPermission(tuple(rules.allow) if rules.allow else None, tuple(rules.deny or ()))


def _with_denied(rules: SubjectPermission | None, denied: tuple[str, ...]) -> SubjectPermission | None:
    if rules is None:
        return SubjectPermission(None, denied) if denied else None
    return SubjectPermission(rules.allow, (*rules.deny, *denied))


def _message_table(rules: SubjectPermission | None) -> Permissions | None:
    """Checks each message, whatever direction the rules were written for."""
    if rules is None:
        return None
    # An entry of a subscribe rule may name a queue: for a message only its subject counts.
    allow = None if rules.allow is None else tuple(entry.split()[0] for entry in rules.allow)
    deny = tuple(entry for entry in rules.deny if len(entry.split()) == 1)
    return permission_tables(PermissionOptions(publish=SubjectPermission(allow, deny)))
