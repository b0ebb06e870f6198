"""Fast-ingest batches: everything about a message's place is in its reply subject (ADR-50).

`<prefix>.<batch id>.<flow>.<gap mode>.<sequence>.<operation>.$FI`; operations 0 start, 1 append, 2 commit and store,
3 commit without storing, 4 ping.
"""

from __future__ import annotations

from dataclasses import dataclass

SUFFIX = ".$FI"
START, APPEND, COMMIT, COMMIT_END, PING = range(5)
_SEQUENCE_MAX = (1 << 64) - 1
_FLOW_DEFAULT, _FLOW_MAX = 10, 0xFFFF


@dataclass(frozen=True, slots=True)
class FastPlace:
    """A message's place in a fast batch."""

    batch_id: str
    flow: int
    gap_ok: bool
    sequence: int
    operation: int

    @property
    def is_ping(self) -> bool:
        return self.operation == PING

    @property
    def is_commit(self) -> bool:
        return self.operation in (COMMIT, COMMIT_END)


def is_fast_reply(reply: str) -> bool:
    """Whether a reply subject claims to belong to a fast batch."""
    return reply.endswith(SUFFIX) and len(reply) > len(SUFFIX)


def parse_place(reply: str) -> FastPlace | None:
    """The place that a fast reply subject names, or None if it is malformed."""
    tokens = reply.split(".")
    if len(tokens) < 7:
        return None
    batch_id, flow_text, gap, sequence_text, operation_text = tokens[-6:-1]
    if not operation_text.isdigit() or not START <= int(operation_text) <= PING:
        return None
    operation = int(operation_text)
    if not sequence_text.isdigit() or not 0 < int(sequence_text) < _SEQUENCE_MAX or gap not in ("ok", "fail"):
        return None
    sequence = int(sequence_text)
    if (
        (operation == START and sequence != 1)
        or (operation == APPEND and sequence <= 1)
        or (operation == COMMIT_END and sequence == 1)
    ):
        return None
    flow = int(flow_text) if flow_text.isdigit() else 0
    return FastPlace(batch_id, min(flow, _FLOW_MAX) if flow > 0 else _FLOW_DEFAULT, gap == "ok", sequence, operation)
