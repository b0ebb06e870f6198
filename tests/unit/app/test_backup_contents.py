"""What goes into a backup, and how it comes back without ever overwriting."""

from __future__ import annotations

from pathlib import Path

import pytest

from leafbox.app import backup_file
from leafbox.app.backup_contents import (
    RestoreRefused,
    check_backup,
    files_to_keep,
    put_staged_in_place,
    restore_backup,
    stage_backup,
    total_bytes,
)
from leafbox.app.backup_file import BackupDamaged, Header, write_backup
from leafbox.storage.config import StorageOptions
from leafbox.storage.engine import Store
from leafbox.storage.records import BlobKind


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory at rest, with a store in it."""
    data = tmp_path / "data"
    store = Store(StorageOptions(directory=str(data / "jetstream"), segment_bytes=1 << 18, free_bytes_min=0))
    store.put_blob(BlobKind.SETTING, b"k", b"value")
    store.close()
    write(data / "tls" / "ca.pem", "certificate")
    write(data / "control.json", "secret of one start")
    write(data / "backups" / "old.backup", "old")
    write(data / "before-restore-1" / "x", "x")
    return data


def make(data: Path, config: str = "") -> Path:
    files = files_to_keep(data, data / "jetstream", config)
    backup = data / "backups" / "new.backup"
    assert list(write_backup(backup, Header(1.0, "0"), "", files))[-1] == total_bytes(files)
    return backup


def test_what_is_kept_and_what_is_not(data: Path, tmp_path: Path) -> None:
    write(tmp_path / "etc" / "leafbox.conf", "port: 4222")
    names = [name for name, _ in files_to_keep(data, data / "jetstream", str(tmp_path / "etc" / "leafbox.conf"))]
    assert {"config/leafbox.conf", "data/tls/ca.pem", "data/jetstream/database/data.mdb"} <= set(names)
    assert not [name for name in names if "control" in name or "old.backup" in name or "before-restore" in name]
    assert len(names) == len(set(names))


@pytest.mark.capability("OP06")
def test_restored_into_a_new_directory(data: Path, tmp_path: Path) -> None:
    write(tmp_path / "leafbox.conf", "port: 4222")
    backup = make(data, str(tmp_path / "leafbox.conf"))
    list(check_backup(backup, ""))
    target = tmp_path / "new"
    target.mkdir()
    list(restore_backup(backup, "", target))
    assert (target / "tls" / "ca.pem").read_text() == "certificate"
    assert (target / "config" / "leafbox.conf").read_text() == "port: 4222"
    store = Store(StorageOptions(directory=str(target / "jetstream"), segment_bytes=1 << 18, free_bytes_min=0))
    assert store.get_blob(BlobKind.SETTING, b"k") == b"value"
    store.close()
    with pytest.raises(RestoreRefused, match="not empty"):
        list(restore_backup(backup, "", target))
    assert not list(tmp_path.glob("*.restoring-*"))


def test_a_damaged_backup_changes_nothing(data: Path, tmp_path: Path) -> None:
    backup = make(data)
    whole = backup.read_bytes()
    backup.write_bytes(whole[:-40])
    with pytest.raises(BackupDamaged):
        list(restore_backup(backup, "", tmp_path / "new"))
    with pytest.raises(BackupDamaged):
        list(check_backup(backup, ""))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    assert [path.name for path in (data / "backups").iterdir() if path.name.startswith(".verify")] == []


def test_a_backup_without_data_is_none(tmp_path: Path) -> None:
    write(tmp_path / "x", "x")
    list(write_backup(tmp_path / "b.backup", Header(1.0, "0"), "", [("config/x", tmp_path / "x")]))
    with pytest.raises(BackupDamaged, match="no data directory"):
        list(check_backup(tmp_path / "b.backup", ""))


def test_staged_and_put_in_place_at_the_next_start(data: Path) -> None:
    backup = make(data)
    write(data / "tls" / "ca.pem", "changed since")
    assert put_staged_in_place(data) is None
    list(stage_backup(backup, "", data))
    assert (data / "tls" / "ca.pem").read_text() == "changed since"
    former = put_staged_in_place(data)
    assert former is not None
    assert (data / "tls" / "ca.pem").read_text() == "certificate"
    assert (former / "tls" / "ca.pem").read_text() == "changed since"
    assert (data / "backups" / "new.backup").exists()
    assert put_staged_in_place(data) is None


def test_an_interrupted_start_goes_on_where_it_was(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after each rename in turn: the next start ends with the backup's contents, and nothing is lost."""
    backup = make(data)
    write(data / "tls" / "ca.pem", "changed since")
    list(stage_backup(backup, "", data))
    real = Path.rename
    calls = 0

    def dies_later(path: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls % 2 == 0:
            raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "rename", dies_later)
    for _ in range(20):
        try:
            put_staged_in_place(data)
        except KeyboardInterrupt:
            continue
        break
    assert (data / "tls" / "ca.pem").read_text() == "certificate"
    kept = [path for path in data.rglob("ca.pem") if path.read_text() == "changed since"]
    assert len(kept) == 1
    assert backup_file.MAGIC in (data / "backups" / "new.backup").read_bytes()
