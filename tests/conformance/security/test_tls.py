"""TLS listeners over the wire, on the real server and on ours: versions, certificates, pins, order, reload, limits."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import ssl
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.x509.oid import NameOID
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.blocking_client import CLOSED, BlockingClient
from tests.support.certificates import IssuedCertificate, TestAuthority
from tests.support.nats_py_login import SUCCEEDED, attempt
from tests.support.servers import ServerFailed, ServerKind, ServerProcess, StartServer

PONG = b"PONG\r\n"
REFUSED = b"-ERR 'Authorization Violation'\r\n" + CLOSED


class Pki:
    """An authority with a server certificate, client certificates and contexts of clients."""

    def __init__(self, directory: Path) -> None:
        self.authority = TestAuthority(directory)
        self.server = self.authority.issue_server()
        self.clients: dict[str, IssuedCertificate] = {
            "anna": self.authority.issue("anna", emails=["anna@site"]),
            "dns": self.authority.issue("dns", dns=["host.site"]),
            "uri": self.authority.issue("uri", uris=["spiffe://site/uri"]),
            "subject": self.authority.issue(
                "subject", subject=[(NameOID.ORGANIZATION_NAME, "site"), (NameOID.COMMON_NAME, "bert")]
            ),
            "nobody": self.authority.issue("nobody", emails=["nobody@site"]),
        }
        foreign = directory / "foreign"
        foreign.mkdir()
        self.clients["foreign"] = TestAuthority(foreign, "foreign").issue("anna", emails=["anna@site"])

    def block(self, more: str = "", *, server: IssuedCertificate | None = None) -> str:
        """A `tls {}` block with the server's certificate and the authority."""
        issued = server or self.server
        return (
            f'tls {{ cert_file: "{issued.cert_file}", key_file: "{issued.key_file}", '
            f'ca_file: "{self.authority.ca_file}"\n{more} }}\n'
        )

    def context(self, client: str = "", **attributes: object) -> ssl.SSLContext:
        """A client's context that trusts the authority, with the certificate of `client`."""
        context = ssl.create_default_context(cafile=str(self.authority.ca_file))
        if client:
            context.load_cert_chain(self.clients[client].cert_file, self.clients[client].key_file)
        for name, value in attributes.items():
            setattr(context, name, value)
        return context


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def outcome(server: ServerProcess, context: ssl.SSLContext, **options: object) -> bytes:
    """The answer to a login through TLS after INFO; `CLOSED` also when the handshake failed."""
    try:
        with BlockingClient(server.client_port, tls=context) as client:
            return client.login(**options)
    except (ssl.SSLError, ConnectionError):
        return CLOSED


@pytest.mark.capability("SE14")
def test_after_info_the_connection_is_upgraded(start_server: StartServer, server_kind: ServerKind, pki: Pki) -> None:
    server = start_server(server_kind, config=pki.block())
    with BlockingClient(server.client_port, tls=pki.context()) as client:
        assert client.info["tls_required"] is True
        assert "tls_verify" not in client.info
        assert client.login() == PONG
        assert client.account() == "$G"
        assert client.tls.version() == "TLSv1.3"
        client.send(b"SUB a 1\r\n" + b"PUB a 200000\r\n" + b"x" * 200_000 + b"\r\n")
        assert client.read_until(b"x\r\n") == b"MSG a 1 200000\r\n" + b"x" * 200_000 + b"\r\n"
    old = pki.context(maximum_version=ssl.TLSVersion.TLSv1_2)
    assert outcome(server, old) == PONG


@pytest.mark.capability("SE14")
def test_versions_and_suites(start_server: StartServer, server_kind: ServerKind, pki: Pki) -> None:
    only_13 = start_server(server_kind, config=pki.block('min_version: "1.3"'))
    old = pki.context(maximum_version=ssl.TLSVersion.TLSv1_2)
    assert outcome(only_13, old) == CLOSED
    assert outcome(only_13, pki.context()) == PONG
    suite = start_server(server_kind, config=pki.block('cipher_suites: ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]'))
    with BlockingClient(suite.client_port, tls=old) as client:
        cipher = client.tls.cipher()
        assert cipher is not None
        assert cipher[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"
    curve = start_server(server_kind, config=pki.block('curve_preferences: ["CurveP384"]'))
    other = pki.context()
    other.set_ecdh_curve("secp521r1")
    assert outcome(curve, other) == CLOSED
    assert outcome(curve, pki.context()) == PONG


@pytest.mark.capability("SE14")
def test_plain_text_gets_info_and_nothing_else(start_server: StartServer, server_kind: ServerKind, pki: Pki) -> None:
    server = start_server(server_kind, config=pki.block("timeout: 0.5"))
    with BlockingClient(server.client_port) as client:
        assert client.login() == CLOSED
    started = time.monotonic()
    with BlockingClient(server.client_port) as silent:
        assert silent.read_to_end() == CLOSED
    assert time.monotonic() - started > 0.3


@pytest.mark.capability("SE15")
def test_verify(start_server: StartServer, server_kind: ServerKind, pki: Pki) -> None:
    server = start_server(server_kind, config=pki.block("verify: true") + "authorization {user: u, password: p}")
    with BlockingClient(server.client_port, tls=pki.context("nobody")) as client:
        assert client.info["tls_verify"] is True
        assert client.login(user="u", **{"pass": "p"}) == PONG
    assert outcome(server, pki.context("nobody")) == REFUSED
    assert outcome(server, pki.context(), user="u", **{"pass": "p"}) == CLOSED
    assert outcome(server, pki.context("foreign"), user="u", **{"pass": "p"}) == CLOSED


MAPPED_USERS = """
accounts {
  A { users: [ {user: "anna@site"}, {user: "host.site"} ] }
  B { users: [ {user: "spiffe://site/uri"}, {user: "O=site,CN=bert"}, {user: plain, password: p} ] }
}
"""


@pytest.mark.capability("SE15")
def test_verify_and_map(start_server: StartServer, server_kind: ServerKind, pki: Pki) -> None:
    server = start_server(server_kind, config=pki.block("verify_and_map: true") + MAPPED_USERS)
    for name, account in (("anna", "A"), ("dns", "A"), ("uri", "B"), ("subject", "B")):
        with BlockingClient(server.client_port, tls=pki.context(name)) as client:
            assert client.login() == PONG, name
            assert client.account() == account, name
    assert outcome(server, pki.context("nobody")) == REFUSED
    assert outcome(server, pki.context("nobody"), user="plain", **{"pass": "p"}) == REFUSED
    assert outcome(server, pki.context("foreign")) == CLOSED
    assert outcome(server, pki.context(), user="plain", **{"pass": "p"}) == CLOSED


@pytest.mark.capability("SE15")
def test_pinned_certificates(start_server: StartServer, server_kind: ServerKind, pki: Pki) -> None:
    config = pki.block(f'verify: true, pinned_certs: ["{pki.clients["anna"].pin}"]')
    server = start_server(server_kind, config=config)
    assert outcome(server, pki.context("anna")) == PONG
    assert outcome(server, pki.context("nobody")) == CLOSED


@pytest.mark.capability("SE16")
@pytest.mark.parametrize("mode", ["true", '"auto"', '"300ms"'])
def test_handshake_first(start_server: StartServer, server_kind: ServerKind, pki: Pki, mode: str) -> None:
    server = start_server(server_kind, config=pki.block(f"handshake_first: {mode}"))
    with BlockingClient(server.client_port, tls=pki.context(), tls_first=True) as client:
        assert client.info["tls_required"] is True
        assert client.login() == PONG
    if mode != "true":
        started = time.monotonic()
        assert outcome(server, pki.context()) == PONG
        assert time.monotonic() - started > (0.2 if "300" in mode else 0.03)
        return
    # Without fallback INFO never comes in plain text.
    with socket.create_connection(("127.0.0.1", server.client_port), timeout=20) as plain:
        plain.settimeout(0.5)
        with pytest.raises(TimeoutError):
            plain.recv(100)


@pytest.mark.capability("SE16")
def test_allow_non_tls(start_server: StartServer, server_kind: ServerKind, pki: Pki) -> None:
    server = start_server(server_kind, config=pki.block() + "allow_non_tls: true")
    with BlockingClient(server.client_port) as plain:
        assert (plain.info.get("tls_available"), plain.info.get("tls_required")) == (True, None)
        assert plain.login() == PONG
    assert outcome(server, pki.context()) == PONG


@pytest.mark.capability("SE14", "SE15", "SE16")
def test_nats_py(start_server: StartServer, server_kind: ServerKind, pki: Pki) -> None:
    usual = start_server(server_kind, config=pki.block("verify_and_map: true") + MAPPED_USERS)
    first = start_server(server_kind, config=pki.block("handshake_first: true"))
    auto = start_server(server_kind, config=pki.block('handshake_first: "auto"'))
    trust = {"tls_ca": str(pki.authority.ca_file)}
    anna = {
        **trust,
        "tls_certificate": str(pki.clients["anna"].cert_file),
        "tls_key": str(pki.clients["anna"].key_file),
    }
    hosts = [server.url.replace("nats://127.0.0.1", "tls://localhost") for server in (usual, first, auto)]
    outcomes = attempt(
        [
            {"servers": hosts[0], **anna},
            {"servers": hosts[1], "tls_handshake_first": True, **trust},
            {"servers": hosts[2], "tls_handshake_first": True, **trust},
            {"servers": hosts[2], **trust},
            {"servers": hosts[0], **trust},
            {"servers": hosts[1], "tls_ca": str(pki.clients["foreign"].cert_file), "tls_handshake_first": True},
        ]
    )
    assert outcomes[:4] == [SUCCEEDED] * 4
    assert SUCCEEDED not in outcomes[4:]


def reload(server: ServerProcess, config: str, *, succeeds: bool = True) -> None:
    """Replace the configuration file, send SIGHUP, wait for the server's word."""
    server.config_path.write_text(config, encoding="utf-8")
    after = server.log_line_count
    server.send_signal(signal.SIGHUP)
    server.wait_for_log("Reloaded server configuration" if succeeds else "Failed to reload", after=after)


@pytest.mark.capability("SE14")
def test_a_reload_serves_new_certificates_to_new_connections(
    start_server: StartServer, server_kind: ServerKind, pki: Pki, tmp_path: Path
) -> None:
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued = [pki.authority.issue_server("first"), pki.authority.issue_server("second")]

    def install(number: int) -> None:
        shutil.copy(issued[number].cert_file, cert_file)
        shutil.copy(issued[number].key_file, key_file)

    def served() -> bytes | None:
        with BlockingClient(server.client_port, tls=pki.context()) as client:
            assert client.login() == PONG
            return client.tls.getpeercert(binary_form=True)

    install(0)
    config = pki.block(server=IssuedCertificate(cert_file, key_file, issued[0].certificate))
    server = start_server(server_kind, config=config)
    assert served() == issued[0].der
    with BlockingClient(server.client_port, tls=pki.context()) as staying:
        assert staying.login() == PONG
        install(1)
        assert served() == issued[0].der
        reload(server, config)
        assert served() == issued[1].der
        assert staying.ask().endswith(PONG)
        key_file.write_text("broken")
        reload(server, config, succeeds=False)
        assert served() == issued[1].der
        assert staying.ask().endswith(PONG)


@pytest.mark.capability("SE14", "SE20")
def test_a_reload_switches_tls_on_and_off(start_server: StartServer, server_kind: ServerKind, pki: Pki) -> None:
    server = start_server(server_kind, config="ping_interval: 100s\n")
    with BlockingClient(server.client_port) as staying:
        assert staying.login() == PONG
        reload(server, pki.block())
        assert outcome(server, pki.context()) == PONG
        with BlockingClient(server.client_port) as plain:
            assert plain.login() == CLOSED
        reload(server, pki.block("verify: true"))
        assert outcome(server, pki.context()) == CLOSED
        assert outcome(server, pki.context("anna")) == PONG
        reload(server, "")
        with BlockingClient(server.client_port) as plain:
            assert plain.login() == PONG
        assert staying.ask().endswith(PONG)


@pytest.mark.capability("SE14")
def test_wrong_files_stop_the_start(server_kind: ServerKind, pki: Pki, tmp_path: Path) -> None:
    mismatch = IssuedCertificate(pki.server.cert_file, pki.clients["anna"].key_file, pki.server.certificate)
    for number, config in enumerate((pki.block(server=mismatch), pki.block().replace("server.pem", "missing.pem"))):
        server = ServerProcess(server_kind, tmp_path / str(number), config=config)
        with pytest.raises(ServerFailed):
            server.start()


@pytest.mark.capability("SE15", "SE19", "CS08")
def test_a_websocket_listener_has_tls_and_rules_of_its_own(
    start_server: StartServer, server_kind: ServerKind, pki: Pki
) -> None:
    block = pki.block("verify_and_map: true")
    config = f"""
    websocket {{ host: 127.0.0.1, port: -1, {block} }}
    accounts {{
      A {{ users: [ {{user: "anna@site"}}, {{user: plain, password: p}} ] }}
      B {{ users: [ {{user: "spiffe://site/uri", allowed_connection_types: [MQTT]}}
                   {{user: web, password: p, allowed_connection_types: [WEBSOCKET]}} ] }}
    }}
    """
    server = start_server(server_kind, config=config)

    def over_websocket(name: str) -> bytes:
        url = f"wss://localhost:{server.port('websocket')}"
        with connect(url, ssl=pki.context(name), compression=None) as socket:
            info = socket.recv()
            assert isinstance(info, bytes)
            socket.send(b'CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n')
            answer = b""
            with contextlib.suppress(ConnectionClosed):
                while b"connect_info" not in answer:
                    answer += bytes(socket.recv())  # type: ignore[arg-type]
            return answer

    assert b'"remote_account":"A"' in over_websocket("anna")
    assert b"Authorization Violation" in over_websocket("nobody")
    assert b"Authorization Violation" in over_websocket("uri")
    with BlockingClient(server.client_port) as plain:
        assert plain.login(user="plain", **{"pass": "p"}) == PONG
    for user in ("anna@site", "web"):
        # A user without password is only there for certificates; one for WebSockets is not for TCP.
        with BlockingClient(server.client_port) as refused:
            assert refused.login(user=user, **({"pass": "p"} if user == "web" else {})) == REFUSED


@pytest.mark.capability("SE23")
def test_handshakes_are_limited_per_second(start_server: StartServer, server_kind: ServerKind, pki: Pki) -> None:
    server = start_server(server_kind, config=pki.block("connection_rate_limit: 3"))
    with ExitStack() as open_sockets:
        # All at once, before the first INFO is read: they meet the limit of one second, of two on a busy machine.
        sockets = [
            open_sockets.enter_context(socket.create_connection(("127.0.0.1", server.client_port), timeout=20))
            for _ in range(30)
        ]
        throttled = 0
        for each in sockets:
            heard = b""
            with contextlib.suppress(ConnectionError):
                while more := each.recv(4096):
                    heard += more
            throttled += b"-ERR 'Connection throttling is active. Please try again later.'\r\n" in heard
    assert 15 <= throttled <= 27
    time.sleep(1.1)
    assert outcome(server, pki.context()) == PONG


@pytest.mark.capability("SE23")
def test_half_open_handshakes_end_and_leave_room(start_server: StartServer, pki: Pki) -> None:
    """Ours: 256 handshakes run at once; strangers who hold them are cut off after the TLS timeout."""
    server = start_server(ServerKind.LEAFBOX, config=pki.block("timeout: 0.5"))
    with ExitStack() as open_sockets:
        for _ in range(300):
            open_sockets.enter_context(socket.create_connection(("127.0.0.1", server.client_port), timeout=20))
        assert outcome(server, pki.context()) == PONG
