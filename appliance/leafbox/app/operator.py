"""Operator mode in the configuration: the accounts of its JWTs take the place of configured ones."""

from __future__ import annotations

from dataclasses import replace

from leafbox.app.configuration.options import Options
from leafbox.security.operator import OperatorMode


def resolve_operator(options: Options) -> tuple[Options, OperatorMode | None]:
    """The options with the accounts that the operator's JWTs define; unchanged without operator mode.

    Raises `ConfigError` when a JWT cannot be used.
    """
    if not options.security.operator.is_enabled:
        return options, None
    mode = OperatorMode(options.security.operator)
    broker = replace(options.broker, accounts=(*options.broker.accounts, *mode.account_options()))
    if mode.system_account:
        broker = replace(broker, system_account=mode.system_account)
    return replace(options, broker=broker), mode
