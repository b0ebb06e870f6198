"""A stream's store equals a dictionary, through checkpoints, clean stops and kills."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from leafbox.dataplane.stream_store import StreamStore
from leafbox.storage.config import StorageOptions
from leafbox.storage.engine import Store
from tests.support.store_copy import copy_living_store
from tests.support.stream_model import StreamModel

SUBJECTS = (b"a", b"a.b", b"a.c", b"a.b.c", b"sensor.temperature.kitchen", b"x")
PATTERNS = ((), (b">",), (b"a",), (b"a.*",), (b"a.>",), (b"a.b", b"x"), (b"*.b.*", b"sensor.>"), (b"nothing.here",))
SIZES = (0, 5, 130, 9_000, 30_000)
"""Large ones make several blocks out of few messages."""

subjects = st.sampled_from(SUBJECTS)
patterns = st.sampled_from(PATTERNS)


class StreamMachine(RuleBasedStateMachine):
    """Runs every operation on the store and on the model."""

    is_memory = False

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="leafbox-stream-"))
        self.generation = 0
        self.clock_ns = 1_000

    def open(self) -> None:
        self.store = Store(
            StorageOptions(
                directory=str(self.root / str(self.generation)),
                segment_bytes=1 << 18,
                staging_bytes_max=1 << 18,
                free_bytes_min=0,
                cache_bytes_max=1 << 16,
            )
        )
        assert self.store.report.damages == ()
        assert self.store.report.torn_detail == ""

    def find_stream(self) -> StreamStore:
        found = self.store.stream(b"account/stream")
        assert found is not None
        return found

    @initialize(first_seq=st.sampled_from((0, 1, 7, 2**33)))
    def begin(self, first_seq: int) -> None:
        self.open()
        self.stream = self.store.create_stream(b"account/stream", first_seq=first_seq, is_memory=self.is_memory)
        self.model = StreamModel(is_memory=self.is_memory)
        self.model.begin(first_seq)

    def settle_log(self) -> None:
        assert self.store.wait_durable(self.store.journal.last_lsn)

    @rule(
        subject=subjects,
        header=st.sampled_from((b"", b"NATS/1.0\r\nA: b\r\n\r\n")),
        size=st.sampled_from(SIZES),
        step_ns=st.sampled_from((1, 1, 1, 1000, -500)),
        expires_ns=st.sampled_from((0, 0, 0, 99)),
        skip=st.sampled_from((0, 0, 0, 0, 1, 2, 5000)),
    )
    def append(self, subject: bytes, header: bytes, size: int, step_ns: int, expires_ns: int, skip: int) -> None:
        self.clock_ns += step_ns
        payload = bytes([self.clock_ns & 0xFF]) * size
        seq = self.model.last_seq + 1 + skip if skip else 0
        mine = self.stream.append_message(subject, payload, header, self.clock_ns, expires_ns, seq)
        assert mine == self.model.append(subject, header, payload, self.clock_ns, expires_ns, seq)
        self.settle_log()

    @rule(count=st.integers(2, 40), subject=subjects)
    def append_many(self, count: int, subject: bytes) -> None:
        for index in range(count):
            payload = b"%d" % index
            self.stream.append_message(subject, payload, b"", self.clock_ns)
            self.model.append(subject, b"", payload, self.clock_ns, 0, 0)

    @rule(offset=st.integers(0, 30), erase=st.booleans())
    def remove(self, offset: int, erase: bool) -> None:
        seq = max(0, self.model.last_seq - offset)
        assert self.stream.remove_message(seq, erase) == self.model.remove(seq)

    @rule(offset=st.integers(0, 10))
    def remove_front(self, offset: int) -> None:
        seq = self.model.first_seq + offset
        assert self.stream.remove_message(seq) == self.model.remove(seq)

    @rule(offset=st.integers(-3, 30))
    def compact(self, offset: int) -> None:
        target = max(1, self.model.last_seq - offset)
        assert self.stream.compact_to(target) == self.model.compact(target)

    @rule(wanted=patterns, offset=st.sampled_from((None, 0, 3, 10)), keep=st.sampled_from((0, 0, 1, 3)))
    def purge(self, wanted: tuple[bytes, ...], offset: int | None, keep: int) -> None:
        before = 0 if offset is None else max(0, self.model.last_seq - offset)
        plain = () if b">" in wanted else wanted
        mine = self.stream.purge_messages(self.stream.filter(*wanted), before, keep)
        assert mine == self.model.purge(plain, before, keep)

    @rule(offset=st.integers(0, 20))
    def truncate(self, offset: int) -> None:
        target = max(self.model.first_seq, self.model.last_seq - offset)
        self.stream.truncate_to(target)
        self.model.truncate(target)

    @rule(step=st.integers(0, 50))
    def skip(self, step: int) -> None:
        target = self.model.last_seq + step
        self.stream.skip_to(target)
        self.model.skip(target)

    @rule(
        messages=st.sampled_from((-1, -1, 3, 20)),
        size=st.sampled_from((-1, -1, 500, 20_000)),
        per_subject=st.sampled_from((-1, -1, 1, 3)),
    )
    def limit(self, messages: int, size: int, per_subject: int) -> None:
        self.stream.set_limits(max_messages=messages, max_bytes=size, max_messages_per_subject=per_subject)
        if (messages, size, per_subject) != (
            self.model.max_messages,
            self.model.max_bytes,
            self.model.max_messages_per_subject,
        ):
            self.model.max_messages, self.model.max_bytes = messages, size
            self.model.max_messages_per_subject = per_subject
            if self.model.messages:
                self.model.enforce()

    @precondition(lambda self: not self.is_memory)
    @rule()
    def checkpoint(self) -> None:
        self.store.checkpoint_and_wait()

    @precondition(lambda self: not self.is_memory)
    @rule()
    def stop_and_start(self) -> None:
        self.store.close()
        self.open()
        assert self.store.report.is_clean_stop
        self.stream = self.find_stream()

    @precondition(lambda self: not self.is_memory)
    @rule()
    def kill_and_start(self) -> None:
        """What a SIGKILL leaves: the files as they are, no last checkpoint."""
        self.settle_log()
        before = self.root / str(self.generation)
        self.generation += 1
        copy_living_store(before, self.root / str(self.generation))
        self.store.close()
        shutil.rmtree(before)
        self.open()
        self.stream = self.find_stream()

    @invariant()
    def state_is_equal(self) -> None:
        if not hasattr(self, "model"):
            return
        state = self.stream.state()
        assert self.store.health().damages == ()
        assert (state.messages, state.first_seq, state.last_seq) == (
            len(self.model.messages),
            self.model.first_seq,
            self.model.last_seq,
        )
        assert state.stored_bytes == self.model.stored_bytes
        assert self.stream.subject_counts() == {
            subject: len(self.model.find((subject,))) for subject in SUBJECTS if self.model.find((subject,))
        }
        assert state.subject_count == len(self.stream.subject_counts())
        for subject in SUBJECTS:
            own = self.model.find((subject,))
            bounds = (len(own), own[0].seq, own[-1].seq) if own else (0, 0, 0)
            assert self.stream.subject_bounds(subject) == bounds
        if self.model.last_seq - self.model.first_seq < 20_000:
            gone = [
                seq
                for seq in range(self.model.first_seq, self.model.last_seq + 1)
                if self.model.messages and seq not in self.model.messages
            ]
            assert self.stream.deleted() == gone
        expiring = sorted((m.expires_ns, m.seq) for m in self.model.messages.values() if m.expires_ns)
        assert sorted(self.stream.expiring()) == expiring

    @rule(wanted=patterns, offset=st.integers(0, 40))
    def read_is_equal(self, wanted: tuple[bytes, ...], offset: int) -> None:
        own = self.model.find(() if b">" in wanted else wanted)
        chosen = self.stream.filter(*wanted) if wanted else None
        assert [tuple(m) for m in forward(self.stream, chosen)] == [tuple(vars(m).values()) for m in own]
        assert [m.seq for m in backward(self.stream, chosen)] == [m.seq for m in reversed(own)]
        start = max(0, self.model.last_seq - offset)
        assert self.stream.pending(start, chosen) == sum(1 for m in own if m.seq >= start)
        last = {m.subject: m.seq for m in own if m.seq <= start}
        assert self.stream.last_sequences(chosen, start or 2**60) == sorted(
            (last if start else {m.subject: m.seq for m in own}).values()
        )

    @rule(step_ns=st.integers(-2000, 50))
    def find_by_time(self, step_ns: int) -> None:
        ts_ns = self.clock_ns + step_ns
        expected = next((m.seq for m in self.model.find(()) if m.ts_ns >= ts_ns), self.model.last_seq + 1)
        assert self.stream.sequence_at(ts_ns) == expected

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
        shutil.rmtree(self.root)


class MemoryStreamMachine(StreamMachine):
    """The same without a log."""

    is_memory = True

    def settle_log(self) -> None:
        pass


def forward(stream: StreamStore, wanted: object) -> list:  # type: ignore[type-arg]
    found = []
    message = stream.next_matching(0, wanted)  # type: ignore[arg-type]
    while message is not None:
        found.append(message)
        message = stream.next_matching(message.seq + 1, wanted)  # type: ignore[arg-type]
    return found


def backward(stream: StreamStore, wanted: object) -> list:  # type: ignore[type-arg]
    found = []
    message = stream.previous_matching(2**62, wanted)  # type: ignore[arg-type]
    while message is not None:
        found.append(message)
        message = stream.previous_matching(message.seq - 1, wanted)  # type: ignore[arg-type]
    return found


StreamTest = pytest.mark.capability("JS40")(StreamMachine.TestCase)
StreamTest.settings = settings(max_examples=15, stateful_step_count=30, deadline=None, print_blob=True)
MemoryStreamTest = MemoryStreamMachine.TestCase
MemoryStreamTest.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
