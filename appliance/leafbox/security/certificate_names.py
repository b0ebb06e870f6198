"""Names in a client's certificate and how they find a user (`verify_and_map`).

The order of names and what counts as equal are those of nats-server 2.15.1 (`server/auth.go`, `internal/ldap`), tried
on the binary: SAN emails, SAN DNS names, SAN URIs, then the subject: equal to a user name read as a distinguished name,
first in the same order, then with the RDNs in any order. Attribute types compare without case, values exactly. A
subject with an attribute outside the ten of `SHORT_NAMES` (a mail address, a UID) finds nobody.

Not here: whether the certificate is trusted; the TLS handshake decided that before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

SHORT_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.5": "SERIALNUMBER",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.17": "POSTALCODE",
    "0.9.2342.19200300.100.1.25": "DC",
}
"""Attribute types that a user name may use."""

Attribute = tuple[str, str]
RelativeName = frozenset[Attribute]
"""One RDN: usually one attribute, several when joined by `+`."""


class InvalidName(ValueError):
    """A text that is not a distinguished name."""


@dataclass(frozen=True, slots=True)
class DistinguishedName:
    """RDNs in textual order: the most specific (in the certificate the last) first."""

    relative_names: tuple[RelativeName, ...]

    def equals(self, other: DistinguishedName) -> bool:
        """Same RDNs in the same order."""
        return self.relative_names == other.relative_names

    def equals_reordered(self, other: DistinguishedName) -> bool:
        """Same RDNs, each as often, in any order."""
        return sorted(map(sorted, self.relative_names)) == sorted(map(sorted, other.relative_names))


@dataclass(frozen=True, slots=True)
class CertificateNames:
    """What a certificate says of its owner, in the order in which it is compared with user names."""

    alternatives: tuple[str, ...]
    """SAN emails, then DNS names, then URIs."""
    subject: DistinguishedName

    def find_user(self, names: Iterable[str]) -> str | None:
        """The user among `names` that the certificate speaks for, or None."""
        known = set(names)
        for alternative in self.alternatives:
            if alternative in known:
                return alternative
        return self._find_by_subject(known)

    def _find_by_subject(self, names: set[str]) -> str | None:
        if not self.subject.relative_names:
            return None
        parsed: dict[str, DistinguishedName] = {}
        for name in sorted(names):
            try:
                parsed[name] = parse_name(name)
            except InvalidName:
                continue
        for equal in (DistinguishedName.equals, DistinguishedName.equals_reordered):
            for name, distinguished in parsed.items():
                if equal(distinguished, self.subject):
                    return name
        return None


def read_names(certificate: bytes) -> CertificateNames:
    """The names of a DER certificate. Raises `InvalidName` if it cannot be read (OpenSSL is more lenient than we)."""
    # Imported late: it costs 40 ms that a server without verify_and_map need not spend at start.
    from cryptography import x509

    try:
        parsed = x509.load_der_x509_certificate(certificate)
        return CertificateNames(_alternatives(parsed), _distinguished_name(parsed.subject))
    except ValueError as error:
        raise InvalidName(f"unreadable certificate: {error}") from error


def parse_name(text: str) -> DistinguishedName:
    r"""Read `CN=x,OU=y` (RFC 4514): `+` joins attributes, `\` escapes a character or two hex digits.

    Spaces around types and values are not part of them. Raises `InvalidName`.
    """
    relative_names = []
    for part in _split(text, ","):
        attributes = set()
        for attribute in _split(part, "+"):
            kind, separator, value = attribute.partition("=")
            if not separator or not kind.strip():
                raise InvalidName(f"no attribute type in {attribute!r}")
            attributes.add((_canonical_type(kind.strip()), _unescape(value)))
        relative_names.append(frozenset(attributes))
    return DistinguishedName(tuple(relative_names))


def _alternatives(certificate: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (
        *names.get_values_for_type(x509.RFC822Name),
        *names.get_values_for_type(x509.DNSName),
        *names.get_values_for_type(x509.UniformResourceIdentifier),
    )


def _distinguished_name(subject: x509.Name) -> DistinguishedName:
    """The subject, last RDN first; none at all if one has an attribute without a short name."""
    relative_names = []
    for rdn in reversed(subject.rdns):
        if any(attribute.oid.dotted_string not in SHORT_NAMES for attribute in rdn):
            return DistinguishedName(())
        relative_names.append(
            frozenset((SHORT_NAMES[attribute.oid.dotted_string], str(attribute.value)) for attribute in rdn)
        )
    return DistinguishedName(tuple(relative_names))


def _canonical_type(kind: str) -> str:
    return SHORT_NAMES.get(kind, kind.upper())


def _split(text: str, separator: str) -> list[str]:
    """Split at separators that are not escaped; the escapes stay in the parts."""
    parts, start, index = [], 0, 0
    while index < len(text):
        if text[index] == "\\":
            index += 2
            continue
        if text[index] == separator:
            parts.append(text[start:index])
            start = index + 1
        index += 1
    parts.append(text[start:])
    return parts


def _unescape(text: str) -> str:
    r"""Undo escapes; spaces at the ends go unless escaped."""
    text = text.lstrip(" ")
    out, index, kept = bytearray(), 0, 0
    while index < len(text):
        if text[index] != "\\":
            out += text[index].encode(errors="surrogatepass")
            if text[index] != " ":
                kept = len(out)
            index += 1
            continue
        escaped = text[index + 1 : index + 3]
        if len(escaped) == 2 and all(digit in "0123456789abcdefABCDEF" for digit in escaped):
            out.append(int(escaped, 16))
            index += 3
        elif escaped:
            out += escaped[0].encode(errors="surrogatepass")
            index += 2
        else:
            raise InvalidName("nothing after the last backslash")
        kept = len(out)
    try:
        return bytes(out[:kept]).decode()
    except UnicodeDecodeError as error:
        raise InvalidName("escaped bytes are not UTF-8") from error
