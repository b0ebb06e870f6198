"""Checks across sections that nats-server makes when it starts, with its texts and in its order.

A file may pass `-t` and still be refused here. Source: nats-server 2.15.1 `validateOptions` and what it calls.
"""

from __future__ import annotations

import re

from leafbox.app.configuration.addresses import AddressError, parse_url
from leafbox.app.configuration.durations import seconds_text
from leafbox.app.configuration.go_text import quoted, quoted_list
from leafbox.app.configuration.leaf_keys import leaf_user_problem
from leafbox.app.configuration.options import Options
from leafbox.app.configuration.remote_keys import proxy_problem
from leafbox.app.configuration.subjects import is_valid_subject
from leafbox.broker.config import GLOBAL_ACCOUNT, SYSTEM_ACCOUNT
from leafbox.clients.config import WebsocketOptions
from leafbox.mqtt.config import Redirect
from leafbox.protocol.errors import ConfigError
from leafbox.protocol.nkeys import KeyRole, is_public
from leafbox.security.config import ResolverKind, SimpleAuthorization

_FORBIDDEN_HEADERS = ("host", "content-length", "connection", "upgrade", "nats-no-masking")


def check_options(options: Options) -> None:
    """Refuse options that do not go together. Raises `ConfigError` for the first problem."""
    _check_server(options)
    _check_operator(options)
    _check_leaf(options)
    _check_no_auth_user(options, options.security.no_auth_user)
    _check_gateway(options)
    _check_cluster(options)
    _check_mqtt(options)
    _check_jetstream(options)
    _check_websocket(options)
    _check_system_account(options)
    _check_monitoring(options)


def _check_server(options: Options) -> None:
    server, broker = options.server, options.broker
    if server.lame_duck_grace_period_s >= server.lame_duck_duration_s > 0:
        raise ConfigError(
            f"lame duck grace period ({seconds_text(server.lame_duck_grace_period_s)}) should be strictly lower "
            f"than lame duck duration ({seconds_text(server.lame_duck_duration_s)})"
        )
    if broker.payload_bytes_max > broker.pending_bytes_max:
        raise ConfigError(
            f"max_payload ({broker.payload_bytes_max}) cannot be higher than max_pending ({broker.pending_bytes_max})"
        )
    if " " in server.name:
        raise ConfigError("server name cannot contain spaces")


def _check_operator(options: Options) -> None:
    operator = options.security.operator
    if not operator.operators:
        if operator.default_sentinel:
            raise ConfigError("default sentinel requires operators and accounts")
        return
    if operator.resolver is None:
        raise ConfigError("operators require an account resolver to be configured")
    if options.broker.accounts:
        raise ConfigError("operators do not allow Accounts to be configured directly")
    if options.security.users:
        raise ConfigError("operators do not allow users to be configured directly")
    if operator.trusted_keys:
        raise ConfigError("conflicting options for 'TrustedKeys' and 'TrustedOperators'")
    is_directory = operator.resolver.kind in (ResolverKind.FULL, ResolverKind.CACHE)
    if options.broker.system_account in ("", SYSTEM_ACCOUNT) and is_directory:
        raise ConfigError(
            "using nats based account resolver - the system account needs to be specified in configuration or "
            "the operator jwt"
        )
    for name in operator.resolver_pinned_accounts:
        if not is_public(name, KeyRole.ACCOUNT):
            raise ConfigError(f"pinned account key {quoted(name)} is not a valid public account nkey")
    if options.security.auth_callout is not None:
        raise ConfigError("operators do not allow authorization callouts to be configured directly")


# -- leaf links ------------------------------------------------------------------------------------------------------


def _check_leaf(options: Options) -> None:
    leaf = options.leaf
    if problem := leaf_user_problem(leaf.username, leaf.nkey, leaf.users):
        raise ConfigError(problem)
    if options.security.operator.operators:
        _check_leaf_keys(options)
    else:
        _check_leaf_accounts(options)
    for remote in leaf.remotes:
        if problem := proxy_problem(remote):
            raise ConfigError(problem)
        if len({url.is_websocket for url in remote.urls}) > 1:
            urls = quoted_list([url.redacted() for url in remote.urls])
            raise ConfigError(
                f"remote leaf node configuration cannot have a mix of websocket and non-websocket urls: {urls}"
            )


def _check_leaf_accounts(options: Options) -> None:
    names = {account.name for account in options.broker.accounts} | {"", GLOBAL_ACCOUNT}
    if options.broker.system_account == SYSTEM_ACCOUNT:
        names.add(SYSTEM_ACCOUNT)
    wanted = [(options.leaf.account, "authorization")]
    wanted += [(user.account, "authorization") for user in options.leaf.users]
    wanted += [(remote.account, "remote") for remote in options.leaf.remotes]
    for name, where in wanted:
        if name not in names:
            raise ConfigError(f"cannot find local account {quoted(name)} specified in leafnode {where}")


def _check_leaf_keys(options: Options) -> None:
    leaf = options.leaf
    if leaf.users:
        raise ConfigError("operator mode does not allow specifying users in leafnode config")
    if any(not is_public(remote.account, KeyRole.ACCOUNT) for remote in leaf.remotes):
        raise ConfigError(
            "operator mode requires account nkeys in remotes. Please add an `account` key to each remote in your "
            "`leafnodes` section, to assign it to an account. Each account value should be a 56 character public "
            "key, starting with the letter 'A'"
        )
    if leaf.port and leaf.account and not is_public(leaf.account, KeyRole.ACCOUNT):
        raise ConfigError("operator mode and non account nkeys are incompatible")


# -- users -----------------------------------------------------------------------------------------------------------


def _check_no_auth_user(options: Options, name: str) -> None:
    if not name:
        return
    security = options.security
    if security.operator.operators:
        raise ConfigError("no_auth_user not compatible with Trusted Operator")
    if not security.users:
        raise ConfigError(f'no_auth_user: "{name}" present, but users/nkeys are not defined')
    if name not in {user.nkey or user.name for user in security.users}:
        raise ConfigError(
            f'no_auth_user: "{name}" not present as user or nkey in authorization block or account configuration'
        )


def _check_simple_authorization(options: Options, authorization: SimpleAuthorization | None, listener: str) -> None:
    if authorization is None or not options.security.users:
        return
    for what in ("username", "token"):
        if getattr(authorization, what):
            raise ConfigError(f"{listener} authentication {what} not compatible with presence of users/nkeys")


# -- clusters and gateways -------------------------------------------------------------------------------------------


def _check_gateway(options: Options) -> None:
    gateway = options.gateway
    if not gateway.name and not gateway.port:
        return
    if not gateway.name:
        raise ConfigError("gateway has no name")
    if not gateway.port:
        raise ConfigError(f"gateway {quoted(gateway.name)} has no port specified (select -1 for random port)")
    for index, remote in enumerate(gateway.gateways):
        if not remote.name:
            raise ConfigError(f"gateway in the list {index} has no name")
        if not remote.urls:
            raise ConfigError(f"gateway {quoted(remote.name)} has no URL")


def _check_cluster(options: Options) -> None:
    cluster, gateway = options.cluster, options.gateway
    if " " in cluster.name:
        raise ConfigError("cluster name cannot contain spaces")
    if gateway.name and cluster.name and gateway.name != cluster.name:
        raise ConfigError("cluster name conflicts between cluster and gateway definitions")
    accounts = cluster.pinned_accounts
    if accounts and cluster.pool_size < 0:
        raise ConfigError("pool_size cannot be negative if pinned accounts are specified")
    for index, name in enumerate(accounts):
        if name in accounts[:index]:
            # The system account always has a connection of its own and is listed with the others.
            system = options.broker.system_account
            listed = accounts if system in accounts or not system else (*accounts, system)
            raise ConfigError(
                f"found duplicate account name {quoted(name)} in pinned accounts list {quoted_list(listed)}"
            )


# -- MQTT, JetStream, WebSocket, monitoring --------------------------------------------------------------------------


def _check_mqtt(options: Options) -> None:
    mqtt = options.mqtt
    if not mqtt.port:
        return
    is_clustered = bool(options.cluster.port or options.gateway.port)
    if not options.server.name and is_clustered:
        raise ConfigError("mqtt requires server name to be explicitly set")
    _check_no_auth_user(options, mqtt.no_auth_user)
    _check_simple_authorization(options, mqtt.authorization, "mqtt")
    if mqtt.ack_wait_s < 0:
        raise ConfigError("ack wait must be a positive value")
    if mqtt.api_timeout_s < 0:
        raise ConfigError("JS API timeout must be a positive value")
    if mqtt.redirect is not Redirect.LAME_DUCK and not mqtt.server_reference:
        raise ConfigError(f"mqtt redirect {mqtt.redirect.value} needs a server_reference to send clients to")
    has_leafs = bool(options.leaf.port or options.leaf.remotes)
    if not options.jetstream.is_enabled and not is_clustered and not has_leafs:
        raise ConfigError("mqtt requires JetStream to be enabled if running in standalone mode")


def _check_jetstream(options: Options) -> None:
    jetstream = options.jetstream
    for name, domain in jetstream.default_domains.items():
        _check_default_domain(options, name, domain)
    if jetstream.domain:
        subject = f"$JS.{jetstream.domain}.API.>"
        if not is_valid_subject(subject):
            raise ConfigError(f"invalid domain name: derived {quoted(subject)} is not a valid subject")
        if re.search(r"[ \t\r\n.*>]", jetstream.domain):
            raise ConfigError("invalid domain name: may not contain ., * or >")
    if not jetstream.is_enabled or not options.cluster.port:
        return
    if not options.server.name:
        raise ConfigError("jetstream cluster requires `server_name` to be set")
    if not options.cluster.name:
        raise ConfigError("jetstream cluster requires `cluster.name` to be set")
    hint = jetstream.extension_hint.lower()
    if hint not in ("will_extend", "no_extend", ""):
        raise ConfigError(f"expected 'no_extend' for string value, got '{hint}'")
    if jetstream.catchup_bytes_max < 0:
        raise ConfigError("jetstream max catchup cannot be negative")


def _check_default_domain(options: Options, name: str, domain: str) -> None:
    account = next((known for known in options.broker.accounts if known.name == name), None)
    if options.security.operator.operators:
        if not is_public(name, KeyRole.ACCOUNT):
            raise ConfigError(
                f"default_js_domain contains account name {quoted(name)}, which is not a valid public account nkey"
            )
    elif name != GLOBAL_ACCOUNT:
        if account is None:
            raise ConfigError(
                f"in non operator mode, `default_js_domain` references non existing account {quoted(name)}"
            )
        if account.jetstream is not None and domain:
            raise ConfigError(f"default_js_domain contains account name {quoted(name)} with enabled JetStream")
    if name == (options.broker.system_account or SYSTEM_ACCOUNT):
        raise ConfigError(f"system account {quoted(name)} can not be in default_js_domain")
    if domain and not is_valid_subject(f"$JS.{domain}.API.>"):
        raise ConfigError(
            f"default_js_domain contains account {quoted(name)} with invalid domain name {quoted(domain)}"
        )


def _check_websocket(options: Options) -> None:
    websocket = options.websocket
    if not websocket.port:
        return
    if websocket.tls is None and not websocket.is_tls_disabled:
        raise ConfigError("websocket requires TLS configuration")
    _check_origins(websocket)
    _check_no_auth_user(options, websocket.no_auth_user)
    _check_simple_authorization(options, websocket.authorization, "websocket")
    operator = options.security.operator
    if websocket.jwt_cookie and not operator.operators and not operator.trusted_keys:
        raise ConfigError(
            "trusted operators or trusted keys configuration is required for JWT authentication via cookie "
            + quoted(websocket.jwt_cookie)
        )
    for name in websocket.headers:
        if name.lower() in _FORBIDDEN_HEADERS:
            raise ConfigError(f"websocket: invalid header {quoted(name)} not allowed")
        if name.lower().startswith("sec-websocket-"):
            raise ConfigError(f'websocket: invalid header {quoted(name)}, "Sec-WebSocket-" prefix not allowed')


def _check_origins(websocket: WebsocketOptions) -> None:
    for origin in websocket.allowed_origins:
        try:
            url = parse_url(origin)
        except AddressError as error:
            raise ConfigError(f"unable to parse allowed origin: parse {quoted(origin)}: {error}") from error
        if not url.scheme and not url.path.startswith("/"):
            raise ConfigError(f"unable to parse allowed origin: parse {quoted(origin)}: invalid URI for request")
        if url.scheme not in ("http", "https"):
            raise ConfigError(
                f"unable to parse allowed origin {quoted(origin)}: allowed origins must be absolute URLs with http "
                "or https scheme"
            )
        if not url.host and not url.port:
            raise ConfigError(f"unable to parse allowed origin {quoted(origin)}: host is required")


def _check_system_account(options: Options) -> None:
    broker = options.broker
    for account in broker.accounts:
        if account.name == broker.system_account and account.jetstream is not None and options.jetstream.is_enabled:
            raise ConfigError("Not allowed to enable JetStream on the system account")


def _check_monitoring(options: Options) -> None:
    monitoring = options.monitoring
    if monitoring.http_port and monitoring.https_port:
        raise ConfigError(
            f"Can't start monitoring: can't specify both HTTP ({monitoring.http_port}) and HTTPs "
            f"({monitoring.https_port}) ports"
        )
    if monitoring.https_port and options.clients.tls is None:
        raise ConfigError("Can't start monitoring: TLS cert and key required for HTTPS")
