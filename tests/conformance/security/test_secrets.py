"""No secret is readable in the log, traced to the last line, or over HTTP (SE22)."""

from __future__ import annotations

import base64
import re
import urllib.request

import bcrypt
import pytest

from leafbox.protocol.nkeys import KeyPair, KeyRole
from tests.support.blocking_client import BlockingClient
from tests.support.servers import ServerFailed, ServerKind, StartServer

PAIR = KeyPair(KeyRole.USER, bytes(range(32)))
HASH = bcrypt.hashpw(b"hashed-s3cret", bcrypt.gensalt(4, b"2a")).decode()
SECRETS = [
    "plain-s3cret",
    "hashed-s3cret",
    "wrong-s3cret",
    "token-s3cret",
    "broken-s3cret",
    "jwt-s3cret",
    HASH,
    PAIR.seed,
]
PAGES = ["/varz", "/connz?auth=true&subs=detail", "/connz?state=closed&auth=true", "/accountz?acc=$G", "/subsz?subs=1"]
CONFIG = f"""
http: 127.0.0.1:-1
authorization {{ timeout: 20, users: [
  {{user: plain, password: plain-s3cret}}
  {{user: hashed, password: "{HASH}"}}
  {{nkey: {PAIR.public}}}
] }}
"""


def talk(port: int) -> bytes:
    """Log in in every way, rightly and wrongly; the signature that was sent."""
    with BlockingClient(port) as plain:
        plain.login(user="plain", **{"pass": "plain-s3cret"})
        plain.ask(b"SUB a 1\r\nPUB a 1\r\nx\r\n")
    with BlockingClient(port) as hashed:
        hashed.login(user="hashed", **{"pass": "hashed-s3cret"})
    with BlockingClient(port) as wrong:
        wrong.login(user="plain", **{"pass": "wrong-s3cret"}, auth_token="token-s3cret", jwt="jwt-s3cret")
    with BlockingClient(port) as broken:
        broken.send(b'CONNECT {"pass":"broken-s3cret"\r\n')
        broken.read_to_end()
    with BlockingClient(port) as lower:
        lower.send(b'connect {"USER":"plain", "Pass" : "plain-s3cret", "Auth_Token":"token-s3cret"}\r\n')
        lower.ask()
    with BlockingClient(port) as nkey:
        signature = base64.urlsafe_b64encode(PAIR.sign(nkey.info["nonce"].encode())).rstrip(b"=")
        nkey.login(nkey=PAIR.public, sig=signature.decode())
        return signature


@pytest.mark.capability("SE22")
def test_no_secret_is_logged_or_shown(start_server: StartServer) -> None:
    """Ours alone: nats-server traces a JWT, a signature and a broken CONNECT as they came."""
    server = start_server(ServerKind.LEAFBOX, "-DVV", config=CONFIG)
    signature = talk(server.client_port)
    shown = ""
    for page in PAGES:
        with urllib.request.urlopen(server.monitor_url + page, timeout=20) as answer:
            shown += answer.read().decode()
    server.stop()  # The log is whole then.
    shown += server.log
    assert "CONNECT" in server.log
    assert '"pass":"[REDACTED]"' in server.log
    assert "plain" in shown
    found = [secret for secret in [*SECRETS, signature.decode()] if secret in shown]
    assert not found


@pytest.mark.capability("SE22")
def test_the_usual_secrets_are_masked_as_by_nats_server(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, "-DV", config=CONFIG)
    with BlockingClient(server.client_port) as client:
        client.login(user="plain", **{"pass": "plain-s3cret"}, auth_token="token-s3cret")
    server.stop()
    assert "plain-s3cret" not in server.log
    assert "token-s3cret" not in server.log
    assert re.search(r'"pass": ?"\[REDACTED\]"', server.log)
    assert re.search(r'"auth_token": ?"\[REDACTED\]"', server.log)


@pytest.mark.capability("SE22")
def test_a_configuration_error_does_not_repeat_a_secret(start_server: StartServer) -> None:
    """A start that fails prints the problem; the file's secrets are not part of it."""
    wrong = CONFIG.replace("timeout: 20", "timeout: 20, token: token-s3cret")
    with pytest.raises(ServerFailed) as failed:
        start_server(ServerKind.LEAFBOX, config=wrong)
    assert "Can not have a token and a users array" in str(failed.value)
    assert not [secret for secret in SECRETS if secret in str(failed.value)]
