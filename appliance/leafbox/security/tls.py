"""TLS contexts from `tls {}` blocks, for listeners and for links we open, and what is checked after the handshake.

A `TlsListener` holds the context that new connections get; a reload builds another one from the files as they are then,
and connections that are already up keep theirs. Source: config.md section 9; nats-server 2.15.1 `server/opts.go`
`GenTLSConfig`.

Differences that OpenSSL forces, each the stricter way: of several `curve_preferences` only the first that this OpenSSL
knows is used (before Python 3.15, which can take a list); as in Go the TLS 1.3 suites are always on and a
`cipher_suites` list without a TLS 1.2 suite means TLS 1.3 only.

Not here: the bytes before the handshake (`tls_accept`), who the certificate speaks for (`certificate_names`), OCSP.
"""

from __future__ import annotations

import hashlib
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from leafbox.protocol.errors import ConfigError
from leafbox.security.config import CertificatePair, TlsOptions
from leafbox.security.tls_accept import HandshakeOrder, TlsFacts

log = logging.getLogger(__name__)

CIPHERS_TLS12 = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
"""TLS 1.2 suites used by default, best first; IANA name (as Go and nats.conf spell it) to OpenSSL's."""

CIPHERS_INSECURE = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256": "ECDHE-ECDSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": "ECDHE-RSA-AES128-SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA": "ECDHE-RSA-DES-CBC3-SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA": "DES-CBC3-SHA",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA": "ECDHE-ECDSA-RC4-SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA": "ECDHE-RSA-RC4-SHA",
    "TLS_RSA_WITH_RC4_128_SHA": "RC4-SHA",
}
"""Only on demand (`allow_insecure_cipher_suites`), and only as far as this OpenSSL still has them."""

CURVES = {
    "X25519": "X25519",
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
}
"""nats.conf's names to OpenSSL's; others (the post-quantum hybrids) are tried under their own name."""

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

RATE_INTERVAL_S = 1.0
"""`connection_rate_limit` counts per second."""


class TlsListener:
    """The TLS side of one listener: a `TlsPolicy` for `tls_accept.accept`. A reload makes a new one.

    Raises `ConfigError` when the files or names cannot be used.
    """

    def __init__(self, options: TlsOptions, *, allows_plain: bool = False) -> None:
        self._options = options
        self._context = server_context(options)
        self._allows_plain = allows_plain
        self._rate = _RateLimit(options.connections_per_second_max)

    @property
    def context(self) -> ssl.SSLContext:
        """For new connections."""
        return self._context

    @property
    def order(self) -> HandshakeOrder:
        """Who speaks first. Where plain text is allowed INFO always comes first, as in nats-server."""
        if not self._options.is_handshake_first or self._allows_plain:
            return HandshakeOrder.INFO_FIRST
        return (
            HandshakeOrder.TLS_FIRST_OR_INFO if self._options.handshake_first_fallback_s else HandshakeOrder.TLS_FIRST
        )

    @property
    def first_wait_s(self) -> float:
        """Wait for a ClientHello before INFO is sent after all."""
        return self._options.handshake_first_fallback_s

    @property
    def allows_plain(self) -> bool:
        """`allow_non_tls`."""
        return self._allows_plain

    @property
    def handshake_timeout_s(self) -> float:
        """The block's `timeout`."""
        return self._options.timeout_s

    @property
    def maps_certificates(self) -> bool:
        """`verify_and_map`."""
        return self._options.is_peer_mapped_to_user

    def info_fields(self) -> dict[str, bool]:
        """What INFO says of TLS; absent fields are false."""
        fields = {"tls_required": not self._allows_plain, "tls_verify": self._options.is_peer_verified}
        fields["tls_available"] = self._allows_plain
        return {name: value for name, value in fields.items() if value}

    def allows_connection(self, now_s: float) -> bool:
        """Count a handshake; False when it is over `connection_rate_limit`."""
        return self._rate.allows(now_s)

    def refusal(self, facts: TlsFacts) -> str | None:
        """A peer whose key is not among the pins; a peer without certificate is not either."""
        return pin_refusal(self._options.pinned_certs, facts)


def server_context(options: TlsOptions) -> ssl.SSLContext:
    """The context of a listener. Raises `ConfigError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _set_common(context, options)
    if options.is_peer_verified:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(context, options, ssl.Purpose.CLIENT_AUTH)
    pairs = options.certificates or (CertificatePair(options.cert_file, options.key_file),)
    _load_pair(context, pairs[0])
    if len(pairs) > 1:
        context.sni_callback = _sni_choice([_PairContext.load(pair, options) for pair in pairs])
    return context


def client_context(options: TlsOptions | None) -> ssl.SSLContext:
    """The context of a link we open (None: the system's authorities, the server verified by name).

    Raises `ConfigError`. Pins are checked by the caller, with `pin_refusal` on the transport's facts.
    """
    options = options or TlsOptions()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _set_common(context, options)
    if options.is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        _load_authorities(context, options, ssl.Purpose.SERVER_AUTH)
    if options.cert_file:
        _load_pair(context, CertificatePair(options.cert_file, options.key_file))
    return context


def pin_refusal(pins: frozenset[str], facts: TlsFacts) -> str | None:
    """Why a peer is turned away by its key, or None. `pins`: lower-case hex SHA-256 of SPKIs; none: all pass."""
    if not pins:
        return None
    if facts.peer_certificate is None:
        return "certificate not pinned: none presented"
    return None if public_key_pin(facts.peer_certificate) in pins else "certificate not pinned"


def public_key_pin(certificate: bytes) -> str:
    """Hex SHA-256 of the SubjectPublicKeyInfo of a DER certificate; empty (matches no pin) if it cannot be read."""
    # Imported late: it costs 40 ms that a server without pins need not spend.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return ""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _set_common(context: ssl.SSLContext, options: TlsOptions) -> None:
    context.minimum_version = VERSIONS[options.version_min]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    names = [openssl for name in options.cipher_suites or CIPHERS_TLS12 if (openssl := _openssl_cipher(name))]
    if not names:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    else:
        try:
            context.set_ciphers(":".join(names))
        except ssl.SSLError as error:
            raise ConfigError(f"none of the cipher suites is available: {', '.join(options.cipher_suites)}") from error
    if options.curve_preferences:
        _set_curves(context, options.curve_preferences)


def _openssl_cipher(name: str) -> str | None:
    """OpenSSL's name of a TLS 1.2 suite; a name without entry is taken for OpenSSL's own, TLS 1.3 ones are None."""
    if name in CIPHERS_TLS12:
        return CIPHERS_TLS12[name]
    if name.startswith("TLS_") and name not in CIPHERS_INSECURE:
        return None
    return CIPHERS_INSECURE.get(name, name)


def _set_curves(context: ssl.SSLContext, wanted: Sequence[str]) -> None:
    names = [CURVES.get(name, name) for name in wanted]
    if set_groups := getattr(context, "set_groups", None):
        set_groups(":".join(names))
        return
    for name in names:
        try:
            context.set_ecdh_curve(name)
        except (ValueError, ssl.SSLError):
            continue
        if len(names) > 1:
            log.warning("tls_curves_reduced used=%s wanted=%s", name, ",".join(wanted))
        return
    raise ConfigError(f"none of the curve preferences is available: {', '.join(wanted)}")


def _load_authorities(context: ssl.SSLContext, options: TlsOptions, purpose: ssl.Purpose) -> None:
    if not options.ca_file:
        context.load_default_certs(purpose)
        return
    try:
        context.load_verify_locations(cafile=options.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"failed to parse root ca certificate {options.ca_file}: {_reason(error)}") from error


def _load_pair(context: ssl.SSLContext, pair: CertificatePair) -> None:
    try:
        # A key with a passphrase would make OpenSSL ask at the terminal.
        context.load_cert_chain(pair.cert_file, pair.key_file, password=_no_passphrase)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"error parsing X509 certificate/key pair {pair.cert_file}, {pair.key_file}: {_reason(error)}"
        ) from error


def _no_passphrase() -> str:
    raise ValueError("the key is protected by a passphrase")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)


@dataclass(frozen=True, slots=True)
class _PairContext:
    """One of several certificates, with the server names it is for."""

    names: frozenset[str]
    context: ssl.SSLContext

    @classmethod
    def load(cls, pair: CertificatePair, options: TlsOptions) -> _PairContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _set_common(context, options)
        _load_pair(context, pair)
        return cls(_server_names(pair.cert_file), context)

    def serves(self, server_name: str) -> bool:
        """RFC 6125: exactly, or by a `*` in place of the first label."""
        return server_name in self.names or f"*.{server_name.partition('.')[2]}" in self.names


def _server_names(cert_file: str) -> frozenset[str]:
    from cryptography import x509

    try:
        with open(cert_file, "rb") as file:
            extension = x509.load_pem_x509_certificate(file.read()).extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            )
    except (x509.ExtensionNotFound, ValueError, OSError):
        return frozenset()
    return frozenset(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))


def _sni_choice(pairs: Sequence[_PairContext]) -> Callable[[ssl.SSLObject, str | None, ssl.SSLContext], None]:
    """Picks the first pair made for the wanted name; without one the first pair stays."""

    def choose(tls: Any, server_name: str | None, first: ssl.SSLContext) -> None:
        wanted = (server_name or "").lower()
        for pair in pairs:
            if pair.serves(wanted):
                # Only the certificate changes: verification was set up by the first context.
                tls.context = pair.context
                return

    return choose


class _RateLimit:
    """nats-server's counter: so many connections in each second from the first one on; 0 counts nothing."""

    def __init__(self, per_second_max: int) -> None:
        self._max = per_second_max
        self._count = 0
        self._interval_ends_s = float("-inf")

    def allows(self, now_s: float) -> bool:
        if self._max <= 0:
            return True
        if now_s >= self._interval_ends_s:
            self._interval_ends_s = now_s + RATE_INTERVAL_S
            self._count = 0
        self._count += 1
        return self._count <= self._max
