"""The box's own certificate authority and the dashboard's certificate, made on the first start.

The authority is a person's to import into a browser once; the server's certificate is made anew before it ends, when
the names or addresses of the box changed, and does not disturb that. Keys are ECDSA P-256, readable by the owner only,
in `tls` of the data directory. `cryptography` is imported when needed: it costs 8 MB.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

AUTHORITY_DAYS = 3650
SERVER_DAYS = 397
"""What browsers accept at most (398)."""
RENEW_DAYS = 30
CLOCK_SLACK = datetime.timedelta(days=1)
"""A box without a clock starts in the past; its certificates must hold then too."""


def directory_of(data: Path) -> Path:
    """Where certificates are."""
    return data / "tls"


def server_context(data: Path, names: Sequence[str]) -> ssl.SSLContext:
    """The TLS side of the dashboard, with certificates made or renewed if need be. Raises OSError."""
    ensure(data, names)
    folder = directory_of(data)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.set_alpn_protocols(["http/1.1"])
    return context


def own_names(further: Iterable[str] = ()) -> list[str]:
    """Names and addresses under which the box is reached, as far as it knows."""
    hostname = socket.gethostname()
    names = {"localhost", "127.0.0.1", "::1", hostname, f"{hostname.partition('.')[0]}.local", "leafbox.local"}
    # Without a resolver the addresses are not known by name.
    with contextlib.suppress(OSError):
        names.update(str(entry[4][0]) for entry in socket.getaddrinfo(hostname, None) if "%" not in str(entry[4][0]))
    names.update(further)
    return sorted(name for name in names if name)


def ensure(data: Path, further: Sequence[str], now: datetime.datetime | None = None) -> None:
    """Make what is missing, ends soon or names others than now."""
    from cryptography import x509

    now = now or datetime.datetime.now(datetime.UTC)
    folder = directory_of(data)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = own_names(further)
    renew = now + datetime.timedelta(days=RENEW_DAYS)
    authority = _load(folder / "authority.pem")
    if authority is None or authority.not_valid_after_utc < renew or not (folder / "authority.key").exists():
        authority = _make_authority(folder, now)
    server = _load(folder / "server.pem")
    if server is not None and (folder / "server.key").exists():
        named = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        known = {str(name) for name in (*named.get_values_for_type(x509.DNSName),)}
        known |= {str(address) for address in named.get_values_for_type(x509.IPAddress)}
        is_issued = server.issuer == authority.subject and _is_signed(server, authority)
        if is_issued and server.not_valid_after_utc >= renew and set(map(_canonical, names)) <= known:
            return
    _make_server(folder, authority, names, now)


def authority_pem(data: Path) -> bytes:
    """The authority's certificate. Raises OSError."""
    return (directory_of(data) / "authority.pem").read_bytes()


def described(data: Path) -> list[dict[str, Any]]:
    """The certificates for the API."""

    found = []
    for kind in ("authority", "server"):
        path = directory_of(data) / f"{kind}.pem"
        certificate = _load(path)
        if certificate is None:
            continue
        found.append(_described(certificate, kind, "dashboard", path))
    return found


def described_listener(where: str, path: Path) -> dict[str, Any] | None:
    """The certificate a listener of core shows; None where this process cannot read it."""
    certificate = _load(path)
    return None if certificate is None else _described(certificate, "listener", where, path)


def _described(certificate: x509.Certificate, kind: str, where: str, path: Path) -> dict[str, Any]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    names: list[str] = []
    try:
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [*named.get_values_for_type(x509.DNSName), *map(str, named.get_values_for_type(x509.IPAddress))]
    except x509.ExtensionNotFound:
        names = []
    return {
        "kind": kind,
        "where": where,
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "names": names,
        "not_before_s": certificate.not_valid_before_utc.timestamp(),
        "not_after_s": certificate.not_valid_after_utc.timestamp(),
        "fingerprint_sha256": certificate.fingerprint(hashes.SHA256()).hex(":"),
        "serial": f"{certificate.serial_number:x}",
        # The certificate alone: the file of a listener may hold its key as well.
        "pem": certificate.public_bytes(serialization.Encoding.PEM).decode(),
    }


def _canonical(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _load(path: Path) -> x509.Certificate | None:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None


def _is_signed(server: x509.Certificate, authority: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        server.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _name(common: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Leafbox"),
            x509.NameAttribute(NameOID.COMMON_NAME, common[:64]),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _make_authority(folder: Path, now: datetime.datetime) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    # A few random characters tell the authorities of two boxes apart in a browser's list.
    name = _name(f"Leafbox {socket.gethostname()} {os.urandom(3).hex()}")
    certificate = (
        _builder(name, name, key, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(folder, "authority", key, [certificate])
    return certificate


def _make_server(folder: Path, authority: x509.Certificate, names: Sequence[str], now: datetime.datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    signer = serialization.load_pem_private_key((folder / "authority.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives: list[x509.GeneralName] = []
    for name in names:
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            alternatives.append(x509.DNSName(name))
    certificate = (
        _builder(_name(names[0]), authority.subject, key, now, SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    _write(folder, "server", key, [certificate, authority])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _write(folder: Path, name: str, key: ec.EllipticCurvePrivateKey, chain: Sequence[x509.Certificate]) -> None:
    from cryptography.hazmat.primitives import serialization

    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in chain)
    # The key first: a certificate without its key is made again at the next start.
    for ending, content, mode in (("key", private, 0o600), ("pem", public, 0o644)):
        part = folder / f"{name}.{ending}.part"
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / f"{name}.{ending}")
