"""What the box can do by itself about an issue. Each fix is safe to repeat and destroys nothing."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from leafbox.monitoring.box_services import BoxServices
from leafbox.monitoring.box_snapshot import BoxSnapshot
from leafbox.protocol.errors import BoxRequestFailed
from leafbox.storage.engine import Store

FileFixer = Callable[[BoxSnapshot, str], str]
Fixer = Callable[[BoxSnapshot, str], "str | Awaitable[str]"]
"""From the box and the issue's subject to a sentence of what was done. Raises `BoxRequestFailed` or OSError."""


def file_fixes() -> dict[str, FileFixer]:
    """Fixes that need only the files; `leafbox doctor --fix` uses them also while no server runs."""

    def config_readable(box: BoxSnapshot, subject: str) -> str:
        return _drop_permissions(Path(box.config_file), 0o077)

    def data_writable(box: BoxSnapshot, subject: str) -> str:
        return _drop_permissions(Path(box.data_directory), 0o022)

    return {"config-readable": config_readable, "data-writable": data_writable}


def server_fixes(store: Store | None, services: BoxServices) -> dict[str, Fixer]:
    """Fixes of a running server."""

    def save(box: BoxSnapshot, subject: str) -> str:
        if store is None:
            raise BoxRequestFailed("unavailable", "this server has no store", "switch JetStream on")
        store.checkpoint()
        return "A checkpoint has begun; look again in a few seconds."

    async def resume(box: BoxSnapshot, subject: str) -> str:
        await services.call("uplink.resume", {"name": subject})
        return f"The uplink {subject} goes on."

    return {**file_fixes(), "checkpoint-failing": save, "store-congested": save, "uplink-paused": resume}


def _drop_permissions(path: Path, bits: int) -> str:
    mode = path.stat().st_mode & 0o777
    os.chmod(path, mode & ~bits)
    return f"{path} has the permissions {mode & ~bits:03o} now."
