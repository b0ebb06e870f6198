"""Remotes that come, go and are switched by a reload (specification 9)."""

from __future__ import annotations

import signal

import pytest

from tests.conformance.leaf.pairs import LINKED, Client, PairStarter, eventually, hub_config, leafs_of, wait_interest
from tests.support.servers import ServerProcess

EDGE = 'http: "127.0.0.1:-1"\nserver_name: edge\nleafnodes {{ reconnect: 200ms, remotes: [ {} ] }}\n{}\n'


def reload(server: ServerProcess, config: str) -> None:
    """Put another file in place and have it read."""
    seen = server.log_line_count
    server.config_path.write_text(config, encoding="utf-8")
    server.send_signal(signal.SIGHUP)
    server.wait_for_log("Reloaded server configuration", after=seen)


@pytest.mark.capability("LF17")
def test_remotes_are_added_disabled_enabled_and_removed(start_pair: PairStarter) -> None:
    hubs = [
        start_pair.start_server(
            start_pair.hub_kind, config=hub_config().replace("server_name: hub", f"server_name: h{n}")
        )
        for n in (1, 2)
    ]
    first, second = (f'{{ url: "nats-leaf://127.0.0.1:{hub.port("leafnode")}" }}' for hub in hubs)
    off = second.replace("{ url", "{ disabled: true, url")
    edge = start_pair.start_server(start_pair.edge_kind, config=EDGE.format(first, ""))
    edge.wait_for_log(LINKED)
    with Client(edge) as client:
        client.subscribe("stays")
        wait_interest(hubs[0], "stays")
        reload(edge, EDGE.format(f"{first}, {second}", ""))
        wait_interest(hubs[1], "stays")
        assert len(leafs_of(edge)) == 2
        reload(edge, EDGE.format(f"{first}, {off}", ""))
        eventually(lambda: leafs_of(hubs[1]) == [], "the second link is down")
        reload(edge, EDGE.format(f"{first}, {second}", ""))
        wait_interest(hubs[1], "stays")
        reload(edge, EDGE.format(second, ""))
        eventually(lambda: leafs_of(hubs[0]) == [], "the first link is down")
        wait_interest(hubs[1], "stays")


@pytest.mark.capability("LF17")
def test_a_disabled_remote_is_not_dialled(start_pair: PairStarter) -> None:
    hub = start_pair.start_server(start_pair.hub_kind, config=hub_config())
    remote = f'{{ disabled: true, url: "nats-leaf://127.0.0.1:{hub.port("leafnode")}" }}'
    edge = start_pair.start_server(start_pair.edge_kind, config=EDGE.format(remote, ""))
    with Client(edge) as client:
        client.publish("x")
    assert leafs_of(hub) == leafs_of(edge) == []


@pytest.mark.capability("LF17", "LF02")
def test_new_mappings_are_announced(start_pair: PairStarter) -> None:
    hub = start_pair.start_server(start_pair.hub_kind, config=hub_config())
    remote = f'{{ url: "nats-leaf://127.0.0.1:{hub.port("leafnode")}" }}'
    edge = start_pair.start_server(start_pair.edge_kind, config=EDGE.format(remote, "mappings = { a: b }"))
    edge.wait_for_log(LINKED)
    wait_interest(hub, "a")
    reload(edge, EDGE.format(remote, "mappings = { a: b, c: d }"))
    with Client(edge) as reader, Client(hub) as sender:
        reader.subscribe("d")
        wait_interest(hub, "c", "d")
        sender.publish("c", b"mapped")
        assert reader.next_message() == (b"d", b"1", b"mapped")
