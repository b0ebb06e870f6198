"""Operator mode in the configuration: the accounts of its JWTs stand for configured ones, as long as they hold."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import Protocol

from leafbox.app.configuration.options import Options
from leafbox.broker.broker import Broker
from leafbox.security.authentication import Authenticator
from leafbox.security.operator import OperatorMode

logger = logging.getLogger(__name__)

WAIT_MAX_S = 86_400.0
"""The clock of a box may be set meanwhile, so a far end is looked at again."""


class OperatedServer(Protocol):
    """What of the server is needed."""

    options: Options
    authenticator: Authenticator
    broker: Broker


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


def watch_activations(server: OperatedServer, mode: OperatorMode | None) -> None:
    """Take imports away when their activation tokens end, as long as this operator decides."""
    if mode is not None and mode.activations_end_s is not None:
        wait_s = min(max(mode.activations_end_s - time.time(), 0.0), WAIT_MAX_S)
        asyncio.get_running_loop().call_later(wait_s, _renew, server, mode)


def _renew(server: OperatedServer, mode: OperatorMode) -> None:
    if server.authenticator.operator is not mode:
        # A reload has put another one in its place, with a watch of its own.
        return
    if mode.activations_end_s is not None and mode.activations_end_s <= time.time():
        own = {account.name: account for account in mode.account_options()}
        accounts = tuple(own.get(account.name, account) for account in server.options.broker.accounts)
        logger.info("activation tokens have ended; imports are made anew")
        server.options = replace(server.options, broker=replace(server.options.broker, accounts=accounts))
        server.broker.imports.apply(accounts)
    watch_activations(server, mode)
