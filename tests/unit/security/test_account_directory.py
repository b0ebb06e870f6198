"""The files of a resolver's directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from leafbox.protocol.errors import LimitExceeded
from leafbox.protocol.jwt import JWT_BYTES_MAX
from leafbox.protocol.nkeys import KeyPair, KeyRole
from leafbox.security.account_directory import AccountDirectory

A, B, C = sorted(KeyPair.create(KeyRole.ACCOUNT).public for _ in range(3))


def files(path: Path) -> dict[str, str]:
    return {each.name: each.read_text() for each in path.iterdir()}


def loaded(path: Path) -> dict[str, str]:
    directory = AccountDirectory(str(path))
    directory.load()
    return dict(directory.tokens)


def test_what_is_saved_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "new" / "accounts"
    directory = AccountDirectory(str(path))
    directory.load()
    directory.save(A, "one")
    directory.save(B, "two")
    directory.save(A, "three")
    assert files(path) == {f"{A}.jwt": "three", f"{B}.jwt": "two"}
    assert loaded(path) == {A: "three", B: "two"}


def test_what_is_no_account_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("x")
    (tmp_path / "stranger.jwt").write_text("x")
    (tmp_path / f"{A}.jwt").write_text("x" * (JWT_BYTES_MAX + 1))
    (tmp_path / f"{B}.jwt.part").write_text("half")
    assert loaded(tmp_path) == {}
    assert set(files(tmp_path)) == {"readme.txt", "stranger.jwt", f"{A}.jwt"}


def test_a_full_directory_takes_no_more(tmp_path: Path) -> None:
    directory = AccountDirectory(str(tmp_path), accounts_max=1)
    directory.save(A, "one")
    directory.save(A, "two")
    with pytest.raises(LimitExceeded, match="jwt store is full"):
        directory.save(B, "three")
    assert files(tmp_path) == {f"{A}.jwt": "two"}


def test_a_full_cache_gives_up_what_was_used_least_lately(tmp_path: Path) -> None:
    directory = AccountDirectory(str(tmp_path), accounts_max=2, evicts=True)
    directory.save(A, "one")
    directory.save(B, "two")
    directory.use(A)
    directory.use(C)
    assert directory.save(C, "three") == B
    assert files(tmp_path) == {f"{A}.jwt": "one", f"{C}.jwt": "three"}


@pytest.mark.parametrize("is_final", [False, True])
def test_deleted_files(tmp_path: Path, is_final: bool) -> None:
    directory = AccountDirectory(str(tmp_path), is_delete_final=is_final)
    directory.save(A, "one")
    directory.delete(A)
    directory.delete(B)
    assert files(tmp_path) == ({} if is_final else {f"{A}.jwt.deleted": "one"})
    assert loaded(tmp_path) == {}


def test_nothing_has_changed_when_the_disk_refuses(tmp_path: Path) -> None:
    directory = AccountDirectory(str(tmp_path / "gone"))
    with pytest.raises(OSError, match="No such file"):
        directory.save(A, "one")
    assert dict(directory.tokens) == {}


def test_equal_directories_have_equal_digests(tmp_path: Path) -> None:
    one, other = AccountDirectory(str(tmp_path)), AccountDirectory(str(tmp_path))
    assert one.digest() == bytes(32)
    for key, token in ((A, "one"), (B, "two")):
        one.save(key, token)
    for key, token in ((B, "two"), (A, "one")):
        other.save(key, token)
    assert one.digest() == other.digest()
    other.save(A, "three")
    assert one.digest() != other.digest()
