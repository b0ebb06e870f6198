"""A consumer's state as backups hold it, and its form in our store."""

from __future__ import annotations

import struct
from typing import ClassVar

from leafbox.protocol.jetstream.go_json import GoStruct, Int64, Uint64
from leafbox.protocol.jetstream.info import SequenceInfo

_HEAD = struct.Struct("<BQQQQQII")
_PENDING = struct.Struct("<QQq")
_REDELIVERED = struct.Struct("<QI")
_VERSION = 1
_SEQUENCE_MAX, _COUNT_MAX = (1 << 63) - 1, (1 << 32) - 1


class PendingState(GoStruct, frozen=True, kw_only=True):
    """One message that waits for its acknowledgement."""

    GO_NAME: ClassVar[str] = "Pending"
    sequence: Uint64 = 0
    ts: Int64 = 0


class ConsumerProgressState(GoStruct, frozen=True, kw_only=True):
    """What was delivered and acknowledged; the maps are keyed by the stream sequence in decimal."""

    GO_NAME: ClassVar[str] = "ConsumerState"
    delivered: SequenceInfo = SequenceInfo()
    ack_floor: SequenceInfo = SequenceInfo()
    pending: dict[str, PendingState] = {}  # noqa: RUF012
    redelivered: dict[str, Uint64] = {}  # noqa: RUF012


def encode_progress(state: ConsumerProgressState) -> bytes:
    """The value that `ConsumerProgress.restore` takes; `ValueError` for a state that no consumer can be in."""
    delivered, floor = state.delivered, state.ack_floor
    if (
        max(delivered.stream_seq, delivered.consumer_seq) >= _SEQUENCE_MAX
        or floor.stream_seq > delivered.stream_seq
        or floor.consumer_seq > delivered.consumer_seq
        or any(not key.isdecimal() or int(key) > delivered.stream_seq for key in (*state.pending, *state.redelivered))
        or any(count > _COUNT_MAX for count in state.redelivered.values())
    ):
        raise ValueError("impossible consumer state")
    pending = sorted((int(seq), item.sequence, item.ts) for seq, item in state.pending.items())
    redelivered = sorted((int(seq), count) for seq, count in state.redelivered.items())
    return b"".join(
        (
            _HEAD.pack(
                _VERSION,
                state.delivered.stream_seq,
                state.delivered.stream_seq + 1,
                state.delivered.consumer_seq + 1,
                state.ack_floor.stream_seq,
                state.ack_floor.consumer_seq,
                len(pending),
                len(redelivered),
            ),
            *(_PENDING.pack(*entry) for entry in pending),
            *(_REDELIVERED.pack(*entry) for entry in redelivered),
        )
    )
