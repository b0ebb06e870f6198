"""Who gets in as whom: every step of the order, refusals with their reasons, and what a reload changes."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import bcrypt
import pytest
from cryptography.x509.oid import NameOID

from leafbox.broker.config import ConnectionType, Permissions, SubjectPermission
from leafbox.protocol.errors import ConfigError
from leafbox.protocol.nkeys import KeyPair, KeyRole
from leafbox.security import passwords as passwords_module
from leafbox.security.authentication import (
    Authenticator,
    ConnectionFacts,
    Credentials,
    Decision,
    Identity,
    ListenerRules,
    Proof,
    Refusal,
)
from leafbox.security.config import (
    AuthCalloutOptions,
    OperatorOptions,
    SecurityOptions,
    SimpleAuthorization,
    UserOptions,
)
from leafbox.security.passwords import PasswordVerifier
from leafbox.security.tls_accept import TlsFacts
from tests.support.certificates import TestAuthority

NONCE = b"YWJjZGVmZ2hpamtsbW4"
PAIR = KeyPair.create(KeyRole.USER)
STRANGER = KeyPair.create(KeyRole.USER)
HASHED = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
TCP = ConnectionFacts(ConnectionType.STANDARD, nonce=NONCE)
LIMITED = Permissions(publish=SubjectPermission(allow=("a.>",)))

ANNA = UserOptions("anna", "secret", account="A", permissions=LIMITED)
HASH = UserOptions("hash", HASHED, account="B")
ROBOT = UserOptions(nkey=PAIR.public, account="C")
PHONE = UserOptions("phone", "secret", allowed_connection_types=frozenset({ConnectionType.MQTT}))


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.fixture
def passwords(loop: asyncio.AbstractEventLoop) -> Iterator[PasswordVerifier]:
    verifier = PasswordVerifier(loop)
    yield verifier
    verifier.close()


Decide = Callable[..., Decision]


@pytest.fixture
def decide(loop: asyncio.AbstractEventLoop, passwords: PasswordVerifier) -> Decide:
    """The decision for (options, credentials, facts), waited for if need be."""

    def decide(options: SecurityOptions, credentials: Credentials, facts: ConnectionFacts = TCP) -> Decision:
        decision = Authenticator(options, passwords).authenticate(credentials, facts)
        if isinstance(decision, Identity | Refusal):
            return decision

        async def wait() -> Decision:
            return await decision

        return loop.run_until_complete(wait())

    return decide


def signed(pair: KeyPair = PAIR, nonce: bytes = NONCE, *, standard_base64: bool = False) -> Credentials:
    raw = pair.sign(nonce)
    text = base64.b64encode(raw) if standard_base64 else base64.urlsafe_b64encode(raw).rstrip(b"=")
    return Credentials(nkey=pair.public, signature=text.decode())


NOBODY = SecurityOptions()
TOKEN = SecurityOptions(token="t0ken")
SINGLE = SecurityOptions(username="u", password=HASHED)
USERS = SecurityOptions(users=(ANNA, HASH, PHONE))
MIXED = SecurityOptions(users=(ANNA, HASH, ROBOT))
OPEN = replace(MIXED, no_auth_user="anna")
OPEN_NKEY = replace(MIXED, no_auth_user=PAIR.public)

# Who comes in, as (options, credentials) -> (name, account) or the reason of the refusal.
CASES = {
    "no login needed": (NOBODY, Credentials(), ("", "$G")),
    "no login needed, sent all the same": (NOBODY, Credentials("x", "y"), ("", "$G")),
    "token": (TOKEN, Credentials(token="t0ken"), ("[REDACTED]", "$G")),
    "token beside any user name": (TOKEN, Credentials("x", token="t0ken"), ("[REDACTED]", "$G")),
    "wrong token": (TOKEN, Credentials(token="token"), "wrong password or token"),
    "no token": (TOKEN, Credentials(), "wrong password or token"),
    "bcrypt token": (SecurityOptions(token=HASHED), Credentials(token="secret"), ("[REDACTED]", "$G")),
    "bcrypt token, the hash itself": (
        SecurityOptions(token=HASHED),
        Credentials(token=HASHED),
        "wrong password or token",
    ),
    "single user": (SINGLE, Credentials("u", "secret"), ("u", "$G")),
    "single user, wrong password": (SINGLE, Credentials("u", "no"), "wrong password or token"),
    "single user, other name": (SINGLE, Credentials("v", "secret"), "unknown user"),
    "single user, nothing sent": (SINGLE, Credentials(), "unknown user"),
    "user": (USERS, Credentials("anna", "secret"), ("anna", "A")),
    "user with bcrypt": (USERS, Credentials("hash", "secret"), ("hash", "B")),
    "user with bcrypt, wrong": (USERS, Credentials("hash", "no"), "wrong password or token"),
    "user, wrong password": (USERS, Credentials("anna", "no"), "wrong password or token"),
    "unknown user": (USERS, Credentials("bert", "secret"), "unknown user"),
    "users, nothing sent": (USERS, Credentials(), "no credentials"),
    "users, only a token": (USERS, Credentials(token="secret"), "no credentials"),
    "users, an nkey beside them is not looked at": (
        USERS,
        Credentials("anna", "secret", nkey=PAIR.public),
        ("anna", "A"),
    ),
    "user of another connection type": (
        USERS,
        Credentials("phone", "secret"),
        "connection type STANDARD not allowed for the user",
    ),
    "user without password": (SecurityOptions(users=(UserOptions("p"),)), Credentials("p"), ("p", "$G")),
    "user without password, one sent": (
        SecurityOptions(users=(UserOptions("p"),)),
        Credentials("p", "x"),
        "wrong password or token",
    ),
    "nkey": (MIXED, signed(), (PAIR.public, "C")),
    "nkey, signature in standard base64": (MIXED, signed(standard_base64=True), (PAIR.public, "C")),
    "nkey, user beside nkeys": (MIXED, Credentials("anna", "secret"), ("anna", "A")),
    "nkey unknown, although the user is right": (
        MIXED,
        Credentials("anna", "secret", nkey=STRANGER.public),
        "unknown nkey",
    ),
    "nkey of a stranger": (MIXED, signed(STRANGER), "unknown nkey"),
    "nkey, no signature": (MIXED, Credentials(nkey=PAIR.public), "signature missing"),
    "nkey, signature is no base64": (
        MIXED,
        Credentials(nkey=PAIR.public, signature="!"),
        "signature is not base64",
    ),
    "nkey, signature of another nonce": (MIXED, signed(nonce=b"other"), "signature not verified"),
    "nkey, signed by another": (
        MIXED,
        replace(signed(STRANGER), nkey=PAIR.public),
        "signature not verified",
    ),
    "no_auth_user": (OPEN, Credentials(), ("anna", "A")),
    "no_auth_user, a jwt is no credential here": (OPEN, Credentials(jwt="x"), ("anna", "A")),
    "no_auth_user, but a user is named": (OPEN, Credentials("hash", "secret"), ("hash", "B")),
    "no_auth_user, but with the wrong password": (OPEN, Credentials("anna", "no"), "wrong password or token"),
    "no_auth_user, but a token is sent": (OPEN, Credentials(token="x"), "no credentials"),
    "no_auth_user, but a password is sent": (OPEN, Credentials(password="x"), "no credentials"),
    "no_auth_user with bcrypt": (
        replace(MIXED, no_auth_user="hash"),
        Credentials(),
        "no_auth_user has a bcrypt password and so cannot be used without credentials",
    ),
    "no_auth_user is an nkey": (OPEN_NKEY, Credentials(), (PAIR.public, "C")),
    "no_auth_user is an nkey, named without signature": (
        OPEN_NKEY,
        Credentials(nkey=PAIR.public),
        (PAIR.public, "C"),
    ),
    "user behind a proxy": (
        SecurityOptions(users=(UserOptions("p", "secret", is_proxy_required=True),)),
        Credentials("p", "secret"),
        "proxy required",
    ),
    "token behind a proxy": (replace(TOKEN, is_proxy_required=True), Credentials(token="t0ken"), "proxy required"),
}


@pytest.mark.capability("SE01", "SE02", "SE07", "SE19")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_who_gets_in(decide: Decide, case: tuple[SecurityOptions, Credentials, tuple[str, str] | str]) -> None:
    options, credentials, expected = case
    decision = decide(options, credentials)
    seen = decision.reason if isinstance(decision, Refusal) else (decision.name, decision.account)
    assert seen == expected


def test_an_identity_carries_what_the_configuration_says(decide: Decide) -> None:
    identity = decide(USERS, Credentials("anna", "secret"))
    assert isinstance(identity, Identity)
    assert (identity.permissions, identity.proof, identity.nkey) == (LIMITED, Proof.PASSWORD, "")
    phone = decide(USERS, Credentials("phone", "secret"), replace(TCP, connection_type=ConnectionType.MQTT))
    assert isinstance(phone, Identity)
    assert phone.allowed_connection_types == {ConnectionType.MQTT}


@pytest.mark.capability("SE18")
def test_a_user_behind_a_trusted_proxy_gets_in(decide: Decide) -> None:
    options = SecurityOptions(users=(UserOptions("p", "secret", is_proxy_required=True),))
    assert isinstance(decide(options, Credentials("p", "secret"), replace(TCP, proxy_key="UPROXY")), Identity)


@pytest.mark.capability("SE22")
def test_no_secret_is_in_a_repr_or_a_reason(decide: Decide) -> None:
    credentials = Credentials("hash", "s3cret-word", "t0ken-word", PAIR.public, "sig-word", "jwt-word")
    shown = repr(credentials) + repr(decide(USERS, credentials)) + repr(decide(USERS, Credentials("anna", "secret")))
    for secret in ("s3cret-word", "t0ken-word", "sig-word", "jwt-word", HASHED, "'secret'", "fingerprint"):
        assert secret not in shown


# The listener's own rules -----------------------------------------------------------------------------------------


def test_a_listener_may_have_its_own_single_user_or_token(decide: Decide) -> None:
    mqtt = replace(TCP, rules=ListenerRules(single=SimpleAuthorization(token="mqtt-token")))
    assert isinstance(decide(TOKEN, Credentials(token="mqtt-token"), mqtt), Identity)
    assert isinstance(decide(TOKEN, Credentials(token="t0ken"), mqtt), Refusal)
    assert isinstance(decide(TOKEN, Credentials(token="t0ken")), Identity)
    assert isinstance(decide(NOBODY, Credentials(), mqtt), Refusal)


def test_a_listener_may_have_its_own_no_auth_user(decide: Decide) -> None:
    websocket = replace(TCP, rules=ListenerRules(no_auth_user="anna"))
    identity = decide(MIXED, Credentials(), websocket)
    assert isinstance(identity, Identity)
    assert (identity.name, identity.proof) == ("anna", Proof.NO_AUTH_USER)
    assert isinstance(decide(MIXED, Credentials()), Refusal)


@pytest.mark.capability("SE19")
def test_info_says_whether_a_login_is_needed(passwords: PasswordVerifier) -> None:
    def shown(options: SecurityOptions, rules: ListenerRules = TCP.rules) -> tuple[bool, bool, bool]:
        authenticator = Authenticator(options, passwords)
        return authenticator.shows_auth_required(rules), authenticator.demands_login(rules), authenticator.sends_nonce

    assert shown(NOBODY) == (False, False, False)
    assert shown(TOKEN) == (True, True, False)
    assert shown(USERS) == (True, True, False)
    assert shown(MIXED) == (True, True, True)
    assert shown(OPEN) == (False, True, True)
    assert shown(NOBODY, ListenerRules(no_auth_user="anna")) == (False, True, False)
    assert shown(replace(NOBODY, trusted_proxies=("UX",)))[2]


# Certificates -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    directory: Path = tmp_path_factory.mktemp("pki")
    return TestAuthority(directory)


def with_certificate(authority: TestAuthority, name: str) -> ConnectionFacts:
    certificate = authority.issue(name, subject=[(NameOID.COMMON_NAME, name)], emails=[f"{name}@site"]).der
    return replace(TCP, rules=ListenerRules(maps_certificates=True), tls=TlsFacts("TLSv1.3", "x", certificate))


@pytest.mark.capability("SE15")
def test_the_certificate_names_the_user(decide: Decide, authority: TestAuthority) -> None:
    options = SecurityOptions(users=(UserOptions("anna@site"), UserOptions("CN=bert"), UserOptions("c@site", "secret")))
    for name, credentials, expected in (
        ("anna", Credentials(), "anna@site"),
        ("bert", Credentials("ignored"), "CN=bert"),
        ("c", Credentials(password="secret"), "c@site"),
    ):
        identity = decide(options, credentials, with_certificate(authority, name))
        assert isinstance(identity, Identity)
        assert (identity.name, identity.proof) == (expected, Proof.CERTIFICATE)
    # A configured password counts beside the certificate.
    assert decide(options, Credentials(), with_certificate(authority, "c")) == Refusal("wrong password or token")
    stranger = decide(options, Credentials("anna@site"), with_certificate(authority, "stranger"))
    assert stranger == Refusal("no user matches the certificate")


@pytest.mark.capability("SE15")
def test_without_a_certificate_nobody_is_mapped(decide: Decide, authority: TestAuthority) -> None:
    facts = with_certificate(authority, "anna")
    options = SecurityOptions(users=(UserOptions("anna@site"),), no_auth_user="anna@site")
    for tls in (None, TlsFacts("TLSv1.3", "x", None)):
        decision = decide(options, Credentials(), replace(facts, tls=tls))
        assert decision == Refusal("user required in certificate, none presented")
    assert isinstance(decide(options, Credentials(), replace(facts, tls=TlsFacts("", "", b"junk"))), Refusal)


@pytest.mark.capability("SE15")
def test_a_user_without_password_is_not_open_when_certificates_name_users_elsewhere(
    passwords: PasswordVerifier,
) -> None:
    options = SecurityOptions(users=(UserOptions("anna@site"),))
    decision = Authenticator(options, passwords, maps_certificates_somewhere=True).authenticate(
        Credentials("anna@site"), TCP
    )
    assert decision == Refusal("user without password needs a certificate")


# Limits and ports ---------------------------------------------------------------------------------------------------


@pytest.mark.capability("SE23")
def test_too_many_waiting_checks_refuse(passwords: PasswordVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords_module, "CHECKS_WAITING_MAX", 0)
    decision = Authenticator(USERS, passwords).authenticate(Credentials("hash", "secret"), TCP)
    assert decision == Refusal("password checks waiting is 0, attempted 1")


def test_operator_mode_and_callout_need_their_authority(passwords: PasswordVerifier) -> None:
    """Without it nobody may get in by accident, so the server does not start."""
    with pytest.raises(ConfigError, match="operator"):
        Authenticator(SecurityOptions(operator=OperatorOptions(trusted_keys=("O",))), passwords)
    with pytest.raises(ConfigError, match="auth_callout"):
        Authenticator(replace(USERS, auth_callout=AuthCalloutOptions("A", ("anna",))), passwords)


class Recorder:
    """An authority that remembers what it was asked and lets everybody in as `guest`."""

    def __init__(self) -> None:
        self.asked: list[Decision | None] = []

    def decide(self, credentials: Credentials, facts: ConnectionFacts, so_far: Decision | None) -> Decision:
        self.asked.append(so_far)
        return Identity("guest", "G", proof=Proof.AUTHORITY)

    def still_authorised(self, identity: Identity, facts: ConnectionFacts) -> Decision:
        return replace(identity, account="H")


def test_in_operator_mode_only_the_authority_decides(passwords: PasswordVerifier) -> None:
    recorder = Recorder()
    options = replace(USERS, operator=OperatorOptions(trusted_keys=("O",)))
    authenticator = Authenticator(options, passwords, operator=recorder)
    guest = authenticator.authenticate(Credentials("anna", "secret"), TCP)
    assert isinstance(guest, Identity)
    assert (guest.name, recorder.asked) == ("guest", [None])
    assert authenticator.sends_nonce
    assert authenticator.still_authorised(guest, TCP) == replace(guest, account="H")
    anna = Authenticator(USERS, passwords).authenticate(Credentials("anna", "secret"), TCP)
    assert isinstance(anna, Identity)
    assert isinstance(authenticator.still_authorised(anna, TCP), Refusal)
    assert isinstance(Authenticator(USERS, passwords).still_authorised(guest, TCP), Refusal)


def test_a_callout_sees_the_outcome_and_has_the_last_word(
    passwords: PasswordVerifier, loop: asyncio.AbstractEventLoop
) -> None:
    recorder = Recorder()
    options = replace(USERS, auth_callout=AuthCalloutOptions("A", ("anna",)))
    authenticator = Authenticator(options, passwords, callout=recorder)

    async def ask(credentials: Credentials, facts: ConnectionFacts = TCP) -> Decision:
        decision = authenticator.authenticate(credentials, facts)
        return decision if isinstance(decision, Identity | Refusal) else await decision

    async def run() -> None:
        for credentials in (Credentials(), Credentials("anna", "secret"), Credentials("hash", "no")):
            guest = await ask(credentials)
            assert isinstance(guest, Identity)
            assert guest.name == "guest"
        # A leaf link is never sent to the callout.
        leaf = await ask(Credentials(), replace(TCP, connection_type=ConnectionType.LEAFNODE))
        assert isinstance(leaf, Refusal)

    loop.run_until_complete(run())
    kinds = [type(outcome) for outcome in recorder.asked]
    assert kinds == [Refusal, Identity, Refusal]


def test_closing_the_verifier_refuses_who_waits(loop: asyncio.AbstractEventLoop) -> None:
    async def run() -> None:
        passwords = PasswordVerifier(loop)
        authenticator = Authenticator(USERS, passwords)
        waiting = [authenticator.authenticate(Credentials("hash", f"guess{number}"), TCP) for number in range(3)]
        passwords.close()
        decisions = []
        for decision in waiting:
            assert not isinstance(decision, Identity | Refusal)
            decisions.append(await decision)
        assert decisions[-1] == Refusal("password check was given up")

    loop.run_until_complete(run())


# Reload -------------------------------------------------------------------------------------------------------------

CHANGED = replace(ANNA, password="changed")
MOVED = replace(ANNA, account="Z", permissions=None)

# (before, credentials, after) -> the account afterwards, or the reason of the refusal.
RELOADS = {
    "nothing changed": (USERS, Credentials("anna", "secret"), USERS, "A"),
    "user moved": (USERS, Credentials("anna", "secret"), replace(USERS, users=(MOVED,)), "Z"),
    "user removed": (USERS, Credentials("anna", "secret"), replace(USERS, users=(HASH,)), "user was removed"),
    "password changed": (
        USERS,
        Credentials("anna", "secret"),
        replace(USERS, users=(CHANGED,)),
        "password was changed",
    ),
    "bcrypt user stays": (USERS, Credentials("hash", "secret"), MIXED, "B"),
    "connection type taken away": (
        USERS,
        Credentials("anna", "secret"),
        replace(USERS, users=(replace(ANNA, allowed_connection_types=PHONE.allowed_connection_types),)),
        "connection type STANDARD not allowed for the user",
    ),
    "proxy demanded": (
        USERS,
        Credentials("anna", "secret"),
        replace(USERS, users=(replace(ANNA, is_proxy_required=True),)),
        "proxy required",
    ),
    "nkey stays": (MIXED, signed(), MIXED, "C"),
    "nkey removed": (MIXED, signed(), USERS, "user was removed"),
    "no_auth_user gone, user stays": (OPEN, Credentials(), MIXED, "A"),
    "no_auth_user was an nkey": (OPEN_NKEY, Credentials(), MIXED, "no_auth_user was changed"),
    "login becomes needed": (NOBODY, Credentials(), USERS, "a login is needed now"),
    "login no longer needed, named user": (USERS, Credentials("anna", "secret"), NOBODY, "user was removed"),
    "login no longer needed, token": (TOKEN, Credentials(token="t0ken"), NOBODY, "$G"),
    "still no login": (NOBODY, Credentials(), NOBODY, "$G"),
    "token stays": (TOKEN, Credentials(token="t0ken"), TOKEN, "$G"),
    "token changed": (TOKEN, Credentials(token="t0ken"), SecurityOptions(token="other"), "the token was changed"),
    "token became a user": (TOKEN, Credentials(token="t0ken"), SINGLE, "the token was removed"),
    "token became users": (TOKEN, Credentials(token="t0ken"), USERS, "the token was removed"),
    "token behind a proxy": (
        TOKEN,
        Credentials(token="t0ken"),
        replace(TOKEN, is_proxy_required=True),
        "proxy required",
    ),
    "single user stays": (SINGLE, Credentials("u", "secret"), SINGLE, "$G"),
    "single user renamed": (SINGLE, Credentials("u", "secret"), replace(SINGLE, username="v"), "user was removed"),
    "single user became a token": (SINGLE, Credentials("u", "secret"), TOKEN, "user was removed"),
    "single user became one of several": (
        SINGLE,
        Credentials("u", "secret"),
        SecurityOptions(users=(UserOptions("u", HASHED, account="D"),)),
        "D",
    ),
    "one of several became the single user": (
        SecurityOptions(users=(UserOptions("u", HASHED, account="D"),)),
        Credentials("u", "secret"),
        SINGLE,
        "$G",
    ),
    "single user's password changed": (
        SINGLE,
        Credentials("u", "secret"),
        replace(SINGLE, password="other"),
        "password was changed",
    ),
    "single user behind a proxy": (
        SINGLE,
        Credentials("u", "secret"),
        replace(SINGLE, is_proxy_required=True),
        "proxy required",
    ),
}


@pytest.mark.capability("SE20")
@pytest.mark.parametrize("case", RELOADS.values(), ids=RELOADS)
def test_a_reload_judges_again(
    decide: Decide, passwords: PasswordVerifier, case: tuple[SecurityOptions, Credentials, SecurityOptions, str]
) -> None:
    before, credentials, after, expected = case
    identity = decide(before, credentials)
    assert isinstance(identity, Identity)
    decision = Authenticator(after, passwords).still_authorised(identity, TCP)
    assert (decision.reason if isinstance(decision, Refusal) else decision.account) == expected


@pytest.mark.capability("SE20")
def test_only_who_lost_his_user_is_closed_without_a_word(decide: Decide, passwords: PasswordVerifier) -> None:
    identity = decide(USERS, Credentials("anna", "secret"))
    assert isinstance(identity, Identity)
    for after, is_silent in ((replace(USERS, users=(HASH,)), True), (replace(USERS, users=(CHANGED,)), False)):
        decision = Authenticator(after, passwords).still_authorised(identity, TCP)
        assert isinstance(decision, Refusal)
        assert decision.is_silent is is_silent


def test_plain_secrets_are_noticed(passwords: PasswordVerifier) -> None:
    def noticed(options: SecurityOptions) -> bool:
        return Authenticator(options, passwords).has_plain_secrets

    assert [noticed(options) for options in (NOBODY, SINGLE, TOKEN, USERS)] == [False, False, True, True]
    assert not noticed(SecurityOptions(users=(HASH, ROBOT)))


@pytest.mark.capability("SE20")
def test_a_reload_judges_a_mapped_certificate_again(
    decide: Decide, passwords: PasswordVerifier, authority: TestAuthority
) -> None:
    options = SecurityOptions(users=(UserOptions("anna@site"),))
    facts = with_certificate(authority, "anna")
    identity = decide(options, Credentials(), facts)
    assert isinstance(identity, Identity)
    authenticator = Authenticator(options, passwords)
    assert isinstance(authenticator.still_authorised(identity, facts), Identity)
    unmapped = replace(facts, rules=ListenerRules())
    assert authenticator.still_authorised(identity, unmapped) == Refusal("certificates no longer name users")


# Who came in before a restart: (options, name then) -> (name, account) now, or None for somebody who is gone.
RECALLED = {
    "nobody needs a login": (NOBODY, "", ("", "$G")),
    "a user where nobody needs a login now": (NOBODY, "anna", None),
    "token": (TOKEN, "[REDACTED]", ("[REDACTED]", "$G")),
    "token that was replaced by users": (USERS, "[REDACTED]", None),
    "user": (USERS, "anna", ("anna", "A")),
    "user that was removed": (USERS, "bert", None),
    "nobody where a login is needed now": (USERS, "", None),
    "nkey": (MIXED, PAIR.public, (PAIR.public, "C")),
    "single user": (SINGLE, "u", ("u", "$G")),
    "single user of another name": (SINGLE, "v", None),
}


@pytest.mark.parametrize(("options", "name", "expected"), RECALLED.values(), ids=RECALLED)
def test_rights_of_who_came_in_before_a_restart(
    passwords: PasswordVerifier, options: SecurityOptions, name: str, expected: tuple[str, str] | None
) -> None:
    decision = Authenticator(options, passwords).recalled(name, "A", ListenerRules())
    if expected is None:
        assert isinstance(decision, Refusal)
        return
    assert isinstance(decision, Identity)
    assert (decision.name, decision.account) == expected
    assert (decision.permissions is LIMITED) == (name == "anna")
