"""Keys of a `tls {}` block, and the checks of the files it names.

Certificates are opened while reading, as nats-server does: a wrong path is a configuration error at a place, not a
surprise at the first handshake. Source: nats-server 2.15.1 `parseTLS`, `GenTLSConfig`; Go `crypto/tls`.
"""

from __future__ import annotations

import re

from leafbox.app.configuration.durations import DurationError, parse_duration_ns
from leafbox.app.configuration.fields import (
    NANOSECONDS,
    NOTHING,
    Block,
    Entry,
    Key,
    Reading,
    ReadValue,
    as_list,
    as_map,
    as_string,
    build,
    timeout,
)
from leafbox.app.configuration.go_text import quoted, shown, type_name
from leafbox.app.configuration.problems import fail, problem_at
from leafbox.app.configuration.tree import Node
from leafbox.security.config import CertificatePair, OcspPeerOptions, TlsOptions

HANDSHAKE_FIRST_FALLBACK_S = 0.05
_PREFIX = "error parsing tls config"

SECURE_CIPHER_SUITES = (
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
)
INSECURE_CIPHER_SUITES = (
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
)
CURVES = (
    "X25519MLKEM768",
    "SecP256r1MLKEM768",
    "SecP384r1MLKEM1024",
    "X25519",
    "CurveP256",
    "CurveP384",
    "CurveP521",
)


def _typed(kind: type, what: str) -> ReadValue:
    def read(entry: Entry) -> object:
        if not isinstance(entry.node.value, kind):
            fail(entry.node, f"{_PREFIX}, expected '{entry.key.lower()}' to be {what}")
        return entry.node.value

    return read


def _verify_and_map(entry: Entry) -> object:
    is_wanted = _typed(bool, "a boolean")(entry)
    if is_wanted:
        entry.into["is_peer_verified"] = True
    return is_wanted


def _check_known_urls(is_client_side: bool) -> ReadValue:
    def read(entry: Entry) -> object:
        is_wanted = _typed(bool, "a boolean")(entry)
        if is_wanted and is_client_side:
            fail(entry.node, "verify_cert_and_check_known_urls not supported in this context")
        if is_wanted:
            entry.into["is_peer_verified"] = True
        return is_wanted

    return read


def _names(known: tuple[str, ...], what: str) -> ReadValue:
    def read(entry: Entry) -> object:
        nodes = as_list(entry.node)
        if not nodes:
            fail(entry.node, f"{_PREFIX}, '{entry.key.lower()}' cannot be empty")
        for node in nodes:
            if as_string(node) not in known:
                fail(node, f"unrecognized {what} {as_string(node)}")
        return tuple(as_string(node) for node in nodes)

    return read


def _pinned_certs(entry: Entry) -> object:
    if not isinstance(entry.node.value, list):
        fail(
            entry.node,
            f"{_PREFIX}, expected 'pinned_certs' to be a list of hex-encoded sha256 of DER encoded "
            "SubjectPublicKeyInfo",
        )
    pins = set()
    for node in entry.node.value:
        pin = as_string(node).lower()
        if not re.fullmatch("[a-f0-9]{64}", pin):
            fail(
                node,
                f"{_PREFIX}, 'pinned_certs' key {pin} does not look like hex-encoded sha256 of DER encoded "
                "SubjectPublicKeyInfo",
            )
        pins.add(pin)
    return frozenset(pins)


def _rate_limit(entry: Entry) -> object:
    if not isinstance(entry.node.value, int) or isinstance(entry.node.value, bool):
        fail(entry.node, f"{_PREFIX}, 'connection_rate_limit' wrong type")
    return entry.node.value


def _handshake_first(entry: Entry) -> object:
    value = entry.node.value
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        fail(entry.node, f"field {quoted(entry.key)} should be a boolean or a string, got {type_name(value)}")
    match value.lower():
        case "true" | "on":
            return True
        case "false" | "off":
            return False
        case "auto" | "auto_fallback":
            entry.into["handshake_first_fallback_s"] = HANDSHAKE_FIRST_FALLBACK_S
            return True
    try:
        entry.into["handshake_first_fallback_s"] = parse_duration_ns(value) / NANOSECONDS
    except DurationError:
        fail(entry.node, f"field {quoted(entry.key)}'s value {quoted(value)} is invalid")
    return True


def _min_version(entry: Entry) -> object:
    value = entry.node.value
    if not isinstance(value, str):
        fail(entry.node, f"{_PREFIX}: 'min_version' wrong type: {shown(value)}")
    if value in ("1.0", "1.1"):
        fail(entry.node, f"{_PREFIX}: unsupported TLS version: TLS {value}")
    if value not in ("1.2", "1.3"):
        fail(entry.node, f"{_PREFIX}: unknown version: {value}")
    return value


def _certificates(entry: Entry) -> object:
    wrong = "error parsing certificates config: unsupported type "
    if not isinstance(entry.node.value, list):
        fail(entry.node, wrong + "map[string]interface {}")
    pairs = []
    for node in entry.node.value:
        if not isinstance(node.value, dict):
            fail(node, wrong + type_name(node.value))
        files = {"cert_file": "", "key_file": ""}
        for name, value in node.value.items():
            if not isinstance(value.value, str):
                fail(value, wrong + type_name(value.value))
            if name not in files:
                fail(value, f"error parsing tls certs config, unknown field {quoted(name)}")
            files[name] = value.value
        if not all(files.values()):
            last = [*node.value.values(), node][-1 if not node.value else len(node.value) - 1]
            reason = "error parsing certificates config: both 'cert_file' and 'cert_key' options are required"
            fail(last, reason)
        pairs.append(CertificatePair(**files))
    return tuple(pairs)


def _certificate_store(entry: Entry) -> object:
    fail(entry.node, f"'{entry.key.lower()}' is only available on Windows")


def _ca_certs_match(entry: Entry) -> object:
    return NOTHING


def _ocsp_peer(entry: Entry) -> object:
    value = entry.node.value
    if isinstance(value, bool):
        return OcspPeerOptions(is_enabled=value)
    if not isinstance(value, dict):
        fail(entry.node, "error parsing ocsp peer config: unsupported type map[string]interface {}")
    values: dict[str, object] = {}
    if not OCSP_PEER_KEYS.read(value, values, entry.reading):
        return NOTHING
    return build(OcspPeerOptions, values)


def _ocsp_boolean(entry: Entry) -> object:
    if not isinstance(entry.node.value, bool):
        fail(entry.node, f"error parsing tls peer config, unknown field [{quoted(entry.key)}]")
    return entry.node.value


def _ocsp_seconds(entry: Entry) -> object:
    value = entry.node.value
    problem = "unexpected type"
    if isinstance(value, str):
        try:
            return parse_duration_ns(value) / NANOSECONDS
        except DurationError as error:
            problem = str(error)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if value >= 0 else NOTHING
    raise problem_at(entry.node, f"error parsing tls peer config, conversion error: {problem}")


OCSP_PEER_KEYS = Block(
    (
        Key(("verify",), "is_enabled", _ocsp_boolean),
        Key(("allowed_clockskew",), "allowed_clock_skew_s", _ocsp_seconds),
        Key(("ca_timeout",), "ca_timeout_s", _ocsp_seconds),
        Key(("cache_ttl_when_next_update_unset",), "ttl_unset_next_update_s", _ocsp_seconds),
        Key(("warn_only",), "is_warn_only", _ocsp_boolean),
        Key(("unknown_is_good",), "is_unknown_good", _ocsp_boolean),
        Key(("allow_when_ca_unreachable",), "is_unreachable_good", _ocsp_boolean),
    ),
    unknown=lambda key: f"error parsing tls peer config, unknown field [{quoted(key)}]",
)


def _tls_keys(is_client_side: bool) -> Block:
    filename, boolean = _typed(str, "filename"), _typed(bool, "a boolean")
    return Block(
        (
            Key(("cert_file",), "cert_file", filename),
            Key(("key_file",), "key_file", filename),
            Key(("ca_file",), "ca_file", filename),
            Key(("certs", "certificates"), "certificates", _certificates),
            Key(("verify",), "is_peer_verified", boolean),
            Key(("verify_and_map",), "is_peer_mapped_to_user", _verify_and_map),
            Key(("verify_cert_and_check_known_urls",), "are_known_urls_checked", _check_known_urls(is_client_side)),
            Key(("insecure",), "is_insecure", boolean),
            Key(("timeout",), "timeout_s", timeout(_PREFIX)),
            Key(
                ("cipher_suites",),
                "cipher_suites",
                _names(SECURE_CIPHER_SUITES + INSECURE_CIPHER_SUITES, "cipher"),
            ),
            Key(("allow_insecure_cipher_suites",), "are_insecure_ciphers_allowed", boolean),
            Key(("curve_preferences",), "curve_preferences", _names(CURVES, "curve preference")),
            Key(("min_version",), "version_min", _min_version),
            Key(("pinned_certs",), "pinned_certs", _pinned_certs),
            Key(
                ("handshake_first", "first", "immediate"),
                "is_handshake_first handshake_first_fallback_s",
                _handshake_first,
            ),
            Key(("connection_rate_limit",), "connections_per_second_max", _rate_limit),
            Key(("ocsp_peer",), "ocsp_peer", _ocsp_peer, OCSP_PEER_KEYS),
            Key(("cert_store", "cert_match_by", "cert_match", "cert_match_skip_invalid"), "", _certificate_store),
            Key(("ca_certs_match",), "", _ca_certs_match),
        ),
        unknown=lambda key: f"{_PREFIX}, unknown field {quoted(key)}",
    )


TLS_KEYS = _tls_keys(is_client_side=True)
ROUTE_TLS_KEYS = _tls_keys(is_client_side=False)


def tls_of(entry: Entry, is_client_side: bool = True) -> TlsOptions | None:
    """The TLS options of a `tls` key; `None` if they were refused (already reported)."""
    values: dict[str, object] = {}
    keys = TLS_KEYS if is_client_side else ROUTE_TLS_KEYS
    if not keys.read(as_map(entry.node), values, entry.reading):
        return None
    if not values.get("timeout_s"):
        values.pop("timeout_s", None)
    options = build(TlsOptions, values)
    insecure = [name for name in options.cipher_suites if name in INSECURE_CIPHER_SUITES]
    if options.certificates and options.cert_file:
        fail(entry.node, f"{_PREFIX}, cannot combine 'cert_file' option with 'certs' option")
    if insecure and not options.are_insecure_ciphers_allowed:
        fail(
            entry.node,
            "insecure cipher suites configured without 'allow_insecure_cipher_suites' option set: "
            + ", ".join(insecure),
        )
    check_files(options, entry.node, entry.reading)
    return options


def tls(entry: Entry) -> object:
    """Reader of a `tls` key."""
    options = tls_of(entry)
    return NOTHING if options is None else options


def route_tls(entry: Entry) -> object:
    """Reader of a `tls` key of routes and gateways, where the peer's certificate is always verified."""
    options = tls_of(entry, is_client_side=False)
    return NOTHING if options is None else options


def check_files(options: TlsOptions, node: Node, reading: Reading) -> None:
    """Open every file of a TLS block. Raises `ConfigError` at `node`."""
    if options.cert_file and not options.key_file:
        fail(node, "missing 'key_file' in TLS configuration")
    if options.key_file and not options.cert_file:
        fail(node, "missing 'cert_file' in TLS configuration")
    if options.cert_file:
        problem = _pair_problem(options.cert_file, options.key_file, reading)
        if problem:
            fail(node, f"error parsing X509 certificate/key pair: {problem}")
    for index, pair in enumerate(options.certificates, start=1):
        problem = _pair_problem(pair.cert_file, pair.key_file, reading)
        if problem:
            fail(node, f"error parsing X509 certificate/key pair {index}/{len(options.certificates)}: {problem}")
    if options.ca_file:
        content, problem = _content(options.ca_file, reading)
        if problem:
            fail(node, problem)
        if b"-----BEGIN CERTIFICATE-----" not in content:
            fail(node, "failed to parse root ca certificate")


def _content(path: str, reading: Reading) -> tuple[bytes, str]:
    try:
        return reading.read_file(path), ""
    except IsADirectoryError:
        return b"", f"read {path}: is a directory"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "invalid argument"
        return b"", f"open {path}: {reason.lower()}"


def _pair_problem(cert_file: str, key_file: str, reading: Reading) -> str:
    """Why a certificate and key cannot be used together; empty if they can."""
    certificate, problem = _content(cert_file, reading)
    if problem:
        return problem
    key, problem = _content(key_file, reading)
    if problem:
        return problem
    if b"-----BEGIN" not in certificate:
        return "tls: failed to find any PEM data in certificate input"
    if b"-----BEGIN" not in key:
        return "tls: failed to find any PEM data in key input"
    # Imported here: it costs 40 ms and is only needed with TLS.
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        public = x509.load_pem_x509_certificate(certificate).public_key()
    except ValueError as error:
        return f"x509: {error}"
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        return f"tls: failed to parse private key: {error}"
    shape = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*shape) != public.public_bytes(*shape):
        return "tls: private key does not match public key"
    return ""
