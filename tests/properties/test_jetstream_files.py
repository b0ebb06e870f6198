"""Streams and consumers on real files equal a simple model, through checkpoints, stops and kills at any moment.

Everything that was answered must be there after a kill, and nothing else but what the last unanswered request did.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from leafbox.dataplane.stream_ingest import freeze_clock, now_ns
from leafbox.protocol.jetstream.go_time import format_time
from tests.support.jetstream_files import FileHarness
from tests.support.stream_model import ModelMessage, StreamModel, matches_any

SECOND = 10**9
# Steps of time never add up to one of these, so nothing happens exactly at its due moment.
STEPS_S = (3, 70)
TTL_S = 10
ACK_WAIT_S = 31
WINDOW_S = 61
MAX_AGE_S = 101
PAUSE_S = 50

SUBJECTS = ("s.a", "s.b", "s.c.d")
FILTERS: tuple[tuple[str, ...], ...] = ((), ("s.a", "s.b"), ("s.c.>",), ("s.*",))
Delivery = tuple[str, bytes, bytes, bytes]
# What a kill leaves is not the same each time: what is drawn must not depend on it, so messages are picked by number.
choices = st.integers(0, 100)


def pick(candidates: Iterable[int], choice: int) -> int:
    ascending = sorted(candidates)
    return ascending[choice % len(ascending)]


@dataclass
class ConsumerModel:
    """What one pull consumer delivered and what of it was settled."""

    filters: tuple[str, ...]
    acks_all: bool = False
    delivered: int = 0
    deliveries: int = 0
    counts: dict[int, int] = field(default_factory=dict)
    pending: dict[int, Delivery] = field(default_factory=dict)
    due: set[int] = field(default_factory=set)
    paused_until_ns: int = 0

    def wants(self, message: ModelMessage) -> bool:
        return not self.filters or matches_any(tuple(f.encode() for f in self.filters), message.subject)

    def fresh(self, stream: StreamModel) -> list[int]:
        """Stored messages that were never delivered."""
        return [m.seq for m in stream.find(()) if m.seq > self.delivered and self.wants(m)]


class FilesMachine(RuleBasedStateMachine):
    """Runs every operation on a real JetStream on files and on the models."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="leafbox-jetstream-"))
        self.generation = 0
        self.model = StreamModel()
        self.consumers: dict[str, ConsumerModel] = {}
        self.ids: dict[str, tuple[int, int]] = {}
        self.batches = 0

    def teardown(self) -> None:
        if hasattr(self, "harness"):
            self.harness.leave()
        freeze_clock(0)
        shutil.rmtree(self.root)

    @property
    def directory(self) -> Path:
        return self.root / str(self.generation)

    @initialize(
        retention=st.sampled_from(("limits", "limits", "workqueue")),
        discard=st.sampled_from(("old", "new")),
        max_msgs=st.sampled_from((-1, -1, 12)),
        per_subject=st.sampled_from((-1, -1, 3)),
        max_age_s=st.sampled_from((0, 0, MAX_AGE_S)),
        acks_all=st.booleans(),
    )
    def begin(
        self, retention: str, discard: str, max_msgs: int, per_subject: int, max_age_s: int, acks_all: bool
    ) -> None:
        self.harness = FileHarness(self.directory)
        self.config: dict[str, Any] = {
            "storage": "file",
            "retention": retention,
            "discard": discard,
            "max_msgs": max_msgs,
            "max_msgs_per_subject": per_subject,
            "max_age": max_age_s * SECOND,
            "duplicate_window": WINDOW_S * SECOND,
            "allow_rollup_hdrs": True,
            "allow_msg_ttl": True,
            "allow_atomic": True,
        }
        self.harness.stream(**self.config)
        self.model.max_messages = max_msgs
        self.model.max_messages_per_subject = per_subject
        is_queue = retention == "workqueue"
        self.create_consumer("C", () if is_queue else FILTERS[1], acks_all and not is_queue)

    # -- the models

    def is_full(self, staged: int = 0) -> bool:
        """Discard new keeps a message out, unless its subject makes room by its own limit."""
        return self.config["discard"] == "new" and 0 < self.model.max_messages <= len(self.model.messages) + staged

    def subject_is_full(self, subject: str) -> bool:
        return 0 < self.model.max_messages_per_subject <= len(self.model.find((subject.encode(),)))

    def store(self, subject: str, header: bytes, payload: bytes, ttl_s: int = 0) -> int:
        expires_ns = now_ns() + ttl_s * SECOND if ttl_s else 0
        return self.model.append(subject.encode(), header, payload, now_ns(), expires_ns, 0)

    def remember(self, msg_id: str, seq: int) -> None:
        if msg_id:
            self.ids[msg_id] = (seq, now_ns())

    def first_use_of(self, msg_id: str) -> int:
        seq, when_ns = self.ids.get(msg_id, (0, 0))
        return seq if when_ns > now_ns() - WINDOW_S * SECOND else 0

    def let_go(self, seq: int) -> None:
        """A work queue's message is settled."""
        if self.config["retention"] == "workqueue":
            self.model.remove(seq)

    # -- publishing

    @rule(
        subject=st.sampled_from(SUBJECTS),
        payload=st.sampled_from((b"", b"x", b"y" * 200, b"z" * 20_000)),
        msg_id=st.sampled_from(("", "", "id-1", "id-2")),
        ttl_s=st.sampled_from((0, 0, 0, TTL_S)),
        rollup=st.sampled_from(("", "", "", "", "sub", "all")),
    )
    def publish(self, subject: str, payload: bytes, msg_id: str, ttl_s: int, rollup: str) -> None:
        headers = {"Nats-Msg-Id": msg_id, "Nats-TTL": str(ttl_s) if ttl_s else "", "Nats-Rollup": rollup}
        headers = {name: value for name, value in headers.items() if value}
        answer = self.harness.publish(subject, payload, **headers)
        first = self.first_use_of(msg_id) if msg_id else 0
        if first:
            assert answer == {"stream": "S", "seq": first, "duplicate": True}
        elif self.is_full() and not self.subject_is_full(subject):
            assert answer["error"]["err_code"] == 10077, answer
        else:
            seq = self.store(subject, block_of(headers), payload, ttl_s)
            assert answer == {"stream": "S", "seq": seq}
            self.remember(msg_id, seq)
            if rollup:
                self.model.purge((subject.encode(),) if rollup == "sub" else (), 0, 1)

    @rule(subject=st.sampled_from(SUBJECTS), offset=st.sampled_from((0, 0, 1)), of_subject=st.booleans())
    def publish_expecting(self, subject: str, offset: int, of_subject: bool) -> None:
        own = self.model.find((subject.encode(),))
        last = (own[-1].seq if own else 0) if of_subject else self.model.last_seq
        name = "Nats-Expected-Last-Subject-Sequence" if of_subject else "Nats-Expected-Last-Sequence"
        headers = {name: str(last + offset)}
        answer = self.harness.publish(subject, b"e", **headers)
        if offset:
            assert answer["error"]["err_code"] in (10070, 10071), answer
        elif self.is_full() and not self.subject_is_full(subject):
            assert answer["error"]["err_code"] == 10077, answer
        else:
            assert answer == {"stream": "S", "seq": self.store(subject, block_of(headers), b"e")}

    @rule(chosen=st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=6), commits=st.booleans())
    @precondition(lambda self: self.model.max_messages < 0)
    def publish_batch(self, chosen: list[str], commits: bool) -> None:
        self.batches += 1
        for number, subject in enumerate(chosen, 1):
            headers = self.batch_headers(number)
            if number == len(chosen) and commits:
                answer = self.harness.publish(subject, b"b", **headers, **{"Nats-Batch-Commit": "1"})
                seqs = [
                    self.store(one, block_of(self.batch_headers(at) | self.commit_header(at == len(chosen))), b"b")
                    for at, one in enumerate(chosen, 1)
                ]
                expected = {"stream": "S", "seq": seqs[-1], "batch": f"b{self.batches}", "count": len(chosen)}
                assert answer == expected
            else:
                self.harness.request(subject, b"b", block_of(headers))

    def batch_headers(self, number: int) -> dict[str, str]:
        return {"Nats-Batch-Id": f"b{self.batches}", "Nats-Batch-Sequence": str(number)}

    def commit_header(self, is_last: bool) -> dict[str, str]:
        return {"Nats-Batch-Commit": "1"} if is_last else {}

    # -- removing

    @rule(choice=choices, erase=st.booleans())
    def delete(self, choice: int, erase: bool) -> None:
        if not self.model.messages:
            return
        seq = pick(self.model.messages, choice)
        assert self.harness.api("STREAM.MSG.DELETE.S", {"seq": seq, "no_erase": not erase})["success"]
        assert "error" in self.harness.api("STREAM.MSG.DELETE.S", {"seq": seq})
        self.model.remove(seq)

    @rule(subject=st.sampled_from(("", *SUBJECTS, "s.*")), how=st.sampled_from(("", "keep", "seq")))
    def purge(self, subject: str, how: str) -> None:
        request: dict[str, object] = {"filter": subject} if subject else {}
        before, keep = 0, 0
        if how == "keep":
            request["keep"] = keep = 2
        elif how == "seq" and self.model.last_seq > 1:
            request["seq"] = before = self.model.last_seq - 1
        purged = self.model.purge((subject.encode(),) if subject else (), before, keep)
        assert self.harness.api("STREAM.PURGE.S", request)["purged"] == purged
        self.forget_gone()

    @rule(max_msgs=st.sampled_from((-1, 5, 12)), per_subject=st.sampled_from((-1, 2, 3)))
    def change_limits(self, max_msgs: int, per_subject: int) -> None:
        self.config |= {"max_msgs": max_msgs, "max_msgs_per_subject": per_subject}
        answer = self.harness.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], **self.config})
        assert "error" not in answer, answer
        self.model.max_messages, self.model.max_messages_per_subject = max_msgs, per_subject
        if self.model.messages:
            self.model.enforce()

    # -- consumers

    def create_consumer(self, name: str, filters: tuple[str, ...], acks_all: bool) -> None:
        policy = "all" if acks_all else "explicit"
        self.harness.consumer("S", name, ack_wait=ACK_WAIT_S * SECOND, filter_subjects=list(filters), ack_policy=policy)
        self.consumers[name] = ConsumerModel(filters, acks_all)

    @rule(filters=st.sampled_from(FILTERS), acks_all=st.booleans())
    @precondition(lambda self: self.config["retention"] == "limits")
    def create_or_delete_second(self, filters: tuple[str, ...], acks_all: bool) -> None:
        if "D" in self.consumers:
            assert self.harness.api("CONSUMER.DELETE.S.D")["success"]
            del self.consumers["D"]
        else:
            self.create_consumer("D", filters, acks_all)

    @rule(name=st.sampled_from("CD"), count=st.integers(1, 5))
    def fetch(self, name: str, count: int) -> None:
        consumer = self.consumers.get(name)
        if consumer is None:
            return
        got = self.harness.fetch(count, "S", name)
        if consumer.paused_until_ns > now_ns():
            assert got == []
            return
        again = sorted(seq for seq in consumer.due if seq in self.model.messages)
        fresh = consumer.fresh(self.model)
        assert len(got) == min(count, len(again) + len(fresh)), (got, again, fresh)
        for message in got:
            tries, seq, number = (int(token) for token in message[1].decode().split(".")[4:7])
            consumer.deliveries += 1
            assert number == consumer.deliveries
            stored = self.model.messages[seq]
            assert (message[0].encode(), message[2], message[3]) == (stored.subject, stored.header, stored.payload)
            if again:
                again.remove(seq)
                consumer.due.remove(seq)
            else:
                assert seq == fresh.pop(0)
                consumer.delivered = seq
            consumer.counts[seq] = consumer.counts.get(seq, 0) + 1
            assert tries == consumer.counts[seq]
            consumer.pending[seq] = message

    @rule(name=st.sampled_from("CD"), choice=choices, answer=st.sampled_from((b"+ACK", b"+TERM", b"+TERM why")))
    def settle(self, name: str, choice: int, answer: bytes) -> None:
        consumer = self.consumers.get(name)
        if consumer is None or not consumer.pending:
            return
        seq = pick(consumer.pending, choice)
        self.harness.ack(consumer.pending[seq], answer)
        covers = consumer.acks_all and answer == b"+ACK"
        for settled in [other for other in consumer.pending if other == seq or (covers and other < seq)]:
            del consumer.pending[settled]
            consumer.due.discard(settled)
            self.let_go(settled)

    @rule(name=st.sampled_from("CD"), choice=choices)
    def refuse(self, name: str, choice: int) -> None:
        consumer = self.consumers.get(name)
        if consumer is None or consumer.acks_all:
            return
        open_ones = [seq for seq in sorted(consumer.pending) if seq not in consumer.due and seq in self.model.messages]
        if open_ones:
            seq = pick(open_ones, choice)
            self.harness.ack(consumer.pending[seq], b"-NAK")
            consumer.due.add(seq)

    @rule(name=st.sampled_from("CD"), resumes=st.booleans())
    def pause(self, name: str, resumes: bool) -> None:
        consumer = self.consumers.get(name)
        if consumer is None:
            return
        until = 0 if resumes else now_ns() + PAUSE_S * SECOND
        request: dict[str, object] = {} if resumes else {"pause_until": format_time(until)}
        answer = self.harness.api(f"CONSUMER.PAUSE.S.{name}", request)
        assert answer["paused"] is not resumes
        consumer.paused_until_ns = until

    # -- time and restarts

    @rule(seconds=st.sampled_from(STEPS_S))
    def let_time_pass(self, seconds: int) -> None:
        self.harness.loop.advance(seconds)
        now = now_ns()
        age_ns = self.config["max_age"]
        gone = [
            m.seq
            for m in self.model.messages.values()
            if 0 < m.expires_ns <= now or (age_ns and m.ts_ns <= now - age_ns)
        ]
        for seq in gone:
            self.model.remove(seq)
        if seconds > ACK_WAIT_S:
            for consumer in self.consumers.values():
                consumer.due = set(consumer.pending)
        self.forget_gone()

    def forget_gone(self) -> None:
        """Messages that went are never delivered again; whether they still count as pending is left open."""
        for consumer in self.consumers.values():
            consumer.due &= set(self.model.messages)

    @rule()
    def checkpoint(self) -> None:
        self.harness.checkpoint()

    @rule()
    def stop_and_start(self) -> None:
        self.harness.stop()
        self.come_back()

    @rule()
    def kill_and_start(self) -> None:
        self.harness.loop.settle()
        self.generation += 1
        self.harness.kill(self.directory)
        self.come_back()

    @rule(subject=st.sampled_from(SUBJECTS), count=st.integers(1, 3))
    @precondition(lambda self: self.model.max_messages < 0)
    def die_while_publishing(self, subject: str, count: int) -> None:
        """Nobody was answered: the first few of these messages are there, or none."""
        for number in range(count):
            self.harness.account.publish(subject.encode(), b"%d" % number)
        self.generation += 1
        self.harness.kill(self.directory)
        self.harness = FileHarness(self.directory)
        survived = self.harness.info()["state"]["last_seq"] - self.model.last_seq
        assert 0 <= survived <= count
        for number in range(survived):
            self.store(subject, b"", b"%d" % number)
        self.after_restart()

    def come_back(self) -> None:
        self.harness = FileHarness(self.directory)
        self.after_restart()

    def after_restart(self) -> None:
        # Negative acknowledgements are not kept: those messages wait for the end of their time.
        self.let_time_pass(STEPS_S[-1])

    # -- what must be equal at all times

    @invariant()
    def the_stream_is_equal(self) -> None:
        if not hasattr(self, "harness"):
            return
        state = self.harness.info()["state"]
        assert (state["messages"], state["last_seq"]) == (len(self.model.messages), self.model.last_seq)
        assert state["bytes"] == self.model.stored_bytes
        if self.model.messages:
            assert state["first_seq"] == min(self.model.messages)
        assert self.harness.store.health().damages == ()

    @rule()
    def every_message_is_equal(self) -> None:
        stream = self.harness.owner.streams["S"]
        seq, found = 0, {}
        while (message := stream.store.next_matching(seq)) is not None:
            found[message.seq] = (message.subject, message.header, message.payload, message.ts_ns)
            seq = message.seq + 1
        assert found == {m.seq: (m.subject, m.header, m.payload, m.ts_ns) for m in self.model.messages.values()}

    @invariant()
    def the_consumers_are_equal(self) -> None:
        if not hasattr(self, "harness"):
            return
        for name, consumer in self.consumers.items():
            info = self.harness.info("S", name)
            assert info["num_pending"] == len(consumer.fresh(self.model)), name
            stored = [seq for seq in consumer.pending if seq in self.model.messages]
            assert len(stored) <= info["num_ack_pending"] <= len(consumer.pending), name
            assert info["delivered"]["consumer_seq"] == consumer.deliveries, name
            if stored:
                assert info["ack_floor"]["stream_seq"] < min(stored), name
            assert info.get("paused", False) is (consumer.paused_until_ns > now_ns()), name


def block_of(headers: dict[str, str]) -> bytes:
    """Headers as the harness writes them."""
    if not headers:
        return b""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"NATS/1.0\r\n{lines}\r\n".encode()


TestJetStreamFiles = pytest.mark.slow(FilesMachine.TestCase)
TestJetStreamFiles = pytest.mark.capability("JS05", "JS09", "JS16", "JS17", "JS24", "JS27")(TestJetStreamFiles)
TestJetStreamFiles = pytest.mark.capability("JS40", "JC07", "JC09", "JC19", "JC25")(TestJetStreamFiles)
# Each step waits for the flash, so a failure is shown as it was found instead of being made small for minutes.
TestJetStreamFiles.settings = settings(
    max_examples=max(15, settings().max_examples // 20),
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    report_multiple_bugs=False,
)
