"""TLS in its variants, WebSocket, compression (specification 3 and 4)."""

from __future__ import annotations

import random

import pytest

from tests.conformance.leaf.pairs import (
    LINKED,
    OURS,
    REAL,
    Client,
    Pair,
    PairStarter,
    edge_config,
    eventually,
    hub_config,
    leafs_of,
    wait_interest,
)
from tests.support.certificates import TestAuthority
from tests.support.servers import StartServer


def check(pair: Pair) -> None:
    """Messages go both ways."""
    with Client(pair.hub) as hub, Client(pair.edge) as edge:
        hub.subscribe("up")
        edge.subscribe("down")
        wait_interest(pair.edge, "up")
        wait_interest(pair.hub, "down")
        edge.send(b"PUB up 300000\r\n" + b"1" * 300_000 + b"\r\n")
        hub.send(b"PUB down 300000\r\n" + b"2" * 300_000 + b"\r\n")
        assert len(hub.next_message()[2]) == len(edge.next_message()[2]) == 300_000


@pytest.mark.capability("LF15", "LF16")
@pytest.mark.parametrize("is_first", [False, True], ids=["info first", "tls first"])
@pytest.mark.parametrize("is_mutual", [False, True], ids=["server", "mutual"])
def test_a_link_with_tls(is_first: bool, is_mutual: bool, start_pair: PairStarter, authority: TestAuthority) -> None:
    server, client = authority.issue_server(), authority.issue("client", dns=["edge"])
    first = "handshake_first: true" if is_first else ""
    verify = f'verify: true, ca_file: "{authority.ca_file}"' if is_mutual else ""
    own = f'cert_file: "{client.cert_file}", key_file: "{client.key_file}"' if is_mutual else ""
    pair = start_pair(
        f'tls {{ cert_file: "{server.cert_file}", key_file: "{server.key_file}", timeout: 5\n{verify}\n{first} }}',
        remote=f'tls {{ ca_file: "{authority.ca_file}", timeout: 5\n{own}\n{first} }}',
        url="tls://localhost:{port}",
    )
    check(pair)


@pytest.mark.capability("LF15")
@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ("", r"TLS: localhost:\d+: .*(self-signed|unable to get local issuer)"),
        ('ca_file: "{ca}", pinned_certs: ["{pin}"]', r"TLS: certificate not pinned"),
    ],
    ids=["unknown authority", "other pin"],
)
def test_a_hub_that_cannot_be_trusted_gets_no_credentials(
    lines: str, named: str, start_server: StartServer, authority: TestAuthority
) -> None:
    server = authority.issue_server()
    login = "authorization { user: l, password: pw }\n"
    tls = f'tls {{ cert_file: "{server.cert_file}", key_file: "{server.key_file}" }}'
    hub = start_server(REAL, "-DV", config=hub_config(login + tls))
    block = lines.replace("{ca}", str(authority.ca_file)).replace("{pin}", "ab" * 32)
    config = edge_config(0, f"tls {{ {block} }}", url=f"tls://l:pw@localhost:{hub.port('leafnode')}")
    start_server(OURS, config=config).wait_for_log(named)
    assert "CONNECT {" not in hub.log


@pytest.mark.capability("LF15")
def test_an_expired_certificate_blames_the_clock(start_server: StartServer, authority: TestAuthority) -> None:
    server = authority.issue("server", dns=["localhost"], days_valid=0)
    tls = f'tls {{ cert_file: "{server.cert_file}", key_file: "{server.key_file}" }}'
    hub = start_server(REAL, config=hub_config(tls))
    remote = f'tls {{ ca_file: "{authority.ca_file}" }}'
    config = edge_config(0, remote, url=f"tls://localhost:{hub.port('leafnode')}")
    start_server(OURS, config=config).wait_for_log(r"certificate has expired; this server's clock says \d{4}-")


@pytest.mark.capability("LF15")
def test_tls_that_is_configured_is_insisted_on(start_server: StartServer, authority: TestAuthority) -> None:
    hub = start_server(REAL, "-DV", config=hub_config("authorization { user: l, password: pw }"))
    remote = f'tls {{ ca_file: "{authority.ca_file}" }}'
    config = edge_config(0, remote, url=f"nats-leaf://l:pw@localhost:{hub.port('leafnode')}")
    start_server(OURS, config=config).wait_for_log("TLS is configured for this hub, but the hub does not offer it")
    assert "CONNECT {" not in hub.log


@pytest.mark.capability("LF15", "LF16")
@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("masking", ["", "ws_no_masking: true"], ids=["masked", "unmasked"])
def test_a_link_over_websocket(scheme: str, masking: str, start_pair: PairStarter, authority: TestAuthority) -> None:
    server = authority.issue_server()
    tls = (
        f'tls {{ cert_file: "{server.cert_file}", key_file: "{server.key_file}" }}'
        if scheme == "wss"
        else "no_tls: true"
    )
    config = hub_config(rest=f'websocket {{ listen: "127.0.0.1:-1", {tls} }}')
    hub = start_pair.start_server(start_pair.hub_kind, config=config)
    remote = f'tls {{ ca_file: "{authority.ca_file}" }}' if scheme == "wss" else ""
    url = f"{scheme}://localhost:{hub.port('websocket')}"
    edge = start_pair.start_server(start_pair.edge_kind, config=edge_config(0, f"{remote}\n{masking}", url=url))
    edge.wait_for_log(LINKED)
    eventually(lambda: leafs_of(hub), "the hub shows the link")
    check(Pair(hub, edge))


AGREED = {
    # (hub, edge): what both show on a line without delay; `s2_auto` does not compress there.
    ("s2_auto", "s2_auto"): "s2_uncompressed",
    ("s2_fast", "s2_fast"): "s2_fast",
    ("accept", "s2_fast"): "s2_fast",
    ("s2_fast", "accept"): "s2_fast",
    ("accept", "accept"): "off",
    ("off", "s2_fast"): "off",
    ("s2_fast", "off"): "off",
}


@pytest.mark.capability("LF14", "LF16")
@pytest.mark.parametrize(("hub_mode", "edge_mode"), AGREED)
def test_compression_is_agreed_on(hub_mode: str, edge_mode: str, start_pair: PairStarter) -> None:
    pair = start_pair(f"compression: {hub_mode}", remote=f"compression: {edge_mode}")
    check(pair)
    shown = AGREED[hub_mode, edge_mode]
    assert leafs_of(pair.hub)[0]["compression"] == leafs_of(pair.edge)[0]["compression"] == shown


@pytest.mark.capability("LF14", "LF15")
@pytest.mark.parametrize("level", ["s2_fast", "s2_better", "s2_best"])
def test_every_level_of_a_real_hub_is_read(level: str, start_pair: PairStarter) -> None:
    """Text with repetitions near and far, so that the hub's encoder uses every kind of copy there is."""
    pair = start_pair(f"compression: {level}", remote=f"compression: {level}")
    generator = random.Random(level)
    words = [generator.randbytes(generator.randrange(3, 40)).hex().encode() for _ in range(300)]
    bodies = [b" ".join(generator.choices(words, k=generator.randrange(1, 9000))) for _ in range(40)]
    with Client(pair.hub) as hub, Client(pair.edge) as edge:
        hub.subscribe("up")
        edge.subscribe("down")
        wait_interest(pair.edge, "up")
        wait_interest(pair.hub, "down")
        for body in bodies:
            edge.send(b"PUB up %d\r\n%b\r\n" % (len(body), body))
            hub.send(b"PUB down %d\r\n%b\r\n" % (len(body), body))
        assert [hub.next_message()[2] for _ in bodies] == bodies
        assert [edge.next_message()[2] for _ in bodies] == bodies


@pytest.mark.capability("LF14", "LF15")
def test_compression_around_websocket_frames(start_pair: PairStarter) -> None:
    config = hub_config("compression: s2_fast", rest='websocket { listen: "127.0.0.1:-1", no_tls: true }')
    hub = start_pair.start_server(start_pair.hub_kind, config=config)
    url = f"ws://127.0.0.1:{hub.port('websocket')}"
    remote = "compression: s2_fast"
    edge = start_pair.start_server(start_pair.edge_kind, config=edge_config(0, remote, url=url))
    edge.wait_for_log(LINKED)
    eventually(lambda: leafs_of(hub), "the hub shows the link")
    check(Pair(hub, edge))
    assert leafs_of(hub)[0]["compression"] == "s2_fast"


@pytest.mark.capability("LF01")
def test_a_hub_that_names_no_addresses(start_edge: PairStarter) -> None:
    """`no_advertise`: its INFO has no leafnode_urls, as that of a client port."""
    pair = start_edge(listen="no_advertise: true")
    (link,) = leafs_of(pair.hub)
    assert link["name"] == "edge"
