"""What publish checks look at: the stream as it is, plus what a batch has staged but not stored."""

from __future__ import annotations

from leafbox.dataplane.message_ids import DuplicateWindow
from leafbox.dataplane.stream_ingest import StreamIngest
from leafbox.protocol.jetstream import subjects


class PublishState:
    """Reads through to the store; `stage` adds messages of an atomic batch on top."""

    def __init__(self, ingest: StreamIngest, window: DuplicateWindow) -> None:
        self._ingest = ingest
        self._window = window
        self._staged: list[tuple[bytes, bytes, bytes]] = []
        self._staged_ids: set[str] = set()
        self._staged_bytes = 0

    @property
    def last_seq(self) -> int:
        """The sequence before the next message's."""
        return self._ingest.store.last_seq + len(self._staged)

    @property
    def staged_count(self) -> int:
        """How many messages are staged."""
        return len(self._staged)

    @property
    def staged_bytes(self) -> int:
        """Stored size of what is staged."""
        return self._staged_bytes

    def last_seq_of(self, subject: str) -> int:
        """Sequence of the last message whose subject matches; 0 if there is none."""
        base = self._ingest.store.last_seq
        for index in range(len(self._staged), 0, -1):
            if subjects.matches(self._staged[index - 1][0].decode(), subject):
                return base + index
        store = self._ingest.store
        if subjects.is_literal(subject):
            return store.subject_bounds(subject.encode())[2]
        return store.previous_sequence(store.last_seq, store.filter(subject.encode()))

    def last_message_of(self, subject: str) -> tuple[bytes, bytes] | None:
        """Header and payload of the last message on a literal subject."""
        wanted = subject.encode()
        for staged, header, payload in reversed(self._staged):
            if staged == wanted:
                return header, payload
        message = self._ingest.store.last_message(wanted)
        return None if message is None else (message.header, message.payload)

    def find_id(self, msg_id: str, now_ns: int) -> int:
        """Sequence of an earlier message with this id; 0 if there is none."""
        return self._window.find(msg_id, now_ns)

    def is_id_staged(self, msg_id: str) -> bool:
        """Whether the batch itself has the id already."""
        return msg_id in self._staged_ids

    def stage(self, subject: bytes, header: bytes, payload: bytes, msg_id: str) -> None:
        """Count a checked message as if it were stored."""
        self._staged.append((subject, header, payload))
        self._staged_bytes += self._ingest.store.stored_size(len(subject), len(header), len(payload))
        if msg_id:
            self._staged_ids.add(msg_id)

    def staged_on(self, subject: bytes) -> int:
        """How many staged messages have this subject."""
        return sum(1 for staged, _, _ in self._staged if staged == subject)
