"""What becomes of a message that the other broker does not take: tried again, then set aside, so that the rest flows.

A refusal that is about the message itself (too large, no right to its topic, not a topic there) is tried
`PERMANENT_TRIES` times, any other (quota, "implementation specific") `OTHER_TRIES` times over some ten minutes; and a
message whose sending ends the connection `CLOSED_TRIES` times in a row, alone on a connection that worked, is refused
without a word. Then it goes into the stream `BRIDGE_<name>_REFUSED`, reason in its headers, before the queue lets go of
it. While a message is in doubt nothing overtakes it: it and what follows are sent again in their order. That stream is
bounded and refuses when it is full; the bridge then waits, it drops nothing.

Not here: sending (`worker`).
"""

from __future__ import annotations

from dataclasses import dataclass

import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from leafbox.mqtt.bridge.ports import BridgeLost, MessageRefused
from leafbox.protocol.mqtt.reason_codes import ReasonCode

PERMANENT = frozenset(
    {
        ReasonCode.MALFORMED_PACKET,
        ReasonCode.PROTOCOL_ERROR,
        ReasonCode.NOT_AUTHORIZED,
        ReasonCode.TOPIC_NAME_INVALID,
        ReasonCode.TOPIC_ALIAS_INVALID,
        ReasonCode.PACKET_TOO_LARGE,
        ReasonCode.PAYLOAD_FORMAT_INVALID,
        ReasonCode.RETAIN_NOT_SUPPORTED,
        ReasonCode.QOS_NOT_SUPPORTED,
    }
)
"""Reasons in the message: only another configuration of the other broker would change the answer."""
PERMANENT_TRIES = 3
"""Over a second: a broker that reads its rights again answers differently meanwhile."""
OTHER_TRIES = 24
"""Over some ten minutes: a quota is often full for a while, and what is merely late should not be set aside."""
CLOSED_TRIES = 5
"""Over a minute or more, because every try needs a new connection: a broker that restarts is not mistaken for this."""
PERMANENT_PAUSE_S = 0.25
OTHER_PAUSE_S = 1.0
PAUSE_MOST_S = 30.0
CLOSED_DOUBLINGS_MAX = 6
"""When the next message ends it as well it is more likely the broker's fault: twice as many tries, each time."""
CLOSED_SOON_S = 10.0
"""A connection that ends later than this after a message was sent ended for another reason."""
CLOSED_STATES = frozenset({"closed", "refused", "auth", "protocol"})
"""Losses that a message can be the reason of; not: nobody answers, no route, no TLS."""
VERDICT_S = 60.0
VERDICTS_MAX = 1024
"""Topics whose last message was set aside: their next one is not tried again and again. A topic has 64 kB at most."""
REFUSED_BYTES_MAX = 64 << 20
"""Room for refused messages: enough to find out why, no second store. When it is full the bridge waits."""
REFUSED_SUBJECTS = "BRIDGE_REFUSED"
TOPIC_SHOWN_MAX = 2048
"""Of a topic in a header; the subject has all of it."""
OWN_HEADERS_BYTES = 256
"""More than the protocol's first line and the two headers that are added last take."""


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A message of the queue, as far as it matters here."""

    stream: str
    sequence: int
    subject: str
    topic: bytes
    """At the other broker."""
    payload: bytes
    headers: dict[str, str]


class Refusals:
    """The judge of one bridge, and the keeper of what was refused."""

    def __init__(self, name: str, jetstream: JetStreamContext, payload_bytes_max: int) -> None:
        self.stream = f"BRIDGE_{name}_REFUSED"
        self.kept = 0
        """Messages in the stream, as last seen."""
        self.last_reason = ""
        self._subjects = f"{REFUSED_SUBJECTS}.{name}"
        self._jetstream = jetstream
        self._payload_bytes_max = payload_bytes_max
        self._is_made: bool | None = None
        """None: not looked yet."""
        self._sequence = 0
        self.tries = 0
        """How often the first message of the queue was refused."""
        self._closed_tries = 0
        self._closed_in_a_row = 0
        """Messages set aside for ending the connection since the last one that was taken."""
        self.is_stuck = False
        """Nothing was taken since the last connection was lost."""
        self.careful = 0
        """So many messages are sent one by one, to know which of them ends the connection."""
        self._verdicts: dict[tuple[bytes, ReasonCode], float] = {}

    # -- judging ------------------------------------------------------------------------------------------------------

    def accepted(self) -> None:
        """The other broker took a message."""
        self._closed_in_a_row = 0

    def settled(self) -> None:
        """The first message of the queue was taken or set aside."""
        self.tries = self._closed_tries = 0
        self.is_stuck = False
        self.careful = max(0, self.careful - 1)

    def judge(self, message: Doubtful, refused: MessageRefused, now_s: float) -> float | None:
        """Seconds to wait before it is sent again; None: it has to be set aside."""
        self._look_at(message.sequence)
        self.tries += 1
        self.careful = max(self.careful, 1)
        is_permanent = refused.code in PERMANENT
        said_s = self._verdicts.get((message.topic, refused.code))
        if is_permanent and said_s is not None and now_s - said_s < VERDICT_S:
            return None
        if self.tries >= (PERMANENT_TRIES if is_permanent else OTHER_TRIES):
            if is_permanent:
                self._verdicts.pop((message.topic, refused.code), None)
                self._verdicts[message.topic, refused.code] = now_s
                if len(self._verdicts) > VERDICTS_MAX:
                    del self._verdicts[next(iter(self._verdicts))]
            return None
        first_s = PERMANENT_PAUSE_S if is_permanent else OTHER_PAUSE_S
        return min(first_s * float(2 ** min(self.tries - 1, 10)), PAUSE_MOST_S)

    def lost(self, sequence: int, lost: BridgeLost, alone_for_s: float | None, window: int) -> MessageRefused | None:
        """The connection ended while the message `sequence` was the first under way; `alone_for_s`: alone, for so long.

        Returns how it has been refused if it has to be set aside.
        """
        self._look_at(sequence)
        if lost.state not in CLOSED_STATES:
            return None
        if self.is_stuck:
            self.careful = window
        self.is_stuck = True
        if alone_for_s is None or alone_for_s > CLOSED_SOON_S:
            return None
        self._closed_tries += 1
        if self._closed_tries < CLOSED_TRIES << min(self._closed_in_a_row, CLOSED_DOUBLINGS_MAX):
            return None
        self.tries = self._closed_tries
        self._closed_in_a_row += 1
        return MessageRefused(
            ReasonCode.UNSPECIFIED_ERROR,
            f"the connection ended each of the {self.tries} times it was sent: {lost.sentence}",
        )

    def _look_at(self, sequence: int) -> None:
        if sequence != self._sequence:
            self._sequence, self.tries, self._closed_tries = sequence, 0, 0

    # -- keeping ------------------------------------------------------------------------------------------------------

    async def set_aside(self, message: Doubtful, refused: MessageRefused) -> None:
        """Returns when it is stored. Raises the errors of NATS; then nothing is."""
        await self._make()
        headers = message.headers | {
            "Leafbox-Bridge-Subject": message.subject,
            "Leafbox-Bridge-Topic": _one_line(message.topic[:TOPIC_SHOWN_MAX].decode(errors="replace")),
            "Leafbox-Bridge-Reason-Code": f"0x{refused.code:02X}",
            "Leafbox-Bridge-Reason": _one_line(refused.sentence),
            "Leafbox-Bridge-Tries": str(self.tries),
            "Leafbox-Bridge-Stream": message.stream,
            "Leafbox-Bridge-Stream-Sequence": str(message.sequence),
        }
        subject = f"{self._subjects}.{message.subject}"
        payload = message.payload
        if len(payload) + headers_bytes(headers) > self._payload_bytes_max:
            # It came with fewer headers than it has now: the payload goes first, alone, then the rest with its place.
            stored = await self._jetstream.publish(subject, payload)
            headers["Leafbox-Bridge-Payload-Sequence"], payload = str(stored.seq), b""
        # Set aside twice, because we were stopped before the queue knew, it is kept once.
        own = {"Nats-Msg-Id": f"{message.stream}:{message.sequence}", "Nats-Expected-Stream": self.stream}
        await self._jetstream.publish(subject, payload, headers=headers | own)
        self.kept += 1
        self.last_reason = refused.sentence

    async def measure(self) -> None:
        """Bring `kept` up to date. Raises the errors of NATS."""
        if self._is_made is False:
            return
        try:
            self.kept = (await self._jetstream.stream_info(self.stream)).state.messages
            self._is_made = True
        except nats.js.errors.NotFoundError:
            self._is_made, self.kept = False, 0

    async def _make(self) -> None:
        config = StreamConfig(
            name=self.stream,
            subjects=[f"{self._subjects}.>"],
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.NEW,
            storage=StorageType.FILE,
            max_bytes=REFUSED_BYTES_MAX,
            description="messages that the other broker did not take, and why",
        )
        try:
            await self._jetstream.stream_info(self.stream)
        except nats.js.errors.NotFoundError:
            await self._jetstream.add_stream(config)
        self._is_made = True


def headers_bytes(headers: dict[str, str]) -> int:
    """What headers take at most of the room of a message."""
    return sum(len(name.encode()) + len(value.encode()) + 4 for name, value in headers.items()) + OWN_HEADERS_BYTES


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
