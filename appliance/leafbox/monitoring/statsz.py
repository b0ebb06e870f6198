"""STATSZ: the server's counters in short, for tools that watch many servers (monitoring section 3)."""

from __future__ import annotations

from leafbox.monitoring.snapshots import ServerSnapshot
from leafbox.monitoring.varz import KINDS
from leafbox.monitoring.wire_format import Document, number, time_text


def statsz_document(server: Document, statsz: Document) -> Document:
    """The whole message; unlike the other answers its content is not called `data`."""
    return {"server": server, "statsz": statsz}


def statsz(server: ServerSnapshot, active_accounts: int, jetstream: Document) -> Document:
    """The counters. `jetstream` is that of `/varz`, empty while it is off."""
    document: Document = {
        "start": time_text(server.start_ns),
        "mem": server.memory_bytes,
        "cores": server.cores,
        "cpu": number(server.cpu_percent),
        "connections": server.connections,
        "total_connections": server.total_connections,
        "active_accounts": active_accounts,
        "subscriptions": server.subscriptions,
        "sent": _traffic(server.out_msgs, server.out_bytes),
        "sent_to_clients": _traffic(server.out_msgs - server.leaf_out_msgs, server.out_bytes - server.leaf_out_bytes),
        "received": _traffic(server.in_msgs, server.in_bytes),
        "received_from_clients": _traffic(server.in_msgs - server.leaf_in_msgs, server.in_bytes - server.leaf_in_bytes),
        "slow_consumers": server.slow_consumers,
    }
    if server.slow_consumers:
        document["slow_consumer_stats"] = dict.fromkeys(KINDS, 0) | {"clients": server.slow_consumers}
    if server.stale_connections:
        document["stale_connections"] = server.stale_connections
        document["stale_connection_stats"] = dict.fromkeys(KINDS, 0) | {"clients": server.stale_connections}
    if server.stalled_clients:
        document["stalled_clients"] = server.stalled_clients
    document["active_servers"] = 1
    if jetstream:
        document["jetstream"] = jetstream
    document["gomaxprocs"] = server.cores
    return document


def _traffic(msgs: int, size_bytes: int) -> Document:
    return {"msgs": msgs, "bytes": size_bytes}
