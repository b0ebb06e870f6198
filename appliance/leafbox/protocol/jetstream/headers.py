"""A message's header block as bytes: look up, add, replace and remove single headers; names the JetStream headers.

The block is `NATS/1.0\\r\\n`, lines `Name: value\\r\\n`, an empty line. Only messages with special headers come here;
names are matched exactly, as nats-server does.
"""

from __future__ import annotations

from typing import Final

LINE: Final = b"NATS/1.0\r\n"

MSG_ID: Final = b"Nats-Msg-Id"
EXPECTED_STREAM: Final = b"Nats-Expected-Stream"
EXPECTED_LAST_SEQUENCE: Final = b"Nats-Expected-Last-Sequence"
EXPECTED_LAST_SUBJECT_SEQUENCE: Final = b"Nats-Expected-Last-Subject-Sequence"
EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT: Final = b"Nats-Expected-Last-Subject-Sequence-Subject"
EXPECTED_LAST_MSG_ID: Final = b"Nats-Expected-Last-Msg-Id"
ROLLUP: Final = b"Nats-Rollup"
TTL: Final = b"Nats-TTL"
INCREMENT: Final = b"Nats-Incr"
COUNTER_SOURCES: Final = b"Nats-Counter-Sources"
STREAM_SOURCE: Final = b"Nats-Stream-Source"
MARKER_REASON: Final = b"Nats-Marker-Reason"
MSG_SIZE: Final = b"Nats-Msg-Size"
BATCH_ID: Final = b"Nats-Batch-Id"
BATCH_SEQUENCE: Final = b"Nats-Batch-Sequence"
BATCH_COMMIT: Final = b"Nats-Batch-Commit"
SCHEDULE: Final = b"Nats-Schedule"
SCHEDULE_TTL: Final = b"Nats-Schedule-TTL"
SCHEDULE_TARGET: Final = b"Nats-Schedule-Target"
SCHEDULE_SOURCE: Final = b"Nats-Schedule-Source"
SCHEDULE_ROLLUP: Final = b"Nats-Schedule-Rollup"
SCHEDULE_TIME_ZONE: Final = b"Nats-Schedule-Time-Zone"
SCHEDULE_NEXT: Final = b"Nats-Schedule-Next"
SCHEDULER: Final = b"Nats-Scheduler"
REQUEST_INFO: Final = b"Nats-Request-Info"
REQUIRED_API_LEVEL: Final = b"Nats-Required-Api-Level"
STREAM_IDENTITY: Final = b"Nats-Stream-Identity"
PIN_ID: Final = b"Nats-Pin-Id"
PENDING_MESSAGES: Final = b"Nats-Pending-Messages"
PENDING_BYTES: Final = b"Nats-Pending-Bytes"
LAST_CONSUMER: Final = b"Nats-Last-Consumer"
LAST_STREAM: Final = b"Nats-Last-Stream"
CONSUMER_STALLED: Final = b"Nats-Consumer-Stalled"


def get(block: bytes, name: bytes) -> bytes | None:
    """The value of the first header of that name, white space around it cut, or None."""
    start = block.find(b"\r\n" + name + b":")
    if start < 0:
        return None
    start += len(name) + 3
    end = block.find(b"\r\n", start)
    return block[start:end].strip(b" \t") if end >= 0 else None


def get_text(block: bytes, name: bytes) -> str:
    """Like `get`, as text; absent is empty."""
    value = get(block, name)
    return value.decode("utf-8", "replace") if value else ""


def get_number(block: bytes, name: bytes) -> int | None:
    """A header that is a non-negative decimal number; anything else reads as absent."""
    value = get(block, name)
    return int(value) if value is not None and value.isdigit() else None


def get_expected(block: bytes, name: bytes) -> int | None:
    """A sequence that a publisher expects; what is no number is a sequence that no message can have."""
    value = get(block, name)
    if not value:
        return None
    return int(value) if value.isdigit() else (1 << 64) - 1


def remove(block: bytes, name: bytes) -> bytes:
    """Without all headers of that name; empty when none are left."""
    needle = b"\r\n" + name + b":"
    while (start := block.find(needle)) >= 0:
        end = block.find(b"\r\n", start + 2)
        block = block[:start] + block[end:]
    return b"" if block == LINE + b"\r\n" else block


def remove_prefix(block: bytes, prefix: bytes) -> bytes:
    """Without all headers whose name starts with `prefix`."""
    needle = b"\r\n" + prefix
    while (start := block.find(needle)) >= 0:
        end = block.find(b"\r\n", start + 2)
        block = block[:start] + block[end:]
    return b"" if block == LINE + b"\r\n" else block


def add(block: bytes, name: bytes, value: bytes) -> bytes:
    """With one more header at the end; an empty block gets its first line."""
    head = block[:-2] if block else LINE
    return head + name + b": " + value + b"\r\n\r\n"


def replace(block: bytes, name: bytes, value: bytes) -> bytes:
    """With the header set to a value: in place if it exists, else added."""
    start = block.find(b"\r\n" + name + b":")
    if start < 0:
        return add(block, name, value)
    start += len(name) + 3
    end = block.find(b"\r\n", start)
    return block[:start] + b" " + value + block[end:]


def without_status(block: bytes) -> bytes:
    """A first line such as `NATS/1.0 404 x` becomes plain `NATS/1.0`; no other headers left means no block."""
    if not block or block.startswith(LINE):
        return block
    end = block.find(b"\r\n")
    block = LINE + block[end + 2 :]
    return b"" if block == LINE + b"\r\n" else block


def status(code: int, description: str, **headers: int | str) -> bytes:
    """A status block such as `NATS/1.0 408 Request Timeout`; `_` in a keyword stands for `-`."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"NATS/1.0 {code} {description}\r\n{lines}\r\n".encode()


def requires_higher_level(block: bytes, level: int) -> bool:
    """Whether `Nats-Required-Api-Level` asks for more than `level`, or is not a number."""
    value = get(block, REQUIRED_API_LEVEL)
    if not value:
        return False
    try:
        return int(value) > level
    except ValueError:
        return True
