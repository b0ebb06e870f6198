"""Links that break: restarts, half-open lines, hubs that say nothing (specification appendix B)."""

from __future__ import annotations

import re
import socket

import pytest

from tests.conformance.leaf.pairs import (
    LINKED,
    OURS,
    Client,
    PairStarter,
    edge_config,
    eventually,
    hub_config,
    interest_of,
    leafs_of,
    wait_interest,
)
from tests.conformance.leaf.proxy import StallingProxy
from tests.support.servers import StartServer

PINGS = 'ping_interval: "1s"\nping_max: 2\n'


@pytest.mark.capability("LF06", "LF16")
@pytest.mark.parametrize("crash", [False, True], ids=["orderly", "crash"])
def test_a_hub_that_restarts_gets_all_interest_again(crash: bool, start_pair: PairStarter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pair = start_pair(f'listen: "127.0.0.1:{port}"')
    with Client(pair.edge) as edge:
        for number in range(50):
            edge.send(b"SUB s.%d %d\r\n" % (number, number))
        edge.subscribe("q.1", "q", queue="w")
        wait_interest(pair.hub, "s.49", "q.1")
        seen = pair.edge.log_line_count
        pair.hub.restart(crash=crash)
        pair.edge.wait_for_log(LINKED, after=seen)
        wait_interest(pair.hub, *(f"s.{number}" for number in range(50)), "q.1")
        with Client(pair.hub) as hub:
            hub.publish("s.7", b"back")
            hub.publish("q.1", b"queue")
            assert [edge.next_message(), edge.next_message()] == [(b"s.7", b"7", b"back"), (b"q.1", b"q", b"queue")]
            edge.ask(b"".join(b"UNSUB %d\r\n" % number for number in range(50)))
            eventually(lambda: "s.49" not in interest_of(pair.hub), "interest gone")


@pytest.mark.capability("LF06")
def test_an_edge_that_dies_leaves_nothing_behind(start_pair: PairStarter) -> None:
    pair = start_pair()
    with Client(pair.edge) as edge, Client(pair.hub) as hub:
        edge.subscribe("gone")
        wait_interest(pair.hub, "gone")
        pair.edge.kill()
        eventually(lambda: leafs_of(pair.hub) == [], "no link")
        assert hub.ask(b"PUB gone 1\r\nx\r\n") == b"PONG\r\n"


@pytest.mark.capability("LF06", "LF16")
def test_a_dead_line_is_noticed_by_both_and_replaced(start_pair: PairStarter) -> None:
    hub = start_pair.start_server(start_pair.hub_kind, config=hub_config("", PINGS))
    with StallingProxy(hub.port("leafnode")) as proxy:
        edge = start_pair.start_server(start_pair.edge_kind, config=edge_config(proxy.port, rest=PINGS))
        edge.wait_for_log(LINKED)
        with Client(edge) as client, Client(hub) as far:
            client.subscribe("alive")
            wait_interest(hub, "alive")
            (old,) = leafs_of(hub)
            proxy.stall()

            def is_replaced() -> bool:
                # Clients are pinged as often as the link: they stay by talking.
                assert client.ask() == far.ask() == b"PONG\r\n"
                links = leafs_of(hub)
                is_other = len(links) == 1 and links[0]["id"] != old["id"]
                return is_other and "alive" in links[0].get("subscriptions_list", [])

            eventually(is_replaced, "a new link, with the interest of those who noticed nothing")
            assert "Stale" in edge.log
            far.send(b"PUB alive 5\r\nagain\r\n")
            assert client.next_message() == (b"alive", b"1", b"again")


@pytest.mark.capability("LF06")
def test_a_hub_that_says_nothing_is_named_and_tried_again(start_server: StartServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        remote = "first_info_timeout: 300ms"
        rest = "connect_error_reports: 1"
        edge = start_server(OURS, config=edge_config(silent.getsockname()[1], remote, rest))
        edge.wait_for_log(r"sent no INFO within 0\.3 s .*first_info_timeout")
        silent.accept()[0].close()
        edge.wait_for_log(r"\(attempt 2\)")


@pytest.mark.capability("LF06")
def test_attempts_are_logged_at_the_configured_pace(start_server: StartServer) -> None:
    edge = start_server(OURS, config=edge_config(1, leaf="", rest="connect_error_reports: 3").replace("200ms", "50ms"))
    edge.wait_for_log(r"\(attempt 6\)")
    assert re.findall(r"\(attempt (\d+)\)", edge.log)[:3] == ["1", "3", "6"]
