"""Checks at start that nats-server cannot be shown side by side here; the others are in conformance."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leafbox.app.configuration.options import Options
from leafbox.app.configuration.validate import check_options
from leafbox.broker.config import AccountOptions, BrokerOptions
from leafbox.leaf.config import LeafOptions, LeafRemoteOptions, LeafUrl
from leafbox.protocol.errors import ConfigError
from leafbox.security.config import (
    AuthCalloutOptions,
    OperatorOptions,
    ResolverKind,
    ResolverOptions,
    SecurityOptions,
    UserOptions,
)

MEMORY = ResolverOptions(ResolverKind.MEMORY)


def operator_mode(**changes: object) -> Options:
    values: dict[str, object] = {"operators": ("eyJ.x.y",), "resolver": MEMORY, **changes}
    return replace(Options(), security=SecurityOptions(operator=OperatorOptions(**values)))  # type: ignore[arg-type]


@pytest.mark.capability("CF03")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (operator_mode(resolver=None), "operators require an account resolver to be configured"),
        (
            replace(operator_mode(), broker=BrokerOptions(accounts=(AccountOptions("A"),))),
            "operators do not allow Accounts to be configured directly",
        ),
        (
            operator_mode(trusted_keys=("O",)),
            "conflicting options for 'TrustedKeys' and 'TrustedOperators'",
        ),
        (
            operator_mode(resolver=ResolverOptions(ResolverKind.FULL, directory="x")),
            "using nats based account resolver - the system account needs to be specified in configuration or the "
            "operator jwt",
        ),
        (
            operator_mode(resolver_pinned_accounts=frozenset(("x",))),
            'pinned account key "x" is not a valid public account nkey',
        ),
    ],
)
def test_operator_mode_excludes_users_and_accounts_of_the_file(options: Options, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_options(options)
    assert str(refused.value) == reason


def test_operator_mode_excludes_users_and_callout() -> None:
    operator = OperatorOptions(operators=("eyJ.x.y",), resolver=MEMORY)
    for security, reason in (
        (SecurityOptions(operator=operator, users=(UserOptions("a"),)), "operators do not allow users"),
        (SecurityOptions(operator=operator, no_auth_user="a"), "no_auth_user not compatible with Trusted Operator"),
        (
            SecurityOptions(operator=operator, auth_callout=AuthCalloutOptions("A", ("a",))),
            "operators do not allow authorization callouts",
        ),
    ):
        with pytest.raises(ConfigError, match=reason):
            check_options(replace(Options(), security=security))


def test_leaf_remotes_name_accounts_by_key_in_operator_mode() -> None:
    leaf = LeafOptions(remotes=(LeafRemoteOptions((LeafUrl("nats", "h"),), account="A"),))
    with pytest.raises(ConfigError, match="operator mode requires account nkeys in remotes"):
        check_options(replace(operator_mode(), leaf=leaf))


def test_the_defaults_are_in_order() -> None:
    check_options(Options())
