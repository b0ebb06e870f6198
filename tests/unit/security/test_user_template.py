"""The rights that a scoped signing key gives its users."""

from __future__ import annotations

from typing import Any

import pytest

from leafbox.protocol.jwt import Claims, InvalidJwt
from leafbox.security.user_template import EXPANSIONS_MAX, applied

ACCOUNT = Claims("account", "ACC", "OP", "Works", 1, 0, 0, nats={"tags": ["site:north", "site:south"]})


def rights(template: dict[str, Any], *tags: str, name: str = "anna") -> dict[str, Any]:
    return applied(template, Claims("user", "USR", "ACC", name, 1, 0, 0, nats={"tags": list(tags)}), ACCOUNT)


def allowed(*rules: str, tags: tuple[str, ...] = (), name: str = "anna") -> list[str]:
    found = rights({"pub": {"allow": list(rules)}}, *tags, name=name)["pub"]["allow"]
    assert isinstance(found, list)
    return found


def test_each_name() -> None:
    rule = "{{name()}}.{{ Subject() }}.{{account-name()}}.{{account-subject()}}"
    assert allowed(rule, "plain.>") == ["anna.USR.Works.ACC", "plain.>"]


def test_tags_make_a_subject_for_each_combination() -> None:
    tags = ("room:a", "room:b", "floor:1")
    rule = "{{tag(room)}}.{{account-tag(site)}}.{{tag(room)}}"
    assert allowed(rule, tags=tags) == ["a.north.a", "a.south.a", "b.north.b", "b.south.b"]


def test_what_comes_out_invalid_is_left_out_and_nothing_is_not_everything() -> None:
    assert rights({"sub": {"allow": ["{{name()}}.x"], "deny": ["y"]}}, name="a b")["sub"] == {
        "allow": [],
        "deny": ["y", ">"],
    }
    assert rights({"pub": {"allow": ["x.{{tag(none)}}"]}})["pub"]["deny"] == [">"]


def test_what_is_denied_must_be_there() -> None:
    for rule, name in (("x.{{tag(none)}}", "anna"), ("{{name()}}", "")):
        with pytest.raises(InvalidJwt):
            rights({"pub": {"deny": [rule]}}, name=name)


def test_what_is_not_defined() -> None:
    with pytest.raises(InvalidJwt, match="not defined"):
        allowed("{{host()}}")


def test_the_number_of_subjects_is_bounded() -> None:
    tags = tuple(f"t:{number}" for number in range(64))
    assert len(allowed("{{tag(t)}}.{{Tag(t)}}", tags=tags)) == EXPANSIONS_MAX
    with pytest.raises(InvalidJwt, match="more than"):
        allowed("{{tag(t)}}.{{Tag(t)}}", "{{name()}}", tags=tags)


def test_other_rights_are_the_template_s() -> None:
    assert rights({"subs": 3, "src": ["10.0.0.0/8"]})["subs"] == 3
