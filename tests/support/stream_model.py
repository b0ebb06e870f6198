"""The specification of a stream's store: a dictionary of messages and the plainest code for every question.

Property tests hold `leafbox.dataplane.stream_store` to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ModelMessage:
    """One stored message."""

    seq: int
    ts_ns: int
    expires_ns: int
    subject: bytes
    header: bytes
    payload: bytes

    def stored_bytes(self, is_memory: bool) -> int:
        """nats-server's formulas for file and memory stores."""
        if is_memory:
            return len(self.subject) + len(self.header) + len(self.payload) + 16
        return 22 + len(self.subject) + (4 + len(self.header) if self.header else 0) + len(self.payload) + 8


def matches(pattern: bytes, subject: bytes) -> bool:
    """Token-wise subject match."""
    wanted, tokens = pattern.split(b"."), subject.split(b".")
    for index, token in enumerate(wanted):
        if token == b">" and index == len(wanted) - 1:
            return len(tokens) > index
        if index >= len(tokens) or token not in (b"*", tokens[index]):
            return False
    return len(wanted) == len(tokens)


def matches_any(patterns: tuple[bytes, ...], subject: bytes) -> bool:
    """No pattern means everything."""
    return not patterns or any(matches(pattern, subject) for pattern in patterns)


@dataclass
class StreamModel:
    """A stream as a dictionary."""

    messages: dict[int, ModelMessage] = field(default_factory=dict)
    is_memory: bool = False
    first_seq: int = 0
    last_seq: int = 0
    max_messages: int = -1
    max_bytes: int = -1
    max_messages_per_subject: int = -1

    def begin(self, first_seq: int) -> None:
        """The first_seq option."""
        if first_seq > 1:
            self.first_seq, self.last_seq = first_seq, first_seq - 1

    def append(self, subject: bytes, header: bytes, payload: bytes, ts_ns: int, expires_ns: int, seq: int) -> int:
        """Store one message, then enforce the limits."""
        seq = seq or self.last_seq + 1
        self.messages[seq] = ModelMessage(seq, ts_ns, expires_ns, subject, header, payload)
        self.last_seq = seq
        self.enforce()
        return seq

    def enforce(self) -> None:
        """Drop what is over a limit: oldest of a subject first, then oldest of all."""
        if self.max_messages_per_subject > 0:
            for subject in {message.subject for message in self.messages.values()}:
                own = self.find((subject,))
                for message in own[: max(0, len(own) - self.max_messages_per_subject)]:
                    del self.messages[message.seq]
        while 0 < self.max_messages < len(self.messages) or (0 < self.max_bytes < self.stored_bytes and self.messages):
            del self.messages[min(self.messages)]
        self.settle()

    def settle(self) -> None:
        """Recompute first_seq."""
        self.first_seq = min(self.messages) if self.messages else self.last_seq + 1

    def remove(self, seq: int) -> bool:
        """Remove one message."""
        found = self.messages.pop(seq, None) is not None
        if found:
            self.settle()
        return found

    def compact(self, first_seq: int) -> int:
        """Remove everything before `first_seq`."""
        gone = [seq for seq in self.messages if seq < first_seq]
        for seq in gone:
            del self.messages[seq]
        if first_seq > self.last_seq + 1 or (gone and first_seq > self.last_seq):
            self.last_seq = first_seq - 1
        if gone or (first_seq > self.first_seq and not self.messages):
            self.settle()
        return len(gone)

    def purge(self, patterns: tuple[bytes, ...], before_seq: int, keep: int) -> int:
        """Remove matching messages before `before_seq` but the newest `keep`."""
        bound = before_seq or self.last_seq + 1
        own = [message for message in self.find(patterns) if message.seq < bound]
        if keep:
            own = own[:-keep]
        for message in own:
            del self.messages[message.seq]
        if not patterns and not keep and bound > self.last_seq + 1:
            self.last_seq = bound - 1
        if own or not (patterns or keep or self.messages):
            self.settle()
        return len(own)

    def truncate(self, last_seq: int) -> None:
        """Remove everything after `last_seq`."""
        if last_seq < self.last_seq:
            self.messages = {seq: message for seq, message in self.messages.items() if seq <= last_seq}
            self.last_seq = last_seq
            self.settle()

    def skip(self, seq: int) -> None:
        """Use up numbers."""
        if seq > self.last_seq:
            self.last_seq = seq
            if not self.messages:
                self.first_seq = seq + 1

    @property
    def stored_bytes(self) -> int:
        """Sum of the message sizes."""
        return sum(message.stored_bytes(self.is_memory) for message in self.messages.values())

    def find(self, patterns: tuple[bytes, ...]) -> list[ModelMessage]:
        """Matching messages, ascending."""
        return [
            self.messages[seq] for seq in sorted(self.messages) if matches_any(patterns, self.messages[seq].subject)
        ]
