"""What must not cross a link: deny lists, permissions, JetStream's own subjects; loops (specification 2, 5, 8.1)."""

from __future__ import annotations

import time

import pytest

from tests.conformance.leaf.pairs import (
    LINKED,
    Client,
    PairStarter,
    edge_config,
    eventually,
    hub_config,
    interest_of,
    leafs_of,
    wait_interest,
)


@pytest.mark.capability("LF07")
def test_denied_subjects_do_not_cross_and_the_link_stays(start_pair: PairStarter) -> None:
    pair = start_pair(remote='deny_imports: ["in.secret.>"]\ndeny_exports: ["out.secret.>"]')
    with Client(pair.hub) as hub, Client(pair.edge) as edge, Client(pair.hub) as above, Client(pair.edge) as below:
        hub.subscribe("out.>")
        edge.subscribe("in.>")
        edge.subscribe("in.secret.x", "2")
        wait_interest(pair.edge, "out.>")
        wait_interest(pair.hub, "in.>")
        for number in range(3):
            below.publish("out.secret.x", b"no")
            above.publish("in.secret.x", b"no")
            below.publish("out.open", b"%d" % number)
            above.publish("in.open", b"%d" % number)
        assert [hub.next_message()[0] for _ in range(3)] == [b"out.open"] * 3
        assert [edge.next_message()[0] for _ in range(3)] == [b"in.open"] * 3
    assert "in.secret.x" not in interest_of(pair.hub)
    assert len(leafs_of(pair.hub)) == 1


PERMITTED = """accounts { A { users: [ {user: a, password: pw}, {user: l, password: pw, permissions: {
  publish: { allow: ["up.>"], deny: "up.not.>" }
  subscribe: { allow: ["down.>", "_INBOX.>"], deny: "down.not.>" } } } ] } }"""


@pytest.mark.capability("LF07", "LF16")
def test_a_spoke_keeps_to_what_its_user_may(start_pair: PairStarter) -> None:
    pair = start_pair(hub=PERMITTED, url="nats-leaf://l:pw@127.0.0.1:{port}")
    with Client(pair.hub, "a") as hub, Client(pair.edge) as edge:
        hub.subscribe(">")
        edge.subscribe("elsewhere")
        edge.subscribe("down.>", "2")
        edge.subscribe("down.not.x", "3")
        wait_interest(pair.edge, ">")
        wait_interest(pair.hub, "down.>")
        edge.publish("elsewhere.too", b"no")
        edge.publish("up.not.x", b"no")
        edge.publish("up.1", b"yes")
        # The hub's client hears its own messages as well.
        assert hub.next_message() == (b"up.1", b"1", b"yes")
        hub.publish("down.not.x", b"no")
        hub.publish("down.1", b"yes")
        assert edge.next_message() == (b"down.1", b"2", b"yes")
    assert interest_of(pair.hub).isdisjoint({"elsewhere", "down.not.x"})
    assert len(leafs_of(pair.hub)) == 1
    assert "Violation" not in pair.hub.log


@pytest.mark.capability("LF05")
def test_a_loop_is_found_and_left_alone(start_pair: PairStarter) -> None:
    """Two hubs with a link between them, and an edge with a link to each."""
    upper = start_pair.start_server(start_pair.hub_kind, config=hub_config().replace("hub", "upper"))
    port = upper.port("leafnode")
    remotes = f'remotes: [ {{ url: "nats-leaf://127.0.0.1:{port}" }} ]'
    lower = start_pair.start_server(start_pair.hub_kind, config=hub_config(remotes).replace("hub", "lower"))
    lower.wait_for_log(LINKED)
    remotes = ", ".join(f'{{ url: "nats-leaf://127.0.0.1:{each.port("leafnode")}" }}' for each in (upper, lower))
    config = f'http: "127.0.0.1:-1"\nserver_name: edge\nleafnodes {{ reconnect: 200ms, remotes: [ {remotes} ] }}'
    edge = start_pair.start_server(start_pair.edge_kind, config=config)
    text = 'Loop detected for leafnode account="$G". Delaying attempt to reconnect for 30s'
    eventually(lambda: any(text in server.log for server in (edge, lower, upper)), "the loop is found")
    eventually(lambda: len(leafs_of(edge)) <= 1, "a link is given up")
    # Several reconnect intervals later it still is.
    time.sleep(1.0)
    assert len(leafs_of(edge)) <= 1
    with Client(edge) as near, Client(upper) as far:
        far.subscribe("once")
        near.publish("once")
        assert far.ask().count(b"MSG once") <= 1


@pytest.mark.capability("LF17")
@pytest.mark.parametrize("where", ["hub", "remote asks"])
def test_isolated_edges_do_not_hear_of_each_other(where: str, start_pair: PairStarter) -> None:
    remote = "request_isolation: true" if where == "remote asks" else ""
    pair = start_pair("isolate_leafnode_interest: true" if where == "hub" else "", remote=remote)
    other = start_pair.start_server(
        start_pair.edge_kind, config=edge_config(pair.hub.port("leafnode"), remote).replace("edge", "second")
    )
    with Client(other) as far, Client(pair.hub) as hub:
        far.subscribe("east.west")
        hub.subscribe("from.hub")
        wait_interest(pair.hub, "east.west")
        wait_interest(pair.edge, "from.hub")
        assert "east.west" not in interest_of(pair.edge)


@pytest.mark.capability("LF05", "LF18")
def test_a_server_does_not_link_to_its_own_name(start_pair: PairStarter) -> None:
    hub = start_pair.start_server(
        start_pair.hub_kind, config=hub_config().replace("server_name: hub", "server_name: x\ncluster { name: x }")
    )
    edge = start_pair.start_server(
        start_pair.edge_kind,
        config=edge_config(hub.port("leafnode")).replace("server_name: edge", "server_name: y\ncluster { name: x }"),
    )
    edge.wait_for_log("remote leafnode has same cluster name|cluster name .*same")
