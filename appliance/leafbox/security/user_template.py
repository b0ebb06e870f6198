"""Templates of scoped signing keys: the rights of every user that such a key signs, with the user's names in them.

`{{name()}}`, `{{subject()}}`, `{{account-name()}}`, `{{account-subject()}}`, `{{tag(x)}}` and `{{account-tag(x)}}`
stand in subjects; a tag that is there twice makes two subjects. An allowed subject that comes out invalid is left out,
a denied one refuses the user: leaving it out would allow more. Source: config specification section 7; nats-server
2.15.1 `server/auth.go` (`processUserPermissionsTemplate`), tried in `tests/conformance/security/test_user_claims.py`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from leafbox.dataplane.subjects import is_valid_subject
from leafbox.protocol.jwt import Claims, InvalidJwt
from leafbox.security.user_claims import strings

EXPANSIONS_MAX = 4096
"""Subjects one rule list may grow to, as in nats-server: a user with a hundred tags and three of them in one subject
would be a million."""

_PLACEHOLDER = re.compile(r"\{\{([^}]+)\}\}")
_TAG = re.compile(r"(account-)?tag\((.*)\)", re.IGNORECASE)
_UNDEFINED = " "
"""No subject has a space, so what holds it is left out."""


def applied(template: Mapping[str, Any], user: Claims, account: Claims) -> dict[str, Any]:
    """The template's rights for one user. Raises `InvalidJwt` when it asks for what the user does not have."""
    rights = dict(template)
    for direction in ("pub", "sub"):
        rules = template.get(direction) or {}
        allow = _filled(strings(rules.get("allow")), user, account, is_denying=False)
        deny = _filled(strings(rules.get("deny")), user, account, is_denying=True)
        if rules.get("allow") and not allow:
            # Nothing is left of what was allowed: an empty list would allow everything.
            deny.append(">")
        rights[direction] = {"allow": allow, "deny": deny}
    return rights


def _filled(rules: Sequence[str], user: Claims, account: Claims, *, is_denying: bool) -> list[str]:
    if not any(_PLACEHOLDER.search(rule) for rule in rules):
        return list(rules)
    filled: list[str] = []
    for rule in rules:
        for subject in _subjects(rule, user, account, is_denying, EXPANSIONS_MAX - len(filled)):
            if is_valid_subject(subject.encode()):
                filled.append(subject)
            elif is_denying:
                raise InvalidJwt(f"the template's {rule!r} makes an invalid subject")
    return filled


def _subjects(rule: str, user: Claims, account: Claims, is_denying: bool, room: int) -> list[str]:
    """The rule with every combination of what its placeholders stand for."""
    placeholders = list(dict.fromkeys(_PLACEHOLDER.findall(rule)))
    values = [_values(each.strip(), rule, user, account, is_denying) for each in placeholders]
    if math.prod(len(each) for each in values) > room:
        raise InvalidJwt(f"the template makes more than {EXPANSIONS_MAX} subjects")
    choices = (dict(zip(placeholders, each, strict=True)) for each in itertools.product(*values))
    return [_with(rule, choice) for choice in choices]


def _with(rule: str, choice: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: choice[found[1]], rule)


def _values(name: str, rule: str, user: Claims, account: Claims, is_denying: bool) -> list[str]:
    match name.lower():
        case "name()":
            return [user.name]
        case "subject()":
            return [user.subject]
        case "account-name()":
            return [account.name]
        case "account-subject()":
            return [account.subject]
    tag = _TAG.fullmatch(name)
    if tag is None:
        raise InvalidJwt(f"the template's {rule!r} asks for {name!r}, which is not defined")
    prefix = f"{tag[2].lower()}:"
    tags = strings((account if tag[1] else user).nats.get("tags"))
    found = [each.removeprefix(prefix) for each in tags if each.startswith(prefix)]
    if not found and is_denying:
        raise InvalidJwt(f"the template's {rule!r} needs a tag that is not there")
    return found or [_UNDEFINED]
