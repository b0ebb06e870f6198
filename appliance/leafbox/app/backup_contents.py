"""What a backup holds, and how it becomes a data directory again: the store, the box's other files, the configuration.

Restoring unpacks beside the target, verifies the store that came out, and only then renames; an interrupted one leaves
the target as it was.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from leafbox.app.backup_file import BackupDamaged, Contents, read_backup
from leafbox.protocol.control import FILE_NAME as CONTROL_FILE
from leafbox.protocol.errors import LeafboxError, StoreError
from leafbox.storage.verify import verify

STORE = "jetstream"
"""Name of the store's directory below the data directory."""
BACKUPS = "backups"
STAGED = "restore-staged"
"""A backup that takes the place of everything at the next start."""
LEFT_OUT = frozenset({STORE, BACKUPS, STAGED, CONTROL_FILE})
STORE_PARTS = ("log", "database")
CONFIGURATION = "config"


@dataclass
class RestoreRefused(LeafboxError):
    """A backup that cannot be put there."""

    reason: str

    def __str__(self) -> str:
        return self.reason


def files_to_keep(data: Path, store: Path | None, config_file: str) -> list[tuple[str, Path]]:
    """(name inside, path) of everything; `store` is a directory with `log` and `database`, at rest."""
    found: list[tuple[str, Path]] = []
    if config_file and data.resolve() not in Path(config_file).resolve().parents:
        found.append((f"{CONFIGURATION}/{Path(config_file).name}", Path(config_file)))
    for path in sorted(data.rglob("*")):
        relative = path.relative_to(data)
        is_ours = relative.parts[0] not in LEFT_OUT and not relative.parts[0].startswith(("before-restore-", "."))
        if is_ours and path.is_file() and not path.is_symlink() and path.suffix != ".part":
            found.append((f"data/{relative.as_posix()}", path))
    for part in STORE_PARTS if store is not None else ():
        assert store is not None
        for path in sorted((store / part).glob("*")):
            if path.is_file() and path.name != "lock.mdb":
                found.append((f"data/{STORE}/{part}/{path.name}", path))
    return found


def total_bytes(files: list[tuple[str, Path]]) -> int:
    """What the progress of writing counts up to."""
    return sum(path.stat().st_size for _, path in files)


def unpack_and_verify(backup: Path, passphrase: str, scratch: Path) -> Iterator[int]:
    """Unpack into `scratch` (created; the caller removes it) and check the store in it. Yields bytes so far.

    Raises `BackupDamaged` or OSError.
    """
    scratch.mkdir(mode=0o700)
    contents = Contents()
    for contents in read_backup(backup, passphrase, scratch):
        yield contents.tar_bytes
    if not any(name.startswith("data/") for name in contents.names):
        raise BackupDamaged("it is whole, but holds no data directory")
    store = scratch / "data" / STORE
    if store.is_dir():
        try:
            facts = verify(str(store))
        except StoreError as error:
            raise BackupDamaged(f"the store in it cannot be read: {error}") from error
        if not facts.is_sound:
            raise BackupDamaged(f"the store in it is damaged:\n{facts}")


def check_backup(backup: Path, passphrase: str) -> Iterator[int]:
    """Read all of a backup and verify the store in it; needs as much free space as it holds. Yields bytes so far."""
    scratch = backup.with_name(f".verify-{backup.name}-{os.getpid()}")
    try:
        yield from unpack_and_verify(backup, passphrase, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def restore_backup(backup: Path, passphrase: str, data: Path) -> Iterator[int]:
    """Make `data` from a backup; it must not exist or be empty. Yields bytes so far.

    Raises `RestoreRefused`, `BackupDamaged` or OSError, and has changed nothing then.
    """
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise RestoreRefused(f"{data} is not empty; name a new directory, or `leafbox reset` it first")
    data.parent.mkdir(parents=True, exist_ok=True)
    scratch = data.with_name(f"{data.name}.restoring-{os.getpid()}")
    try:
        yield from unpack_and_verify(backup, passphrase, scratch)
        _fold_configuration(scratch)
        if data.exists():
            data.rmdir()
        (scratch / "data").rename(data)
        _sync(data.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _fold_configuration(scratch: Path) -> None:
    """The configuration file comes to lie in the data directory's `config`; where it was, may be another machine's."""
    if (scratch / CONFIGURATION).is_dir():
        (scratch / CONFIGURATION).rename(scratch / "data" / CONFIGURATION)


# -- in place of a running box -----------------------------------------------------------------------------------------


def stage_backup(backup: Path, passphrase: str, data: Path) -> Iterator[int]:
    """Unpack and verify a backup so that the next start puts it in place. Yields bytes so far."""
    scratch = data / f".staging-{os.getpid()}"
    staged = data / STAGED
    try:
        yield from unpack_and_verify(backup, passphrase, scratch)
        _fold_configuration(scratch)
        shutil.rmtree(staged, ignore_errors=True)
        (scratch / "data").rename(staged)
        _sync(data)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def put_staged_in_place(data: Path) -> Path | None:
    """At a start, before anything is opened: what was staged takes the place of everything but the backups.

    Returns where the former contents went, None if nothing was staged. Can be interrupted at any point and run again:
    what was moved aside stays aside, what is staged goes on.
    """
    staged = data / STAGED
    if not staged.is_dir():
        return None
    former = data / f"before-restore-{time.strftime('%Y%m%d-%H%M%S')}"
    # It is there already if a start was interrupted within this second; then the rest follows the first.
    former.mkdir(mode=0o700, exist_ok=True)
    marker = staged / ".moving"
    if not marker.exists():
        for path in sorted(data.iterdir()):
            if path.name not in (STAGED, BACKUPS) and not path.name.startswith("before-restore-"):
                path.rename(former / path.name)
        marker.touch()
        _sync(staged)
    for path in sorted(staged.iterdir()):
        if path != marker:
            path.rename(data / path.name)
    _sync(data)
    marker.unlink()
    staged.rmdir()
    if not any(former.iterdir()):
        former.rmdir()
    return former


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
