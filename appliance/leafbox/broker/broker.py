"""Broker: the accounts, the connections and the data plane's engine of one server.

Owns the set of accounts and their lifetime. It makes no connection and knows no protocol; edges get it handed in.
"""

from __future__ import annotations

import asyncio

from leafbox.broker.account import Account
from leafbox.broker.config import GLOBAL_ACCOUNT, AccountOptions, BrokerOptions
from leafbox.broker.identity import ServerIdentity
from leafbox.broker.imports import ImportLinks
from leafbox.broker.mappings import AccountMappings
from leafbox.broker.registry import Registry
from leafbox.broker.tracing import Tracing
from leafbox.dataplane.connection import Engine


class Broker:
    """Everything that connections of one server share."""

    def __init__(self, loop: asyncio.AbstractEventLoop, identity: ServerIdentity, options: BrokerOptions) -> None:
        self.identity = identity
        self.options = options
        self.engine = Engine(loop)
        self.registry = Registry(options.closed_clients_max)
        self.accounts: dict[str, Account] = {}
        self.global_account = self._make(AccountOptions(name=GLOBAL_ACCOUNT))
        self.system_account: Account | None = None
        self.imports = ImportLinks(self.accounts)
        self.tracing = Tracing()
        self.apply(options)

    def account(self, name: str) -> Account | None:
        """The account of this name, or None."""
        return self.accounts.get(name)

    def apply(self, options: BrokerOptions) -> list[Account]:
        """Bring accounts, limits, mappings and imports in line with `options`; returns the accounts that are gone."""
        self.options = options
        self.engine.stalls_producers = not options.is_fast_producer_stall_disabled
        wanted = {account.name: account for account in options.accounts}
        wanted.setdefault(GLOBAL_ACCOUNT, AccountOptions(name=GLOBAL_ACCOUNT))
        if not options.is_system_account_disabled and options.system_account:
            wanted.setdefault(options.system_account, AccountOptions(name=options.system_account))
        removed = [self.accounts.pop(name) for name in list(self.accounts) if name not in wanted]
        for name, account_options in wanted.items():
            account = self.accounts.get(name) or self._make(account_options)
            account.limits = account_options.limits
            account.trace_messages(account_options.message_trace)
            mappings = AccountMappings(account_options.mappings, self.identity.cluster)
            account.mappings = mappings if mappings else None
            account.is_system = name == options.system_account and not options.is_system_account_disabled
        self.system_account = None if options.is_system_account_disabled else self.accounts.get(options.system_account)
        self.imports.apply(options.accounts)
        return removed

    def _make(self, options: AccountOptions) -> Account:
        account = Account(options.name, options.limits)
        self.accounts[options.name] = account
        return account
