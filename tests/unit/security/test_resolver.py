"""Accounts that come and go: order, lookups and their bounds. Files are real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

import pytest

from leafbox.protocol.jwt import InvalidJwt
from leafbox.protocol.nkeys import KeyPair, KeyRole
from leafbox.security.account_directory import AccountDirectory
from leafbox.security.config import OperatorOptions
from leafbox.security.operator import OperatorMode
from leafbox.security.resolver import LOOKUPS_MAX, UNKNOWN_MAX, UNKNOWN_S, AccountResolver, Rejected
from tests.support.jwt_maker import UNLIMITED, make_jwt

OPERATOR = KeyPair.create(KeyRole.OPERATOR)
A, B = KeyPair.create(KeyRole.ACCOUNT), KeyPair.create(KeyRole.ACCOUNT)


def token(account: KeyPair = A, *, issued_at_s: int = 100, signer: KeyPair = OPERATOR, **claims: object) -> str:
    return make_jwt("account", account.public, signer, {"limits": UNLIMITED, **claims}, iat=issued_at_s)


class Source:
    """Answers after `gate` is open."""

    def __init__(self, tokens: dict[str, str] | None = None) -> None:
        self.tokens = tokens or {}
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self, key: str) -> str | None:
        self.asked.append(key)
        await self.gate.wait()
        return self.tokens.get(key)


class Scene:
    """A resolver with what it applied and a clock."""

    def __init__(
        self, source: Source | None = None, directory: AccountDirectory | None = None, ttl_s: float = 0
    ) -> None:
        self.mode = OperatorMode(OperatorOptions(trusted_keys=(OPERATOR.public,)))
        self.applied: list[Collection[str]] = []
        self.now_s = 1000.0
        self.resolver = AccountResolver(
            self.mode,
            self.applied.append,
            source=source,
            directory=directory,
            ttl_s=ttl_s,
            clock_s=lambda: self.now_s,
        )

    async def push(self, text: str) -> None:
        await self.resolver.update(self.resolver.check(text))


def test_a_change_is_on_flash_before_it_counts(tmp_path: Path) -> None:
    async def run() -> None:
        scene = Scene(directory=AccountDirectory(str(tmp_path)))
        await scene.push(token())
        await scene.push(token())
        assert scene.applied == [(A.public,)], "the same again changes nothing"
        assert (tmp_path / f"{A.public}.jwt").read_text() == scene.mode.accounts[A.public].token
        await scene.resolver.delete([A.public, B.public])
        assert scene.applied[-1] == [A.public]
        assert scene.mode.accounts == {}

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == [tmp_path / f"{A.public}.jwt.deleted"]


def test_what_the_disk_refuses_does_not_count(tmp_path: Path) -> None:
    async def run() -> None:
        scene = Scene(directory=AccountDirectory(str(tmp_path / "gone")))
        with pytest.raises(OSError, match="No such file"):
            await scene.push(token())
        assert scene.applied == []
        assert scene.mode.accounts == {}

    asyncio.run(run())


def test_whose_token_it_is_is_looked_at_first() -> None:
    async def run() -> None:
        scene = Scene()
        with pytest.raises(InvalidJwt, match="trusted"):
            scene.resolver.check(token(signer=KeyPair.create(KeyRole.OPERATOR)))
        with pytest.raises(InvalidJwt, match="does not match"):
            scene.resolver.check(token(), B.public)

    asyncio.run(run())


def test_what_is_older_than_ours_is_not_merged() -> None:
    async def run() -> None:
        scene = Scene()
        for issued_at_s, counts in ((100, 100), (99, 100), (100, 100), (101, 101)):
            await scene.resolver.merge(A.public, token(issued_at_s=issued_at_s))
            assert scene.mode.accounts[A.public].claims.issued_at_s == counts
        with pytest.raises(Rejected):
            await scene.resolver.merge(A.public, token(issued_at_s=200, cluster_traffic="mine"))

    asyncio.run(run())


def test_who_waits_for_the_same_account_asks_once() -> None:
    async def run() -> None:
        source = Source({A.public: token()})
        scene = Scene(source)
        source.gate.clear()
        waiting = [asyncio.gather(scene.resolver.find(A.public)) for _ in range(3)]
        await asyncio.sleep(0)
        source.gate.set()
        await asyncio.gather(*waiting)
        assert source.asked == [A.public]
        assert A.public in scene.mode.accounts

    asyncio.run(run())


def test_an_account_comes_with_those_it_imports_from() -> None:
    async def run() -> None:
        imports = [{"subject": "x", "account": B.public, "type": "stream"}]
        source = Source({A.public: token(imports=imports), B.public: token(B)})
        scene = Scene(source)
        await scene.resolver.find(A.public)
        assert source.asked == [A.public, B.public]
        assert set(scene.mode.accounts) == {A.public, B.public}

    asyncio.run(run())


def test_what_was_not_found_is_not_asked_for_again_at_once() -> None:
    async def run() -> None:
        scene = Scene(Source({B.public: token(A)}))
        for key in (A.public, B.public):
            assert scene.resolver.may_find(key)
            await scene.resolver.find(key)
            assert not scene.resolver.may_find(key)
        scene.now_s += UNKNOWN_S
        assert scene.resolver.may_find(A.public)
        assert scene.applied == []

    asyncio.run(run())


def test_lookups_are_bounded() -> None:
    async def run() -> None:
        source = Source()
        scene = Scene(source)
        source.gate.clear()
        waiting = [asyncio.gather(scene.resolver.find(f"A{number}")) for number in range(LOOKUPS_MAX)]
        await asyncio.sleep(0)
        assert not scene.resolver.may_find("another")
        assert scene.resolver.may_find("A1")
        source.gate.set()
        await asyncio.gather(*waiting)
        for number in range(UNKNOWN_MAX + 5):
            await scene.resolver.find(f"B{number}")
        assert scene.resolver.may_find("A1")
        assert not scene.resolver.may_find(f"B{UNKNOWN_MAX}")

    asyncio.run(run())


def test_nobody_to_ask() -> None:
    async def run() -> None:
        assert not Scene().resolver.may_find(A.public)
        assert not Scene(ttl_s=1).resolver.is_stale(A.public)

    asyncio.run(run())


def test_a_cached_account_grows_old_and_counts_until_there_is_another() -> None:
    async def run() -> None:
        source = Source({A.public: token()})
        scene = Scene(source, ttl_s=60)
        await scene.resolver.find(A.public)
        assert not scene.resolver.is_stale(A.public)
        scene.now_s += 60
        assert scene.resolver.is_stale(A.public)
        source.tokens.clear()
        await scene.resolver.find(A.public)
        assert A.public in scene.mode.accounts
        assert not scene.resolver.is_stale(A.public)

    asyncio.run(run())
