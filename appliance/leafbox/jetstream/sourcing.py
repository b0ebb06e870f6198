"""Mirrors and sources: what a stream takes from other streams, here, in another account or domain.

`Origin` holds the conversation with one of them; this module puts its messages into the stream and remembers how far
each origin was taken. A mirror keeps sequences and times and skips what the origin no longer has, so its place is its
own last sequence. A source appends with sequences of its own and notes in `Nats-Stream-Source` where each message came
from; since messages may be consumed and removed, the places are also a durable value, written at the end of each turn
that took messages and thereby before anything can remove them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leafbox.jetstream.definitions import StoredPlace, StoredPlaces
from leafbox.jetstream.origin import Origin
from leafbox.jetstream.ports import ValueKind
from leafbox.jetstream.publish_rules import DuplicateMessage
from leafbox.jetstream.source_index import index_of, make_note, read_note
from leafbox.protocol.errors import RequestRejected, StoreError
from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import headers, subjects
from leafbox.protocol.jetstream.go_json import encode
from leafbox.protocol.jetstream.subject_transform import SubjectTransform

if TYPE_CHECKING:
    from leafbox.jetstream.stream import Stream
    from leafbox.protocol.jetstream.ack_reply import AckReply
    from leafbox.protocol.jetstream.info import StreamSourceInfo
    from leafbox.protocol.jetstream.stream_config import StreamConfig, StreamSource

_MIRROR_INDEX = "mirror"


class Sourcing:
    """The origins of one stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.recovered = StoredPlaces()
        """Places as they were stored; set by the recovery before `start`."""
        self._origins: dict[str, Origin] = {}
        self._transforms: dict[str, list[SubjectTransform]] = {}
        self._is_save_due = False

    @property
    def is_mirror(self) -> bool:
        """The one origin is mirrored."""
        return self.stream.config.mirror is not None

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Follow the configured origins from where this stream left off."""
        config = self.stream.config
        if config.mirror is not None:
            self._add({_MIRROR_INDEX: config.mirror})
        elif config.sources:
            self._add({index_of(source): source for source in config.sources})

    def stop(self) -> None:
        """Follow nothing more; the places stay."""
        if self._is_save_due:
            self._save()
        for origin in self._origins.values():
            origin.stop()
        self._origins.clear()

    def delete(self) -> None:
        """The stream goes: nor is there anything to come back to."""
        for origin in self._origins.values():
            origin.stop()
            origin.forget_consumer()
        self._origins.clear()
        self._is_save_due = False
        if not self.stream.is_memory:
            self.stream.context.storage.delete(ValueKind.SOURCES, self.stream.key)

    def reconfigure(self, old: StreamConfig) -> None:
        """Sources were added or removed, or the mirror became a stream of its own."""
        config = self.stream.config
        if old.mirror is not None and config.mirror is None:
            self._drop(_MIRROR_INDEX)
        wanted = {index_of(source): source for source in config.sources}
        gone = [index for index in self._origins if index not in wanted and index != _MIRROR_INDEX]
        for index in gone:
            self._drop(index)
        new = {index: source for index, source in wanted.items() if index not in self._origins}
        if new:
            self._add(new)
        if gone or new:
            self._save()

    def _add(self, added: dict[str, StreamSource]) -> None:
        origins = {index: Origin(self, source, index) for index, source in added.items()}
        self._find_places(origins)
        for index, origin in origins.items():
            self._origins[index] = origin
            self._transforms[index] = [
                SubjectTransform(item.src, item.dest) for item in origin.source.subject_transforms if item.dest
            ]
            origin.start()

    def _drop(self, index: str) -> None:
        origin = self._origins.pop(index)
        self._transforms.pop(index)
        origin.stop()
        origin.forget_consumer()

    # -- news ---------------------------------------------------------------------------------------------------------

    def interest_came(self, pattern: str) -> None:
        """Somebody subscribed to `pattern`."""
        for origin in self._origins.values():
            origin.interest_came(pattern)

    def stream_changed(self, name: str) -> None:
        """A stream of this account was created or deleted that may be an origin."""
        for origin in self._origins.values():
            if origin.source.external is None and origin.source.name == name and name != self.stream.name:
                origin.ask_again()

    def follow_clock(self, step_ns: int) -> None:
        """The wall clock was set."""
        for origin in self._origins.values():
            origin.follow_clock(step_ns)

    @property
    def is_following(self) -> bool:
        """There are origins."""
        return bool(self._origins)

    def mirror_info(self) -> StreamSourceInfo | None:
        """For the stream's info."""
        mirror = self._origins.get(_MIRROR_INDEX)
        return mirror.info() if mirror is not None else None

    def source_infos(self) -> tuple[StreamSourceInfo, ...]:
        """For the stream's info."""
        return tuple(origin.info() for index, origin in self._origins.items() if index != _MIRROR_INDEX)

    # -- places -------------------------------------------------------------------------------------------------------

    def _find_places(self, added: dict[str, Origin]) -> None:
        """How far each origin was taken: by the stored places, and by the notes of messages that are newer."""
        store, missing = self.stream.store, dict(added)
        for index, origin in added.items():
            stored = self.recovered.places.get(index)
            if stored is not None:
                origin.place, origin.identity = stored.seq, stored.identity
        if self.is_mirror:
            added[_MIRROR_INDEX].place = store.last_seq
            return
        known_to = self.recovered.last_seq if all(index in self.recovered.places for index in added) else 0
        seq = store.last_seq
        while missing and seq > known_to:
            message = store.previous_matching(seq)
            if message is None or message.seq <= known_to:
                return
            seq = message.seq - 1
            note = read_note(headers.get_text(message.header, headers.STREAM_SOURCE))
            if note is None:
                continue
            for index, origin in list(missing.items()):
                if note.source == index or (not note.source and note.name == index.split(" ")[0]):
                    origin.place, origin.identity = note.seq, note.identity
                    del missing[index]

    def place_changed(self) -> None:
        """An origin's place or identity moved: store it at the end of this turn."""
        if not self._is_save_due:
            self._is_save_due = True
            self.stream.context.loop.call_soon(self._save_if_due)

    def _save_if_due(self) -> None:
        if self._is_save_due and not self.stream.is_closed:
            self._save()

    def _save(self) -> None:
        self._is_save_due = False
        for origin in self._origins.values():
            origin.intake.is_told = False
        if self.stream.is_memory:
            return
        places = {index: StoredPlace(origin.place, origin.identity) for index, origin in self._origins.items()}
        self.recovered = StoredPlaces(self.stream.store.last_seq, places)
        self.stream.context.storage.put(ValueKind.SOURCES, self.stream.key, encode(self.recovered))

    # -- messages -----------------------------------------------------------------------------------------------------

    def take(
        self, origin: Origin, subject: bytes, header: bytes, payload: bytes, place: AckReply
    ) -> RequestRejected | None:
        """Put one message of an origin into the stream, or say why it cannot be taken now."""
        text = subject.decode("utf-8", "replace")
        mapped = text
        for transform in self._transforms[origin.index]:
            found = transform.match(text)
            if found is not None:
                mapped = found
                break
        if not subjects.is_publishable(mapped):
            return errors.STREAM_STORE_FAILED.rejected(err=f"the origin sent the invalid subject {mapped!r}")
        for unwanted in (b"Nats-Expected-", b"Nats-Batch-") if header else ():
            header = headers.remove_prefix(header, unwanted)
        publisher = self.stream.publisher
        try:
            if self.is_mirror:
                publisher.mirror(mapped, header, payload, place.stream_seq, place.time_ns)
            else:
                note = make_note(origin.index, place.stream_seq, text, origin.identity)
                header = headers.add(headers.remove(header, headers.STREAM_SOURCE), headers.STREAM_SOURCE, note)
                publisher.store(publisher.check(mapped, header, payload, publisher.state(), is_sourced=True), b"")
        except DuplicateMessage:
            return None
        except RequestRejected as rejected:
            return rejected
        except StoreError:
            return errors.INSUFFICIENT_RESOURCES.rejected()
        return None
