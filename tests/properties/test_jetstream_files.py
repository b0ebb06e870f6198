"""Streams and consumers on real files equal a simple model, through checkpoints, stops and kills at any moment.

Everything that was answered must be there after a kill, and nothing else but what the last unanswered request did.
`LEAFBOX_JETSTREAM_RUNS` asks for so many runs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from leafbox.dataplane.stream_ingest import freeze_clock, now_ns
from leafbox.protocol.jetstream.go_time import format_time
from leafbox.protocol.jetstream.info import AccountLimits
from tests.support.consumer_model import ACK_WAIT_S, ConsumerModel
from tests.support.jetstream_files import FileHarness
from tests.support.jetstream_harness import Inbox
from tests.support.stream_model import ModelMessage, StreamModel

SECOND = 10**9
# Steps of time never add up to one of these, so nothing happens exactly at its due moment.
STEPS_S = (3, 70)
TTL_S = 10
NAK_DELAY_S = 13
WINDOW_S = 61
MAX_AGE_S = 101
PAUSE_S = 50

SUBJECTS = ("s.a", "s.b", "s.c.d")
FILTERS: tuple[tuple[str, ...], ...] = ((), ("s.a", "s.b"), ("s.c.>",), ("s.*",))
PUSH_SUBJECT = "deliver.P"
# What a kill leaves is not the same each time: what is drawn must not depend on it, so messages are picked by number.
choices = st.integers(0, 100)


def pick(candidates: Iterable[int], choice: int) -> int:
    ascending = sorted(candidates)
    return ascending[choice % len(ascending)]


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
        self.inbox: Inbox | None = None
        self.is_sealed_at_end = False

    def teardown(self) -> None:
        if hasattr(self, "harness"):
            if self.is_sealed_at_end:
                self.seal()
            self.harness.leave()
        freeze_clock(0)
        shutil.rmtree(self.root)

    @property
    def directory(self) -> Path:
        return self.root / str(self.generation)

    @initialize(
        retention=st.sampled_from(("limits", "limits", "interest", "workqueue")),
        discard=st.sampled_from(("old", "new")),
        max_msgs=st.sampled_from((-1, -1, 12)),
        per_subject=st.sampled_from((-1, -1, 3)),
        max_age_s=st.sampled_from((0, 0, MAX_AGE_S)),
        policy=st.sampled_from(("all", "explicit", "explicit 2")),
        pushes=st.booleans(),
        seals=st.sampled_from((False, False, False, True)),
    )
    def begin(
        self,
        retention: str,
        discard: str,
        max_msgs: int,
        per_subject: int,
        max_age_s: int,
        policy: str,
        pushes: bool,
        seals: bool,
    ) -> None:
        self.is_sealed_at_end = seals
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
        self.create_consumer("C", FILTERS[1], "explicit" if retention == "workqueue" and policy == "all" else policy)
        if pushes and retention != "workqueue":
            self.create_consumer("P", FILTERS[3], "explicit", is_push=True)

    # -- the models

    def is_full(self, subject: str) -> bool:
        """Discard new keeps a message out, unless its subject makes room by its own limit or nobody wants it."""
        if self.is_unwanted(subject) or self.subject_is_full(subject):
            return False
        return self.config["discard"] == "new" and 0 < self.model.max_messages <= len(self.model.messages)

    def subject_is_full(self, subject: str) -> bool:
        return 0 < self.model.max_messages_per_subject <= len(self.model.find((subject.encode(),)))

    def is_unwanted(self, subject: str) -> bool:
        """Interest retention: nobody listens to this subject, a message only takes a number."""
        wanted = any(consumer.wants(subject.encode()) for consumer in self.consumers.values())
        return self.config["retention"] == "interest" and not wanted

    def store(self, subject: str, header: bytes, payload: bytes, ttl_s: int = 0) -> int:
        if self.is_unwanted(subject):
            self.model.skip(self.model.last_seq + 1)
            return self.model.last_seq
        expires_ns = now_ns() + ttl_s * SECOND if ttl_s else 0
        return self.model.append(subject.encode(), header, payload, now_ns(), expires_ns, 0)

    def remember(self, msg_id: str, seq: int) -> None:
        if msg_id:
            self.ids[msg_id] = (seq, now_ns())

    def first_use_of(self, msg_id: str) -> int:
        seq, when_ns = self.ids.get(msg_id, (0, 0))
        return seq if when_ns > now_ns() - WINDOW_S * SECOND else 0

    def let_go(self, seq: int) -> None:
        """A consumer is done with a message: nobody else may want it."""
        message = self.model.messages.get(seq)
        if message is None or self.config["retention"] == "limits":
            return
        if self.config["retention"] == "workqueue" or not self.is_wanted(message):
            self.model.remove(seq)

    def is_wanted(self, message: ModelMessage) -> bool:
        return any(consumer.needs(message) for consumer in self.consumers.values())

    def drop_unwanted(self) -> None:
        if self.config["retention"] == "interest":
            for message in self.model.find(()):
                if not self.is_wanted(message):
                    self.model.remove(message.seq)

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
        elif self.is_full(subject):
            assert answer["error"]["err_code"] == 10077, answer
        else:
            seq = self.store(subject, block_of(headers), payload, ttl_s)
            assert answer == {"stream": "S", "seq": seq}
            self.remember(msg_id, seq)
            if rollup:
                # Unwanted itself, it still replaces the others, as in nats-server.
                for message in self.model.find((subject.encode(),) if rollup == "sub" else ()):
                    if message.seq != seq:
                        self.model.remove(message.seq)

    @rule(subject=st.sampled_from(SUBJECTS), offset=st.sampled_from((0, 0, 1)), of_subject=st.booleans())
    def publish_expecting(self, subject: str, offset: int, of_subject: bool) -> None:
        own = self.model.find((subject.encode(),))
        last = (own[-1].seq if own else 0) if of_subject else self.model.last_seq
        name = "Nats-Expected-Last-Subject-Sequence" if of_subject else "Nats-Expected-Last-Sequence"
        headers = {name: str(last + offset)}
        answer = self.harness.publish(subject, b"e", **headers)
        if offset:
            assert answer["error"]["err_code"] in (10070, 10071), answer
        elif self.is_full(subject):
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

    @rule(max_msgs=st.sampled_from((-1, 5, 12)), per_subject=st.sampled_from((-1, 2, 3)))
    def change_limits(self, max_msgs: int, per_subject: int) -> None:
        self.config |= {"max_msgs": max_msgs, "max_msgs_per_subject": per_subject}
        answer = self.harness.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], **self.config})
        assert "error" not in answer, answer
        self.model.max_messages, self.model.max_messages_per_subject = max_msgs, per_subject
        if self.model.messages:
            self.model.enforce()

    # -- consumers

    def create_consumer(self, name: str, filters: tuple[str, ...], policy: str, is_push: bool = False) -> None:
        kind, _, most = policy.partition(" ")
        config: dict[str, object] = {"ack_wait": ACK_WAIT_S * SECOND, "ack_policy": kind}
        config |= {"max_deliver": int(most)} if most else {}
        if is_push:
            self.inbox = self.harness.inbox(PUSH_SUBJECT)
            config["deliver_subject"] = PUSH_SUBJECT
        self.harness.consumer("S", name, filter_subjects=list(filters), **config)
        self.consumers[name] = ConsumerModel(filters, kind == "all", int(most or -1), is_push, config)
        self.receive()

    @rule(filters=st.sampled_from(FILTERS), policy=st.sampled_from(("all", "explicit", "explicit 2")))
    def create_or_delete_second(self, filters: tuple[str, ...], policy: str) -> None:
        if "D" in self.consumers:
            assert self.harness.api("CONSUMER.DELETE.S.D")["success"]
            del self.consumers["D"]
            self.drop_unwanted()
        elif self.config["retention"] == "workqueue":
            # Each message belongs to one consumer.
            self.create_consumer("D", FILTERS[2], "explicit" if policy == "all" else policy)
        else:
            self.create_consumer("D", filters, policy)

    @rule(name=st.sampled_from("CD"), filters=st.sampled_from((*FILTERS, ("s.a",), ("s.b",))))
    @precondition(lambda self: self.config["retention"] != "workqueue")
    def update_consumer(self, name: str, filters: tuple[str, ...]) -> None:
        """Filters change; where the consumer passed over messages that it now wants, what it does is left open."""
        consumer = self.consumers.get(name)
        if consumer is None or any(
            m.seq > consumer.delivered and not consumer.wants(m.subject) for m in self.model.find(())
        ):
            return
        body = {"durable_name": name, "filter_subjects": list(filters), **consumer.config}
        answer = self.harness.api(f"CONSUMER.CREATE.S.{name}", {"stream_name": "S", "config": body})
        assert "error" not in answer, answer
        consumer.filters = filters
        # An update without it ends a pause, but the API keeps what it has.
        self.drop_unwanted()

    @rule(name=st.sampled_from("CD"), count=st.integers(1, 5))
    def fetch(self, name: str, count: int) -> None:
        consumer = self.consumers.get(name)
        if consumer is None:
            return
        got = self.harness.fetch(count, "S", name)
        if consumer.paused_until_ns > now_ns():
            assert got == []
            return
        again = consumer.due(self.model, now_ns())
        fresh = consumer.fresh(self.model)
        assert len(got) == min(count, len(again) + len(fresh)), (got, again, fresh)
        for message in got:
            seq = consumer.receive(message, self.model, now_ns())
            if again:
                again.remove(seq)
            else:
                assert seq == fresh.pop(0)

    def receive(self, may_repeat: bool = False) -> None:
        """What came to the push consumer: everything that is new, in order; repeated only what has a reason."""
        consumer = self.consumers.get("P")
        if consumer is None or self.inbox is None:
            return
        is_paused = consumer.paused_until_ns > now_ns()
        expected = [] if is_paused else consumer.fresh(self.model)
        seen = consumer.delivered
        for message in self.inbox.take():
            seq = consumer.receive(message, self.model, now_ns())
            if seq > seen:
                seen = seq
                if seq in expected:
                    expected.remove(seq)
            else:
                assert may_repeat, seq
        assert expected == []

    @rule(name=st.sampled_from("CDP"), choice=choices, answer=st.sampled_from((b"+ACK", b"+TERM", b"+TERM why")))
    def settle(self, name: str, choice: int, answer: bytes) -> None:
        consumer = self.consumers.get(name)
        if consumer is None or not consumer.pending:
            return
        seq = pick(consumer.pending, choice)
        self.harness.ack(consumer.pending[seq], answer)
        for settled in consumer.settle(seq):
            self.let_go(settled)

    @rule(name=st.sampled_from("CDP"), choice=choices, delay_s=st.sampled_from((0, 0, NAK_DELAY_S)))
    def refuse(self, name: str, choice: int, delay_s: int) -> None:
        consumer = self.consumers.get(name)
        if consumer is None or consumer.acks_all:
            return
        open_ones = [seq for seq in consumer.unsettled(now_ns()) if seq in self.model.messages]
        if open_ones:
            seq = pick(open_ones, choice)
            body = b'-NAK {"delay": %d}' % (delay_s * SECOND) if delay_s else b"-NAK"
            self.harness.ack(consumer.pending[seq], body)
            consumer.deadlines[seq] = now_ns() + delay_s * SECOND
            self.receive(may_repeat=True)

    @rule(name=st.sampled_from("CDP"), resumes=st.booleans())
    def pause(self, name: str, resumes: bool) -> None:
        consumer = self.consumers.get(name)
        if consumer is None:
            return
        until = 0 if resumes else now_ns() + PAUSE_S * SECOND
        request: dict[str, object] = {} if resumes else {"pause_until": format_time(until)}
        answer = self.harness.api(f"CONSUMER.PAUSE.S.{name}", request)
        assert answer["paused"] is not resumes
        consumer.paused_until_ns = until
        self.receive(may_repeat=True)

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
        self.receive(may_repeat=True)

    @rule()
    def checkpoint(self) -> None:
        self.harness.checkpoint()

    @rule()
    def lose_and_regain_jetstream(self) -> None:
        """By two reloads of the configuration."""
        harness = self.harness
        harness.jetstream.disable_account(harness.account)
        harness.loop.settle()
        harness.owner = harness.jetstream.enable_account(harness.account, {"": AccountLimits()})
        harness.loop.settle()
        self.after_restart()

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
        if self.inbox is not None:
            self.inbox.messages.clear()
        survived = self.harness.info()["state"]["last_seq"] - self.model.last_seq
        assert 0 <= survived <= count
        for number in range(survived):
            self.store(subject, b"", b"%d" % number)
        self.after_restart()

    def come_back(self) -> None:
        self.harness = FileHarness(self.directory)
        self.after_restart()

    def after_restart(self) -> None:
        if self.inbox is not None:
            self.inbox = self.harness.inbox(PUSH_SUBJECT)
        # Negative acknowledgements are not kept: those messages wait for the end of their time.
        for consumer in self.consumers.values():
            consumer.wait_anew(now_ns())
        self.let_time_pass(STEPS_S[-1])

    def seal(self) -> None:
        """The last change to a stream: nothing can be added or removed, everything can be read."""
        harness = self.harness
        answer = harness.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], **self.config, "sealed": True})
        assert "error" not in answer, answer
        for _ in range(2):
            assert harness.publish("s.a")["error"]["err_code"] == 10109
            assert harness.api("STREAM.PURGE.S")["error"]["err_code"] == 10109
            assert harness.api("STREAM.MSG.DELETE.S", {"seq": 1})["error"]["err_code"] == 10109
            self.every_message_is_equal()
            harness.stop()
            harness = self.harness = FileHarness(self.directory)

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
        self.receive()
        for name, consumer in self.consumers.items():
            info = self.harness.info("S", name)
            assert info["num_pending"] == len(consumer.fresh(self.model)), name
            least = [seq for seq in consumer.pending if seq in self.model.messages and seq not in consumer.spent]
            assert len(least) <= info["num_ack_pending"] <= len(consumer.pending), name
            assert info["delivered"]["consumer_seq"] == consumer.deliveries, name
            if least:
                assert info["ack_floor"]["stream_seq"] < min(least), name
            assert info.get("paused", False) is (consumer.paused_until_ns > now_ns()), name


def block_of(headers: dict[str, str]) -> bytes:
    """Headers as the harness writes them."""
    if not headers:
        return b""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"NATS/1.0\r\n{lines}\r\n".encode()


RUNS = int(os.environ.get("LEAFBOX_JETSTREAM_RUNS", max(15, settings().max_examples // 20)))
TestJetStreamFiles = pytest.mark.slow(FilesMachine.TestCase)
TestJetStreamFiles = pytest.mark.timeout(120 + 2 * RUNS)(TestJetStreamFiles)
TestJetStreamFiles = pytest.mark.capability("JS05", "JS09", "JS16", "JS17", "JS24", "JS27")(TestJetStreamFiles)
TestJetStreamFiles = pytest.mark.capability("JS40", "JC07", "JC09", "JC19", "JC25")(TestJetStreamFiles)
# Each step waits for the flash, so a failure is shown as it was found instead of being made small for minutes.
TestJetStreamFiles.settings = settings(
    max_examples=RUNS,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    report_multiple_bugs=False,
)
