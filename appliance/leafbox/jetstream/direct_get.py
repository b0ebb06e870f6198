"""Direct get (ADR-31): a stored message as a message, by sequence, by subject, or in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leafbox.dataplane.jetstream_requests import DirectGetReceiver
from leafbox.dataplane.routing import Subscription
from leafbox.jetstream.context import API_LEVEL
from leafbox.protocol.jetstream import headers, subjects
from leafbox.protocol.jetstream.go_json import InvalidJson, decode
from leafbox.protocol.jetstream.go_time import format_time
from leafbox.protocol.jetstream.requests import MsgGetRequest

if TYPE_CHECKING:
    from leafbox.broker.account import Account
    from leafbox.dataplane.stream_store import StoredMessage
    from leafbox.jetstream.stream import Stream

SUBJECTS_MAX = 1024
"""A multi_last request for more subjects than this is refused."""

_QUEUE = b"_sys_"
_PREFIX_TOKENS = 5


class DirectGet:
    """Answers `$JS.API.DIRECT.GET.<stream>[.<subject>]` while the configuration allows it.

    The members of the queue group are the stream and, for `mirror_direct`, its mirrors in the same domain: a mirror
    answers for its origin's name, too.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._subscriptions: dict[str, list[Subscription]] = {}

    def subscribe(self) -> None:
        """Bring the subscriptions in line with the configuration."""
        config = self._stream.config
        wanted = set()
        if config.allow_direct:
            wanted.add(config.name)
        if config.mirror_direct and config.mirror is not None:
            wanted.add(config.mirror.name)
        account = self._stream.account
        for name in set(self._subscriptions) - wanted:
            self._drop(account, name)
        for name in wanted - set(self._subscriptions):
            subject = f"$JS.API.DIRECT.GET.{name}".encode()
            self._subscriptions[name] = [
                account.subscribe(subject, self._answer, _QUEUE),
                Subscription(account, self._receiver(len(subject) + 1), subject + b".>", _QUEUE),
            ]
            account.add(self._subscriptions[name][1])

    def _receiver(self, prefix_size: int) -> DirectGetReceiver:
        stream = self._stream
        return DirectGetReceiver(self._answer_subject, stream.account, stream.store, stream.name.encode(), prefix_size)

    def unsubscribe(self) -> None:
        """Answer no more."""
        for name in list(self._subscriptions):
            self._drop(self._stream.account, name)

    def _drop(self, account: Account, name: str) -> None:
        for subscription in self._subscriptions.pop(name):
            account.remove(subscription)

    # -- requests -----------------------------------------------------------------------------------------------------

    def _answer(self, _subject: bytes, reply: bytes, header: bytes, payload: bytes, _origin: object) -> None:
        if not reply:
            return
        if headers.requires_higher_level(header, API_LEVEL):
            self._status(reply, 412, "Required Api Level")
            return
        if not payload:
            self._status(reply, 408, "Empty Request")
            return
        try:
            request = decode(MsgGetRequest, payload, strict=False)
        except InvalidJson:
            self._status(reply, 408, "Malformed Request")
            return
        if not (request.seq or request.last_by_subj or request.next_by_subj or request.multi_last) and (
            request.start_time is None
        ):
            self._status(reply, 408, "Empty Request")
        elif _contradicts(request):
            self._status(reply, 408, "Bad Request")
        elif request.multi_last:
            self._send_multi(request, reply)
        else:
            self._send(request, reply)

    def _answer_subject(self, subject: bytes, reply: bytes, header: bytes, payload: bytes, _origin: object) -> None:
        if not reply:
            return
        if headers.requires_higher_level(header, API_LEVEL):
            self._status(reply, 412, "Required Api Level")
            return
        try:
            request = decode(MsgGetRequest, payload, strict=False)
        except InvalidJson:
            self._status(reply, 408, "Malformed Request")
            return
        if request != MsgGetRequest(no_hdr=request.no_hdr, max_bytes=request.max_bytes):
            self._status(reply, 408, "Bad Request")
            return
        key = subject.split(b".", _PREFIX_TOKENS)[_PREFIX_TOKENS].decode("utf-8", "replace")
        self._send(MsgGetRequest(last_by_subj=key, no_hdr=request.no_hdr), reply)

    # -- answers ------------------------------------------------------------------------------------------------------

    def _send(self, request: MsgGetRequest, reply: bytes) -> None:
        store = self._stream.store
        seq = store.sequence_at(request.start_time) if request.start_time is not None else request.seq
        wanted = store.filter(request.next_by_subj.encode()) if request.next_by_subj else None
        is_batch = request.batch != 0
        bytes_left = request.max_bytes or self._stream.context.max_pending_bytes
        pending = store.pending(seq, wanted) if is_batch else 0
        last_seq = sent = 0
        for index in range(max(request.batch, 0) or 1):
            message = self._look_up(request, seq, wanted, is_batch)
            if message is None:
                if index and request.batch > 1:
                    break
                self._status(reply, 404, "Message Not Found")
                return
            seq = message.seq + 1
            pending = max(pending - 1, 0)
            block = b""
            if not request.no_hdr:
                block = self._described(message, pending, last_seq) if is_batch else self._described(message)
            last_seq = message.seq
            self._stream.account.publish(reply, message.payload, b"", block)
            sent += len(message.subject) + len(message.header) + len(message.payload)
            if sent >= bytes_left:
                break
        if is_batch:
            self._status(reply, 204, "EOB", Nats_Num_Pending=pending, Nats_Last_Sequence=last_seq)

    def _look_up(self, request: MsgGetRequest, seq: int, wanted: object, is_batch: bool) -> StoredMessage | None:
        store = self._stream.store
        if request.last_by_subj:
            return self.last_of(request.last_by_subj)
        if wanted is not None:
            return store.next_matching(seq, wanted)  # type: ignore[arg-type]
        if is_batch or request.start_time is not None:
            return store.next_matching(seq)
        return store.message(seq)

    def last_of(self, subject: str) -> StoredMessage | None:
        """The last message whose subject matches, wildcards allowed."""
        store = self._stream.store
        if subjects.is_literal(subject):
            return store.last_message(subject.encode())
        return store.previous_matching(store.last_seq, store.filter(subject.encode()))

    def _send_multi(self, request: MsgGetRequest, reply: bytes) -> None:
        store = self._stream.store
        up_to = request.up_to_seq
        if request.up_to_time is not None:
            up_to = store.sequence_at(request.up_to_time)
            if up_to <= store.first_seq:
                self._status(reply, 404, "No Results")
                return
            up_to -= 1
        up_to = up_to or store.last_seq
        patterns = [pattern.encode() for pattern in request.multi_last]
        seqs = [seq for seq in store.last_sequences(store.filter(*patterns), up_to) if seq >= request.seq]
        if len(seqs) > SUBJECTS_MAX:
            self._status(reply, 413, "Too Many Results")
            return
        if not seqs:
            self._status(reply, 404, "No Results")
            return
        bytes_left = request.max_bytes or self._stream.context.max_pending_bytes
        last_seq = sent = 0
        pending = len(seqs)
        for index, seq in enumerate(seqs):
            message = store.message(seq)
            if message is None:
                self._status(reply, 404, "Message Not Found")
                return
            pending = len(seqs) - index - 1
            self._stream.account.publish(reply, message.payload, b"", self._described(message, pending, last_seq))
            last_seq = seq
            sent += len(message.subject) + len(message.header) + len(message.payload)
            if sent >= bytes_left or 0 < request.batch <= index + 1:
                break
        self._status(reply, 204, "EOB", Nats_Num_Pending=pending, Nats_Last_Sequence=last_seq, Nats_UpTo_Sequence=up_to)

    def _described(self, message: StoredMessage, pending: int | None = None, last_seq: int = 0) -> bytes:
        lines = (
            f"Nats-Stream: {self._stream.name}\r\nNats-Subject: {message.subject.decode('utf-8', 'replace')}\r\n"
            f"Nats-Sequence: {message.seq}\r\nNats-Time-Stamp: {format_time(message.ts_ns)}\r\n"
        )
        if pending is not None:
            lines += f"Nats-Num-Pending: {pending}\r\nNats-Last-Sequence: {last_seq}\r\n"
        head = message.header[:-2] if message.header else headers.LINE
        return head + lines.encode() + b"\r\n"

    def _status(self, reply: bytes, code: int, description: str, **fields: int) -> None:
        self._stream.account.publish(reply, b"", b"", headers.status(code, description, **fields))


def _contradicts(request: MsgGetRequest) -> bool:
    last, following = bool(request.last_by_subj), bool(request.next_by_subj)
    timed, multi = request.start_time is not None, bool(request.multi_last)
    return (
        (request.seq > 0 and (last or timed))
        or (last and (timed or following or multi or request.batch > 0))
        or (following and multi)
        or (request.up_to_seq > 0 and request.up_to_time is not None)
    )
