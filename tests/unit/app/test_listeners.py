"""What is told of where a server listens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leafbox.app.configuration.options import Options
from leafbox.app.listeners import addresses, advertised, reachable, shown, tls_listeners
from leafbox.clients.config import ClientListenerOptions


def test_only_what_listens_has_an_address_and_one_that_tools_here_can_reach() -> None:
    options = Options()
    options = replace(options, clients=replace(options.clients, host="0.0.0.0"), mqtt=replace(options.mqtt, host="::1"))
    assert addresses(options, {"client": 4222, "mqtt": 1883}, 0) == {
        "nats": ["nats://127.0.0.1:4222"],
        "mqtt": ["mqtt://[::1]:1883"],
    }
    options = replace(options, monitoring=replace(options.monitoring, http_port=-1))
    assert addresses(options, {}, 8000) == {"monitoring": ["http://127.0.0.1:8000"]}


@pytest.mark.parametrize(
    ("advertise", "told"),
    [("", ("10.0.0.1", 4222)), ("box.example", ("box.example", 4222)), ("[::1]:77", ("::1", 77))],
)
def test_clients_are_told_the_advertised_address(advertise: str, told: tuple[str, int]) -> None:
    options = replace(ClientListenerOptions(), host="10.0.0.1", advertise=advertise)
    assert advertised(options, 4222) == told


def test_hosts_in_addresses() -> None:
    assert (shown("::1"), shown("box")) == ("[::1]", "box")
    assert (reachable(""), reachable("0.0.0.0"), reachable("::1")) == ("127.0.0.1", "127.0.0.1", "[::1]")


def test_without_configured_tls_there_is_none() -> None:
    assert set(tls_listeners(Options()).values()) == {None}
