"""Flip a byte or cut a file anywhere in a store: what is read is right or missing, and what is missing is reported."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from leafbox.protocol.errors import StoreError
from leafbox.storage.config import StorageOptions
from leafbox.storage.engine import Store
from leafbox.storage.segments import list_segments
from leafbox.storage.verify import verify
from tests.support.store_copy import copy_living_store

FLIPS = int(os.environ.get("LEAFBOX_FLIPS", "120"))


def options_for(directory: Path) -> StorageOptions:
    return StorageOptions(
        directory=str(directory),
        segment_bytes=1 << 18,
        staging_bytes_max=1 << 18,
        free_bytes_min=0,
        cache_bytes_max=1 << 16,
        database_bytes_max=1 << 26,
    )


@dataclass
class Content:
    """Everything readable of a store."""

    messages: dict[tuple[bytes, int], tuple[bytes, bytes, bytes, int]] = field(default_factory=dict)
    states: dict[bytes, tuple[int, ...]] = field(default_factory=dict)
    blobs: dict[bytes, bytes] = field(default_factory=dict)


def content_of(store: Store) -> Content:
    found = Content()
    for stream in store.streams():
        message = stream.next_matching(0)
        while message is not None:
            found.messages[stream.name, message.seq] = (
                message.subject,
                message.header,
                message.payload,
                message.ts_ns,
            )
            message = stream.next_matching(message.seq + 1)
        found.states[stream.name] = (stream.messages, stream.stored_bytes, stream.first_seq, stream.last_seq)
    for key, body in store.list_blobs(1):
        found.blobs[key] = body
    return found


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Content]:
    """A store with streams, removals and blobs in the database, and as much again only in the log."""
    folder = tmp_path_factory.mktemp("sound")
    store = Store(options_for(folder / "live"))
    choices = random.Random(5)
    streams = [store.create_stream(b"stream-%d" % number) for number in range(3)]
    for half in range(2):
        for index in range(600):
            stream = streams[choices.randrange(3)]
            payload = choices.randbytes(choices.choice((0, 20, 200, 3_000)))
            stream.append_message(b"a.%d" % (index % 13), payload, b"H" * (index % 3), index)
            if index % 9 == 0:
                stream.remove_message(choices.randint(1, stream.last_seq))
            if index % 20 == 0:
                store.put_blob(1, b"key%d" % choices.randrange(8), b"%d" % index)
            if index % 5 == 0:
                assert store.wait_durable(store.journal.last_lsn)
        if half == 0:
            store.checkpoint_and_wait()
    assert store.wait_durable(store.journal.last_lsn)
    content = content_of(store)
    copy_living_store(folder / "live", folder / "killed")
    store.close()
    return folder / "killed", content


def check(directory: Path, content: Content, what: str) -> bool:
    """Open a damaged store and hold it to the promise; True if it had anything to report."""
    try:
        store = Store(options_for(directory))
    except StoreError as error:
        raise AssertionError(f"{what}: {error}") from error
    try:
        found = content_of(store)
        for key, message in found.messages.items():
            assert content.messages.get(key, message) == message, f"{what}: message {key} is wrong"
        reported = bool(store.health().damages) or bool(store.report.torn_detail)
        if not reported:
            assert found.states == content.states, f"{what}: not reported"
            assert found.messages == content.messages, f"{what}: not reported"
            assert found.blobs == content.blobs, f"{what}: not reported"
        return reported
    finally:
        store.close()


@pytest.mark.capability("JS40", "AP03")
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", ["log", "database"])
def test_flipped_bytes_are_never_silent(sound: tuple[Path, Content], tmp_path: Path, part: str) -> None:
    """One byte anywhere; at least a fair share must hit something that matters."""
    original, content = sound
    choices = random.Random(6)
    reported = 0
    for _ in range(FLIPS):
        directory = tmp_path / "damaged"
        shutil.copytree(original, directory)
        path = choices.choice(sorted((directory / part).glob("*.log" if part == "log" else "data.mdb")))
        data = bytearray(path.read_bytes())
        used = len(data.rstrip(b"\0")) or len(data)
        position = choices.randrange(used)
        data[position] ^= 1 << choices.randrange(8)
        path.write_bytes(data)
        reported += check(directory, content, f"{path.name} byte {position}")
        shutil.rmtree(directory)
    print(f"{part}: {reported} of {FLIPS} flips hit something that matters")
    assert reported > FLIPS // 5


@pytest.mark.capability("JS40", "AP03")
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", ["log", "database"])
def test_truncated_files_are_never_silent(sound: tuple[Path, Content], tmp_path: Path, part: str) -> None:
    """A file cut off anywhere."""
    original, content = sound
    choices = random.Random(7)
    reported = 0
    for _ in range(FLIPS // 4):
        directory = tmp_path / "damaged"
        shutil.copytree(original, directory)
        files = sorted((directory / part).glob("*.log" if part == "log" else "data.mdb"))
        # A spare segment holds nothing.
        path = choices.choice([file for file in files if file.read_bytes().strip(b"\0")])
        used = len(path.read_bytes().rstrip(b"\0"))
        size = choices.randrange(used)
        os.truncate(path, size)
        reported += check(directory, content, f"{path.name} cut at {size} of {used}")
        shutil.rmtree(directory)
    print(f"{part}: {reported} of {FLIPS // 4} cuts hit something that matters")
    assert reported > FLIPS // 20


@pytest.mark.capability("JS40", "AP03")
def test_missing_segment_is_reported(sound: tuple[Path, Content], tmp_path: Path) -> None:
    """The labels of the others say that records are gone. (The newest one leaves no trace: as if never written.)"""
    original, content = sound
    segments = [segment for segment in list_segments(original / "log", None) if segment.label is not None]
    assert len(segments) > 2
    for victim in [segment.path for segment in segments[:-1]]:
        directory = tmp_path / "damaged"
        shutil.copytree(original, directory)
        (directory / "log" / victim.name).unlink()
        check(directory, content, f"{victim.name} missing")
        shutil.rmtree(directory)


@pytest.mark.capability("JS40", "AP03")
def test_verify_finds_a_flipped_payload(sound: tuple[Path, Content], tmp_path: Path) -> None:
    """`leafbox store verify` reads what opening does not: payloads in the database."""
    original, content = sound
    directory = tmp_path / "store"
    shutil.copytree(original, directory)
    assert verify(str(directory)).is_sound
    (name, seq), (_, _, payload, _) = next((k, m) for k, m in content.messages.items() if len(m[2]) == 3_000)
    path = directory / "database" / "data.mdb"
    data = bytearray(path.read_bytes())
    position = data.find(payload)
    assert position > 0
    data[position + 10] ^= 1
    path.write_bytes(data)
    facts = verify(str(directory))
    assert [damage.place for damage in facts.damages] == ["block"]
    assert facts.damages[0].stream == name
    store = Store(options_for(directory))
    stream = store.stream(name)
    assert stream is not None
    assert stream.message(seq) is None
    damage = store.health().damages[0]
    assert (damage.stream, damage.first_seq, damage.last_seq, damage.lost_messages) == (name, seq, seq, 1)
    others = [key for key in content.messages if key != (name, seq)]
    found = content_of(store)
    assert sorted(found.messages) == sorted(others), "undamaged messages of the block and other streams stay"
    assert stream.state().lost_messages == 1
    store.close()
    assert verify(str(directory)).is_sound, "the next checkpoint wrote the survivors anew"
    assert list((directory / "quarantine").iterdir())
