"""`/connz`: the connections, open and closed, sorted, filtered and paged (monitoring section 2.2)."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from leafbox.broker.config import GLOBAL_ACCOUNT
from leafbox.broker.registry import ConnectionSnapshot, SubscriptionSnapshot
from leafbox.monitoring.query import BadQuery, Query
from leafbox.monitoring.wire_format import Document, rtt_text, time_text, uptime_text, without_empty

ROWS_DEFAULT = 1024


class ConnectionState(enum.IntEnum):
    """Which connections are asked for; the numbers are those of the request over NATS."""

    OPEN = 0
    CLOSED = 1
    ALL = 2


# Sort option -> key and whether the largest comes first. `uptime` sorts the shortest first, as nats-server does.
SORTS: dict[str, tuple[Callable[[ConnectionSnapshot], int | str], bool]] = {
    "cid": (lambda c: c.cid, False),
    "start": (lambda c: c.cid, False),
    "subs": (lambda c: c.subscription_count, True),
    "pending": (lambda c: c.pending_bytes, True),
    "msgs_to": (lambda c: c.out_msgs, True),
    "msgs_from": (lambda c: c.in_msgs, True),
    "bytes_to": (lambda c: c.out_bytes, True),
    "bytes_from": (lambda c: c.in_bytes, True),
    "last": (lambda c: c.last_activity_ns, True),
    "idle": (lambda c: c.idle_ns, True),
    "uptime": (lambda c: c.uptime_ns, False),
    "stop": (lambda c: c.stop_ns, True),
    "reason": (lambda c: c.reason, False),
    "rtt": (lambda c: c.rtt_ns, True),
}


@dataclass(frozen=True, slots=True)
class ConnzOptions:
    """What a request wants; limits of zero and less mean the default."""

    sort: str = ""
    shows_auth: bool = False
    lists_subscriptions: bool = False
    details_subscriptions: bool = False
    offset: int = 0
    limit: int = 0
    cid: int = 0
    state: ConnectionState = ConnectionState.OPEN
    user: str = ""
    account: str = ""
    mqtt_client: str = ""

    @classmethod
    def from_query(cls, query: Query) -> ConnzOptions:
        """The options of an HTTP request. Raises `BadQuery`."""
        details = query.text("subs").lower() == "detail"
        return cls(
            sort=query.text("sort"),
            shows_auth=query.boolean("auth"),
            details_subscriptions=details,
            lists_subscriptions=not details and query.boolean("subs"),
            offset=query.integer("offset"),
            limit=query.integer("limit"),
            cid=query.unsigned("cid"),
            state=_state(query.text("state")),
            user=query.text("user"),
            account=query.text("acc"),
            mqtt_client=query.text("mqtt_client"),
        )

    @property
    def needs_subscriptions(self) -> bool:
        """Whether snapshots must hold the subscriptions themselves, not only their number."""
        return self.lists_subscriptions or self.details_subscriptions


def _state(text: str) -> ConnectionState:
    states = {"": 0, "open": 0, "closed": 1, "any": 2, "all": 2}
    number = states.get(text.lower())
    if number is None:
        raise BadQuery(f"Error decoding state for {text}")
    return ConnectionState(number)


def unknown_account_document(now_ns: int, options: ConnzOptions) -> Document:
    """The answer for an account that does not exist: an empty one, without even the server's id."""
    return {
        "server_id": "",
        "now": time_text(now_ns),
        "num_connections": 0,
        "total": 0,
        "offset": max(options.offset, 0),
        "limit": options.limit if options.limit > 0 else ROWS_DEFAULT,
        "connections": None,
    }


def check_options(options: ConnzOptions) -> None:
    """Raises `BadQuery` for a sort that does not exist, or not for these connections."""
    if options.sort and options.sort not in SORTS:
        raise BadQuery(f"invalid sorting option: {options.sort}")
    if options.sort in ("stop", "reason") and options.state is not ConnectionState.CLOSED:
        raise BadQuery(f"sort by {options.sort} only valid on closed connections")


def connz_document(
    server_id: str, now_ns: int, connections: list[ConnectionSnapshot], options: ConnzOptions
) -> Document:
    """The document over `connections`, which are of the wanted state already; the options are checked already."""
    offset, limit = max(options.offset, 0), options.limit if options.limit > 0 else ROWS_DEFAULT
    if options.cid:
        limit = 1
    if options.account:
        connections = [c for c in connections if c.account == options.account]
    # The user and MQTT filters do not shrink `total`; nats-server counts before it applies them.
    total = len(connections)
    rows = [c for c in connections if _is_wanted(c, options)]
    key, is_descending = SORTS[options.sort or "cid"]
    rows.sort(key=key, reverse=is_descending)
    page = rows[offset : offset + limit]
    return {
        "server_id": server_id,
        "now": time_text(now_ns),
        "num_connections": len(page),
        "total": total,
        "offset": offset,
        "limit": limit,
        "connections": [connection_document(c, options) for c in page],
    }


def _is_wanted(connection: ConnectionSnapshot, options: ConnzOptions) -> bool:
    if options.cid:
        return connection.cid == options.cid
    if options.user and connection.user != options.user:
        return False
    return not options.mqtt_client or connection.mqtt_client == options.mqtt_client


def connection_document(connection: ConnectionSnapshot, options: ConnzOptions) -> Document:
    """One row."""
    shows_auth = options.shows_auth
    is_local = connection.account in ("", GLOBAL_ACCOUNT)
    subscriptions = connection.subscriptions
    row: Document = {
        "cid": connection.cid,
        "kind": connection.kind,
        "type": connection.type,
        "ip": connection.ip,
        "port": connection.port,
        "start": time_text(connection.start_ns),
        "last_activity": time_text(connection.last_activity_ns),
        "stop": time_text(connection.stop_ns) if connection.stop_ns else "",
        "reason": connection.reason,
        "rtt": rtt_text(connection.rtt_ns),
        "uptime": uptime_text(connection.uptime_ns),
        "idle": uptime_text(connection.idle_ns),
        "pending_bytes": connection.pending_bytes,
        "in_msgs": connection.in_msgs,
        "out_msgs": connection.out_msgs,
        "in_bytes": connection.in_bytes,
        "out_bytes": connection.out_bytes,
        "stalls": connection.stalls,
        "subscriptions": connection.subscription_count,
        "name": connection.name,
        "lang": connection.lang,
        "version": connection.version,
        "tls_version": connection.tls_version.removeprefix("TLSv"),
        "tls_cipher_suite": connection.tls_cipher,
        "authorized_user": connection.user if shows_auth else "",
        "account": connection.account if shows_auth and not is_local else "",
        "subscriptions_list": [_text(s.subject) for s in subscriptions] if options.lists_subscriptions else [],
        "subscriptions_list_detail": (
            [subscription_document(s, connection) for s in subscriptions] if options.details_subscriptions else []
        ),
        "name_tag": connection.account if shows_auth else "",
        "mqtt_client": connection.mqtt_client,
    }
    optional = ("type", "stop", "reason", "stalls", "name", "lang", "version", "tls_version", "tls_cipher_suite")
    lists = ("subscriptions_list", "subscriptions_list_detail")
    return without_empty(row, *optional, "authorized_user", "account", *lists, "name_tag", "mqtt_client")


def subscription_document(subscription: SubscriptionSnapshot, connection: ConnectionSnapshot) -> Document:
    """One subscription; those of closed connections name the account, as in nats-server."""
    account = connection.account if connection.stop_ns else ""
    document: Document = {
        "account": account,
        "account_tag": account,
        "subject": _text(subscription.subject),
        "qgroup": _text(subscription.queue),
        "sid": _text(subscription.sid),
        "msgs": subscription.msgs,
        "max": subscription.max_msgs,
        "cid": connection.cid,
    }
    return without_empty(document, "account", "account_tag", "qgroup", "max")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
