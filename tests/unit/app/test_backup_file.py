"""Backup files: what went in comes out, and no damaged, cut-off or wrong one passes."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from leafbox.app import backup_file
from leafbox.app.backup_file import (
    BackupDamaged,
    Header,
    KeyRule,
    make_key_rule,
    read_backup,
    read_header,
    write_backup,
)

PASSPHRASE = "correct horse"


@pytest.fixture(autouse=True)
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """argon2id's least, so that a test takes no second."""
    monkeypatch.setattr(backup_file, "OPERATIONS", 1)
    monkeypatch.setattr(backup_file, "MEMORY_BYTES", 8192)
    monkeypatch.setattr(backup_file, "PIECE_BYTES", 4096)


def make(folder: Path, passphrase: str = "", files: dict[str, bytes] | None = None) -> Path:
    sources = []
    for number, (name, content) in enumerate((files or {"data/a": b"alpha" * 5000, "data/sub/b": b""}).items()):
        path = folder / f"source-{number}"
        path.write_bytes(content)
        sources.append((name, path))
    header = Header(1000.5, "0.1.0", "box", make_key_rule() if passphrase else None)
    target = folder / "x.backup"
    done = list(write_backup(target, header, passphrase, sources))
    assert done[-1] == sum(path.stat().st_size for _, path in sources)
    return target


def unpacked(backup: Path, passphrase: str, target: Path | None) -> dict[str, bytes]:
    for _ in read_backup(backup, passphrase, target):
        pass
    if target is None:
        return {}
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}


@pytest.mark.capability("OP06")
@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
def test_what_went_in_comes_out(tmp_path: Path, passphrase: str) -> None:
    backup = make(tmp_path, passphrase)
    assert backup.stat().st_mode & 0o777 == 0o600
    assert read_header(backup).is_encrypted == bool(passphrase)
    (tmp_path / "out").mkdir()
    found = unpacked(backup, passphrase, tmp_path / "out")
    assert found == {"data/a": b"alpha" * 5000, "data/sub/b": b""}
    if passphrase:
        assert b"alpha" not in backup.read_bytes()
        for wrong, said in (("", "encrypted"), ("incorrect horse", "passphrase is wrong")):
            with pytest.raises(BackupDamaged, match=said):
                unpacked(backup, wrong, None)


def test_every_changed_byte_and_every_cut_is_found(tmp_path: Path) -> None:
    backup = make(tmp_path, files={"data/a": bytes(range(256)) * 40})
    whole = backup.read_bytes()
    for at in range(len(whole)):
        backup.write_bytes(whole[:at] + bytes([whole[at] ^ 0x01]) + whole[at + 1 :])
        with pytest.raises(BackupDamaged):
            unpacked(backup, "", None)
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        backup.write_bytes(whole[:length])
        with pytest.raises(BackupDamaged):
            unpacked(backup, "", None)
    backup.write_bytes(whole + b"x")
    with pytest.raises(BackupDamaged, match="behind the end"):
        unpacked(backup, "", None)
    backup.write_bytes(whole)
    unpacked(backup, "", None)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "data/../../evil"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    backup = make(tmp_path, files={name: b"x"})
    (tmp_path / "out").mkdir()
    with pytest.raises(BackupDamaged, match="no backup of ours"):
        unpacked(backup, "", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_links_are_refused(tmp_path: Path) -> None:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as made:
        link = tarfile.TarInfo("data/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(link)
    backup = tmp_path / "x.backup"
    with backup.open("wb") as file:
        file.write(backup_file.MAGIC + b'{"created_s":1,"version":"0"}\n')
        sealer = backup_file._Sealer(file, b'{"created_s":1,"version":"0"}\n', backup_file.PUBLIC_KEY)
        sealer.write(tar.getvalue())
        sealer.finish()
    with pytest.raises(BackupDamaged, match="no backup of ours"):
        unpacked(backup, "", None)


def test_a_header_may_not_ask_for_all_memory(tmp_path: Path) -> None:
    backup = make(tmp_path, PASSPHRASE)
    rule = read_header(backup).key
    assert rule is not None
    for bad in (KeyRule(rule.salt, 1, 1 << 40), KeyRule(rule.salt, 10**9, 8192), KeyRule("zz", 1, 8192)):
        with pytest.raises(BackupDamaged):
            backup_file._key(Header(1, "0", key=bad), PASSPHRASE)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(write_backup(tmp_path / "x.backup", Header(1, "0"), "", [("data/a", tmp_path / "missing")]))
    assert list(tmp_path.iterdir()) == []
