"""A box goes back to its first day in parts: what is asked for is gone, the rest is as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from leafbox.app.reset import delete_everything, delete_messages, delete_settings
from leafbox.storage.config import StorageOptions
from leafbox.storage.engine import Store
from leafbox.storage.records import BlobKind

pytestmark = pytest.mark.capability("OP06")

SETTINGS = {BlobKind.DASHBOARD_USER: b"admin", BlobKind.DASHBOARD_TOKEN: b"token", BlobKind.SETTING: b"key"}
DATA = {BlobKind.MQTT_RETAINED: b"topic", BlobKind.HISTORY: b"s1", BlobKind.STREAM: b"definition"}
FILES = ("devices.json", "leafbox.conf", "tls/server.pem", "backups/one", "device-readings.json")


def opened(data: Path) -> Store:
    return Store(StorageOptions(directory=str(data / "jetstream"), segment_bytes=1 << 18, free_bytes_min=0))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    store = opened(data)
    for kind, key in (SETTINGS | DATA | {BlobKind.AUDIT: b"1"}).items():
        store.put_blob(kind, key, b"body")
    store.close()
    for name in FILES:
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_text(name)
    return data


def blobs(data: Path) -> set[BlobKind]:
    store = opened(data)
    try:
        return {kind for kind in BlobKind if list(store.list_blobs(kind))}
    finally:
        store.close()


def files(data: Path) -> set[str]:
    found = (path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file())
    return {name for name in found if not name.startswith("jetstream/")}


def test_settings_alone(data: Path) -> None:
    delete_settings(data)
    assert blobs(data) == set(DATA) | {BlobKind.AUDIT}
    assert files(data) == {"backups/one", "device-readings.json"}


def test_data_alone(data: Path) -> None:
    delete_messages(data)
    assert blobs(data) == set(SETTINGS) | {BlobKind.AUDIT}
    store = opened(data)
    assert store.get_blob(BlobKind.DASHBOARD_USER, b"admin") == b"body"
    store.close()
    assert files(data) == set(FILES) - {"device-readings.json"}


@pytest.mark.parametrize("with_backups", [False, True])
def test_everything(data: Path, with_backups: bool) -> None:
    delete_everything(data, with_backups=with_backups)
    assert [path.name for path in data.iterdir()] == ([] if with_backups else ["backups"])


@pytest.mark.parametrize("act", [delete_settings, delete_messages])
def test_without_a_store_and_twice(tmp_path: Path, act: object) -> None:
    assert callable(act)
    (tmp_path / "devices.json").write_text("[]")
    act(tmp_path)
    act(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".deleted")]
