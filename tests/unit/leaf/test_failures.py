"""Every way in which a hub cannot be reached has a name."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from leafbox.leaf.failures import FailureKind, failure_of_error, failure_of_peer

pytestmark = pytest.mark.capability("LF01")


def expired(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "certificate has expired"
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (socket.gaierror(-2, "Name or service not known"), FailureKind.DNS),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), FailureKind.REFUSED),
        (TimeoutError(), FailureKind.TIMEOUT),
        (OSError(errno.ENETUNREACH, "unreachable"), FailureKind.UNREACHABLE),
        (OSError(errno.EHOSTUNREACH, "no route"), FailureKind.UNREACHABLE),
        (ConnectionResetError(errno.ECONNRESET, "reset"), FailureKind.CLOSED),
        (ssl.SSLError(1, "wrong version number"), FailureKind.TLS),
        (expired(10), FailureKind.CLOCK),
        (expired(9), FailureKind.CLOCK),
        (expired(20), FailureKind.TLS_UNTRUSTED),
    ],
)
def test_errors_of_the_system(error: Exception, kind: FailureKind) -> None:
    failure = failure_of_error(error, "hub:7422")
    assert failure.kind is kind
    assert "hub:7422" in failure.text
    assert failure.delay_s == 0


@pytest.mark.parametrize(
    ("text", "kind", "delay_s"),
    [
        ("'Authorization Violation'", FailureKind.AUTHORIZATION, 0),
        ("'Loop detected for leafnode account=\"A\". Delaying ...'", FailureKind.LOOP, 30),
        ("'remote leafnode has same cluster name'", FailureKind.SAME_CLUSTER, 30),
        ("'connection rejected since minimum version required is \"2.10.0\"'", FailureKind.VERSION, 5),
        ("'Permissions Violation for Publish to \"a\"'", FailureKind.PERMISSIONS, 30),
        ("'maximum account active connections exceeded'", FailureKind.LIMIT, 0),
        ("'attempted to connect to leaf node port'", FailureKind.WRONG_PORT, 0),
        ("'User Authentication Expired'", FailureKind.CREDENTIALS_EXPIRED, 0),
        ("'User Authentication Revoked'", FailureKind.CREDENTIALS_REVOKED, 0),
        ("'Credentials Revoked'", FailureKind.CREDENTIALS_REVOKED, 0),
        ("'Stale Connection'", FailureKind.STALE, 0),
        ("'something new'", FailureKind.PROTOCOL, 0),
    ],
)
def test_what_hubs_say(text: str, kind: FailureKind, delay_s: float) -> None:
    failure = failure_of_peer(text)
    assert (failure.kind, failure.delay_s) == (kind, delay_s)
    assert text.strip("'") in failure.text
