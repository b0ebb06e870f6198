"""What user JWTs and the templates of signing keys allow, on the real server and on ours (ADR-14)."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Iterator

import pytest

from leafbox.protocol.nkeys import KeyPair, KeyRole
from tests.support.blocking_client import CLOSED, BlockingClient, errors_in
from tests.support.jwt_maker import UNLIMITED, make_jwt, make_old_jwt
from tests.support.servers import ServerKind, ServerProcess

Claims = dict[str, object]
OPEN: Claims = {"subs": -1, "data": -1, "payload": -1}
REFUSED = b"-ERR 'Authorization Violation'\r\n" + CLOSED
TEMPLATE: Claims = {
    "pub": {
        "allow": ["to.{{name()}}", "of.{{subject()}}", "in.{{Account-Name()}}.>", "a.{{account-subject()}}"],
        "deny": ["in.{{account-tag(site)}}.secret"],
    },
    "sub": {"allow": ["{{tag(room)}}.{{tag(floor)}}", "x.{{tag(none)}}", "twice.{{tag(room)}}.{{tag(room)}}"]},
    "subs": 3,
    "payload": 8,
}


class Realm:
    """One account with scoped signing keys, default permissions and mappings."""

    def __init__(self) -> None:
        self.operator = KeyPair.create(KeyRole.OPERATOR)
        self.account, self.strict = KeyPair.create(KeyRole.ACCOUNT), KeyPair.create(KeyRole.ACCOUNT)
        self.plain, self.scoped, self.denying, self.bearer = (KeyPair.create(KeyRole.ACCOUNT) for _ in range(4))
        self.quiet = KeyPair.create(KeyRole.ACCOUNT)

    def scope(self, key: KeyPair, template: Claims) -> Claims:
        return {"kind": "user_scope", "key": key.public, "role": "r", "template": template}

    def config(self) -> str:
        claims: Claims = {
            "limits": UNLIMITED,
            "signing_keys": [
                self.plain.public,
                self.scope(self.scoped, TEMPLATE),
                self.scope(self.denying, {"pub": {"deny": ["no.{{tag(room)}}"]}}),
                self.scope(self.bearer, {"bearer_token": True, "src": ["127.0.0.0/8"]}),
            ],
            "default_permissions": {"pub": {"deny": ["closed"]}},
            "mappings": {"old.*": [{"subject": "new.$1"}]},
            "tags": ["site:north"],
        }
        account = make_jwt("account", self.account.public, self.operator, claims, name="Works")
        bare = make_jwt("account", self.strict.public, self.operator, {"limits": UNLIMITED | {"disallow_bearer": True}})
        quiet = make_jwt("account", self.quiet.public, self.operator, {})
        operator = make_jwt("operator", self.operator.public, self.operator, {})
        tokens = {self.account: account, self.strict: bare, self.quiet: quiet}
        preload = "\n".join(f"{key.public}: {token}" for key, token in tokens.items())
        return f"max_control_line: 1MB\noperator: {operator}\nresolver: MEMORY\nresolver_preload: {{\n{preload}\n}}\n"

    def enter(
        self, client: BlockingClient, issuer: KeyPair, nats: Claims, key: KeyPair | None = None, **claims: object
    ) -> bytes:
        """Log a new user in; what the server says."""
        user = key or KeyPair.create(KeyRole.USER)
        own = {} if issuer in (self.account, self.strict, self.quiet) else {"issuer_account": self.account.public}
        token = make_jwt("user", user.public, issuer, own | nats, **claims)
        return self.log_in(client, user, token)

    def log_in(self, client: BlockingClient, user: KeyPair, token: str) -> bytes:
        """Log in with a token; what the server says."""
        signature = base64.urlsafe_b64encode(user.sign(client.info["nonce"].encode())).rstrip(b"=").decode()
        return client.login(jwt=token, sig=signature, protocol=0)


@pytest.fixture(scope="module")
def realm() -> Realm:
    return Realm()


@pytest.fixture(scope="module", params=list(ServerKind), ids=lambda kind: kind.value)
def server(
    request: pytest.FixtureRequest, realm: Realm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    with ServerProcess(request.param, tmp_path_factory.mktemp("server"), config=realm.config()) as server:
        yield server


def clock(minutes: int, zone: datetime.tzinfo | None = None) -> str:
    """The time of day in so many minutes."""
    return (datetime.datetime.now(zone) + datetime.timedelta(minutes=minutes)).strftime("%H:%M:%S")


def times(start: int, end: int, zone: datetime.tzinfo | None = None, location: str = "") -> Claims:
    window = {"start": clock(start, zone), "end": clock(end, zone)}
    return OPEN | {"times": [window]} | ({"times_location": location} if location else {})


WHO: dict[str, tuple[Callable[[], Claims], bool]] = {
    "no conditions": (lambda: OPEN, True),
    "in the window": (lambda: times(-10, 10), True),
    "before the window": (lambda: times(10, 20), False),
    "after the window": (lambda: times(-20, -10), False),
    "over midnight, open": (lambda: times(10, 5), True),
    "one window of two": (lambda: OPEN | {"times": [*_windows(10, 20), *_windows(-5, 5)]}, True),
    "elsewhere, open": (lambda: times(-10, 10, datetime.UTC, "UTC"), True),
    "elsewhere, closed": (
        lambda: times(-10, 10, datetime.timezone(datetime.timedelta(hours=9)), "America/Los_Angeles"),
        False,
    ),
    "a zone that is none": (lambda: times(-10, 10, None, "Nowhere/Town"), False),
    "a time that is none": (lambda: OPEN | {"times": [{"start": "25:00:00", "end": "26:00:00"}]}, False),
    "from here": (lambda: OPEN | {"src": ["127.0.0.0/8"]}, True),
    "from here, as text": (lambda: OPEN | {"src": "10.0.0.0/8,127.0.0.0/8"}, True),
    "from there": (lambda: OPEN | {"src": ["10.0.0.0/8"]}, False),
    "from no network": (lambda: OPEN | {"src": ["127.0.0.1"]}, False),
    "a known and an unknown kind": (lambda: OPEN | {"allowed_connection_types": ["STANDARD", "PIGEON"]}, True),
    "unknown kinds only": (lambda: OPEN | {"allowed_connection_types": ["PIGEON"]}, False),
    "a subject with spaces": (lambda: OPEN | {"pub": {"allow": ["a b"]}}, False),
    "a subject that is none": (lambda: OPEN | {"sub": {"deny": ["a..b"]}}, False),
    "rules of the wrong kind": (lambda: OPEN | {"pub": {"allow": "a"}}, False),
    "a proxy that is not there": (lambda: OPEN | {"proxy_required": True}, False),
}


def _windows(start: int, end: int) -> list[dict[str, str]]:
    return [{"start": clock(start), "end": clock(end)}]


@pytest.mark.capability("SE11")
@pytest.mark.parametrize("name", WHO)
def test_who_gets_in(server: ServerProcess, realm: Realm, name: str) -> None:
    make, is_let_in = WHO[name]
    with BlockingClient(server.client_port) as client:
        answer = realm.enter(client, realm.account, make())
        assert (answer == b"PONG\r\n") is is_let_in
        assert is_let_in or answer.startswith(b"-ERR '")


@pytest.mark.capability("SE11")
def test_the_end_of_the_window_ends_the_connection(server: ServerProcess, realm: Realm) -> None:
    # Where it is about noon, so that no midnight lies in the window; such zones are named with the sign turned round.
    offset = 12 - datetime.datetime.now(datetime.UTC).hour
    zone = datetime.timezone(datetime.timedelta(hours=offset))
    for seconds in (3, 15):  # The longer one for a machine that is too busy to let us in within the shorter.
        ends = datetime.datetime.now(zone) + datetime.timedelta(seconds=seconds)
        window = {"start": clock(-10, zone), "end": ends.strftime("%H:%M:%S")}
        claims = OPEN | {"times": [window], "times_location": f"Etc/GMT{-offset:+d}"}
        with BlockingClient(server.client_port) as client:
            if realm.enter(client, realm.account, claims) == b"PONG\r\n":
                assert client.read_to_end().endswith(b"-ERR 'User Authentication Expired'\r\n" + CLOSED)
                return
    pytest.fail("not let in while the window was open")


@pytest.mark.capability("SE11")
def test_limits_of_the_user(server: ServerProcess, realm: Realm) -> None:
    with BlockingClient(server.client_port) as client:
        realm.enter(client, realm.account, {"subs": 1, "data": -1, "payload": 4})
        answer = client.ask(b"SUB a 1\r\nSUB b 2\r\n")
        assert errors_in(answer) == ["maximum subscriptions exceeded"]
    with BlockingClient(server.client_port) as client:
        realm.enter(client, realm.account, {"subs": 1, "data": -1, "payload": 4})
        assert client.ask(b"PUB a 4\r\n1234\r\nPUB a 5\r\n12345\r\n") == (
            b"-ERR 'Maximum Payload Violation'\r\n" + CLOSED
        )


@pytest.mark.capability("SE11")
def test_limits_that_are_left_out_are_none(server: ServerProcess, realm: Realm) -> None:
    """They count as 0: no subscription, and so the connection is ended."""
    with BlockingClient(server.client_port) as client:
        answer = realm.enter(client, realm.account, {})
        assert b"maximum subscriptions exceeded" in answer + client.read_to_end()


@pytest.mark.capability("SE11")
@pytest.mark.parametrize(
    ("limits", "delivered"), [({}, b"MSG a 1 2\r\nhi\r\n"), ({"subs": 1, "payload": 1}, b"")], ids=["none", "own"]
)
@pytest.mark.parametrize("is_by_signing_key", [False, True])
def test_of_version_1_limits_left_out_are_none(
    server: ServerProcess, realm: Realm, limits: Claims, delivered: bytes, is_by_signing_key: bool
) -> None:
    """Tokens like those in the tests of nats.go and nats.py."""
    user = KeyPair.create(KeyRole.USER)
    issuer, own = (realm.plain, {"issuer_account": realm.account.public}) if is_by_signing_key else (realm.account, {})
    token = make_old_jwt("user", user.public, issuer, {"pub": {}, "sub": {}} | limits, **own)
    with BlockingClient(server.client_port) as client:
        assert realm.log_in(client, user, token) == b"PONG\r\n"
        answer = client.ask(b"SUB a 1\r\nPUB a 2\r\nhi\r\n")
        assert (answer == delivered + b"PONG\r\n") is bool(delivered)


def test_an_account_without_limits_lets_nobody_in(server: ServerProcess, realm: Realm) -> None:
    with BlockingClient(server.client_port) as client:
        answer = realm.enter(client, realm.quiet, OPEN)
        assert errors_in(answer) == ["maximum account active connections exceeded"]


@pytest.mark.capability("SE11")
def test_default_permissions_are_of_who_has_none(server: ServerProcess, realm: Realm) -> None:
    with BlockingClient(server.client_port) as client:
        realm.enter(client, realm.account, OPEN)
        assert errors_in(client.ask(b"PUB closed 0\r\n\r\n")) == ['Permissions Violation for Publish to "closed"']
    with BlockingClient(server.client_port) as client:
        realm.enter(client, realm.account, OPEN | {"sub": {"deny": ["x"]}})
        assert errors_in(client.ask(b"PUB closed 0\r\n\r\n")) == []


def test_mappings_of_the_account(server: ServerProcess, realm: Realm) -> None:
    with BlockingClient(server.client_port) as client:
        realm.enter(client, realm.account, OPEN)
        assert client.ask(b"SUB new.* 1\r\nPUB old.x 1\r\n1\r\n") == b"MSG new.x 1 1\r\n1\r\nPONG\r\n"


@pytest.mark.capability("SE11")
@pytest.mark.parametrize("is_allowed", [True, False])
def test_bearer_tokens_of_a_scoped_key_and_where_they_are_not_allowed(
    server: ServerProcess, realm: Realm, is_allowed: bool
) -> None:
    key = KeyPair.create(KeyRole.USER)
    if is_allowed:
        token = make_jwt("user", key.public, realm.bearer, {"issuer_account": realm.account.public})
    else:
        token = make_jwt("user", key.public, realm.strict, OPEN | {"bearer_token": True})
    with BlockingClient(server.client_port) as client:
        assert client.login(jwt=token, protocol=0) == (b"PONG\r\n" if is_allowed else REFUSED)


# -- scoped signing keys ---------------------------------------------------------------------------------------------


def may(client: BlockingClient, *subjects: str) -> list[str]:
    """To which of these the client may publish."""
    answer = client.ask("".join(f"PUB {subject} 0\r\n\r\n" for subject in subjects).encode())
    return [subject for subject in subjects if f'Publish to "{subject}"' not in answer.decode()]


@pytest.mark.capability("SE10")
def test_names_in_a_template(server: ServerProcess, realm: Realm) -> None:
    key = KeyPair.create(KeyRole.USER)
    tags = ["room:r1", "room:r2", "floor:f1", "floor:f2", "other:x"]
    with BlockingClient(server.client_port) as client:
        assert realm.enter(client, realm.scoped, {"tags": tags}, key, name="anna") == b"PONG\r\n"
        own = [f"of.{key.public}", f"a.{realm.account.public}", "to.anna", "in.Works.deep.er"]
        assert may(client, *own, "to.berta", "in.north.x", "a.b") == own
    with BlockingClient(server.client_port) as client:
        realm.enter(client, realm.scoped, {"tags": tags}, key, name="anna")
        refused = errors_in(client.ask(b"SUB r1.f1 1\r\nSUB r2.f2 2\r\nSUB x.y 3\r\nSUB twice.r1.r2 4\r\n"))
        assert refused == [f'Permissions Violation for Subscription to "{each}"' for each in ("x.y", "twice.r1.r2")]
        assert errors_in(client.ask(b"SUB twice.r2.r2 5\r\nSUB r1.f2 6\r\n")) == ["maximum subscriptions exceeded"]
        assert b"Maximum Payload Violation" in client.ask(b"PUB to.anna 9\r\n123456789\r\n")


@pytest.mark.capability("SE10")
def test_what_is_left_of_nothing_is_nothing(server: ServerProcess, realm: Realm) -> None:
    """All that was allowed needs tags the user lacks: it may subscribe to nothing, not to everything."""
    with BlockingClient(server.client_port) as client:
        assert realm.enter(client, realm.scoped, {}, name="anna") == b"PONG\r\n"
        assert "Permissions Violation" in errors_in(client.ask(b"SUB any 1\r\n"))[0]


@pytest.mark.capability("SE10")
@pytest.mark.parametrize(
    ("claims", "is_let_in"),
    [
        ({"tags": ["room:a"]}, True),
        ({}, False),
        ({"tags": ["room:a b"]}, False),
        ({"tags": ["room:a"], "subs": -1}, False),
        ({"tags": ["room:a"], "pub": {"allow": [">"]}}, False),
        ({"tags": [f"room:{number}" for number in range(4096)]}, True),
        ({"tags": [f"room:{number}" for number in range(4097)]}, False),
    ],
    ids=["tag", "no tag", "no subject", "a limit of its own", "a permission of its own", "most", "too many"],
)
def test_who_is_let_in_by_a_template_that_denies(
    server: ServerProcess, realm: Realm, claims: Claims, is_let_in: bool
) -> None:
    with BlockingClient(server.client_port) as client:
        assert (realm.enter(client, realm.denying, claims) == b"PONG\r\n") is is_let_in


# -- the operator ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(ServerKind), ids=lambda kind: kind.value)
@pytest.mark.capability("SE08", "SE19")
def test_strict_keys_a_sentinel_and_pinned_accounts(kind: ServerKind, tmp_path_factory: pytest.TempPathFactory) -> None:
    operator, signer = KeyPair.create(KeyRole.OPERATOR), KeyPair.create(KeyRole.OPERATOR)
    good, stray, away = (KeyPair.create(KeyRole.ACCOUNT) for _ in range(3))
    users = KeyPair.create(KeyRole.ACCOUNT)
    claims: Claims = {"limits": UNLIMITED, "signing_keys": [users.public]}
    tokens = {
        good.public: make_jwt("account", good.public, signer, claims),
        away.public: make_jwt("account", away.public, signer, claims),
    }
    trust: Claims = {
        "signing_keys": [signer.public],
        "strict_signing_key_usage": True,
        "assert_server_version": "2.2.0",
    }
    sentinel = make_jwt(
        "user",
        KeyPair.create(KeyRole.USER).public,
        users,
        OPEN | {"issuer_account": good.public, "bearer_token": True, "pub": {"allow": ["hello"]}},
    )
    config = (
        f"operator: {make_jwt('operator', operator.public, operator, trust)}\nresolver: MEMORY\n"
        f"default_sentinel: {sentinel}\nresolver_pinned_accounts: [{good.public}]\n"
        "resolver_preload: {" + "\n".join(f"{key}: {token}" for key, token in tokens.items()) + "}\n"
    )
    realm = Realm()
    realm.account = good
    with ServerProcess(kind, tmp_path_factory.mktemp("strict"), config=config) as server:

        def answer(issuer: KeyPair, account: KeyPair) -> bytes:
            with BlockingClient(server.client_port) as client:
                return realm.enter(client, issuer, OPEN | {"issuer_account": account.public})

        assert answer(users, good) == b"PONG\r\n"
        assert answer(good, good) == REFUSED
        assert answer(users, away) == REFUSED
        assert answer(users, stray) == REFUSED
        with BlockingClient(server.client_port) as client:
            assert client.login(protocol=0) == b"PONG\r\n"
            assert may(client, "hello", "other") == ["hello"]
        with BlockingClient(server.client_port) as client:
            assert client.login(protocol=0, user="x", **{"pass": "y"}) == b"PONG\r\n"
