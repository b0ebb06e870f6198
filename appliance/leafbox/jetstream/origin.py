"""One origin of a stream: the consumer asked for there, and the messages it sends, each taken once and in order.

The origin may be here or behind another API prefix (an account, a domain across a leaf link): the conversation is the
same. A request creates a consumer at the next wanted sequence, its messages come to a subject made for this attempt,
their consumer sequences show gaps, heartbeats show silence; whatever is wrong, the answer is to ask again from the
last message taken. Flow-control requests are answered once everything before them is durable here: for a work queue
that is the acknowledgement by which the origin removes its messages.

`Sourcing` puts the messages into the stream and keeps the places (last sequence taken of each origin) durable.
"""

from __future__ import annotations

import enum
import logging
from functools import partial
from typing import TYPE_CHECKING, Annotated

import msgspec

from leafbox.dataplane.origin_intake import OriginIntake
from leafbox.dataplane.routing import Subscription
from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.alarm import Alarm
from leafbox.jetstream.names import consumer_name
from leafbox.jetstream.origin_request import LEVEL_IDENTITY, LEVEL_SOURCING, OriginRequest
from leafbox.jetstream.source_index import note_parts
from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import headers, subjects
from leafbox.protocol.jetstream.ack_reply import NUMBER_MAX, parse_ack_reply
from leafbox.protocol.jetstream.go_time import SECOND
from leafbox.protocol.jetstream.info import ApiErrorBody, StreamSourceInfo

if TYPE_CHECKING:
    from leafbox.jetstream.sourcing import Sourcing
    from leafbox.protocol.errors import RequestRejected
    from leafbox.protocol.jetstream.stream_config import StreamSource

logger = logging.getLogger(__name__)

SILENCE_NS = 10 * SECOND
"""Heartbeats come every second; the origin drops its consumer after as long without a listener."""
ANSWER_WAIT_NS = 10 * SECOND
REQUEST_GAP_NS = 2 * SECOND
"""Least time between two requests, as in nats-server: an origin that flaps is not flooded."""
RETRY_GAP_MAX_NS = 30 * SECOND
_RETRY_DOUBLINGS_MAX = 4
_SETTLE_NS = SECOND // 10
"""Before the first request, as in nats-server, and after interest came back: more of it may be on its way."""


class Phase(enum.Enum):
    """What an origin waits for."""

    IDLE = "nothing: stopped"
    RETRY = "the time to ask"
    ASKING = "the answer"
    FOLLOWING = "messages"


class Origin:
    """One origin; belongs to the loop. Plain messages are taken by `intake`, everything else comes here."""

    def __init__(self, sourcing: Sourcing, source: StreamSource, index: str) -> None:
        self.sourcing = sourcing
        self.source = source
        self.index = index
        self.intake = OriginIntake(self._on_message, sourcing.stream.ingest, is_mirror=sourcing.is_mirror)
        self.intake.on_moved = sourcing.place_changed
        self.intake.is_plain = not source.subject_transforms
        self._identity = ""
        self.identity = ""
        self.is_recreated = False
        self.phase = Phase.IDLE
        self.error: ApiErrorBody | None = None
        self._request = OriginRequest(sourcing.stream, source, is_mirror=sourcing.is_mirror)
        self._level = LEVEL_IDENTITY
        self._fails = 0
        self._asked_ns = 0
        self._retry_ns = 0
        self._answers: Subscription | None = None
        self._deliveries: Subscription | None = None
        self._alarm = Alarm(sourcing.stream.context.loop, self._on_alarm)

    @property
    def place(self) -> int:
        """The last sequence taken."""
        return self.intake.place

    @place.setter
    def place(self, seq: int) -> None:
        self.intake.place = seq

    @property
    def identity(self) -> str:
        """Of the origin stream, as far as it was told."""
        return self._identity

    @identity.setter
    def identity(self, identity: str) -> None:
        self._identity = identity
        self.intake.set_note(*note_parts(self.index, identity))

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Ask soon: at the start of the server others are not ready before."""
        self._retry_at(now_ns() + _SETTLE_NS)

    def stop(self) -> None:
        """Follow no more."""
        self._let_go()
        self.phase = Phase.IDLE

    def forget_consumer(self) -> None:
        """Ask the origin to drop the consumer it keeps for us, if it keeps one (work queues do)."""
        if self.source.consumer is None:
            self.sourcing.stream.account.publish(self._request.delete_subject(), b"")

    def interest_came(self, pattern: str) -> None:
        """Somebody subscribed to `pattern`: a link to the origin may be back, no need to wait longer."""
        if self.phase is Phase.IDLE or not subjects.matches(self._request.subject(), pattern):
            return
        now = now_ns()
        waits_in_vain = self.phase is Phase.ASKING and now - self._asked_ns > SECOND
        is_silent = self.phase is Phase.FOLLOWING and now - self.intake.last_heard_ns > REQUEST_GAP_NS
        if self.phase is Phase.RETRY or waits_in_vain or is_silent:
            self._fails = 0
            self._let_go()
            self._retry_at(max(now + _SETTLE_NS, min(self._asked_ns + REQUEST_GAP_NS, now + REQUEST_GAP_NS)))

    def ask_again(self) -> None:
        """The origin changed (it appeared, it vanished): ask now."""
        if self.phase is not Phase.IDLE:
            self._let_go()
            self._fails = 0
            self._retry_at(now_ns())

    def info(self) -> StreamSourceInfo:
        """Lag, activity and trouble as the API reports them."""
        return StreamSourceInfo(
            name=self.source.name,
            external=self.source.external,
            lag=self.intake.lag,
            active=now_ns() - self.intake.last_heard_ns if self.intake.last_heard_ns else -1,
            error=self.error,
            filter_subject=self.source.filter_subject,
            subject_transforms=self.source.subject_transforms,
        )

    def follow_clock(self, step_ns: int) -> None:
        """The wall clock was set: what we wait for has as long as before."""
        self._asked_ns += step_ns
        self._retry_ns += step_ns
        if self.intake.last_heard_ns:
            self.intake.last_heard_ns += step_ns
        self._alarm.follow_clock(step_ns)

    # -- asking -------------------------------------------------------------------------------------------------------

    def _retry_at(self, when_ns: int) -> None:
        self.phase = Phase.RETRY
        self._retry_ns = when_ns
        self._alarm.cancel()
        self._alarm.set(when_ns)

    def _retry_later(self) -> None:
        """After a failure: 2, 4, 8 … 30 seconds after the last request."""
        self._let_go()
        gap = min(REQUEST_GAP_NS << min(self._fails, _RETRY_DOUBLINGS_MAX), RETRY_GAP_MAX_NS)
        self._fails += 1
        self._retry_at(self._asked_ns + gap)

    def _restart(self) -> None:
        """Something was lost on the way: ask again from our place, soon."""
        self._let_go()
        self._retry_at(max(self._asked_ns + REQUEST_GAP_NS, now_ns()))

    def _let_go(self) -> None:
        account = self.sourcing.stream.account
        for subscription in (self._answers, self._deliveries):
            if subscription is not None:
                account.remove(subscription)
        self._answers = self._deliveries = None
        self._alarm.cancel()

    def _on_alarm(self, now: int) -> None:
        if self.phase is Phase.RETRY:
            self._ask(now)
        elif self.phase is Phase.ASKING:
            self._fail(f"no answer within {ANSWER_WAIT_NS // SECOND} s from {self._request.subject()}")
        elif self.phase is Phase.FOLLOWING:
            if now - self.intake.last_heard_ns < SILENCE_NS:
                self._alarm.set(self.intake.last_heard_ns + SILENCE_NS)
            else:
                self._restart()

    def _ask(self, now: int) -> None:
        self.phase = Phase.ASKING
        self._asked_ns = now
        self._request.level = self._level
        reply = f"$JSC.R.{consumer_name()}".encode()
        account = self.sourcing.stream.account
        self._answers = account.subscribe(reply, self._on_answer)
        self._alarm.set(now + ANSWER_WAIT_NS)
        subject, header, body = self._request.compose(self.place, self.identity)
        asked = self._answers
        heard = account.publish(subject.encode(), body, reply, header)
        if not heard and self._answers is asked and self.phase is Phase.ASKING:
            self._fail(f"nobody answers {subject}: the link is down, or no JetStream has that prefix")

    def _fail(self, text: str) -> None:
        failed = errors.MIRROR_CONSUMER_SETUP_FAILED if self.sourcing.is_mirror else errors.SOURCE_CONSUMER_SETUP_FAILED
        rejected = failed.rejected(err=text)
        self.error = _body(rejected)
        self._retry_later()

    def _on_answer(self, _subject: bytes, _reply: bytes, header: bytes, payload: bytes, _origin: object) -> None:
        if self.phase is not Phase.ASKING:
            return
        try:
            answer = msgspec.json.decode(payload, type=_Answer)
        except msgspec.DecodeError:
            self._fail("the answer to the consumer request is not one of JetStream")
            return
        if answer.error is not None:
            self._on_refusal(answer.error)
            return
        if answer.config is None or not answer.name:
            self._fail("the answer to the consumer request names no consumer")
            return
        if self.source.consumer is not None and answer.config.ack_policy != "flow_control":
            is_mirror = self.sourcing.is_mirror
            needed = errors.MIRROR_CONSUMER_REQUIRES_ACK_FC if is_mirror else errors.SOURCE_CONSUMER_REQUIRES_ACK_FC
            self.error = _body(needed.rejected())
            self._retry_later()
            return
        self._follow(answer, headers.get_text(header, headers.STREAM_IDENTITY))

    def _on_refusal(self, refused: ApiErrorBody) -> None:
        code = refused.err_code
        if code == errors.CONSUMER_STREAM_IDENTITY_MISMATCH.err_code:
            # The origin was deleted and made again: everything it has now is new to us.
            self.place, self.identity, self.is_recreated = 0, "", True
            self._restart()
        elif self._level and code in (errors.REQUIRED_API_LEVEL.err_code, errors.INVALID_JSON.err_code):
            # An older server: ask without what it does not know.
            self._level = LEVEL_SOURCING if self._level > LEVEL_SOURCING else 0
            self._let_go()
            self._ask(now_ns())
        else:
            self.error = refused
            logger.warning(
                "origin_refused stream=%s origin=%s reason=%s",
                self.sourcing.stream.name,
                self.source.name,
                refused.description,
            )
            self._retry_later()

    def _follow(self, answer: _Answer, identity: str) -> None:
        assert answer.config is not None
        stream = self.sourcing.stream
        self._let_go()
        self.error = None
        self._fails = 0
        self.phase = Phase.FOLLOWING
        self.intake.consumer, self.intake.consumer_seq = answer.name.encode(), 0
        if self.is_recreated or (identity and self.identity and identity != self.identity):
            self._note_recreation(answer.delivered.stream_seq)
        self.identity, self.is_recreated = identity, False
        if answer.delivered.stream_seq > self.place:
            # The origin starts behind what we have: what lies between is gone there.
            if self.sourcing.is_mirror:
                stream.store.skip_to(answer.delivered.stream_seq)
            self.place = answer.delivered.stream_seq
        self.sourcing.place_changed()
        self.intake.last_heard_ns = now_ns()
        self._alarm.set(self.intake.last_heard_ns + SILENCE_NS)
        fixed = self.source.consumer
        target = fixed.deliver_subject if fixed is not None else answer.config.deliver_subject
        self._deliveries = Subscription(stream.account, self.intake, target.encode())
        stream.account.add(self._deliveries)

    def _note_recreation(self, starts_behind: int) -> None:
        stream = self.sourcing.stream
        logger.warning("origin_recreated stream=%s origin=%s", stream.name, self.source.name)
        if not self.sourcing.is_mirror:
            self.place = 0
            return
        # A mirror keeps the origin's sequences, so what the new origin has below ours cannot be taken.
        rejected = errors.MIRROR_CONSUMER_SETUP_FAILED.rejected(
            err=f"stream {self.source.name} was deleted and made again; its messages up to sequence {self.place} are "
            f"not mirrored (it stands at {starts_behind}): delete this mirror and create it again to follow it anew"
        )
        self.error = _body(rejected)

    # -- messages -----------------------------------------------------------------------------------------------------

    def _on_message(self, subject: bytes, reply: bytes, header: bytes, payload: bytes, _origin: object) -> None:
        self.intake.last_heard_ns = now_ns()
        if not payload and header.startswith(b"NATS/1.0 100 "):
            self._on_control(reply, header)
            return
        place = parse_ack_reply(reply)
        if place is None or place.consumer != self.intake.consumer or place.deliveries > 1:
            return
        if place.stream_seq <= self.place:
            # Known already; it counts only as delivered.
            if place.consumer_seq == self.intake.consumer_seq + 1:
                self.intake.consumer_seq += 1
            return
        if place.consumer_seq != self.intake.consumer_seq + 1:
            self._restart()
            return
        refused = self.sourcing.take(self, subject, header, payload, place)
        if refused is not None:
            self.error = _body(refused)
            self._retry_later()
            return
        self.intake.consumer_seq = place.consumer_seq
        self.place = place.stream_seq
        self.intake.lag = place.pending
        if not self.sourcing.is_mirror:
            # A mirror's place is its own last sequence.
            self.sourcing.place_changed()

    def _on_control(self, reply: bytes, header: bytes) -> None:
        if reply:
            self._answer_flow_control(reply)
            return
        last = headers.get_number(header, headers.LAST_CONSUMER)
        if last and last != self.intake.consumer_seq:
            self._restart()
            return
        stalled = headers.get(header, headers.CONSUMER_STALLED)
        if stalled:
            self._answer_flow_control(stalled)

    def _answer_flow_control(self, reply: bytes) -> None:
        stream = self.sourcing.stream
        answer = headers.add(b"", headers.LAST_CONSUMER, str(self.intake.consumer_seq).encode())
        answer = headers.add(answer, headers.LAST_STREAM, str(self.place).encode())
        stream.when_durable(partial(stream.account.publish, reply, b"", b"", answer))


def _body(rejected: RequestRejected) -> ApiErrorBody:
    return ApiErrorBody(code=rejected.code, err_code=rejected.err_code, description=rejected.description)


class _Position(msgspec.Struct):
    stream_seq: Annotated[int, msgspec.Meta(ge=0, le=NUMBER_MAX)] = 0


class _AnsweredConfig(msgspec.Struct):
    deliver_subject: str = ""
    ack_policy: str = ""


class _Answer(msgspec.Struct):
    """What is needed of a consumer create or reset response."""

    name: str = ""
    config: _AnsweredConfig | None = None
    delivered: _Position = msgspec.field(default_factory=_Position)
    error: ApiErrorBody | None = None
