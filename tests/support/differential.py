"""Play one raw script to two servers and say where their answers differ.

A *script* is a list of steps, each a connection's name and bytes to send. After a step the runner asks `PING` on that
connection and waits for the answer, so nothing depends on sleeping: the NATS protocol answers in order, hence a PONG
proves that everything before it was handled. A connection ends as `open` (answered), `closed` (EOF) or `silent` (the
bytes left the parser in the middle of something; only scripts that say so may end like that).

The word `room` in a script is replaced by a word of the same length that no other play uses, so hundreds of plays can
share one server and account. What a server may choose freely (ids, ports, keys) is masked in the transcript.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from tests.support.raw_client import RawClient, operations_of

ROOM = b"room"
# In a step's data: the reply subject of the last message that this connection got.
REPLY = b"<reply>"
# Long enough that a starved server still answers; only a wrong answer ever costs this much.
ANSWER_TIMEOUT_S = 20.0
# How long a script that says it ends in silence is listened to.
SILENCE_S = 0.25
# Time for the server to read one piece before the next arrives; other plays run meanwhile.
PIECE_GAP_S = 0.002
PLAYS_AT_ONCE = 128
# Time for the server to notice that the connections of earlier plays are gone.
FAREWELL_S = 0.1
# Longer steps are cut only around their ends; a megabyte of payload has nothing to say about parsing.
CUT_HEAD_BYTES = 160
CUT_TAIL_BYTES = 20

_PING_LINE = re.compile(rb"(?i)(?:^|\n)[ \t]*PING[ \t\r\n]")
_room_numbers = itertools.count(1)


class Dialect(Protocol):
    """What a conversation needs to know of the protocol it is held in."""

    @property
    def listener(self) -> str:
        """Which listener of a server speaks it (see `ServerProcess.port`)."""

    @property
    def greets(self) -> bool:
        """Whether the server speaks first."""

    @property
    def question(self) -> bytes:
        """Bytes that a server in order answers with one PONG."""

    def is_ready(self, received: bytes) -> bool:
        """Whether enough was heard that a question can be asked."""

    def is_refused(self, received: bytes) -> bool:
        """Whether the server said that it will not hold this conversation; nothing is asked then."""

    def pong_count(self, received: bytes) -> int:
        """How many PONGs were heard."""

    def heard(self, received: bytes, masks_sid: bool) -> tuple[str, ...]:
        """The operations heard, masked."""


class Nats:
    """The client protocol on a plain socket."""

    listener = "client"
    greets = True
    question = b"PING\r\n"

    def is_ready(self, received: bytes) -> bool:
        return b"\n" in received

    def is_refused(self, received: bytes) -> bool:
        return False

    def pong_count(self, received: bytes) -> int:
        return sum(1 for operation in operations_of(received) if operation == b"PONG\r\n")

    def heard(self, received: bytes, masks_sid: bool) -> tuple[str, ...]:
        return masked(received, masks_sid)


NATS = Nats()


@dataclass(frozen=True, slots=True)
class Step:
    """Bytes that one connection sends.

    `pongs` is how many PINGs of its own the data holds; `probe` false leaves out the question afterwards (the data
    ends in the middle of an operation); `hang_up` closes the connection after the data.
    """

    connection: str
    data: bytes = b""
    pongs: int | None = None
    probe: bool = True
    hang_up: bool = False

    @property
    def pongs_expected(self) -> int:
        return len(_PING_LINE.findall(self.data)) if self.pongs is None else self.pongs


@dataclass(frozen=True, slots=True)
class Script:
    """A named conversation; `config` names the server configuration it needs.

    `is_silent`: it ends with the server waiting for more bytes. `is_exclusive`: it cannot share the account with
    other plays (it subscribes to everything). `pooled`: connections whose messages are compared as one unordered
    heap, for what a server may choose at random. `masks_sid`: which subscription was served is such a choice.
    `is_whole_only`: it counts connections, so the end of an earlier play could be in its way; it is played alone,
    after a pause, and not cut. `is_hasty`: nats-server sometimes hangs up before its last words (an error, a close
    frame) are out, so these are not compared.
    """

    name: str
    steps: tuple[Step, ...]
    config: str = "open"
    capabilities: tuple[str, ...] = ("C08",)
    is_silent: bool = False
    is_exclusive: bool = False
    pooled: tuple[str, ...] = ()
    masks_sid: bool = False
    is_whole_only: bool = False
    is_hasty: bool = False
    dialect: Dialect = NATS


@dataclass(frozen=True, slots=True)
class Variant:
    """How the bytes of a script are cut: not at all, at one position of its whole length, or at every byte."""

    cut_at: int | None = None
    every_byte: bool = False

    def __str__(self) -> str:
        if self.every_byte:
            return "every byte by itself"
        return "whole" if self.cut_at is None else f"cut at {self.cut_at}"

    def pieces(self, data: bytes, offset: int) -> list[bytes]:
        """The pieces of a step whose first byte is byte `offset` of the script."""
        if self.every_byte:
            return _single_bytes(data)
        if self.cut_at is None or not offset < self.cut_at < offset + len(data):
            return [data]
        return [data[: self.cut_at - offset], data[self.cut_at - offset :]]


@dataclass(frozen=True, slots=True)
class Transcript:
    """What each connection heard, masked, and how it ended; two servers agree when their transcripts are equal."""

    heard: dict[str, tuple[str, ...]] = field(default_factory=dict)
    endings: dict[str, str] = field(default_factory=dict)

    def without_repeats(self) -> Transcript:
        """With each run of equal `Invalid Publish Subject` errors shortened to one.

        nats-server 2.15.1 checks a pedantic PUB again for every piece its payload comes in, which is none to copy.
        """
        return Transcript(
            {name: tuple(_shortened(operations)) for name, operations in self.heard.items()}, dict(self.endings)
        )

    def without_last_words(self) -> Transcript:
        """Without errors and close frames, for scripts that are hasty."""
        return Transcript(
            {
                name: tuple(text for text in operations if not text.startswith(_LAST_WORDS))
                for name, operations in self.heard.items()
            },
            dict(self.endings),
        )

    def lines(self) -> list[str]:
        """One line per operation, for a readable difference."""
        return [
            line
            for name in self.heard
            for line in (*(f"{name}: {operation}" for operation in self.heard[name]), f"{name}= {self.endings[name]}")
        ]


_LAST_WORDS = ("-ERR", "close ")

WHOLE = Variant()
EVERY_BYTE = Variant(every_byte=True)


def variants_of(scripts: Iterable[Script]) -> Iterator[tuple[Script, Variant]]:
    """Every script whole, at every byte, and cut in two at every position of every step.

    Steps and CONNECT lines that many scripts share are cut in the first of them only; see CUT_HEAD_BYTES for long ones.
    """
    seen: set[bytes] = set()
    for script in scripts:
        yield script, WHOLE
        if not script.is_whole_only:
            yield script, EVERY_BYTE
            yield from ((script, Variant(cut_at=position)) for position in _cuts_of(script, seen))


def _cuts_of(script: Script, seen: set[bytes]) -> Iterator[int]:
    offset = 0
    for step in script.steps:
        size = len(step.data)
        first = 1
        if step.data.upper().startswith(b"CONNECT") and (line := step.data.partition(b"\n")[0]) in seen:
            first = len(line) + 1
        if step.data not in seen:
            for position in range(first, size):
                if position <= CUT_HEAD_BYTES or position >= size - CUT_TAIL_BYTES:
                    yield offset + position
        seen |= {step.data, step.data.partition(b"\n")[0]}
        offset += size


async def play(script: Script, variant: Variant, host: str, port: int) -> Transcript:
    """Hold the conversation once; raises OSError when the server cannot be reached."""
    performance = _Performance(script, variant, host, port)
    try:
        return await performance.run()
    finally:
        performance.hang_up()


async def play_all(
    plays: Iterable[tuple[Script, Variant]], host: str, port: int
) -> dict[tuple[str, Variant], Transcript]:
    """Hold many conversations, those that can share a server at the same time, the exclusive ones by themselves.

    A server that cannot be reached gives transcripts that say so; it does not stop the others.
    """
    wanted = list(plays)
    transcripts: dict[tuple[str, Variant], Transcript] = {}
    places = asyncio.Semaphore(PLAYS_AT_ONCE)

    async def hold(script: Script, variant: Variant) -> None:
        async with places:
            try:
                transcripts[script.name, variant] = await play(script, variant, host, port)
            except OSError as error:
                transcripts[script.name, variant] = Transcript({"server": ()}, {"server": f"unreachable: {error}"})

    async with asyncio.TaskGroup() as group:
        for script, variant in wanted:
            if not (script.is_exclusive or script.is_whole_only):
                group.create_task(hold(script, variant))
    for script, variant in wanted:
        if script.is_whole_only:
            await asyncio.sleep(FAREWELL_S)
        if script.is_exclusive or script.is_whole_only:
            await hold(script, variant)
    return transcripts


class _Performance:
    """One play: the open connections, and how many PONGs each of them owes."""

    def __init__(self, script: Script, variant: Variant, host: str, port: int) -> None:
        self.script = script
        self.dialect = script.dialect
        self.variant = variant
        self.address = (host, port)
        self.room = _room_name(next(_room_numbers))
        self.clients: dict[str, RawClient] = {}
        self.pongs_due: dict[str, int] = {}
        self.has_spoken: dict[str, bool] = {}
        self.closed_by_us: set[str] = set()

    async def run(self) -> Transcript:
        offset = 0
        for step in self.script.steps:
            client = await self._client(step.connection)
            await self._wait_ready(step.connection)
            self.has_spoken[step.connection] = True
            data = step.data.replace(ROOM, self.room)
            if REPLY in data:
                await self._probe(step.connection)  # The request is in once this is answered.
                data = data.replace(REPLY, _last_reply(client))
            await client.send_in_pieces(self.variant.pieces(data, offset), PIECE_GAP_S)
            offset += len(step.data)
            self.pongs_due[step.connection] += step.pongs_expected
            if step.hang_up:
                client.hang_up()
                self.closed_by_us.add(step.connection)
            elif step.probe and not self._is_left_waiting(step.connection, offset):
                await self._probe(step.connection)
        return await self._finish()

    def _is_left_waiting(self, name: str, offset: int) -> bool:
        """Whether this is the connection on which a silent script ends; a PING there would be taken for more of it."""
        steps = self.script.steps
        return (
            self.script.is_silent and name == steps[-1].connection and offset == sum(len(step.data) for step in steps)
        )

    async def _client(self, name: str) -> RawClient:
        if name not in self.clients:
            self.clients[name] = await RawClient.open(*self.address)
            self.pongs_due[name] = 0
            self.has_spoken[name] = self.dialect.greets
        return self.clients[name]

    async def _wait_ready(self, name: str) -> None:
        """Wait for the server's first words where it has reason to say them: a greeting, or the answer to a request."""
        if self.has_spoken[name]:
            await self.clients[name].wait_until(
                lambda heard: self.dialect.is_ready(bytes(heard.received)), ANSWER_TIMEOUT_S
            )

    async def _probe(self, name: str) -> bool:
        """Ask PING and wait for every PONG due; true when they all came."""
        client, dialect = self.clients[name], self.dialect
        await self._wait_ready(name)
        if dialect.is_refused(bytes(client.received)):
            return False
        await client.send(dialect.question)
        self.pongs_due[name] += 1
        due = self.pongs_due[name]

        def has_answered(heard: RawClient) -> bool:
            return dialect.pong_count(bytes(heard.received)) >= due

        await client.wait_until(has_answered, ANSWER_TIMEOUT_S)
        return not client.is_closed and has_answered(client)

    async def _finish(self) -> Transcript:
        """Ask each connection once more: the first PONG is followed by an INFO, which the next PONG proves to be in."""
        transcript = Transcript()
        for name, client in self.clients.items():
            if name in self.closed_by_us:
                transcript.endings[name] = "hung up"
                continue
            if self.dialect.is_refused(bytes(client.received)):
                transcript.endings[name] = "refused"
                continue
            if self._is_left_waiting(name, sum(len(step.data) for step in self.script.steps)):
                await client.wait_until(lambda heard: False, SILENCE_S)
                is_open = False
            else:
                is_open = await self._probe(name)
            transcript.endings[name] = "open" if is_open else "closed" if client.is_closed else "silent"
        for name, client in self.clients.items():
            heard = self.dialect.heard(bytes(client.received), self.script.masks_sid)
            transcript.heard[name] = tuple(text.replace(self.room.decode(), ROOM.decode()) for text in heard)
        _pool(transcript, self.script.pooled)
        return transcript

    def hang_up(self) -> None:
        for client in self.clients.values():
            client.hang_up()


def masked(stream: bytes, masks_sid: bool = False) -> tuple[str, ...]:
    """The operations of a stream as text, with everything a server may choose freely replaced by its kind.

    PINGs of the server are left out: when the first one comes is a matter of time, not of the script.
    """
    texts = []
    for operation in operations_of(stream):
        if operation.upper().startswith(b"PING"):
            continue
        if operation.startswith(b"INFO {"):
            texts.append("INFO " + _masked_info(operation[5:]))
            continue
        text = _REPLY_TOKEN.sub(rb"_R_.<token>", operation)
        if _RTT.search(text):
            text = _SIZES.sub(rb"\1<sizes>\r\n", _RTT.sub(rb"<rtt>", text), count=1)
        if masks_sid:
            text = _SID.sub(rb"\1<sid>", text)
        texts.append(repr(text)[2:-1])
    return tuple(texts)


# What a server chooses for itself; the pattern is what the protocol demands of the value (core-protocol 1.1).
_INFO_PATTERNS = {
    "server_id": re.compile(r"N[A-Z2-7]{55}"),
    "version": re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?"),
    "go": re.compile(r".+"),
    "git_commit": re.compile(r".*"),
    "port": re.compile(r"\d+"),
    "client_id": re.compile(r"\d+"),
    "nonce": re.compile(r"[A-Za-z0-9_-]{15,}"),
    "xkey": re.compile(r"X[A-Z2-7]{55}"),
}
_INFO_OPTIONAL = {"git_commit"}
_REPLY_TOKEN = re.compile(rb"_R_\.[^ ]+")
# How long the requester's first PING took, in the header that an imported service gets; its digits move the sizes.
_RTT = re.compile(rb'(?<="rtt":)\d+')
_SIZES = re.compile(rb"^(HMSG .* )\d+ \d+\r\n")
_SID = re.compile(rb"^(H?MSG \S+ )\S+")


def _masked_info(text: bytes) -> str:
    info = json.loads(text)
    for key, pattern in _INFO_PATTERNS.items():
        if key in info and pattern.fullmatch(str(info[key])):
            info[key] = f"<{key}>"
    for key in _INFO_OPTIONAL:
        info.pop(key, None)
    return json.dumps(info, sort_keys=True)


def _shortened(operations: tuple[str, ...]) -> Iterator[str]:
    for previous, operation in itertools.pairwise(("", *operations)):
        if operation != previous or "Invalid Publish Subject" not in operation:
            yield operation


def _pool(transcript: Transcript, names: tuple[str, ...]) -> None:
    """Move the messages of the named connections into one sorted heap, in the place of a connection."""
    if not names:
        return
    heap = []
    for name in names:
        operations = transcript.heard[name]
        heap += [operation for operation in operations if operation.startswith(("MSG ", "HMSG "))]
        transcript.heard[name] = tuple(o for o in operations if not o.startswith(("MSG ", "HMSG ")))
    transcript.heard["+".join(names)] = tuple(sorted(heap))
    transcript.endings["+".join(names)] = "pooled"


def _last_reply(client: RawClient) -> bytes:
    """The reply subject of the last message; a subject nobody listens to when there was none."""
    for operation in reversed(operations_of(bytes(client.received))):
        words = operation.split(b"\r\n", 1)[0].split() or [b""]
        if (words[0], len(words)) in ((b"MSG", 5), (b"HMSG", 6)):
            return words[3]
    return b"no.reply"


def _room_name(number: int) -> bytes:
    """Four characters no other play uses and no other text of a transcript holds: `#` and three digits in base 36."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return ("#" + digits[number // 1296 % 36] + digits[number // 36 % 36] + digits[number % 36]).encode()


def _single_bytes(data: bytes) -> list[bytes]:
    """Each byte by itself; the middle of a long step stays whole."""
    if len(data) <= CUT_HEAD_BYTES + CUT_TAIL_BYTES:
        return [data[i : i + 1] for i in range(len(data))]
    head, tail = data[:CUT_HEAD_BYTES], data[-CUT_TAIL_BYTES:]
    return [*_single_bytes(head), data[CUT_HEAD_BYTES:-CUT_TAIL_BYTES], *_single_bytes(tail)]
