"""Why a link to a hub is not up: every cause has a name, so that whoever looks is told what to do, not "disconnected".

Texts of peers: leaf node specification section 10. The delays are nats-server's: a hub that refused us for a cause that
does not pass by itself is left alone for a while.
"""

from __future__ import annotations

import enum
import errno
import socket
import ssl
import time
from dataclasses import dataclass

from leafbox.protocol.errors import UplinkError


class FailureKind(enum.Enum):
    """The named causes; the values are stable, dashboards and alarms match on them."""

    DNS = "dns"
    REFUSED = "connection_refused"
    TIMEOUT = "connection_timeout"
    UNREACHABLE = "network_unreachable"
    TLS = "tls"
    TLS_UNTRUSTED = "tls_untrusted"
    CLOCK = "clock"
    PROXY = "proxy"
    WEBSOCKET = "websocket"
    NO_INFO = "no_info"
    WRONG_PORT = "wrong_port"
    CREDENTIALS = "credentials"
    CREDENTIALS_EXPIRED = "credentials_expired"
    CREDENTIALS_EARLY = "credentials_early"
    CREDENTIALS_REVOKED = "credentials_revoked"
    CREDENTIALS_REFUSED = "credentials_refused"
    AUTHORIZATION = "authorization"
    PERMISSIONS = "permissions"
    ACCOUNT = "account"
    LIMIT = "limit"
    VERSION = "version"
    SAME_CLUSTER = "same_cluster"
    LOOP = "loop"
    DUPLICATE = "duplicate"
    STALE = "stale"
    SHUTDOWN = "hub_shutdown"
    PROTOCOL = "protocol"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Failure:
    """What happened, in a form for logs and screens; `delay_s` is the least time before the next attempt."""

    kind: FailureKind
    text: str
    delay_s: float = 0.0

    def __str__(self) -> str:
        return self.text


class UplinkFailed(UplinkError):
    """An attempt to reach a hub ended with this failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


PEER_TEXTS: tuple[tuple[str, FailureKind, float], ...] = (
    ("Loop detected", FailureKind.LOOP, 30.0),
    ("remote leafnode has same cluster name", FailureKind.SAME_CLUSTER, 30.0),
    ("connection rejected since minimum version", FailureKind.VERSION, 5.0),
    ("Permissions Violation", FailureKind.PERMISSIONS, 30.0),
    ("Authorization Violation", FailureKind.AUTHORIZATION, 0.0),
    ("Authentication Timeout", FailureKind.AUTHORIZATION, 0.0),
    ("User Authentication Expired", FailureKind.CREDENTIALS_EXPIRED, 0.0),
    ("User Authentication Revoked", FailureKind.CREDENTIALS_REVOKED, 0.0),
    ("Credentials Revoked", FailureKind.CREDENTIALS_REVOKED, 0.0),
    ("Account Authentication Expired", FailureKind.CREDENTIALS_EXPIRED, 0.0),
    ("maximum account active connections", FailureKind.LIMIT, 0.0),
    ("attempted to connect to", FailureKind.WRONG_PORT, 0.0),
    ("Duplicate Remote LeafNode", FailureKind.DUPLICATE, 0.0),
    ("Stale", FailureKind.STALE, 0.0),
    ("Server Shutdown", FailureKind.SHUTDOWN, 0.0),
    ("Maximum Payload", FailureKind.PROTOCOL, 0.0),
)
"""Start of what the hub says before it closes, with the cause and the delay."""

# OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED.
NOT_YET_VALID, HAS_EXPIRED = 9, 10


def failure_of_peer(text: str) -> Failure:
    """The cause behind an -ERR of the hub."""
    said = text.strip("' ")
    for start, kind, delay_s in PEER_TEXTS:
        if said.startswith(start):
            return Failure(kind, f"the hub says: {said}", delay_s)
    return Failure(FailureKind.PROTOCOL, f"the hub says: {said}")


def failure_of_error(error: Exception, where: str) -> Failure:
    """The cause behind an error of the system or of TLS; `where` is host and port."""
    if isinstance(error, ssl.SSLError):
        return _failure_of_tls(error, where)
    if isinstance(error, socket.gaierror):
        return Failure(FailureKind.DNS, f"DNS: {where}: {error.strerror or error}")
    if isinstance(error, TimeoutError):
        return Failure(FailureKind.TIMEOUT, f"{where} does not answer: connect timed out")
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ECONNREFUSED:
        return Failure(FailureKind.REFUSED, f"{where} refuses the connection: nothing listens there")
    if number in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL):
        return Failure(FailureKind.UNREACHABLE, f"no route to {where}: {error}")
    return Failure(FailureKind.CLOSED, f"{where}: {error or type(error).__name__}")


def _failure_of_tls(error: ssl.SSLError, where: str) -> Failure:
    if isinstance(error, ssl.SSLCertVerificationError):
        text = error.verify_message or str(error)
        if error.verify_code in (NOT_YET_VALID, HAS_EXPIRED):
            return Failure(FailureKind.CLOCK, f"TLS: {where}: {text}; {own_clock()}")
        return Failure(FailureKind.TLS_UNTRUSTED, f"TLS: {where}: {text}")
    return Failure(FailureKind.TLS, f"TLS: {where}: {getattr(error, 'reason', None) or error}")


def own_clock() -> str:
    """A box without a battery-backed clock may be years off after a power cut: say what it believes."""
    return f"this server's clock says {utc(time.time())}"


def utc(moment_s: float) -> str:
    """A moment for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment_s))
