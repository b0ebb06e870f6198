"""Mirrors and sources on a clock that stands still: gaps, silence, refusals, restarts, hostile origins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.jetstream_harness import Harness, Inbox

FAR = {"api": "$JS.FAR.API", "deliver": ""}
CREATE = "$JS.FAR.API.CONSUMER.CREATE.O"


@pytest.fixture
def harness() -> Iterator[Harness]:
    with Harness() as running:
        yield running


def data_of(harness: Harness, name: str) -> list[str]:
    """Payloads of a stream, in order."""
    found: list[str] = []
    seq = 0
    while True:
        answer = harness.request(f"$JS.API.STREAM.MSG.GET.{name}", json.dumps({"next_by_subj": ">", "seq": seq + 1}))
        message = json.loads(answer or b"{}").get("message")
        if message is None:
            return found
        seq = message["seq"]
        found.append(message.get("data", ""))


class FarOrigin:
    """Plays an origin behind another API prefix, message by message."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.requests = harness.inbox(CREATE)
        self.name = ""
        self.deliver = ""

    def asked(self) -> dict[str, Any]:
        """The next request for a consumer; there must be exactly one."""
        ((_, reply, header, body),) = self.requests.take()
        self.reply, self.header = reply, header
        config: dict[str, Any] = json.loads(body)["config"]
        self.deliver = config["deliver_subject"]
        return config

    def answer(self, name: str = "C", stands_at: int = 0, identity: str = "one", **fields: object) -> None:
        """Grant the consumer."""
        self.name = name
        body = {"name": name, "config": {"deliver_subject": self.deliver}, "delivered": {"stream_seq": stands_at}}
        header = f"NATS/1.0\r\nNats-Stream-Identity: {identity}\r\n\r\n".encode()
        self.raw_answer(json.dumps({**body, **fields}).encode(), header)

    def raw_answer(self, body: bytes, header: bytes = b"") -> None:
        self.harness.account.publish(self.reply, body, b"", header)
        self.harness.loop.settle()

    def send(self, seq: int, number: int, data: bytes = b"x", *, pending: int = 0, deliveries: int = 1) -> None:
        """One message; `number` is the consumer's sequence. It arrives as over a link, under its own subject."""
        reply = f"$JS.ACK.O.{self.name}.{deliveries}.{seq}.{number}.1800000000000000000.{pending}"
        self.harness.account.publish(self.deliver.encode(), data, reply.encode())
        self.harness.loop.settle()

    def control(self, kind: str, reply: str = "", **headers: object) -> None:
        """A heartbeat or a flow-control request."""
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        block = f"NATS/1.0 100 {kind}\r\n{lines}\r\n".encode()
        self.harness.account.publish(self.deliver.encode(), b"", reply.encode(), block)
        self.harness.loop.settle()


@pytest.fixture
def far(harness: Harness) -> FarOrigin:
    """A stream S that sources O from far away, and asked for its consumer."""
    origin = FarOrigin(harness)
    harness.stream("S", subjects=None, storage="file", sources=[{"name": "O", "external": FAR}])
    harness.loop.advance(0.2)
    return origin


def source_of(harness: Harness, name: str = "S") -> dict[str, Any]:
    found: dict[str, Any] = harness.info(name)["sources"][0]
    return found


def test_a_gap_is_asked_for_again(far: FarOrigin, harness: Harness) -> None:
    assert far.asked()["deliver_policy"] == "all"
    far.answer()
    far.send(1, 1, pending=7)
    assert source_of(harness)["lag"] == 7
    far.send(3, 3)
    harness.loop.advance(3)
    config = far.asked()
    assert (config["deliver_policy"], config["opt_start_seq"]) == ("by_start_sequence", 2)
    assert b"Nats-Stream-Identity: one" in far.header
    far.answer("D", stands_at=1)
    far.send(2, 1)
    far.send(3, 2)
    assert len(data_of(harness, "S")) == 3


def test_old_and_foreign_messages_are_not_taken(far: FarOrigin, harness: Harness) -> None:
    far.asked()
    far.answer()
    far.send(1, 1)
    far.send(1, 2)
    far.send(2, 3)
    far.send(3, 4, deliveries=2)
    far.name = "another"
    far.send(4, 4)
    assert len(data_of(harness, "S")) == 2
    far.control("Idle Heartbeat", Nats_Last_Consumer=3, Nats_Last_Stream=2)
    harness.loop.advance(3)
    assert far.requests.take() == []


def test_a_heartbeat_shows_what_was_lost_at_the_end(far: FarOrigin, harness: Harness) -> None:
    far.asked()
    far.answer()
    far.send(1, 1)
    far.control("Idle Heartbeat", Nats_Last_Consumer=2, Nats_Last_Stream=2)
    harness.loop.advance(3)
    assert far.asked()["opt_start_seq"] == 2


def test_silence_is_asked_into(far: FarOrigin, harness: Harness) -> None:
    far.asked()
    far.answer()
    for _ in range(12):
        harness.loop.advance(1)
        far.control("Idle Heartbeat")
    assert far.requests.take() == []
    harness.loop.advance(9)
    assert far.requests.take() == []
    harness.loop.advance(2)
    assert far.asked()["deliver_policy"] == "all"


def test_flow_control_is_answered_with_the_place(far: FarOrigin, harness: Harness) -> None:
    far.asked()
    far.answer()
    answers = harness.inbox("$JS.FC.>")
    far.send(4, 1)
    far.control("FlowControl Request", "$JS.FC.O.C.abcd")
    far.control("Idle Heartbeat", Nats_Last_Consumer=1, Nats_Consumer_Stalled="$JS.FC.O.C.efgh")
    place = b"NATS/1.0\r\nNats-Last-Consumer: 1\r\nNats-Last-Stream: 4\r\n\r\n"
    assert answers.take() == [("$JS.FC.O.C.abcd", b"", place, b""), ("$JS.FC.O.C.efgh", b"", place, b"")]


def test_waits_grow_while_nobody_answers_and_end_when_interest_comes(harness: Harness) -> None:
    harness.stream("S", subjects=None, sources=[{"name": "O", "external": FAR}])
    harness.loop.advance(0.2)
    error = source_of(harness)["error"]
    assert error["err_code"] == 10045
    assert CREATE in error["description"]
    harness.loop.advance(300)
    far = FarOrigin(harness)
    # Two seconds between requests at least, whatever comes.
    harness.loop.advance(2.2)
    far.asked()
    far.answer()
    assert "error" not in source_of(harness)


@pytest.mark.parametrize("code", [10185, 10025])
def test_older_origins_are_asked_in_their_way(far: FarOrigin, harness: Harness, code: int) -> None:
    refusal = json.dumps({"error": {"code": 400, "err_code": code, "description": "d"}}).encode()
    assert far.asked()["sourcing"]
    assert b"Nats-Required-Api-Level: 5" in far.header
    far.raw_answer(refusal)
    far.asked()
    assert far.header == b"NATS/1.0\r\nNats-Required-Api-Level: 4\r\n\r\n"
    far.raw_answer(refusal)
    config = far.asked()
    assert far.header == b""
    assert "sourcing" not in config
    far.answer(identity="")
    far.send(1, 1)
    assert len(data_of(harness, "S")) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"name":"C"}',
        b'{"name":5,"config":{}}',
        b'{"name":"C","config":{},"delivered":{"stream_seq":-1}}',
        b'{"name":"C","config":{},"delivered":{"stream_seq":99999999999999999999}}',
    ],
)
def test_answers_that_make_no_sense_are_an_error(far: FarOrigin, harness: Harness, body: bytes) -> None:
    far.asked()
    far.raw_answer(body)
    assert source_of(harness)["error"]["err_code"] == 10045
    harness.loop.advance(3)
    far.asked()


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "x",
        "$JS.ACK.O.C.1.1",
        "$JS.ACK.O.C.1.x.1.1.0",
        "$JS.ACK.O.C.1.99999999999999999999.1.1.0",
        "$JS.ACK.O.C.1..1.1.0",
    ],
)
def test_deliveries_that_make_no_sense_change_nothing(far: FarOrigin, harness: Harness, reply: str) -> None:
    far.asked()
    far.answer()
    harness.account.publish(far.deliver.encode(), b"x", reply.encode())
    harness.loop.settle()
    far.send(1, 1)
    assert len(data_of(harness, "S")) == 1


def test_a_stream_that_is_full_waits_and_loses_nothing(harness: Harness) -> None:
    far = FarOrigin(harness)
    harness.stream("S", subjects=None, sources=[{"name": "O", "external": FAR}], max_msgs=2, discard="new")
    harness.loop.advance(0.2)
    far.asked()
    far.answer()
    for number in (1, 2, 3):
        far.send(number, number)
    assert source_of(harness)["error"]["description"] == "maximum messages exceeded"
    harness.api("STREAM.PURGE.S")
    harness.loop.advance(3)
    assert far.asked()["opt_start_seq"] == 3
    far.answer("D", stands_at=2)
    far.send(3, 1)
    assert harness.info("S")["state"]["last_seq"] == 3
    assert "error" not in source_of(harness)


def test_what_was_taken_and_consumed_is_not_taken_again_after_a_restart(far: FarOrigin, harness: Harness) -> None:
    far.asked()
    far.answer()
    for number in (1, 2, 3):
        far.send(number, number)
    harness.api("STREAM.PURGE.S")
    harness.jetstream.stop()
    with Harness(harness.storage) as again:
        origin = FarOrigin(again)
        again.loop.advance(0.2)
        assert origin.asked()["opt_start_seq"] == 4
        assert b"Nats-Stream-Identity: one" in origin.header


def test_notes_of_messages_tell_the_place_when_nothing_else_does(far: FarOrigin, harness: Harness) -> None:
    far.asked()
    far.answer()
    for number in (1, 2, 3):
        far.send(number, number)
    for places in harness.storage.stored.values():
        if places and all(b'"places"' in value for value, _ in places.values()):
            places.clear()
    harness.jetstream.stop()
    with Harness(harness.storage) as again:
        origin = FarOrigin(again)
        again.loop.advance(0.2)
        assert origin.asked()["opt_start_seq"] == 4
        assert b"Nats-Stream-Identity: one" in origin.header


def test_a_new_origin_under_the_old_name_is_taken_from_its_start(far: FarOrigin, harness: Harness) -> None:
    far.asked()
    far.answer()
    far.send(5, 1)
    harness.loop.advance(11)
    assert far.asked()["opt_start_seq"] == 6
    mismatch = {"code": 400, "err_code": 10225, "description": "consumer's stream identity does not match: two"}
    far.raw_answer(json.dumps({"error": mismatch}).encode())
    harness.loop.advance(3)
    assert far.asked()["deliver_policy"] == "all"
    far.answer(identity="two")
    far.send(1, 1)
    assert len(data_of(harness, "S")) == 2


def test_a_mirror_of_a_new_origin_says_so(harness: Harness) -> None:
    far = FarOrigin(harness)
    harness.stream("M", subjects=None, mirror={"name": "O", "external": FAR})
    harness.loop.advance(0.2)
    far.asked()
    far.answer()
    far.send(9, 1)
    assert harness.info("M")["state"]["first_seq"] == 9
    harness.loop.advance(11)
    assert far.asked()["opt_start_seq"] == 10
    far.answer("D", stands_at=3, identity="two")
    error = harness.info("M")["mirror"]["error"]
    assert "was deleted and made again; its messages up to sequence 9 are not mirrored" in error["description"]


def test_origins_in_the_same_account(harness: Harness) -> None:
    harness.stream("O", retention="workqueue", storage="file")
    for number in range(5):
        harness.publish(f"o.{number}", b"%d" % number)
    harness.stream("S", subjects=None, sources=[{"name": "O"}])
    harness.loop.advance(0.3)
    assert len(data_of(harness, "S")) == 5
    harness.loop.advance(2)
    assert harness.info("O")["state"]["messages"] == 0
    harness.api("STREAM.DELETE.O")
    harness.loop.advance(3)
    assert source_of(harness)["error"]["err_code"] == 10059
    harness.stream("O", storage="file")
    harness.publish("o.new", b"new")
    harness.loop.advance(5)
    assert len(data_of(harness, "S")) == 6


def test_an_origin_removed_from_the_configuration_lets_its_consumer_go(harness: Harness) -> None:
    harness.stream("O", retention="workqueue")
    harness.stream("S", subjects=["s"], sources=[{"name": "O"}])
    harness.loop.advance(0.3)
    assert len(harness.api("CONSUMER.NAMES.O")["consumers"]) == 1
    harness.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s"], "storage": "memory"})
    assert not harness.api("CONSUMER.NAMES.O")["consumers"]


def test_a_promoted_mirror_takes_messages_of_its_own(harness: Harness) -> None:
    harness.stream("O")
    harness.publish("o.1")
    harness.stream("M", subjects=None, mirror={"name": "O"})
    harness.loop.advance(0.3)
    update: dict[str, object] = {"name": "M", "subjects": ["m.>"], "storage": "memory"}
    assert "error" not in harness.api("STREAM.UPDATE.M", update)
    assert harness.publish("m.1")["seq"] == 2
    harness.publish("o.2")
    harness.loop.advance(3)
    assert harness.info("M")["state"]["messages"] == 2
    assert "mirror" not in harness.info("M")


def test_inboxes_close(harness: Harness) -> None:
    """The conversation leaves no subscription behind when the stream goes."""
    before = len(harness.account.subscriptions())
    inbox = Inbox(harness.account, CREATE)
    harness.stream("S", subjects=None, sources=[{"name": "O", "external": FAR}])
    harness.loop.advance(0.2)
    harness.api("STREAM.DELETE.S")
    inbox.close()
    assert len(harness.account.subscriptions()) == before
