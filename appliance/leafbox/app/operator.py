"""Operator mode in the server: the accounts of its JWTs stand for configured ones, as long as they hold (ADR-14).

Wires resolver, requests and lookups of `security` to the server. `resolve_operator` makes the options with the accounts
that are known when a configuration is read, `follow_operator` ties a new mode to the running server, and what is pushed
or found later goes through `_OperatorSide.apply` to whoever is connected.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol

from leafbox.app.configuration.options import Options
from leafbox.app.jetstream import DurableSide
from leafbox.app.mqtt import MqttSide
from leafbox.broker.broker import Broker
from leafbox.broker.config import AccountOptions
from leafbox.broker.imports import check_imports
from leafbox.clients.client import ClientConnection
from leafbox.clients.reevaluation import reevaluate, send_surplus_away
from leafbox.jetstream.names import nuid
from leafbox.leaf.service import LeafService
from leafbox.monitoring.system_services import SystemServices
from leafbox.monitoring.wire_format import Document, encode
from leafbox.protocol.errors import ConfigError
from leafbox.protocol.jwt import InvalidJwt
from leafbox.protocol.nkeys import KeyRole, is_public
from leafbox.security.account_claims import objections
from leafbox.security.account_directory import AccountDirectory
from leafbox.security.account_sources import WebSource
from leafbox.security.authentication import Authenticator
from leafbox.security.claims_requests import ClaimsRequests
from leafbox.security.config import OperatorOptions, ResolverKind, ResolverOptions
from leafbox.security.operator import OperatorMode
from leafbox.security.resolver import AccountResolver, AccountSource
from leafbox.security.tls import client_context

logger = logging.getLogger(__name__)

WAIT_MAX_S = 86_400.0
"""The clock of a box may be set meanwhile, so a far end is looked at again."""


class OperatedServer(Protocol):
    """What of the server is needed."""

    options: Options
    authenticator: Authenticator
    broker: Broker
    durable: DurableSide | None
    mqtt: MqttSide | None
    leafs: LeafService
    system_services: SystemServices

    def clients(self) -> list[ClientConnection]: ...


def resolve_operator(options: Options, before: Authenticator | None = None) -> tuple[Options, OperatorMode | None]:
    """The options with the accounts that are known of the operator; unchanged without operator mode.

    `before`: the decision in force at a reload, whose accounts live on. Raises `ConfigError` when a JWT or the
    resolver's directory cannot be used.
    """
    if not options.security.operator.is_enabled:
        return options, None
    mode = OperatorMode(options.security.operator)
    former = before.operator if before is not None else None
    _add_known(mode, options.security.operator, former if isinstance(former, OperatorMode) else None)
    configured = tuple(account for account in options.broker.accounts if not _is_key(account.name))
    broker = replace(options.broker, accounts=(*configured, *mode.account_options()))
    if mode.system_account:
        broker = replace(broker, system_account=mode.system_account)
    return replace(options, broker=broker), mode


def _add_known(mode: OperatorMode, options: OperatorOptions, former: OperatorMode | None) -> None:
    """Accounts beside the preloaded ones: the directory's, or those that came while the server ran."""
    directory = _directory(options.resolver)
    if directory is not None:
        try:
            directory.load()
            _add_stored(mode, directory)
        except OSError as error:
            raise ConfigError(f"resolver: the directory cannot be used: {error}") from error
        mode.directory = directory
    elif former is not None:
        is_url = options.resolver is not None and options.resolver.kind is ResolverKind.URL
        for key, account in former.accounts.items():
            here = mode.accounts.get(key)
            is_newer = here is not None and here.claims.issued_at_s < account.claims.issued_at_s
            if account.claims.issuer in mode.trusted and (is_newer or (here is None and is_url)):
                mode.accounts[key] = account


def _add_stored(mode: OperatorMode, directory: AccountDirectory) -> None:
    """What is on flash counts before what is preloaded, unless that is newer; the preloaded is then kept on flash."""
    for key, token in list(directory.tokens.items()):
        try:
            account = mode.read(token)
            if found := objections(account):
                raise InvalidJwt("; ".join(found))
            if account.key != key:
                raise InvalidJwt("the token is of another account")
        except InvalidJwt as error:
            logger.warning("account=%s of the resolver's directory is left out: %s", key, error)
            continue
        here = mode.accounts.get(key)
        if here is None or here.claims.issued_at_s <= account.claims.issued_at_s:
            mode.accounts[key] = account
    for key, account in mode.accounts.items():
        if directory.tokens.get(key) != account.token:
            directory.save(key, account.token)


def _directory(options: ResolverOptions | None) -> AccountDirectory | None:
    if options is None or options.kind not in (ResolverKind.FULL, ResolverKind.CACHE):
        return None
    return AccountDirectory(
        options.directory,
        accounts_max=options.accounts_max,
        evicts=options.kind is ResolverKind.CACHE,
        is_delete_final=options.is_delete_final,
    )


def _is_key(name: str) -> bool:
    return is_public(name, KeyRole.ACCOUNT)


# -- the running server ----------------------------------------------------------------------------------------------


def follow_operator(server: OperatedServer, mode: OperatorMode | None, options: OperatorOptions) -> None:
    """Tie a mode that is about to decide to the server: lookups, changes, and the end of activation tokens."""
    if mode is None:
        return
    side = _OperatorSide(server, mode)
    mode.lookup = AccountResolver(
        mode,
        side.apply,
        source=side.source(options),
        directory=mode.directory,
        ttl_s=options.resolver.ttl_s if options.resolver is not None else 0.0,
    )
    watch_activations(server, mode)


def start_claims(server: OperatedServer, stamp: Callable[[], Document], tasks: asyncio.TaskGroup) -> None:
    """Answer requests about accounts from now on."""
    options = server.options.security.operator
    system = server.broker.system_account
    if not options.is_enabled or options.resolver is None or system is None:
        return

    def resolver() -> AccountResolver:
        mode = server.authenticator.operator
        assert isinstance(mode, OperatorMode), "operators cannot be taken away by a reload"
        assert isinstance(mode.lookup, AccountResolver), "made before the server listens"
        return mode.lookup

    requests = ClaimsRequests(
        system, resolver, stamp=stamp, encode=lambda document: encode(document, indent=None), tasks=tasks
    )
    requests.start(options.resolver.kind, is_delete_allowed=options.resolver.is_delete_allowed)


class _OperatorSide:
    """One mode and the server it decides for."""

    def __init__(self, server: OperatedServer, mode: OperatorMode) -> None:
        self._server = server
        self._mode = mode

    def source(self, options: OperatorOptions) -> AccountSource | None:
        """Where accounts are asked for; None: what is not known does not exist."""
        resolver = options.resolver
        if resolver is None or resolver.kind is ResolverKind.MEMORY:
            return None
        if resolver.kind is ResolverKind.URL:
            return WebSource(resolver.url, client_context(options.resolver_tls))
        return _ServersSource(self._server.broker, resolver.fetch_timeout_s)

    def apply(self, keys: Collection[str]) -> None:
        """Accounts have come, gone or changed. Raises `ConfigError` and changes nothing when that cannot be."""
        server = self._server
        mode = server.authenticator.operator
        assert isinstance(mode, OperatorMode), "operators cannot be taken away by a reload"
        if mode is not self._mode:
            _hand_over(self._mode, mode, keys)
        configured = [account for account in server.options.broker.accounts if not _is_key(account.name)]
        accounts = (*configured, *mode.account_options())
        check_imports({account.name: account for account in accounts})
        server.options = replace(server.options, broker=replace(server.options.broker, accounts=accounts))
        removed = server.broker.apply(server.options.broker)
        if server.durable is not None:
            server.durable.apply(server.options, removed)
        server.system_services.cover_accounts()
        for key in keys:
            send_surplus_away(server.broker.account(key))
        for client in server.clients():
            reevaluate(client)
        if server.mqtt is not None:
            server.mqtt.reload(server.options, server.authenticator)
        server.leafs.reload(server.options.leaf, server.authenticator)
        watch_activations(server, mode)
        for account in removed:
            # After the closed clients have withdrawn: the index would keep the account alive.
            server.broker.engine.loop.call_soon(account.sublist.clear)


def _hand_over(former: OperatorMode, mode: OperatorMode, keys: Collection[str]) -> None:
    """A change that was on its way to flash while a reload read the directory belongs to the new mode as well."""
    for key in keys:
        account = former.accounts.get(key)
        if account is not None:
            mode.accounts[key] = account
        else:
            mode.accounts.pop(key, None)
        if mode.directory is not None and account is not None:
            mode.directory.tokens[key] = account.token
        elif mode.directory is not None:
            mode.directory.tokens.pop(key, None)


class _ServersSource:
    """Other servers with the same system account, which answer lookups: those of the hub."""

    def __init__(self, broker: Broker, timeout_s: float) -> None:
        self._broker = broker
        self._timeout_s = timeout_s

    async def fetch(self, key: str) -> str | None:
        """The first answer that holds something."""
        system = self._broker.system_account
        if system is None:
            return None
        answer: asyncio.Future[str] = self._broker.engine.loop.create_future()

        def receive(subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: object) -> None:
            # Servers that do not have it answer with nothing.
            if payload and not answer.done():
                answer.set_result(payload.decode("ascii", "replace"))

        inbox = f"_INBOX.{nuid()}".encode()
        subscription = system.subscribe(inbox, receive)
        try:
            if not system.publish(f"$SYS.REQ.ACCOUNT.{key}.CLAIMS.LOOKUP".encode(), b"", inbox):
                return None
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except TimeoutError:
            return None
        finally:
            system.remove(subscription)


# -- activation tokens -----------------------------------------------------------------------------------------------


def watch_activations(server: OperatedServer, mode: OperatorMode) -> None:
    """Take imports away when their activation tokens end, as long as this operator decides. Again after a change."""
    if mode.activations_watch is not None:
        mode.activations_watch.cancel()
        mode.activations_watch = None
    if mode.activations_end_s is not None:
        wait_s = min(max(mode.activations_end_s - time.time(), 0.0), WAIT_MAX_S)
        mode.activations_watch = asyncio.get_running_loop().call_later(wait_s, _renew, server, mode)


def _renew(server: OperatedServer, mode: OperatorMode) -> None:
    if server.authenticator.operator is not mode:
        # A reload has put another one in its place, with a watch of its own.
        return
    if mode.activations_end_s is not None and mode.activations_end_s <= time.time():
        own: dict[str, AccountOptions] = {account.name: account for account in mode.account_options()}
        accounts = tuple(own.get(account.name, account) for account in server.options.broker.accounts)
        logger.info("activation tokens have ended; imports are made anew")
        server.options = replace(server.options, broker=replace(server.options.broker, accounts=accounts))
        server.broker.imports.apply(accounts)
    watch_activations(server, mode)
