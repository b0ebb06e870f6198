"""The specification of a consumer: dictionaries, and the plainest code for what is due. For property tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.support.stream_model import ModelMessage, StreamModel, matches_any

ACK_WAIT_S = 31
ACK_WAIT_NS = ACK_WAIT_S * 10**9

Delivery = tuple[str, bytes, bytes, bytes]
"""Subject, reply, header and payload."""


@dataclass
class ConsumerModel:
    """What one consumer delivered and what of it was settled."""

    filters: tuple[str, ...]
    acks_all: bool = False
    max_deliver: int = -1
    is_push: bool = False
    config: dict[str, object] = field(default_factory=dict)
    delivered: int = 0
    deliveries: int = 0
    counts: dict[int, int] = field(default_factory=dict)
    pending: dict[int, Delivery] = field(default_factory=dict)
    """The last delivery of each message that was not settled, gone and given up ones too."""
    deadlines: dict[int, int] = field(default_factory=dict)
    paused_until_ns: int = 0

    def wants(self, subject: bytes) -> bool:
        """By its filters."""
        return not self.filters or matches_any(tuple(f.encode() for f in self.filters), subject)

    def needs(self, message: ModelMessage) -> bool:
        """It has not seen the message, or did not settle it."""
        return self.wants(message.subject) and (message.seq > self.delivered or message.seq in self.pending)

    def fresh(self, stream: StreamModel) -> list[int]:
        """Stored messages that were never delivered."""
        return [m.seq for m in stream.find(()) if m.seq > self.delivered and self.wants(m.subject)]

    @property
    def spent(self) -> set[int]:
        """Unsettled messages that had all their deliveries; whether they still count as pending is left open."""
        return {seq for seq in self.pending if 0 < self.max_deliver <= self.counts[seq]}

    def due(self, stream: StreamModel, now_ns: int) -> list[int]:
        """Stored messages that are to be delivered again."""
        spent = self.spent
        return sorted(
            seq for seq in self.pending if self.deadlines[seq] <= now_ns and seq in stream.messages and seq not in spent
        )

    def unsettled(self, now_ns: int) -> list[int]:
        """Messages whose time runs."""
        return sorted(seq for seq in self.pending if self.deadlines[seq] > now_ns)

    def receive(self, message: Delivery, stream: StreamModel, now_ns: int) -> int:
        """A delivery: checks its numbers and its text; returns the sequence."""
        tries, seq, number = (int(token) for token in message[1].decode().split(".")[4:7])
        self.deliveries += 1
        assert number == self.deliveries
        stored = stream.messages.get(seq)
        # A message that was pushed may be gone when we look.
        assert stored is not None or self.is_push, seq
        if stored is not None:
            assert (message[0].encode(), message[2], message[3]) == (stored.subject, stored.header, stored.payload)
        if seq <= self.delivered:
            assert seq in self.pending, seq
        self.delivered = max(self.delivered, seq)
        self.counts[seq] = self.counts.get(seq, 0) + 1
        assert tries == self.counts[seq]
        assert not 0 < self.max_deliver < tries
        self.pending[seq] = message
        self.deadlines[seq] = now_ns + ACK_WAIT_NS
        return seq

    def settle(self, seq: int) -> list[int]:
        """A message is acknowledged or terminated, with it all before it if the policy is that; which ones."""
        settled = [other for other in self.pending if other == seq or (self.acks_all and other < seq)]
        for each in settled:
            del self.pending[each], self.deadlines[each]
        return sorted(settled)

    def wait_anew(self, now_ns: int) -> None:
        """After a restart every message waits for the end of its time, which may be a little later or earlier."""
        for seq in self.deadlines:
            self.deadlines[seq] = min(self.deadlines[seq], now_ns + ACK_WAIT_NS)
