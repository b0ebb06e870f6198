"""Passwords: what matches, what is remembered, what is refused, and that the loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import bcrypt
import hypothesis.strategies as st
import pytest
import uvloop
from hypothesis import given

from leafbox.protocol.errors import LimitExceeded
from leafbox.security import passwords
from leafbox.security.passwords import PasswordVerifier, check_bcrypt, check_plain, hash_password, is_bcrypt

COST = 4
SECRET_HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(COST, b"2a")).decode()


def with_verifier(body: Callable[[PasswordVerifier], Awaitable[None]]) -> None:
    """Run `body` with a verifier on a fresh uvloop."""

    async def run() -> None:
        verifier = PasswordVerifier(asyncio.get_running_loop())
        try:
            await body(verifier)
        finally:
            verifier.close()

    uvloop.run(run())


@pytest.mark.capability("SE01", "SE02")
@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2x$", "$2y$"])
def test_every_bcrypt_prefix_is_read(prefix: str) -> None:
    stored = prefix + SECRET_HASH[4:]
    assert is_bcrypt(stored)
    assert check_bcrypt("secret", stored)
    assert not check_bcrypt("Secret", stored)
    assert not check_bcrypt(stored, stored)


@pytest.mark.parametrize("stored", ["", "secret", "$2c$04$x", "$2a$4$x", "2a$04$x", "x$2a$04$x"])
def test_other_texts_are_plain_secrets(stored: str) -> None:
    assert not is_bcrypt(stored)


@pytest.mark.parametrize(
    "stored",
    ["$2a$04$", "$2b$04$short", "$2a$99$" + "a" * 53, SECRET_HASH[:-1], SECRET_HASH + "x"],
    ids=["no salt", "short", "cost", "one less", "one more"],
)
def test_a_malformed_hash_matches_nothing(stored: str) -> None:
    """It is taken for a hash, so the text itself is no password either."""
    assert not check_bcrypt("secret", stored)
    assert not check_bcrypt(stored, stored)


def test_bytes_after_the_72nd_do_not_count() -> None:
    """As in every bcrypt: a client that sends more is compared on what bcrypt sees."""
    stored = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(COST)).decode()
    assert check_bcrypt("x" * 100, stored)
    assert not check_bcrypt("x" * 71, stored)


ANY_TEXT = st.text(st.characters(exclude_categories=()))  # Half surrogate pairs too: JSON can carry them.


@given(first=ANY_TEXT, second=ANY_TEXT)
def test_plain_comparison_is_equality(first: str, second: str) -> None:
    assert check_plain(first, second) == (first == second)
    assert check_plain(first, first)


def test_made_hashes_verify_and_need_no_quotes() -> None:
    stored = hash_password("a good password", cost=COST)
    assert stored.startswith("$2a$04$")
    assert check_bcrypt("a good password", stored)


@pytest.mark.parametrize(("password", "reason"), [("short", "at least 8"), ("x" * 73, "72 bytes")])
def test_passwords_that_cannot_be_good_are_not_hashed(password: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        hash_password(password, cost=COST)


def test_a_plain_secret_is_answered_at_once() -> None:
    async def body(verifier: PasswordVerifier) -> None:
        assert verifier.check("u", "secret", "secret") is True
        assert verifier.check("u", "other", "secret") is False
        assert verifier.checks_waiting == 0

    with_verifier(body)


def test_a_right_password_is_remembered_and_a_wrong_one_is_not() -> None:
    async def body(verifier: PasswordVerifier) -> None:
        for _ in range(2):
            wrong = verifier.check("u", "wrong", SECRET_HASH)
            assert isinstance(wrong, asyncio.Future)
            assert not await wrong
        right = verifier.check("u", "secret", SECRET_HASH)
        assert isinstance(right, asyncio.Future)
        assert await right
        assert verifier.check("u", "secret", SECRET_HASH) is True
        assert verifier.remembered == 1
        # Nothing else is taken for it: another user, a changed hash, parts that only read the same when joined.
        other_hash = bcrypt.hashpw(b"secret", bcrypt.gensalt(COST)).decode()
        others = [
            ("v", "secret", SECRET_HASH, True),
            ("u", "secret", other_hash, True),
            ("us", "ecret", SECRET_HASH, False),
        ]
        for user, password, stored, is_right in others:
            again = verifier.check(user, password, stored)
            assert isinstance(again, asyncio.Future)
            assert await again is is_right

    with_verifier(body)


@pytest.mark.capability("SE23")
def test_connections_with_the_same_password_share_one_check() -> None:
    async def body(verifier: PasswordVerifier) -> None:
        checks = [verifier.check("sensor", "secret", SECRET_HASH) for _ in range(200)]
        assert verifier.checks_waiting == 1
        assert all([await check for check in checks if isinstance(check, asyncio.Future)])

    with_verifier(body)


@pytest.mark.capability("SE23")
def test_the_queue_is_bounded_in_all_and_for_each_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "CHECKS_WAITING_MAX", 6)
    monkeypatch.setattr(passwords, "CHECKS_WAITING_PER_USER_MAX", 4)

    async def body(verifier: PasswordVerifier) -> None:
        guesses = [verifier.check("a", f"guess{number}", SECRET_HASH) for number in range(4)]
        with pytest.raises(LimitExceeded, match="of one user is 4, attempted 5"):
            verifier.check("a", "guess4", SECRET_HASH)
        others = [verifier.check("b", f"guess{number}", SECRET_HASH) for number in range(2)]
        with pytest.raises(LimitExceeded, match="password checks waiting is 6, attempted 7"):
            verifier.check("c", "guess", SECRET_HASH)
        for check in guesses + others:
            assert isinstance(check, asyncio.Future)
            assert not await check
        await asyncio.sleep(0)
        assert verifier.checks_waiting == 0
        again = verifier.check("a", "secret", SECRET_HASH)
        assert isinstance(again, asyncio.Future)
        assert await again

    with_verifier(body)


@pytest.mark.capability("SE23")
def test_the_cache_is_bounded_and_forgets_the_longest_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "REMEMBERED_MAX", 2)

    async def body(verifier: PasswordVerifier) -> None:
        for user in ("a", "b"):
            check = verifier.check(user, "secret", SECRET_HASH)
            assert isinstance(check, asyncio.Future)
            await check
        await asyncio.sleep(0)
        assert verifier.check("a", "secret", SECRET_HASH) is True
        third = verifier.check("c", "secret", SECRET_HASH)
        assert isinstance(third, asyncio.Future)
        await third
        await asyncio.sleep(0)
        assert verifier.remembered == 2
        assert verifier.check("a", "secret", SECRET_HASH) is True
        assert isinstance(verifier.check("b", "secret", SECRET_HASH), asyncio.Future)

    with_verifier(body)


def test_bcrypt_runs_beside_the_loop_and_outlives_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that gives up does not waste the work: the answer is there at its next attempt."""
    release, threads = threading.Event(), []

    def slow(password: str, stored: str) -> bool:
        threads.append(threading.current_thread())
        return release.wait(10)

    monkeypatch.setattr(passwords, "check_bcrypt", slow)

    async def body(verifier: PasswordVerifier) -> None:
        check = verifier.check("u", "secret", SECRET_HASH)
        assert isinstance(check, asyncio.Future)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(check), 0.01)
        release.set()
        assert await check
        assert verifier.check("u", "secret", SECRET_HASH) is True
        assert threads
        assert threading.current_thread() not in threads

    with_verifier(body)
