"""A stream with an explicit pull consumer equals a simple model, on a clock that stands still, through restarts."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.jetstream_harness import Harness

ACK_WAIT_S = 30
SUBJECTS = ("s.a", "s.b", "s.c")
FILTER = ("s.a", "s.b")
Delivery = tuple[str, bytes, bytes, bytes]


class JetStreamMachine(RuleBasedStateMachine):
    """Runs every operation on a real JetStream and on dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.last_seq = 0
        self.stored: dict[int, tuple[str, bytes]] = {}
        self.delivered = 0
        self.deliveries = 0
        self.counts: dict[int, int] = {}
        self.pending: dict[int, Delivery] = {}
        self.due: set[int] = set()

    @initialize()
    def begin(self) -> None:
        self.harness = Harness()
        self.harness.stream(storage="file")
        self.harness.consumer(ack_wait=ACK_WAIT_S * 10**9, filter_subjects=list(FILTER))

    def teardown(self) -> None:
        self.harness.__exit__()

    # -- the stream

    @rule(subject=st.sampled_from(SUBJECTS), payload=st.binary(max_size=8))
    def publish(self, subject: str, payload: bytes) -> None:
        self.last_seq += 1
        assert self.harness.publish(subject, payload) == {"stream": "S", "seq": self.last_seq}
        self.stored[self.last_seq] = (subject, payload)

    @rule(data=st.data())
    @precondition(lambda self: bool(set(self.stored) - set(self.pending)))
    def delete(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(set(self.stored) - set(self.pending))))
        assert self.harness.api("STREAM.MSG.DELETE.S", {"seq": seq})["success"]
        del self.stored[seq]

    # -- the consumer

    @rule(count=st.integers(1, 4))
    def fetch(self, count: int) -> None:
        got = self.harness.fetch(count)
        fresh = [seq for seq in sorted(self.stored) if seq > self.delivered and self.stored[seq][0] in FILTER]
        assert len(got) == min(count, len(self.due) + len(fresh))
        for message in got:
            tries, seq, number = (int(token) for token in message[1].decode().split(".")[4:7])
            self.deliveries += 1
            assert number == self.deliveries
            assert (message[0], message[3]) == self.stored[seq]
            if self.due:
                self.due.remove(seq)
            else:
                assert seq == fresh.pop(0)
                self.delivered = seq
            self.counts[seq] = self.counts.get(seq, 0) + 1
            assert tries == self.counts[seq]
            self.pending[seq] = message

    @rule(data=st.data(), answer=st.sampled_from([b"+ACK", b"", b"+TERM", b"+TERM because"]))
    @precondition(lambda self: bool(self.pending))
    def settle(self, data: st.DataObject, answer: bytes) -> None:
        seq = data.draw(st.sampled_from(sorted(self.pending)))
        self.harness.ack(self.pending.pop(seq), answer)
        self.due.discard(seq)

    @rule(data=st.data())
    @precondition(lambda self: bool(set(self.pending) - self.due))
    def refuse(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(set(self.pending) - self.due)))
        self.harness.ack(self.pending[seq], b"-NAK")
        self.due.add(seq)

    @rule()
    def let_time_run_out(self) -> None:
        self.harness.loop.advance(ACK_WAIT_S * 2)
        self.due = set(self.pending)

    @rule()
    def restart(self) -> None:
        storage = self.harness.storage
        self.harness.loop.settle()
        self.harness.jetstream.stop()
        self.harness = Harness(storage)
        # Negative acknowledgements are not kept: those messages wait for the end of their time.
        self.let_time_run_out()

    # -- what must be equal at all times

    @invariant()
    def the_stream_is_equal(self) -> None:
        if not hasattr(self, "harness"):
            return
        state = self.harness.info()["state"]
        assert state["messages"] == len(self.stored)
        assert state["last_seq"] == self.last_seq
        if self.stored:
            assert state["first_seq"] == min(self.stored)

    @invariant()
    def the_consumer_is_equal(self) -> None:
        if not hasattr(self, "harness"):
            return
        info = self.harness.info("S", "C")
        unseen = [seq for seq, (subject, _) in self.stored.items() if seq > self.delivered and subject in FILTER]
        assert info["num_pending"] == len(unseen)
        assert info["num_ack_pending"] == len(self.pending)
        assert info["delivered"]["consumer_seq"] == self.deliveries
        if self.pending:
            assert info["ack_floor"]["stream_seq"] < min(self.pending)


TestJetStream = pytest.mark.capability("JS05", "JC07", "JC09")(JetStreamMachine.TestCase)
TestJetStream.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
