"""A throw-away certificate authority for tests, with full control over names: SANs of every kind and ordered DNs.

trustme does not make subject names or URI names, which `verify_and_map` is about. Keys are P-256: cheap to make.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """One certificate with its key, as files and as values."""

    cert_file: Path
    key_file: Path
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pin(self) -> str:
        """Lower-case hex SHA-256 of the SubjectPublicKeyInfo: what `pinned_certs` holds."""
        public_key_info = self.certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(public_key_info).hexdigest()


class TestAuthority:
    """A CA whose files live in `directory`; `ca_file` is what a configuration names."""

    __test__ = False

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test {name}")])
        builder = self._builder(self._subject, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
        )
        may_sign = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = builder.add_extension(may_sign, critical=True).sign(self._key, hashes.SHA256())
        self.ca_file = directory / f"{name}.pem"
        self.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        file_name: str,
        *,
        subject: Sequence[tuple[x509.ObjectIdentifier, str]] = (),
        dns: Sequence[str] = (),
        emails: Sequence[str] = (),
        uris: Sequence[str] = (),
        addresses: Sequence[str] = (),
        days_valid: int = 3,
        days_until_valid: int = -1,
    ) -> IssuedCertificate:
        """Issue a certificate; `subject` keeps its order, names are added as SANs if there are any."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(oid, value) for oid, value in subject])
        builder = self._builder(name, key.public_key(), days_valid, days_until_valid)
        alternatives: list[x509.GeneralName] = [
            *(x509.RFC822Name(email) for email in emails),
            *(x509.DNSName(name) for name in dns),
            *(x509.UniformResourceIdentifier(uri) for uri in uris),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
        ]
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=not subject)
        certificate = builder.sign(self._key, hashes.SHA256())
        cert_file, key_file = self._directory / f"{file_name}.pem", self._directory / f"{file_name}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return IssuedCertificate(cert_file, key_file, certificate)

    def issue_server(self, file_name: str = "server") -> IssuedCertificate:
        """A certificate for `localhost` and the loopback addresses."""
        return self.issue(
            file_name,
            subject=[(NameOID.COMMON_NAME, "localhost")],
            dns=["localhost"],
            addresses=["127.0.0.1", "::1"],
        )

    def _builder(
        self,
        subject: x509.Name,
        public_key: ec.EllipticCurvePublicKey,
        days_valid: int = 3,
        days_until_valid: int = -1,
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + days_until_valid * DAY)
            .not_valid_after(now + days_valid * DAY)
            # Python 3.13 verifies strictly (RFC 5280): without these two key extensions it refuses the chain.
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
