"""Backups of a running box: a hot copy of the store, packed by a process of its own, kept in `<data>/backups`.

One at a time. The copy is what a power cut at one moment would have left (`storage.hot_copy`): everything acknowledged
before the request is in it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

import leafbox
from leafbox.app.backup_contents import BACKUPS, files_to_keep, total_bytes
from leafbox.app.backup_file import PASSPHRASE_CHARS_MIN, BackupDamaged, Header, make_key_rule, read_header
from leafbox.app.backup_worker import Task
from leafbox.app.configuration.options import Options
from leafbox.app.jetstream import DurableSide
from leafbox.protocol.errors import BoxRequestFailed, LeafboxError, StoreError
from leafbox.protocol.jetstream.go_json import Json, JsonObject
from leafbox.storage.engine import Store
from leafbox.storage.hot_copy import HotCopy

logger = logging.getLogger(__name__)

SUFFIX = ".backup"
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
CHECKPOINT_WAIT_S = 60.0
POLL_S = 0.02
STOP_WAIT_S = 30.0
"""How long a stop waits for a copy under way: the database must not be closed under it."""


class BackedUpServer(Protocol):
    """What of the server goes into a backup."""

    options: Options
    durable: DurableSide | None


@dataclass(slots=True)
class Running:
    """The backup under way."""

    id: str
    total_bytes: int = 0
    done_bytes: int = 0
    is_encrypted: bool = False
    started_s: float = 0.0


class Backups:
    """The backups of one box; belongs to the loop. `tell(kind, text, severity)` notes what happened."""

    def __init__(self, server: BackedUpServer, data: Path, tell: Callable[[str, str, str], None]) -> None:
        self._server = server
        self._data = data
        self._directory = data / BACKUPS
        self._tell = tell
        self._running: Running | None = None
        self._copying = threading.Lock()
        self._process: asyncio.subprocess.Process | None = None

    def start(self) -> None:
        """Take away what a run that was killed left half done."""
        for pattern in (".work-*", ".verify-*", "*.part"):
            for left in self._directory.glob(pattern):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)

    def stop(self) -> None:
        """Wait for a copy under way, and end the process that packs: what it has so far it removes or nobody sees."""
        if self._process is not None:
            self._process.kill()
        if self._copying.acquire(timeout=STOP_WAIT_S):
            self._copying.release()

    # -- answers ------------------------------------------------------------------------------------------------------

    def list(self, request: JsonObject) -> JsonObject:
        """`backup.list`: newest first, with the one under way."""
        found: list[Json] = []
        if self._running is not None:
            running = self._running
            percent = 100 * running.done_bytes / running.total_bytes if running.total_bytes else 0.0
            found.append(
                {
                    "id": running.id,
                    "created_s": running.started_s,
                    "size_bytes": running.total_bytes,
                    "encrypted": running.is_encrypted,
                    "state": "running",
                    "progress_percent": round(percent, 1),
                }
            )
        paths = self._directory.glob(f"*{SUFFIX}") if self._directory.is_dir() else ()
        found += [_document(path) for path in sorted(paths, reverse=True)]
        return {"backups": found}

    def path(self, request: JsonObject) -> JsonObject:
        """`backup.path`: where a backup lies."""
        return {"path": str(self._path_of(request).resolve())}

    async def create(self, request: JsonObject) -> JsonObject:
        """`backup.create`: `passphrase` encrypts it. Answers when it is whole and on flash."""
        passphrase = request.get("passphrase") or ""
        if not isinstance(passphrase, str) or 0 < len(passphrase) < PASSPHRASE_CHARS_MIN:
            raise BoxRequestFailed("invalid", f"a passphrase has {PASSPHRASE_CHARS_MIN} characters or more")
        if self._running is not None:
            raise BoxRequestFailed("conflict", "a backup is being made already", "wait for it to end")
        stamp = time.strftime("%Y%m%d-%H%M%S")
        self._running = Running(f"leafbox-{stamp}{SUFFIX}", is_encrypted=bool(passphrase), started_s=time.time())
        work = self._work_directory(stamp)
        try:
            target = await self._create(self._running, work, passphrase)
        except (OSError, LeafboxError) as error:
            self._tell("backup", f"A backup failed: {error}", "warning")
            raise
        finally:
            self._running = None
            shutil.rmtree(work, ignore_errors=True)
        self._tell("backup", f"Backup {target.name} was made", "info")
        return _document(target)

    async def verify(self, request: JsonObject) -> JsonObject:
        """`backup.verify`: read all of it, and the store in it."""
        path = self._path_of(request)
        try:
            await self._work(Task("verify", str(path), _passphrase(request)))
        except BackupDamaged as error:
            return {"id": path.name, "sound": False, "detail": str(error)}
        return {"id": path.name, "sound": True, "detail": "Everything in it verifies."}

    async def restore(self, request: JsonObject) -> JsonObject:
        """`backup.restore`: unpack and verify it now; the next start puts it in place of everything."""
        path = self._path_of(request)
        try:
            await self._work(Task("stage", str(path), _passphrase(request), str(self._data)))
        except BackupDamaged as error:
            raise BoxRequestFailed("invalid", f"{path.name} cannot be restored: {error}", "choose another") from error
        self._tell("backup", f"Backup {path.name} takes the place of everything at the next start", "warning")
        detail = "It is unpacked and verified. Restart the box; what it holds now is kept in before-restore-..."
        return {"id": path.name, "sound": True, "detail": detail, "restart_needed": True}

    # -- work ---------------------------------------------------------------------------------------------------------

    async def _create(self, running: Running, work: Path, passphrase: str) -> Path:
        store = None
        if self._server.durable is not None:
            store = work / "store"
            await self._copy_store(self._server.durable.store, store)
        files = files_to_keep(self._data, store, self._server.options.config_file)
        running.total_bytes = total_bytes(files)
        rule = make_key_rule() if passphrase else None
        header = Header(time.time(), leafbox.__version__, self._server.options.server.name, rule)
        target = self._directory / running.id
        named = [(name, str(path)) for name, path in files]
        task = Task("create", str(target), passphrase, header=header, files=named)

        def progress(done_bytes: int) -> None:
            running.done_bytes = done_bytes

        await self._work(task, progress)
        return target

    async def _copy_store(self, store: Store, target: Path) -> None:
        await _checkpointed(store)
        copy = HotCopy(store)
        try:
            await asyncio.to_thread(self._guarded, copy.copy_log, target / "log")
            copy.release()
            await asyncio.to_thread(self._guarded, copy.copy_database, target / "database")
        finally:
            # After a cancellation the thread may still be at it, and LMDB must not lose a transaction in use.
            with self._copying:
                copy.end()

    def _guarded(self, copy: Callable[[Path], int], target: Path) -> int:
        with self._copying:
            return copy(target)

    async def _work(self, task: Task, progress: Callable[[int], None] = lambda done_bytes: None) -> None:
        """Let a process do it. Raises `BackupDamaged` with its reason."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "leafbox.app.backup_worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        try:
            process.stdin.write(msgspec.json.encode(task))
            process.stdin.close()
            reason = "the process that does it ended"
            while line := await process.stdout.readline():
                told = msgspec.json.decode(line)
                progress(int(told.get("bytes", 0)))
                reason = "" if told.get("done") else str(told.get("error", reason))
            await process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            self._process = None
        if reason:
            raise BackupDamaged(reason)

    def _work_directory(self, stamp: str) -> Path:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        work = self._directory / f".work-{stamp}"
        work.mkdir(mode=0o700)
        return work

    def _path_of(self, request: JsonObject) -> Path:
        name = request.get("id")
        if not isinstance(name, str) or not ID.fullmatch(name):
            raise BoxRequestFailed("invalid", f"id is {name!r}", "the id of a backup, see `leafbox backup list`")
        path = self._directory / name
        if not path.is_file():
            raise BoxRequestFailed("not_found", f"there is no backup {name}", "see `leafbox backup list`")
        return path


async def _checkpointed(store: Store) -> None:
    """Have a fresh checkpoint, so that little of the log need be copied; none is under way afterwards."""
    until_s = time.monotonic() + CHECKPOINT_WAIT_S
    count = store.health().checkpoint_count
    store.checkpoint()
    while store.is_checkpointing or (store.health().checkpoint_count == count and not store.health().checkpoint_error):
        if time.monotonic() > until_s:
            raise StoreError(f"no checkpoint came about in {CHECKPOINT_WAIT_S:.0f} s")
        await asyncio.sleep(POLL_S)


def _passphrase(request: JsonObject) -> str:
    return str(request.get("passphrase") or "")


def _document(path: Path) -> JsonObject:
    document: JsonObject = {"id": path.name, "created_s": path.stat().st_mtime, "size_bytes": path.stat().st_size}
    try:
        header = read_header(path)
    except (BackupDamaged, OSError) as error:
        return document | {"state": "damaged", "detail": str(error)}
    return document | {"created_s": header.created_s, "encrypted": header.is_encrypted, "state": "complete"}
