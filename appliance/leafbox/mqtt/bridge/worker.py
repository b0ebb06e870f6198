"""One bridge at work: a stream keeps what goes out until the other broker has acknowledged it, and the log has what
came in before the other broker is told.

Out: messages of the rules' subjects are caught by the work queue `BRIDGE_<name>`, or stay in the stream that has those
subjects already; a durable consumer hands them over in batches, and each is acknowledged here when it is acknowledged
there. In: messages are stored by whichever stream has their subject, else by `BRIDGE_<name>_IN`; then they are
acknowledged. So a cut, a restart of either side or a crash repeats messages and loses none. What came in over a bridge
does not go out over it again.

Not here: the client (`own_client`, `amqtt_client`), what becomes of refused messages (`refusals`), who is configured
(`app.bridges`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections import deque
from dataclasses import dataclass
from itertools import islice

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from leafbox.mqtt.bridge.own_client import OwnClient
from leafbox.mqtt.bridge.ports import BridgeClient, BridgeLost, BridgeMessage, MessageRefused, Taker
from leafbox.mqtt.bridge.refusals import Doubtful, Refusals, headers_bytes
from leafbox.mqtt.bridge.rules import BridgeOptions, ClientKind
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from leafbox.protocol.mqtt.topics import filter_to_subjects, subject_to_topic, topic_to_subject

logger = logging.getLogger(__name__)

BATCH = 100
"""Messages under way to the other broker: hides a round trip of 50 ms at 2,000 messages a second."""
FETCH_TIMEOUT_S = 5.0
ACK_WAIT_S = 30.0
KEEP_EVERY_S = ACK_WAIT_S / 3
"""How often the stream is told that messages are still being worked on."""
LOST_PAUSE_S = 0.1
ALIVE_S = 1.0
"""So long a connection must have lasted before its end can be blamed on the message that was sent."""
NO_ROOM_PAUSE_S = 5.0
PAUSE_FIRST_S = 1.0
PAUSE_MOST_S = 30.0
BRIDGE_HEADER = "Leafbox-Bridge"
QOS_HEADER = "Nmqtt-Pub"
OVERLAP_ERR_CODE = 10065
TOPIC_SHOWN_MAX = 200
"""Of a topic in the log."""
OWN_HEADERS = ("nats-", "nmqtt-", "leafbox-")
"""Headers of servers; they mean nothing to another broker's clients."""


@dataclass(slots=True)
class BridgeState:
    """How a bridge does, for people and programs."""

    state: str = "connecting"
    sentence: str = "it has not connected yet"
    next_step: str = ""
    since_s: float = 0.0
    delivered: int = 0
    received: int = 0
    backlog_messages: int = 0
    backlog_bytes: int = 0
    refused_messages: int = 0
    """Kept in `refused_stream`, because the other broker did not take them."""
    refused_stream: str = ""
    refused_reason: str = ""
    """Of the last one."""
    not_taken: int = 0
    """Messages that came in and are too large for this side; their sender was told so in MQTT 5."""


class BridgeWorker:
    """One bridge; `run` ends only by cancellation. `local` is logged in to the bridge's account."""

    def __init__(self, options: BridgeOptions, local: Client) -> None:
        self.options = options
        self.state = BridgeState(since_s=time.time())
        self._local = local
        self._jetstream: JetStreamContext = local.jetstream()
        self._outbound: JetStreamContext.PullSubscription | None = None
        self._stream = ""
        self._is_stream_own = True
        self._client: BridgeClient | None = None
        self._connected = asyncio.Event()
        self._connected_s = 0.0
        self._kept_s = 0.0
        self._answers = 0
        """Messages that the other side took or refused."""
        self._refusals = Refusals(options.name, self._jetstream, local.max_payload)

    async def run(self) -> None:
        """Connect, carry, and connect again, for ever."""
        async with asyncio.TaskGroup() as tasks:
            if self.options.outbound:
                tasks.create_task(self._pump(), name=f"bridge {self.options.name} out")
            await self._keep_connected()

    async def _keep_connected(self) -> None:
        pause_s = PAUSE_FIRST_S
        while True:
            started_s, answers = time.monotonic(), self._answers
            try:
                await self._carry()
            except* BridgeLost as group:
                lost = group.exceptions[0]
                assert isinstance(lost, BridgeLost)
                self._tell(lost.state, lost.sentence, lost.next_step)
            except* (nats.errors.Error, OSError) as group:
                self._tell("local", f"the local streams cannot be used: {group.exceptions[0]}")
            # Who lets us in for a while, or takes or refuses a message, is there and is asked again soon: mosquitto
            # 2.0.11 closes the connection behind every refusal.
            if answers != self._answers or time.monotonic() - started_s > ALIVE_S:
                pause_s = PAUSE_FIRST_S
            # Spread, so that bridges of many boxes do not come back in step.
            await asyncio.sleep(pause_s * random.uniform(0.7, 1.3))
            pause_s = min(pause_s * 2, PAUSE_MOST_S)

    async def measure(self) -> None:
        """Bring the backlog up to date."""
        if self._outbound is None:
            return
        refusals = self._refusals
        try:
            await refusals.measure()
            self.state.refused_messages, self.state.refused_reason = refusals.kept, refusals.last_reason
            self.state.refused_stream = refusals.stream if refusals.kept else ""
            info = await self._outbound.consumer_info()
            self.state.backlog_messages = (info.num_pending or 0) + (info.num_ack_pending or 0)
            if self._is_stream_own:
                self.state.backlog_bytes = (await self._jetstream.stream_info(self._stream)).state.bytes
        except (nats.errors.Error, TimeoutError) as error:
            logger.debug("bridge %s: backlog unknown: %s", self.options.name, error)

    # -- one connection -----------------------------------------------------------------------------------------------

    async def _carry(self) -> None:
        options = self.options
        await self._prepare_streams()
        async with asyncio.TaskGroup() as tasks:

            def take(message: BridgeMessage) -> asyncio.Future[None]:
                return self._take(message, tasks)

            client = make_client(options, take, tasks)
            try:
                await client.connect()
                if options.inbound:
                    await client.subscribe([(rule.remote_filter, rule.qos) for rule in options.inbound])
                self._tell("flowing", self._flowing)
                self._client = client
                self._connected_s = time.monotonic()
                self._connected.set()
                await client.wait_lost()
            finally:
                self._connected.clear()
                self._client = None
                await client.close()

    def _tell(self, state: str, sentence: str, next_step: str = "") -> None:
        if (state, sentence) != (self.state.state, self.state.sentence):
            level = logging.INFO if state == "flowing" else logging.WARNING
            logger.log(level, "bridge %s state=%s %s", self.options.name, state, sentence)
            self.state.since_s = time.time()
        self.state.state, self.state.sentence, self.state.next_step = state, sentence, next_step

    # -- streams ------------------------------------------------------------------------------------------------------

    async def _prepare_streams(self) -> None:
        options = self.options
        if options.inbound:
            subjects = _subjects([rule.local_filter for rule in options.inbound])
            await self._make_stream(f"BRIDGE_{options.name}_IN", subjects, RetentionPolicy.LIMITS, DiscardPolicy.OLD)
        if not options.outbound or self._outbound is not None:
            return
        subjects = _subjects([rule.local_filter for rule in options.outbound])
        own = f"BRIDGE_{options.name}"
        self._is_stream_own = await self._make_stream(own, subjects, RetentionPolicy.WORK_QUEUE, DiscardPolicy.NEW)
        self._stream = own if self._is_stream_own else await self._stream_that_has(subjects)
        if self._is_stream_own:
            # What is acknowledged is gone from the queue, so a new consumer begins with the first that is not: in
            # order, where the old one would first wait for what was under way when we ended.
            with contextlib.suppress(nats.js.errors.NotFoundError):
                await self._jetstream.delete_consumer(self._stream, own)
        await self._jetstream.add_consumer(
            self._stream,
            ConsumerConfig(
                durable_name=own,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_WAIT_S,
                max_ack_pending=BATCH,
                filter_subjects=subjects,
            ),
        )
        self._outbound = await self._jetstream.pull_subscribe_bind(own, self._stream)

    async def _make_stream(
        self, name: str, subjects: list[str], retention: RetentionPolicy, discard: DiscardPolicy
    ) -> bool:
        """Make or adjust a stream; False: another one has some of the subjects already."""
        config = StreamConfig(
            name=name,
            subjects=subjects,
            retention=retention,
            discard=discard,
            storage=StorageType.FILE,
            max_bytes=self.options.buffer_bytes,
            description=f"kept by the bridge {self.options.name}",
        )
        try:
            try:
                await self._jetstream.stream_info(name)
            except nats.js.errors.NotFoundError:
                await self._jetstream.add_stream(config)
            else:
                await self._jetstream.update_stream(config)
        except nats.js.errors.APIError as error:
            if error.err_code != OVERLAP_ERR_CODE:
                raise BridgeLost("local", f"the stream {name} cannot be made: {error.description}") from error
            return False
        return True

    async def _stream_that_has(self, subjects: list[str]) -> str:
        """The one stream with these subjects."""
        found = set()
        for subject in subjects:
            try:
                found.add(await self._jetstream.find_stream_name_by_subject(subject))
            except nats.js.errors.NotFoundError:
                found.add("")
        if len(found) != 1 or "" in found:
            raise BridgeLost(
                "local",
                "the outbound topics are partly in other streams",
                "make one bridge for each stream, or leave these topics to the bridge",
            )
        return str(found.pop())

    # -- out ----------------------------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        """Lives over connections: a request to the stream that was given up would still be answered, to nobody."""
        while True:
            await self._connected.wait()
            assert self._outbound is not None
            try:
                batch = await self._outbound.fetch(BATCH, timeout=FETCH_TIMEOUT_S)
            except TimeoutError:
                continue
            except nats.errors.Error as error:
                logger.warning("bridge %s: nothing can be fetched from %s: %s", self.options.name, self._stream, error)
                await asyncio.sleep(PAUSE_FIRST_S)
                continue
            await self._deliver(deque(batch))

    async def _deliver(self, batch: deque[Msg]) -> None:
        """Every message of it, in order, over as many connections as it takes."""
        while batch:
            await self._keep(batch)
            client = await self._client_for(batch)
            is_careful = self._refusals.careful > 0
            if self._refusals.is_stuck and (rest_s := self._connected_s + ALIVE_S - time.monotonic()) > 0:
                await asyncio.sleep(rest_s)
                continue
            sent = [(message, self._send(client, message)) for message in islice(batch, 1 if is_careful else BATCH)]
            sent_s = time.monotonic()
            was_sent = sent[0][1] is not None and not sent[0][1].done()
            try:
                for message, future in sent:
                    if not await self._is_settled(message, future, batch):
                        break
                    await self._let_go(batch)
            except BridgeLost as lost:
                alone_for_s = time.monotonic() - sent_s if is_careful and was_sent else None
                refused = self._refusals.lost(_sequence(batch[0]), lost, alone_for_s, BATCH)
                if refused is not None:
                    await self._set_aside(batch, refused)
                    await self._let_go(batch)
                # `_carry` notices as well; until then there is nobody to send to.
                await asyncio.sleep(LOST_PAUSE_S)

    async def _is_settled(self, message: Msg, future: asyncio.Future[None] | None, batch: deque[Msg]) -> bool:
        """Wait for the answer; False: this message and those behind it have to be sent again."""
        if future is None:
            return True
        while not future.done():
            await asyncio.wait({future}, timeout=KEEP_EVERY_S)
            await self._keep(batch)
        try:
            future.result()
        except MessageRefused as refused:
            self._answers += 1
            pause_s = self._refusals.judge(self._doubtful(message), refused, time.monotonic())
            if pause_s is None:
                await self._set_aside(batch, refused)
                return True
            if pause_s >= 1:
                self._tell("held", f"waiting to send a message again: {refused}", "see why the other broker refuses it")
            await self._pause(batch, pause_s)
            return False
        self._answers += 1
        self.state.delivered += 1
        self._refusals.accepted()
        return True

    async def _set_aside(self, batch: deque[Msg], refused: MessageRefused) -> None:
        """Into the stream of refused messages, however long it takes; then out of the queue."""
        message = batch[0]
        while True:
            try:
                await self._refusals.set_aside(self._doubtful(message), refused)
                break
            except (nats.errors.Error, TimeoutError) as error:
                stream = self._refusals.stream
                self._tell("held", f"{stream} does not take a refused message: {error}", f"make room in {stream}")
                await self._pause(batch, NO_ROOM_PAUSE_S)
        logger.warning("bridge %s set aside a message: %s", self.options.name, refused)

    async def _let_go(self, batch: deque[Msg]) -> None:
        """The first one was taken or set aside: the queue need not keep it any more."""
        await batch.popleft().ack()
        self._refusals.settled()
        if self.state.state == "held" and self._client is not None:
            self._tell("flowing", self._flowing)

    async def _pause(self, held: deque[Msg], pause_s: float) -> None:
        """Sleep, and keep what we hold."""
        while pause_s > 0:
            await asyncio.sleep(min(pause_s, KEEP_EVERY_S))
            await self._keep(held)
            pause_s -= KEEP_EVERY_S

    async def _keep(self, held: deque[Msg]) -> None:
        """Tell the stream now and then that we still have these messages: handed out again they would overtake."""
        if time.monotonic() - self._kept_s >= KEEP_EVERY_S:
            self._kept_s = time.monotonic()
            for message in held:
                await message.in_progress()

    async def _client_for(self, held: deque[Msg]) -> BridgeClient:
        """The present client; while there is none the stream is told that we still have these messages."""
        while self._client is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._connected.wait(), KEEP_EVERY_S)
            await self._keep(held)
        return self._client

    def _send(self, client: BridgeClient, message: Msg) -> asyncio.Future[None] | None:
        """Hand over; None: it is not for the other side."""
        headers = message.headers or {}
        if headers.get(BRIDGE_HEADER) == self.options.name:
            return None
        local = subject_to_topic(message.subject.encode())
        if local is None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.set_exception(MessageRefused(ReasonCode.TOPIC_NAME_INVALID, "its subject cannot be a topic of MQTT"))
            future.exception()
            return future
        remote = self._remote(local)
        if remote is None:
            return None
        topic, qos = remote
        properties = tuple((name, value) for name, value in headers.items() if not name.lower().startswith(OWN_HEADERS))
        return client.publish(BridgeMessage(topic, message.data, qos, user_properties=properties))

    def _remote(self, topic: bytes) -> tuple[bytes, int] | None:
        """Topic and QoS at the other broker; None: no rule is about it."""
        for rule in self.options.outbound:
            remote = rule.to_remote(topic)
            if remote is not None:
                return remote, rule.qos
        return None

    def _doubtful(self, message: Msg) -> Doubtful:
        local = subject_to_topic(message.subject.encode())
        remote = self._remote(local) if local is not None else None
        headers = {
            name: value for name, value in (message.headers or {}).items() if not name.lower().startswith("nats-")
        }
        topic = remote[0] if remote is not None else b""
        return Doubtful(self._stream, _sequence(message), message.subject, topic, message.data, headers)

    @property
    def _flowing(self) -> str:
        return f"connected to {self.options.host}:{self.options.port}"

    # -- in -----------------------------------------------------------------------------------------------------------

    def _take(self, message: BridgeMessage, tasks: asyncio.TaskGroup) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        topics = (rule.to_local(message.topic) for rule in self.options.inbound)
        topic = next((topic for topic in topics if topic), None)
        if topic is None:
            future.set_result(None)  # Of a subscription this bridge once had.
        else:
            tasks.create_task(self._store(topic, message, future), name=f"bridge {self.options.name} in")
        return future

    async def _store(self, topic: bytes, message: BridgeMessage, future: asyncio.Future[None]) -> None:
        headers = {name: value for name, value in message.user_properties if _is_header(name, value)}
        headers |= {BRIDGE_HEADER: self.options.name, QOS_HEADER: str(message.qos)}
        size = len(message.payload) + headers_bytes(headers)
        if size > self._local.max_payload:
            # Refused for good: it would come again with every connection, and nothing behind it ever would.
            self.state.not_taken += 1
            shown = message.topic[:TOPIC_SHOWN_MAX].decode(errors="replace")
            logger.warning("bridge %s cannot take a message of %d bytes on %r", self.options.name, size, shown)
            future.set_exception(MessageRefused(ReasonCode.QUOTA_EXCEEDED, "too large for this side"))
            future.exception()
            return
        try:
            await self._jetstream.publish(topic_to_subject(topic).decode(), message.payload, headers=headers)
        except (nats.errors.Error, TimeoutError) as error:
            lost = BridgeLost("local", f"the local stream did not take a message: {error}")
            self._tell(lost.state, lost.sentence)
            if not future.done():
                future.set_exception(lost)
                future.exception()
        else:
            self.state.received += 1
            # Cancelled, when the connection ended meanwhile: the message comes again with the next one.
            if not future.done():
                future.set_result(None)


def _sequence(message: Msg) -> int:
    return message.metadata.sequence.stream


def make_client(options: BridgeOptions, take: Taker, tasks: asyncio.TaskGroup) -> BridgeClient:
    """The client that the user chose."""
    tls = tls_context(options) if options.is_encrypted else None
    if options.client is ClientKind.OWN:
        return OwnClient(options, tls, take, tasks)
    # 25 MiB that only who wants it pays for.
    from leafbox.mqtt.bridge.amqtt_client import AmqttClient

    return AmqttClient(options, tls, take, tasks)


def tls_context(options: BridgeOptions) -> ssl.SSLContext:
    """Always verifying. Raises `BridgeLost` when a file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=options.ca_file or None)
        if options.cert_file:
            context.load_cert_chain(options.cert_file, options.key_file or None)
    except OSError as error:
        raise BridgeLost("tls", f"a certificate file cannot be used: {error}", "check --ca, --cert, --key") from error
    return context


def _subjects(filters: list[bytes]) -> list[str]:
    """Without those that another one covers: a stream's subjects must not overlap."""
    found = list(dict.fromkeys(subject.decode() for each in filters for subject in filter_to_subjects(each)))
    return [each for each in found if not any(_covers(other, each) for other in found if other != each)]


def _covers(wide: str, narrow: str) -> bool:
    wanted, given = wide.split("."), narrow.split(".")
    for index, part in enumerate(wanted):
        if part == ">":
            return index < len(given)
        if index >= len(given) or given[index] == ">" or part not in ("*", given[index]):
            return False
    return len(wanted) == len(given)


def _is_header(name: str, value: str) -> bool:
    """Whether a user property can be a header of NATS, and none of the servers' own."""
    is_name = name.isascii() and name.isprintable() and not set(name) & set(": ") and bool(name)
    return is_name and "\r" not in value and "\n" not in value and not name.lower().startswith(OWN_HEADERS)
