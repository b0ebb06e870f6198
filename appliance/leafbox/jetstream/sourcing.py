"""Mirrors and sources whose origin is a stream of the same account here.

An origin is followed by an internal consumer of it. A mirror keeps sequences and times and skips what the origin no
longer has; a source appends with sequences of its own and says in `Nats-Stream-Source` where each message came from,
which is also how it finds its place again after a restart. Origins elsewhere (another account or domain) are reached
by `RemoteOrigins` of the leaf side, which feeds messages in through `take`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.names import short_hash
from leafbox.protocol.errors import StoreError
from leafbox.protocol.jetstream import headers
from leafbox.protocol.jetstream.consumer_config import ConsumerConfig, DeliverPolicy
from leafbox.protocol.jetstream.info import StreamSourceInfo
from leafbox.protocol.jetstream.stream_config import StreamConfig, StreamSource
from leafbox.protocol.jetstream.subject_transform import SubjectTransform

if TYPE_CHECKING:
    from leafbox.jetstream.consumer import Consumer
    from leafbox.jetstream.stream import Stream


class Origin:
    """One origin of a stream: how far it was followed, and the consumer that does it (None: not found yet)."""

    def __init__(self, stream: Stream, source: StreamSource, is_mirror: bool) -> None:
        self.stream = stream
        self.source = source
        self.is_mirror = is_mirror
        self.last_seq = 0
        self.last_heard_ns = 0
        self.consumer: Consumer | None = None
        self.identity = ""
        """Hash of the origin's creation time (2.15): tells a recreated origin from the old one."""
        self.transforms = [
            (item.src or ">", SubjectTransform(item.src, item.dest) if item.dest else None)
            for item in source.subject_transforms
        ]

    @property
    def is_external(self) -> bool:
        """The origin is reached through another API prefix."""
        return self.source.external is not None

    def filters(self) -> tuple[str, ...]:
        """Subjects of the origin that are wanted; empty means all."""
        if self.transforms:
            return tuple(pattern for pattern, _ in self.transforms)
        return (self.source.filter_subject,) if self.source.filter_subject else ()

    def map_subject(self, subject: str) -> str:
        """The subject under which a message is stored here."""
        for _, transform in self.transforms:
            mapped = transform.match(subject) if transform is not None else None
            if mapped is not None:
                return mapped
        return subject

    def info(self) -> StreamSourceInfo:
        """Lag and activity as the API reports them."""
        lag = 0
        if self.consumer is not None:
            lag = self.consumer.num_pending()
        return StreamSourceInfo(
            name=self.source.name,
            external=self.source.external,
            lag=lag,
            active=now_ns() - self.last_heard_ns if self.last_heard_ns else -1,
            filter_subject=self.source.filter_subject,
            subject_transforms=self.source.subject_transforms,
        )

    # -- messages -----------------------------------------------------------------------------------------------------

    def take(self, subject: str, header: bytes, payload: bytes, seq: int, ts_ns: int) -> bool:
        """Store one message of the origin; False if it cannot be taken now."""
        self.last_heard_ns = now_ns()
        if seq <= self.last_seq:
            return True
        if self.is_mirror:
            return self._take_mirrored(subject, header, payload, seq, ts_ns)
        mapped = self.map_subject(subject)
        external = f":{short_hash(self.source.external.api)}" if self.source.external is not None else ""
        name = f"{self.source.name}{external}"
        patterns = ",".join(pattern for pattern, _ in self.transforms) or self.source.filter_subject or ">"
        targets = ",".join(item.dest for item in self.source.subject_transforms) or ">"
        identity = f" {self.identity}" if self.identity else ""
        note = f"{name} {seq} {patterns} {targets} {subject}{identity}".encode()
        block = headers.remove(header, headers.STREAM_SOURCE)
        for unwanted in (b"Nats-Expected-", b"Nats-Batch-"):
            block = headers.remove_prefix(block, unwanted)
        block = headers.add(block, headers.STREAM_SOURCE, note)
        self.last_seq = seq
        self.stream.publisher.publish(mapped, b"", block, payload, is_sourced=True)
        return True

    def _take_mirrored(self, subject: str, header: bytes, payload: bytes, seq: int, ts_ns: int) -> bool:
        store, ingest = self.stream.store, self.stream.ingest
        if store.last_seq and seq <= store.last_seq:
            self.last_seq = seq
            return True
        if seq > store.last_seq + 1:
            store.skip_to(seq - 1)
        mapped = self.map_subject(subject).encode()
        try:
            ingest.store_message(mapped, header, payload, b"", ts_ns, 0, seq)
        except StoreError:
            return False
        self.last_seq = seq
        msg_id = headers.get_text(header, headers.MSG_ID)
        if msg_id:
            self.stream.window.remember(msg_id, seq, ts_ns)
        return True


class Sourcing:
    """The origins of one stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.mirror: Origin | None = None
        self.sources: dict[str, Origin] = {}

    def start(self) -> None:
        """Follow the configured origins from where this stream left off."""
        config = self._stream.config
        if config.mirror is not None:
            self.mirror = Origin(self._stream, config.mirror, is_mirror=True)
            self.mirror.last_seq = self._stream.store.last_seq
            self._follow(self.mirror)
        if config.sources:
            self._add_sources(config.sources)

    def stop(self) -> None:
        """Follow nothing more."""
        for origin in self.origins():
            self._leave(origin)
        self.mirror = None
        self.sources.clear()

    def origins(self) -> list[Origin]:
        """All origins, a mirror's first."""
        return [*((self.mirror,) if self.mirror is not None else ()), *self.sources.values()]

    def promote(self) -> None:
        """The mirror becomes a stream of its own."""
        if self.mirror is not None:
            self._leave(self.mirror)
            self.mirror = None

    def reconfigure(self, old: StreamConfig) -> None:
        """Sources were added or removed."""
        wanted = {source.index_name(): source for source in self._stream.config.sources}
        for name in [name for name in self.sources if name not in wanted]:
            self._leave(self.sources.pop(name))
        self._add_sources(tuple(source for name, source in wanted.items() if name not in self.sources))

    def stream_appeared(self, name: str) -> None:
        """A stream was created that may be an origin waited for."""
        for origin in self.origins():
            if origin.consumer is None and origin.source.name == name:
                self._follow(origin)

    def stream_vanished(self, name: str) -> None:
        """A stream is gone; its followers wait for it to come back."""
        for origin in self.origins():
            if origin.source.name == name and origin.consumer is not None:
                origin.consumer = None
                origin.last_seq = 0 if not origin.is_mirror else origin.last_seq

    def mirror_info(self) -> StreamSourceInfo | None:
        """For the stream's info."""
        return self.mirror.info() if self.mirror is not None else None

    def source_infos(self) -> tuple[StreamSourceInfo, ...]:
        """For the stream's info."""
        return tuple(origin.info() for origin in self.sources.values())

    # -- following ----------------------------------------------------------------------------------------------------

    def _add_sources(self, sources: tuple[StreamSource, ...]) -> None:
        added = {source.index_name(): Origin(self._stream, source, is_mirror=False) for source in sources}
        self._find_places(added)
        self.sources.update(added)
        for origin in added.values():
            self._follow(origin)

    def _find_places(self, added: dict[str, Origin]) -> None:
        """The last sequence taken from each origin, from the headers of what is stored, newest first."""
        missing, store = dict(added), self._stream.store
        seq = store.last_seq
        while missing and seq:
            message = store.previous_matching(seq)
            if message is None:
                return
            seq = message.seq - 1
            fields = headers.get_text(message.header, headers.STREAM_SOURCE).split(" ")
            if len(fields) < 4:
                continue
            for name, origin in list(missing.items()):
                if fields[0].split(":")[0] == origin.source.name and fields[2] == (
                    ",".join(pattern for pattern, _ in origin.transforms) or origin.source.filter_subject or ">"
                ):
                    origin.last_seq = int(fields[1])
                    del missing[name]

    def _follow(self, origin: Origin) -> None:
        if origin.is_external or origin.source.name == self._stream.name:
            return
        upstream = self._stream.owner.streams.get(origin.source.name)
        if upstream is None:
            return
        origin.identity = upstream.identity
        origin.consumer = self._stream.owner.follow(upstream, self._consumer_config(origin), partial(_hand_in, origin))

    def _consumer_config(self, origin: Origin) -> ConsumerConfig:
        filters = origin.filters()
        policy, seq, start_time = DeliverPolicy.ALL, 0, None
        if origin.last_seq:
            policy, seq = DeliverPolicy.BY_START_SEQUENCE, origin.last_seq + 1
        elif origin.source.opt_start_seq:
            policy, seq = DeliverPolicy.BY_START_SEQUENCE, origin.source.opt_start_seq
        elif origin.source.opt_start_time is not None:
            policy, start_time = DeliverPolicy.BY_START_TIME, origin.source.opt_start_time
        return ConsumerConfig(
            deliver_policy=policy,
            opt_start_seq=seq,
            opt_start_time=start_time,
            filter_subjects=filters,
            direct=True,
            sourcing=True,
            mem_storage=True,
            deliver_subject=f"$JS.S.{self._stream.name}",
        )

    def _leave(self, origin: Origin) -> None:
        if origin.consumer is not None and not origin.consumer.is_closed:
            origin.consumer.stream.delete_consumer(origin.consumer.name)
        origin.consumer = None


def _hand_in(
    origin: Origin, subject: bytes, _reply: bytes, header: bytes, payload: bytes, ts_ns: int, seq: int
) -> bool:
    return origin.take(subject.decode("utf-8", "replace"), header, payload, seq, ts_ns)
