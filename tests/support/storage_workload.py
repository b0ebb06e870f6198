"""A process that stores and says what is durable, to be killed at any moment; and the check of what it left.

`python -m tests.support.storage_workload DIRECTORY SEED SYNC` prints one line per acknowledgement, only once it is
durable: `a STREAM SEQ` appended, `r STREAM SEQ` removed, `f STREAM SEQ` compacted, `b KEY VERSION` blob stored,
`d COUNT` deltas logged. What may take a message away is announced before it is done: `x STREAM SEQ`, `X STREAM SEQ`;
and so is a group that must never be found in part: `g STREAM FIRST LAST`.
Contents follow from stream and sequence, so the checker needs nothing but these lines. The workload runs on a loop with
tiny segments and checkpoints, so that a kill meets rolls, checkpoints and recycling as often as appends.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from leafbox.dataplane.stream_store import StreamStore
from leafbox.storage.config import StorageOptions, SyncMode
from leafbox.storage.engine import Store

STREAMS = 3
WINDOW = 200
BLOB_KIND = 3


def options_for(directory: str, sync: SyncMode = SyncMode.ALWAYS) -> StorageOptions:
    """Small everything."""
    return StorageOptions(
        directory=directory,
        sync=sync,
        segment_bytes=1 << 17,
        staging_bytes_max=1 << 20,
        checkpoint_bytes=1 << 18,
        cache_bytes_max=1 << 17,
        free_bytes_min=0,
        database_bytes_max=1 << 28,
    )


def message_for(stream: int, seq: int) -> tuple[bytes, bytes, bytes]:
    """(subject, header, payload) of a sequence number."""
    choices = random.Random(stream * 1_000_003 + seq)
    payload = choices.randbytes(choices.choice((0, 16, 128, 128, 700, 9_000)))
    header = b"NATS/1.0\r\nN: %d\r\n\r\n" % seq if seq % 7 == 0 else b""
    return b"s%d.%d" % (stream, seq % 11), header, payload


@dataclass
class Workload:
    """Random operations, at most `WINDOW` of them not yet durable."""

    store: Store
    choices: random.Random
    waiting: deque[tuple[int, str]] = field(default_factory=deque)
    delta_count: int = 0
    blob_versions: dict[bytes, int] = field(default_factory=dict)

    def step(self) -> None:
        """One operation; its line waits for its record."""
        stream = self.choices.randrange(STREAMS)
        store = self.store.stream(b"w/%d" % stream)
        assert store is not None
        fate = self.choices.random()
        if fate < 0.04:
            self.append_group(stream, store)
        elif fate < 0.80:
            seq = store.last_seq + 1
            subject, header, payload = message_for(stream, seq)
            store.append_message(subject, payload, header, seq * 1_000)
            self.waiting.append((store.applied_lsn, f"a {stream} {seq}"))
        elif fate < 0.88 and store.messages:
            seq = store.next_sequence(self.choices.randint(store.first_seq, store.last_seq))
            print(f"x {stream} {seq}", flush=True)
            store.remove_message(seq, erase=self.choices.random() < 0.2)
            self.waiting.append((store.applied_lsn, f"r {stream} {seq}"))
        elif fate < 0.89 and store.messages > 400:
            seq = store.last_seq - 200
            print(f"X {stream} {seq}", flush=True)
            store.compact_to(seq)
            self.waiting.append((store.applied_lsn, f"f {stream} {seq}"))
        elif fate < 0.95:
            key = b"key%d" % self.choices.randrange(5)
            version = self.blob_versions.get(key, 0) + 1
            self.blob_versions[key] = version
            lsn = self.store.put_blob(1, key, b"%d" % version)
            self.waiting.append((lsn, f"b {key.decode()} {version}"))
        else:
            self.delta_count += 1
            lsn = self.store.append_delta(BLOB_KIND, b"counter", b"%d" % self.delta_count)
            self.waiting.append((lsn, f"d {self.delta_count}"))

    def append_group(self, stream: int, store: StreamStore) -> None:
        """Messages that are stored together."""
        seqs = range(store.last_seq + 1, store.last_seq + self.choices.choice((3, 10, 60)))
        messages = [message_for(stream, seq) for seq in seqs]
        print(f"g {stream} {seqs[0]} {seqs[-1]}", flush=True)
        sizes = [sum(map(len, message)) for message in messages]
        store.begin_group(len(seqs), sum(sizes), max(sizes))
        for seq, (subject, header, payload) in zip(seqs, messages, strict=True):
            store.append_message(subject, payload, header, seq * 1_000)
            self.waiting.append((store.applied_lsn, f"a {stream} {seq}"))
        store.end_group()

    def acknowledge(self, lsn: int) -> None:
        """Print what is durable now, in one write."""
        lines = []
        while self.waiting and self.waiting[0][0] <= lsn:
            lines.append(self.waiting.popleft()[1])
        if lines:
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()


async def run(directory: str, seed: int, sync: SyncMode) -> None:
    """Store for ever."""
    store = Store(options_for(directory, sync))
    if store.report.damages:
        raise SystemExit(f"damaged: {store.report}")
    work = Workload(store, random.Random(seed))
    for stream in range(STREAMS):
        if store.stream(b"w/%d" % stream) is None:
            store.create_stream(b"w/%d" % stream)
    work.delta_count = counter_of(store)
    for key, body in store.list_blobs(1):
        work.blob_versions[key] = int(body)
    store.register_snapshots(BLOB_KIND, lambda key: b"%d" % work.delta_count)
    store.start(asyncio.get_running_loop())
    store.on_durable(work.acknowledge)
    print("ready", flush=True)
    while True:
        for _ in range(work.choices.choice((1, 1, 5, 60))):
            if len(work.waiting) < WINDOW and not store.journal.is_congested:
                work.step()
        await asyncio.sleep(0)


def counter_of(store: Store) -> int:
    """The delta counter as a start finds it."""
    count = int(store.get_blob(BLOB_KIND, b"counter") or b"0")
    for _, bodies in store.deltas(BLOB_KIND):
        for body in bodies:
            assert int(body) == count + 1, f"delta {body!r} follows {count}"
            count += 1
    return count


def per_stream() -> dict[int, set[int]]:
    return {stream: set() for stream in range(STREAMS)}


@dataclass
class Promises:
    """What the lines of one or several runs promised."""

    appended: dict[int, set[int]] = field(default_factory=per_stream)
    removed: dict[int, set[int]] = field(default_factory=per_stream)
    announced: dict[int, set[int]] = field(default_factory=per_stream)
    floor: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(STREAMS), 0))
    announced_floor: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(STREAMS), 0))
    blobs: dict[bytes, int] = field(default_factory=dict)
    deltas: int = 0
    groups: list[tuple[int, int, int]] = field(default_factory=list)
    """Stream, first and last sequence; of the last run only, the next one may give lost numbers out again."""

    @property
    def count(self) -> int:
        """Messages promised to be stored."""
        return sum(map(len, self.appended.values()))

    def note(self, lines: Iterable[str]) -> None:
        """Take in whole lines of output."""
        for line in lines:
            kind, *words = line.split()
            if kind == "b":
                self.blobs[words[0].encode()] = int(words[1])
            elif kind == "d":
                self.deltas = int(words[0])
            elif kind == "g":
                self.groups.append((int(words[0]), int(words[1]), int(words[2])))
            elif kind in ("f", "X"):
                floors = self.floor if kind == "f" else self.announced_floor
                floors[int(words[0])] = max(floors[int(words[0])], int(words[1]))
            elif kind in ("a", "r", "x"):
                chosen = {"a": self.appended, "r": self.removed, "x": self.announced}[kind]
                chosen[int(words[0])].add(int(words[1]))

    def broken(self, store: Store) -> list[str]:
        """Every promise that `store` does not keep, and every message that is not what was stored."""
        found = [f"damage {damage}" for damage in store.report.damages]
        for stream in range(STREAMS):
            found.extend(f"stream {stream} {complaint}" for complaint in self._broken_in(store, stream))
        for key, version in self.blobs.items():
            if int(store.get_blob(1, key) or b"0") < version:
                found.append(f"blob {key!r} is older than {version}")
        if counter_of(store) < self.deltas:
            found.append(f"fewer than {self.deltas} deltas")
        for stream, first, last in self.groups:
            kept = store.stream(b"w/%d" % stream)
            if kept is not None and first <= kept.last_seq < last:
                found.append(f"stream {stream} has {kept.last_seq} of the group {first} to {last}")
        self.groups.clear()
        found.extend(f"damage {damage}" for damage in store.health().damages)
        return found

    def _broken_in(self, store: Store, stream: int) -> Iterator[str]:
        kept = store.stream(b"w/%d" % stream)
        if kept is None:
            if self.appended[stream]:
                yield "is gone"
            return
        present = set()
        message = kept.next_matching(0)
        while message is not None:
            present.add(message.seq)
            if (message.subject, message.header, message.payload) != message_for(stream, message.seq):
                yield f"message {message.seq} is not what was stored"
            message = kept.next_matching(message.seq + 1)
        lost = {
            seq
            for seq in self.appended[stream] - self.announced[stream] - present
            if seq >= self.announced_floor[stream]
        }
        if lost:
            yield f"lost {len(lost)} promised messages: {sorted(lost)[:5]}"
        back = self.removed[stream] & present | {seq for seq in present if seq < self.floor[stream]}
        if back:
            yield f"has removed messages again: {sorted(back)[:5]}"
        if kept.last_seq < max(self.appended[stream], default=0):
            yield f"ends at {kept.last_seq}, before a promised message"


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), SyncMode(sys.argv[3])))
