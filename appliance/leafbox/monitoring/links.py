"""`/leafz`, and the shapes of `/routez` and `/gatewayz` of a server that has neither (monitoring 2.3 to 2.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leafbox.monitoring.wire_format import Document, rtt_text, time_text, without_empty


@dataclass(frozen=True, slots=True)
class LeafSnapshot:
    """One link to another server; `is_spoke` on the side that dialled."""

    cid: int
    name: str
    is_spoke: bool
    account: str
    ip: str
    port: int
    rtt_ns: int
    in_msgs: int
    out_msgs: int
    in_bytes: int
    out_bytes: int
    subscriptions: tuple[str, ...]
    compression: str = ""
    is_isolated: bool = False


def leafz_document(
    server_id: str, now_ns: int, leafs: Sequence[LeafSnapshot], *, account: str, lists_subscriptions: bool
) -> Document:
    """The links, of one account or of all."""
    shown = [leaf for leaf in leafs if not account or leaf.account == account]
    return {
        "server_id": server_id,
        "now": time_text(now_ns),
        "leafnodes": len(shown),
        "leafs": [_leaf_document(leaf, lists_subscriptions) for leaf in shown],
    }


def _leaf_document(leaf: LeafSnapshot, lists_subscriptions: bool) -> Document:
    document: Document = {
        "id": leaf.cid,
        "name": leaf.name,
        "is_spoke": leaf.is_spoke,
        "is_isolated": leaf.is_isolated,
        "account": leaf.account,
        "ip": leaf.ip,
        "port": leaf.port,
        "rtt": rtt_text(leaf.rtt_ns),
        "in_msgs": leaf.in_msgs,
        "out_msgs": leaf.out_msgs,
        "in_bytes": leaf.in_bytes,
        "out_bytes": leaf.out_bytes,
        "subscriptions": len(leaf.subscriptions),
        "subscriptions_list": list(leaf.subscriptions) if lists_subscriptions else [],
        "compression": leaf.compression,
    }
    return without_empty(document, "is_isolated", "subscriptions_list", "compression")


def routez_document(server_id: str, name: str, now_ns: int) -> Document:
    """No routes: the box is not a member of a cluster."""
    return {"server_id": server_id, "server_name": name, "now": time_text(now_ns), "num_routes": 0, "routes": []}


def gatewayz_document(server_id: str, now_ns: int) -> Document:
    """No gateways."""
    return {"server_id": server_id, "now": time_text(now_ns), "outbound_gateways": {}, "inbound_gateways": {}}
