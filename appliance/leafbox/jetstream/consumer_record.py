"""Consumer, lower part: what it tells others and what it keeps. Advisories, status messages, durable progress."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from leafbox.dataplane.consumer_delivery import ConsumerDelivery
from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.definitions import StoredConsumer, value_key
from leafbox.jetstream.ports import ValueKind
from leafbox.protocol.jetstream import headers
from leafbox.protocol.jetstream.go_json import encode
from leafbox.protocol.jetstream.go_time import parse_duration

if TYPE_CHECKING:
    from leafbox.jetstream.stream import Stream
    from leafbox.protocol.jetstream.consumer_config import ConsumerConfig


class ConsumerRecord(ConsumerDelivery):
    """A consumer's voice and memory; `Consumer` sets the fields."""

    stream: Stream
    config: ConsumerConfig
    name: str
    created_ns: int
    is_in_memory: bool

    @property
    def key(self) -> bytes:
        """Key of the consumer's durable values."""
        return value_key(self.stream.account.name, self.stream.name, self.name)

    # -- durable state ---------------------------------------------------------------------------------------------

    def save(self) -> int:
        """Make definition and progress durable; returns the log sequence number, 0 if it lives in memory."""
        if self.is_in_memory or self.config.direct:
            return 0
        definition = StoredConsumer(
            account=self.stream.account.name,
            stream=self.stream.name,
            config=self.config,
            name=self.name,
            created=self.created_ns,
        )
        self.stream.context.storage.put(ValueKind.CONSUMER, self.key, encode(definition))
        return self.save_progress()

    def save_progress(self) -> int:
        """Replace the durable progress by one value; returns its log sequence number."""
        return self.stream.context.storage.put(ValueKind.PROGRESS, self.key, self.snapshot(True))

    def checkpointed(self) -> bytes | None:
        """The progress as one value, for the storage's checkpoint; steps of this turn are logged first."""
        self.flush()
        return self.snapshot(False)

    def write_progress(self, steps: bytes, is_urgent: bool) -> int:
        """Log the steps of this turn."""
        if self.is_in_memory:
            return 0
        return self.stream.context.storage.extend(ValueKind.PROGRESS, self.key, steps, is_urgent)

    def answer_acks(self, lsn: int, replies: list[bytes]) -> None:
        """Empty answers once the acknowledgements are durable."""
        self.stream.context.gate.when_durable(lsn, partial(self._answer_all, replies))

    def _answer_all(self, replies: list[bytes]) -> None:
        for reply in replies:
            self.stream.account.publish(reply, b"")

    # -- advisories ---------------------------------------------------------------------------------------------------

    def on_nak(self, stream_seq: int, consumer_seq: int, deliveries: int, argument: bytes) -> int | None:
        """Tell, and read the delay."""
        fields = {"consumer_seq": consumer_seq, "stream_seq": stream_seq, "deliveries": deliveries}
        self.stream.advisories.consumer_event("MSG_NAKED", "nak", self.stream.name, self.name, {**fields})
        if not argument:
            return None
        try:
            if argument.startswith(b"{"):
                return int(json.loads(argument).get("delay", 0))
            return parse_duration(argument.decode())
        except (ValueError, TypeError, AttributeError):
            return None

    def on_terminated(self, stream_seq: int, consumer_seq: int, deliveries: int, reason: bytes) -> None:
        """Tell that the message will not come again."""
        fields: dict[str, int | str] = {
            "consumer_seq": consumer_seq,
            "stream_seq": stream_seq,
            "deliveries": deliveries,
        }
        if reason:
            fields["reason"] = reason.decode("utf-8", "replace")
        self.stream.advisories.consumer_event("MSG_TERMINATED", "terminated", self.stream.name, self.name, {**fields})

    def on_max_deliveries(self, stream_seq: int, deliveries: int) -> None:
        """Tell that a message had all its deliveries."""
        fields = {"stream_seq": stream_seq, "deliveries": deliveries}
        self.stream.advisories.consumer_event("MAX_DELIVERIES", "max_deliver", self.stream.name, self.name, {**fields})

    def on_sampled(self, stream_seq: int, consumer_seq: int, deliveries: int, delivered_ns: int) -> None:
        """Publish how long the acknowledgement took."""
        fields = {
            "consumer_seq": consumer_seq,
            "stream_seq": stream_seq,
            "ack_time": now_ns() - delivered_ns,
            "deliveries": deliveries,
        }
        self.stream.advisories.ack_metric(self.stream.name, self.name, {**fields})

    # -- status messages -------------------------------------------------------------------------------------------

    def heartbeat(self, target: bytes) -> None:
        """Tell how far delivery is, and whether it waits for a flow control answer."""
        extra = {}
        if self.flow_subject is not None:
            extra["Nats_Consumer_Stalled"] = self.flow_subject.decode()
        block = headers.status(
            100,
            "Idle Heartbeat",
            Nats_Last_Consumer=self.next_consumer_seq - 1,
            Nats_Last_Stream=self.delivered_stream_seq,
            **extra,
        )
        self.status(target, block)

    def status(self, target: bytes, block: bytes) -> None:
        """Send a header block without payload."""
        self.stream.account.publish(target, b"", b"", block)
