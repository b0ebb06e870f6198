"""What the store says of itself: immutable snapshots for monitoring, dashboard and command line."""

from __future__ import annotations

from dataclasses import dataclass, field

from leafbox.dataplane.journal import JournalState


@dataclass(frozen=True, slots=True)
class Damage:
    """One finding of recovery, verification or a read: what does not hold, and what it hit."""

    place: str
    """`log`, `database`, `block`, `index`, `state` or `blob`."""
    detail: str
    stream: bytes = b""
    first_seq: int = 0
    last_seq: int = 0
    lost_messages: int = 0

    def __str__(self) -> str:
        where = f" stream {self.stream.decode(errors='replace')}" if self.stream else ""
        which = f" sequences {self.first_seq}..{self.last_seq}" if self.last_seq else ""
        lost = f" ({self.lost_messages} messages lost)" if self.lost_messages else ""
        return f"{self.place}:{where}{which} {self.detail}{lost}"


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What opening the store found; `damages` is empty after every clean stop, kill or power cut on sound hardware."""

    is_clean_stop: bool = False
    checkpoint_lsn: int = 0
    recovered_lsn: int = 0
    replayed_records: int = 0
    replayed_bytes: int = 0
    torn_records: int = 0
    """Whole records behind a torn one; nobody was promised them."""
    torn_detail: str = ""
    """Where the log's tail was torn; empty if it ended cleanly."""
    damages: tuple[Damage, ...] = ()
    duration_s: float = 0.0

    def __str__(self) -> str:
        lines = [
            f"checkpoint {self.checkpoint_lsn}, log read up to {self.recovered_lsn}: {self.replayed_records} records, "
            f"{self.replayed_bytes} bytes replayed in {self.duration_s:.3f} s"
        ]
        if self.torn_detail:
            lines.append(f"torn tail (not acknowledged): {self.torn_detail}, {self.torn_records} records behind it")
        lines.extend(f"DAMAGE {damage}" for damage in self.damages)
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """The store at one moment."""

    state: JournalState
    reason: str
    """Why it is not ready; empty when it is."""
    is_accepting: bool
    """Whether new messages are taken."""
    is_congested: bool
    free_bytes: int
    last_lsn: int
    durable_lsn: int
    staged_bytes: int
    segment_count: int
    segments_free: int
    commit_count: int
    written_bytes: int
    """Bytes written to the log; what flash wear is made of, together with `checkpoint_bytes`."""
    checkpoint_count: int
    checkpoint_bytes: int
    """Bytes handed to the database by checkpoints."""
    checkpoint_lsn: int
    checkpoint_error: str
    """Why the last checkpoint failed; empty if it did not."""
    unsaved_bytes: int
    cached_bytes: int
    failure_count: int
    sync_count: int
    """Times the device was made to sync, and how long that took in all."""
    sync_us: int
    damages: tuple[Damage, ...] = field(default=())
    """Found since the start, by recovery and by reads."""
