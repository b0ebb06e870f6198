"""Who may import what is not for everybody: accounts named in the subject, and activation tokens (ADR-14)."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from leafbox.protocol.nkeys import KeyPair, KeyRole
from tests.support.blocking_client import BlockingClient
from tests.support.jwt_maker import UNLIMITED, make_jwt
from tests.support.servers import ServerFailed, ServerKind, ServerProcess, StartServer

pytestmark = pytest.mark.capability("AC05")


@pytest.mark.parametrize("kind", ["stream", "service"])
@pytest.mark.parametrize(("subject", "is_allowed"), [("own.B.x", True), ("own.C.x", False)])
def test_an_import_names_its_own_account(
    server_kind: ServerKind, start_server: StartServer, kind: str, subject: str, is_allowed: bool
) -> None:
    config = f"""accounts {{ A {{ exports: [ {{{kind}: "own.*.>", account_token_position: 2}} ] }}
        B {{ users: [ {{user: b, password: b}} ], imports: [ {{{kind}: {{account: A, subject: "{subject}"}}}} ] }} }}"""
    if not is_allowed:
        with pytest.raises(ServerFailed, match=f"{kind} import not authorized"):
            start_server(server_kind, config=config)
        return
    with BlockingClient(start_server(server_kind, config=config).client_port) as client:
        assert client.login(user="b", **{"pass": "b"}, protocol=0) == b"PONG\r\n"


class Market:
    """A exports `paid.>` to holders of a token only; B imports `paid.news` (and `free`, for everybody) from it."""

    def __init__(self) -> None:
        self.operator = KeyPair.create(KeyRole.OPERATOR)
        self.a, self.b, self.other = (KeyPair.create(KeyRole.ACCOUNT) for _ in range(3))
        self.signer = KeyPair.create(KeyRole.ACCOUNT)
        self.revocations: dict[str, int] = {}

    def token(self, issuer: KeyPair, subject: str = "paid.news", kind: str = "stream", **claims: object) -> str:
        """An activation of B."""
        nats: dict[str, object] = {"subject": subject, "kind": kind}
        if issuer is self.signer:
            nats["issuer_account"] = self.a.public
        return make_jwt("activation", self.b.public, issuer, nats, **claims)

    def config(self, token: str) -> str:
        exports = [
            {"name": "p", "subject": "paid.>", "type": "stream", "token_req": True, "revocations": self.revocations},
            {"name": "f", "subject": "free", "type": "stream"},
        ]
        paid = {"name": "p", "subject": "paid.news", "account": self.a.public, "type": "stream", "token": token}
        free = {"name": "f", "subject": "free", "account": self.a.public, "type": "stream"}
        claims_a = {"limits": UNLIMITED, "exports": exports, "signing_keys": [self.signer.public]}
        claims_b = {"limits": UNLIMITED, "imports": [paid, free]}
        operator = make_jwt("operator", self.operator.public, self.operator, {})
        preload = "".join(
            f'{account.public}: "{make_jwt("account", account.public, self.operator, claims)}"\n'
            for account, claims in ((self.a, claims_a), (self.b, claims_b))
        )
        return f'operator: "{operator}"\nresolver: MEMORY\nresolver_preload {{\n{preload}}}\n'

    def enter(self, client: BlockingClient, account: KeyPair) -> bool:
        """Log in; whether the server let us."""
        user = KeyPair.create(KeyRole.USER)
        token = make_jwt("user", user.public, account, {"subs": -1, "data": -1, "payload": -1})
        signature = base64.urlsafe_b64encode(user.sign(client.info["nonce"].encode())).rstrip(b"=").decode()
        return client.login(jwt=token, sig=signature, protocol=0) == b"PONG\r\n"

    @contextlib.contextmanager
    def visited(self, server: ServerProcess) -> Iterator[tuple[BlockingClient, BlockingClient] | None]:
        """A client of A, and one of B that hears everything; None if B is not let in at all."""
        with BlockingClient(server.client_port) as publisher, BlockingClient(server.client_port) as subscriber:
            assert self.enter(publisher, self.a)
            if not self.enter(subscriber, self.b):
                yield None
                return
            subscriber.ask(b"SUB > 1\r\n")
            yield publisher, subscriber


def arrives(publisher: BlockingClient, subscriber: BlockingClient) -> list[str]:
    """Which of the two subjects reach B."""
    publisher.ask(b"PUB paid.news 1\r\n1\r\nPUB free 1\r\n2\r\nPUB paid.other 1\r\n3\r\n")
    heard = subscriber.ask()
    return [name for name in ("paid.news", "free", "paid.other") if f"MSG {name} ".encode() in heard]


TOKENS: dict[str, tuple[Callable[[Market], str], bool]] = {
    "of the account": (lambda market: market.token(market.a), True),
    "of a signing key": (lambda market: market.token(market.signer), True),
    "for a wider subject": (lambda market: market.token(market.a, "paid.>"), True),
    "none": (lambda market: "", False),
    "of a stranger": (lambda market: market.token(market.other), False),
    "for another subject": (lambda market: market.token(market.a, "paid.other"), False),
    "expired": (lambda market: market.token(market.a, exp=int(time.time()) - 10), False),
    "for somebody else": (
        lambda market: make_jwt(
            "activation", market.other.public, market.a, {"subject": "paid.news", "kind": "stream"}
        ),
        False,
    ),
    "broken": (lambda market: market.token(market.a)[:-6] + "AAAAAA", False),
}


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_opens_its_import_and_no_other(server_kind: ServerKind, start_server: StartServer, name: str) -> None:
    """Without a good one this import is left out, and no other. nats-server lets nobody into an account whose JWT it
    finds fault with beforehand (a stranger's signature, say); we leave out what is wrong in all cases."""
    make, is_good = TOKENS[name]
    market = Market()
    server = start_server(server_kind, config=market.config(make(market)))
    with market.visited(server) as clients:
        if clients is None:
            assert server_kind is ServerKind.REAL
            assert not is_good
            return
        assert arrives(*clients) == (["paid.news", "free"] if is_good else ["free"])


def test_a_revoked_token_opens_nothing(server_kind: ServerKind, start_server: StartServer) -> None:
    market = Market()
    market.revocations = {market.b.public: int(time.time()) + 60}
    server = start_server(server_kind, config=market.config(market.token(market.a)))
    with market.visited(server) as clients:
        assert clients is not None
        assert arrives(*clients) == ["free"]


@pytest.mark.slow
def test_an_import_ends_with_its_token(server_kind: ServerKind, start_server: StartServer) -> None:
    """On the running server, for who has subscribed before."""
    market = Market()
    ends_s = int(time.time()) + 12
    server = start_server(server_kind, config=market.config(market.token(market.a, exp=ends_s)))
    with market.visited(server) as clients:
        assert clients is not None
        heard = arrives(*clients)
        assert heard == ["paid.news", "free"] or time.time() >= ends_s
        deadline = time.monotonic() + 30
        while "paid.news" in (heard := arrives(*clients)):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert heard == ["free"]
        assert time.time() >= ends_s
