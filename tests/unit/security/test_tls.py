"""TLS contexts from options: handshakes in memory between ours and OpenSSL's default ones."""

from __future__ import annotations

import shutil
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from leafbox.protocol.errors import ConfigError
from leafbox.security.config import CertificatePair, TlsOptions
from leafbox.security.tls import (
    CIPHERS_INSECURE,
    CIPHERS_TLS12,
    TlsListener,
    client_context,
    pin_refusal,
    public_key_pin,
    server_context,
)
from leafbox.security.tls_accept import HandshakeOrder, TlsFacts
from tests.support.certificates import IssuedCertificate, TestAuthority


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pki")


@pytest.fixture(scope="module")
def authority(directory: Path) -> TestAuthority:
    return TestAuthority(directory)


@pytest.fixture(scope="module")
def server(authority: TestAuthority) -> IssuedCertificate:
    return authority.issue_server()


@pytest.fixture(scope="module")
def client(authority: TestAuthority) -> IssuedCertificate:
    return authority.issue("client", emails=["anna@site"])


@pytest.fixture
def listening(server: IssuedCertificate, authority: TestAuthority) -> TlsOptions:
    return TlsOptions(str(server.cert_file), str(server.key_file), ca_file=str(authority.ca_file))


@pytest.fixture
def dialling(authority: TestAuthority) -> TlsOptions:
    return TlsOptions(ca_file=str(authority.ca_file))


def handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = "localhost"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Shake hands in memory and pass one byte, which in TLS 1.3 is when the server's verdict on a certificate shows."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname=name)
    pending = [ours, theirs]
    for _ in range(10):
        for side in list(pending):
            try:
                side.do_handshake()
                pending.remove(side)
            except ssl.SSLWantReadError:
                continue
        if not pending:
            ours.write(b"x")
            assert theirs.read(1) == b"x"
            return ours, theirs
    raise AssertionError("the handshake does not end")


@pytest.mark.capability("SE14")
def test_a_plain_block_serves_tls_13_and_12(listening: TlsOptions, dialling: TlsOptions) -> None:
    ours, _ = handshake(server_context(listening), client_context(dialling))
    assert (ours.version(), ours.getpeercert(binary_form=True)) == ("TLSv1.3", None)
    old = client_context(dialling)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert handshake(server_context(listening), old)[0].version() == "TLSv1.2"


@pytest.mark.capability("SE14")
def test_min_version(listening: TlsOptions, dialling: TlsOptions) -> None:
    old = client_context(dialling)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        handshake(server_context(replace(listening, version_min="1.3")), old)


@pytest.mark.capability("SE14")
@pytest.mark.parametrize(
    "name", ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"]
)
def test_cipher_suites_by_iana_name(listening: TlsOptions, dialling: TlsOptions, name: str) -> None:
    old = client_context(dialling)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    ours, _ = handshake(server_context(replace(listening, cipher_suites=(name,))), old)
    cipher = ours.cipher()
    assert cipher is not None
    assert cipher[0] == CIPHERS_TLS12[name]


@pytest.mark.capability("SE14")
def test_cipher_suites_by_openssl_name(listening: TlsOptions) -> None:
    context = server_context(replace(listening, cipher_suites=("ECDHE-RSA-AES128-GCM-SHA256",)))
    names = {str(cipher["name"]) for cipher in context.get_ciphers()}
    assert {name for name in names if not name.startswith("TLS_")} == {"ECDHE-RSA-AES128-GCM-SHA256"}


@pytest.mark.capability("SE14")
def test_only_tls_13_suites_mean_tls_13_only(listening: TlsOptions) -> None:
    context = server_context(replace(listening, cipher_suites=("TLS_AES_128_GCM_SHA256",)))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


@pytest.mark.capability("SE14")
def test_weak_suites_are_off_by_default(listening: TlsOptions) -> None:
    names = {str(cipher["name"]) for cipher in server_context(listening).get_ciphers()}
    assert not names & set(CIPHERS_INSECURE.values())
    assert names >= set(CIPHERS_TLS12.values())


def test_suites_that_openssl_lacks_are_an_error(listening: TlsOptions) -> None:
    with pytest.raises(ConfigError, match="TLS_RSA_WITH_RC4_128_SHA"):
        server_context(replace(listening, cipher_suites=("TLS_RSA_WITH_RC4_128_SHA",)))


def test_curves(listening: TlsOptions, dialling: TlsOptions, caplog: pytest.LogCaptureFixture) -> None:
    p384, p521 = (
        replace(listening, curve_preferences=("CurveP384",)),
        replace(dialling, curve_preferences=("CurveP521",)),
    )
    assert handshake(server_context(p384), client_context(dialling))
    with pytest.raises(ssl.SSLError):
        handshake(server_context(p384), client_context(p521))
    with pytest.raises(ConfigError, match="nonsense"):
        server_context(replace(listening, curve_preferences=("nonsense",)))
    # An unknown first choice is passed over.
    server_context(replace(listening, curve_preferences=("NoSuchCurve", "X25519")))
    assert hasattr(ssl.SSLContext, "set_groups") or "tls_curves_reduced" in caplog.text


@pytest.mark.capability("SE15")
def test_verify_demands_a_certificate_of_our_authority(
    listening: TlsOptions, dialling: TlsOptions, client: IssuedCertificate, tmp_path: Path
) -> None:
    context = server_context(replace(listening, is_peer_verified=True))
    with_certificate = replace(dialling, cert_file=str(client.cert_file), key_file=str(client.key_file))
    ours, _ = handshake(context, client_context(with_certificate))
    assert ours.getpeercert(binary_form=True) == client.der
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN"):
        handshake(context, client_context(dialling))
    stranger = TestAuthority(tmp_path, "stranger").issue("other", emails=["anna@site"])
    foreign = replace(dialling, cert_file=str(stranger.cert_file), key_file=str(stranger.key_file))
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        handshake(context, client_context(foreign))


def test_a_link_verifies_the_servers_name_unless_told_otherwise(listening: TlsOptions, dialling: TlsOptions) -> None:
    context = server_context(listening)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(context, client_context(dialling), "elsewhere")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(context, client_context(None))
    assert handshake(context, client_context(replace(dialling, is_insecure=True, ca_file="")), "elsewhere")


@pytest.mark.capability("SE15")
def test_pins(client: IssuedCertificate, server: IssuedCertificate) -> None:
    facts = TlsFacts("TLSv1.3", "x", client.der)
    assert public_key_pin(client.der) == client.pin
    assert pin_refusal(frozenset({client.pin}), facts) is None
    assert pin_refusal(frozenset(), TlsFacts("TLSv1.3", "x", None)) is None
    assert pin_refusal(frozenset({server.pin}), facts) == "certificate not pinned"
    assert pin_refusal(frozenset({client.pin}), replace(facts, peer_certificate=None)) is not None
    assert pin_refusal(frozenset({client.pin}), replace(facts, peer_certificate=b"junk")) is not None


@pytest.mark.capability("SE14")
def test_several_certificates_are_chosen_by_name(authority: TestAuthority, dialling: TlsOptions) -> None:
    issued = [
        authority.issue("one", dns=["one.test"]),
        authority.issue("two", dns=["two.test", "*.wild.test"]),
        authority.issue("none"),
    ]
    pairs = tuple(CertificatePair(str(each.cert_file), str(each.key_file)) for each in issued)
    context = server_context(TlsOptions(certificates=pairs))
    insecure = replace(dialling, is_insecure=True)
    for name, expected in (
        ("one.test", 0),
        ("TWO.test", 1),
        ("a.wild.test", 1),
        ("a.b.wild.test", 0),
        ("x", 0),
        (None, 0),
    ):
        _, theirs = handshake(context, client_context(insecure), name)
        assert theirs.getpeercert(binary_form=True) == issued[expected].der, name


@pytest.mark.capability("SE14")
def test_the_context_stays_what_it_was_when_the_files_change(
    authority: TestAuthority, dialling: TlsOptions, tmp_path: Path
) -> None:
    """A reload makes a new listener value; until then new files change nothing."""
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    first, second = authority.issue_server("first"), authority.issue_server("second")

    def install(issued: IssuedCertificate) -> TlsListener:
        shutil.copy(issued.cert_file, cert_file)
        shutil.copy(issued.key_file, key_file)
        return TlsListener(TlsOptions(str(cert_file), str(key_file)))

    def served(listener: TlsListener) -> bytes | None:
        return handshake(listener.context, client_context(dialling))[1].getpeercert(binary_form=True)

    before = install(first)
    after = install(second)
    assert (served(before), served(after)) == (first.der, second.der)


@pytest.mark.capability("SE14")
def test_unusable_files_are_named(listening: TlsOptions, client: IssuedCertificate, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    key = serialization.load_pem_private_key(client.key_file.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    for wrong, reason in (
        (replace(listening, cert_file="/nonexistent"), "No such file"),
        (replace(listening, key_file=str(client.key_file)), "KEY_VALUES_MISMATCH"),
        (replace(listening, cert_file=str(client.cert_file), key_file=str(locked)), "passphrase"),
        (replace(listening, is_peer_verified=True, ca_file=str(client.key_file)), "failed to parse root ca"),
    ):
        with pytest.raises(ConfigError, match=reason):
            TlsListener(wrong)


@pytest.mark.capability("SE16")
@pytest.mark.parametrize(
    ("is_first", "fallback_s", "allows_plain", "order"),
    [
        (False, 0.0, False, HandshakeOrder.INFO_FIRST),
        (True, 0.0, False, HandshakeOrder.TLS_FIRST),
        (True, 0.05, False, HandshakeOrder.TLS_FIRST_OR_INFO),
        (True, 0.0, True, HandshakeOrder.INFO_FIRST),
    ],
)
def test_who_speaks_first(
    listening: TlsOptions, is_first: bool, fallback_s: float, allows_plain: bool, order: HandshakeOrder
) -> None:
    options = replace(listening, is_handshake_first=is_first, handshake_first_fallback_s=fallback_s)
    listener = TlsListener(options, allows_plain=allows_plain)
    assert (listener.order, listener.first_wait_s, listener.allows_plain) == (order, fallback_s, allows_plain)


def test_what_info_says(listening: TlsOptions, client: IssuedCertificate) -> None:
    assert TlsListener(listening).info_fields() == {"tls_required": True}
    assert TlsListener(listening, allows_plain=True).info_fields() == {"tls_available": True}
    verified = replace(
        listening, is_peer_verified=True, is_peer_mapped_to_user=True, pinned_certs=frozenset({client.pin})
    )
    listener = TlsListener(verified)
    assert listener.info_fields() == {"tls_required": True, "tls_verify": True}
    assert listener.maps_certificates
    assert listener.refusal(TlsFacts("", "", client.der)) is None
    assert listener.refusal(TlsFacts("", "", None)) is not None


@pytest.mark.capability("SE23")
def test_connections_are_limited_per_second(listening: TlsOptions) -> None:
    listener = TlsListener(replace(listening, connections_per_second_max=2))
    times = [0.0, 0.1, 0.2, 0.99, 1.0, 1.1, 1.2, 5.0]
    assert [listener.allows_connection(now_s) for now_s in times] == [True, True, False, False, True, True, False, True]
    unlimited = TlsListener(listening)
    assert all(unlimited.allows_connection(5.0) for _ in range(100))
