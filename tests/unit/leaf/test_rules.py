"""What may cross a link: permissions from the wire and from users, deny lists, JetStream domains."""

from __future__ import annotations

import pytest

from leafbox.broker.config import Permissions as PermissionOptions
from leafbox.broker.config import SubjectPermission
from leafbox.dataplane.permissions import Permissions
from leafbox.leaf.rules import Domains, LinkRules, accepted_rules, dialled_rules, to_wire
from leafbox.protocol.leaf_info import SubjectRules

NO_JETSTREAM = Domains(is_enabled_here=False)
EDGE = Domains(is_enabled_here=True, local="EDGE", remote="HUB")


def passes(table: Permissions | None, subject: str) -> bool:
    return table is None or table.allows_publish(subject.encode())


@pytest.mark.capability("LF07")
def test_without_rules_there_are_no_tables() -> None:
    assert dialled_rules(None, None, (), (), NO_JETSTREAM) == LinkRules()
    assert accepted_rules(None, (), NO_JETSTREAM) == LinkRules()


@pytest.mark.capability("LF07")
def test_a_spoke_keeps_to_imports_exports_and_its_deny_lists() -> None:
    rules = dialled_rules(
        SubjectRules(["down.>"], ["down.not"]),
        SubjectRules(["up.>"], None),
        ["down.secret"],
        ["up.secret"],
        NO_JETSTREAM,
    )
    assert [passes(rules.outgoing, s) for s in ("up.a", "up.secret", "down.a")] == [True, False, False]
    assert [passes(rules.incoming, s) for s in ("down.a", "down.not", "down.secret", "up.a")] == [
        True,
        False,
        False,
        False,
    ]
    assert rules.telling is not None
    assert [rules.telling.allows_subscribe(s) for s in (b"down.>", b"down.secret", b"other")] == [True, False, False]
    assert rules.user is None


@pytest.mark.capability("LF07", "LF16")
def test_a_hub_holds_the_leaf_to_its_user() -> None:
    user = PermissionOptions(
        publish=SubjectPermission(("up.>",), ("up.not",)),
        subscribe=SubjectPermission(("down.> q", "news.>"), ("news.not",)),
    )
    rules = accepted_rules(user, ["news.secret"], NO_JETSTREAM)
    assert [passes(rules.incoming, s) for s in ("up.a", "up.not", "x")] == [True, False, False]
    assert [passes(rules.outgoing, s) for s in ("down.a", "news.a", "news.not", "news.secret", "x")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert rules.user is not None
    assert rules.user.allows_subscribe(b"down.a", b"q")
    assert not rules.user.allows_subscribe(b"down.a", b"other")
    assert rules.telling is None


@pytest.mark.capability("LF08")
def test_jetstream_requests_without_a_domain_never_cross() -> None:
    for rules in (dialled_rules(None, None, (), (), EDGE), accepted_rules(None, (), EDGE)):
        for subject in ("$JS.API.INFO", "$KV.b.k", "$OBJ.b.c"):
            assert not passes(rules.outgoing, subject)
            assert not passes(rules.incoming, subject)
        assert not passes(rules.outgoing, "$JS.EDGE.API.INFO")
        assert passes(rules.incoming, "$JS.EDGE.API.INFO")
        assert passes(rules.outgoing, "$JS.HUB.API.INFO")
        assert passes(rules.outgoing, "$JS.ACK.x")


@pytest.mark.capability("LF08")
def test_denies_by_domain() -> None:
    assert NO_JETSTREAM.denied_both_ways() == NO_JETSTREAM.denied_outgoing() == ()
    same = Domains(is_enabled_here=True, local="X", remote="X")
    assert same.denied_outgoing() == ()
    assert "$JS.API.>" in same.denied_both_ways()
    assert "$NRG.>" in Domains(is_enabled_here=False, is_system_account=True).denied_both_ways()


@pytest.mark.capability("LF07", "LF16")
def test_permissions_on_the_wire() -> None:
    assert to_wire(None) is to_wire(SubjectPermission()) is None
    assert to_wire(SubjectPermission(("a",), ())) == SubjectRules(["a"], None)
    assert to_wire(SubjectPermission(None, ("b",))) == SubjectRules(None, ["b"])
