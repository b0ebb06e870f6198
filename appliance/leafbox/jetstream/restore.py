"""Restoring a stream from a backup: chunks come as requests, messages go straight into a new stream.

The stream takes no messages and no consumers run until the last chunk was read. Both formats are read: the archive of
2.15, and the tar of nats-server's files before that (`tar_backup`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from leafbox.dataplane.s2 import S2Decoder
from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.alarm import Alarm
from leafbox.jetstream.api import embedded
from leafbox.jetstream.consumer import Consumer
from leafbox.jetstream.names import nuid
from leafbox.protocol.errors import RequestRejected, StoreError
from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import subjects
from leafbox.protocol.jetstream.ack_reply import NUMBER_MAX
from leafbox.protocol.jetstream.consumer_config import ConsumerConfig
from leafbox.protocol.jetstream.go_json import GoStruct, JsonObject, decode, encode
from leafbox.protocol.jetstream.go_time import SECOND, format_time
from leafbox.protocol.jetstream.info import StreamState
from leafbox.protocol.jetstream.progress_codec import ConsumerProgressState, encode_progress
from leafbox.protocol.jetstream.snapshot_archive import MAGIC, ArchiveReader, CorruptArchive, Entry
from leafbox.protocol.jetstream.stream_config import StreamConfig
from leafbox.protocol.jetstream.tar_backup import ConsumerFiles, Deleted, Item, StreamMeta, TarBackupReader

if TYPE_CHECKING:
    from leafbox.jetstream.account import JetStreamAccount
    from leafbox.jetstream.stream import Stream

# nats-server gives up on a sender that is silent for this long.
_STALL_NS = 5 * SECOND


class _Named(GoStruct, frozen=True, kw_only=True):
    name: str = ""


class _ConsumerDocument(msgspec.Struct, frozen=True):
    config: msgspec.Raw
    state: msgspec.Raw


class Restore:
    """One restore under way; ends by itself when the sender is done, wrong or silent."""

    def __init__(
        self, owner: JetStreamAccount, config: StreamConfig, state: StreamState, client: JsonObject | None
    ) -> None:
        self._owner = owner
        self._config = config
        self._client = client
        self.subject = f"$JS.SNAPSHOT.RESTORE.{config.name}.{nuid()}"
        self._chunks = owner.account.subscribe(self.subject.encode(), self._receive)
        self._alarm = Alarm(owner.context.loop, self._stalled)
        self._reader = S2Decoder()
        self._archive: ArchiveReader | TarBackupReader | None = None
        self._first_bytes = b""
        self._stream: Stream | None = None
        self._consumers: list[tuple[ConsumerConfig, bytes]] = []
        self._state = state
        self._is_complete = False
        self._received_bytes = 0
        self._started_ns = self._heard_ns = now_ns()

    def start(self) -> None:
        """Say so, and wait for the first chunk."""
        self._alarm.set(self._heard_ns + _STALL_NS)
        self._owner.advisories.send(
            f"$JS.EVENT.ADVISORY.STREAM.RESTORE_CREATE.{self._config.name}",
            "restore_create",
            {"stream": self._config.name, "client": self._client},
        )

    def _receive(self, _subject: bytes, reply: bytes, _header: bytes, payload: bytes, _origin: object) -> None:
        self._heard_ns = now_ns()
        self._alarm.set(self._heard_ns + _STALL_NS)
        try:
            if not payload:
                self._finish(reply)
                return
            self._received_bytes += len(payload)
            self._unpack(payload)
        except (ValueError, StoreError, msgspec.DecodeError) as error:
            self._fail(reply, errors.STREAM_RESTORE.rejected(err=error))
            return
        except RequestRejected as rejected:
            self._fail(reply, rejected)
            return
        if reply:
            self._owner.account.publish(reply, b"")

    def _unpack(self, payload: bytes) -> None:
        """Piece by piece: a hostile backup may unpack to far more than it is."""
        plain = self._reader.feed(payload)
        while True:
            if self._archive is None:
                self._first_bytes += plain
                plain = self._choose_archive()
            if isinstance(self._archive, TarBackupReader):
                for item in self._archive.feed(plain):
                    self._take_file(item)
                self._is_complete = self._archive.is_complete
            elif self._archive is not None:
                for entry in self._archive.feed(plain):
                    self._take(entry)
            if not self._reader.has_more:
                return
            plain = self._reader.feed(b"")

    def _choose_archive(self) -> bytes:
        """Which format this is, as soon as that can be told; what to feed it."""
        if len(self._first_bytes) < len(MAGIC):
            return b""
        self._archive = ArchiveReader() if self._first_bytes.startswith(MAGIC) else TarBackupReader()
        return self._first_bytes

    def _take(self, entry: Entry) -> None:
        if self._is_complete:
            raise CorruptArchive("entries after the end")
        if self._stream is not None and self._owner.streams.get(self._config.name) is not self._stream:
            raise CorruptArchive("the stream was deleted")
        if self._stream is None:
            if entry.name != b"state.json":
                raise CorruptArchive("expected state.json first")
            self._state = decode(StreamState, entry.payload, strict=False)
            self._stream = self._owner.begin_restore(self._config)
        elif not entry.name and not entry.seq:
            self._is_complete = True
        elif entry.seq == 0 and entry.name.startswith(b"consumers/"):
            document = msgspec.json.decode(entry.payload, type=_ConsumerDocument)
            config = decode(ConsumerConfig, bytes(document.config), strict=False)
            state = decode(ConsumerProgressState, bytes(document.state), strict=False)
            self._consumers.append((self._owner.checked_consumer(self._stream, config), encode_progress(state)))
        else:
            self._take_message(self._stream, entry)

    def _take_message(self, stream: Stream, entry: Entry) -> None:
        store = stream.store
        if not store.last_seq < entry.seq <= NUMBER_MAX:
            raise CorruptArchive("messages out of order")
        # What is stored here goes out to subscribers as it is.
        if not subjects.is_publishable(entry.name.decode()):
            raise CorruptArchive("message with an invalid subject")
        store.append_message(entry.name, entry.payload, entry.header, entry.time_ns, 0, entry.seq)

    def _take_file(self, item: Item) -> None:
        """From a tar of files. Deletions may be told before or after the messages they are about."""
        if isinstance(item, StreamMeta):
            if self._stream is not None or decode(_Named, item.document, strict=False).name != self._config.name:
                raise CorruptArchive("stream names do not match")
            self._stream = self._owner.begin_restore(self._config)
            return
        stream = self._stream
        if stream is None or self._owner.streams.get(self._config.name) is not stream:
            raise CorruptArchive("meta.inf is not first, or the stream was deleted")
        if isinstance(item, Deleted):
            stream.store.remove_message(item.seq)
        elif isinstance(item, ConsumerFiles):
            config = decode(ConsumerConfig, item.document, strict=False)
            self._consumers.append((self._owner.checked_consumer(stream, config), encode_progress(item.state)))
        elif item.seq >= self._state.first_seq:
            self._take_message(stream, item)

    def _check_count(self, stream: Stream) -> None:
        """Old files may know of deletions only in an index that is not read: better no stream than one with ghosts."""
        found, state = stream.store.messages, self._state
        is_comparable = state.messages and stream.store.last_seq <= state.last_seq
        if isinstance(self._archive, TarBackupReader) and is_comparable and found > state.messages:
            raise CorruptArchive(
                f"the backup has {found} messages, its state says {state.messages}: it does not tell which were "
                "deleted. Restore it into nats-server 2.15 and take the backup there"
            )

    def _finish(self, reply: bytes) -> None:
        stream = self._stream
        if stream is None or not self._is_complete or not self._reader.is_between_chunks:
            raise CorruptArchive("backup is incomplete")
        self._check_count(stream)
        if self._state.last_seq > stream.store.last_seq:
            stream.store.skip_to(self._state.last_seq)
        self._close()
        lsn = self._owner.finish_restore(stream)
        for config, progress in self._consumers:
            self._add_consumer(stream, config, progress)
        response: JsonObject = {
            "type": "io.nats.jetstream.api.v1.stream_create_response",
            **embedded(stream.info(with_domain=False)),
        }
        self._owner.context.gate.when_durable(
            max(lsn, stream.store.applied_lsn), partial(self._owner.account.publish, reply, encode(response))
        )
        self._complete_advisory()

    def _add_consumer(self, stream: Stream, config: ConsumerConfig, progress: bytes) -> None:
        name = config.durable_name or config.name
        consumer = Consumer(stream, config, name, now_ns())
        consumer.restore(progress, [])
        stream.adopt(consumer)
        consumer.save()
        consumer.start()

    def _stalled(self, now: int) -> None:
        if self._heard_ns + _STALL_NS > now:
            self._alarm.set(self._heard_ns + _STALL_NS)
        else:
            self._abandon()

    def _fail(self, reply: bytes, rejected: RequestRejected) -> None:
        error: JsonObject = {
            "code": rejected.code,
            "err_code": rejected.err_code,
            "description": rejected.description,
        }
        response: JsonObject = {"type": "io.nats.jetstream.api.v1.stream_create_response", "error": error}
        if reply:
            self._owner.account.publish(reply, encode(response))
        self._abandon()

    def _abandon(self) -> None:
        self._close()
        if self._stream is not None:
            self._owner.abandon_restore(self._stream)
        self._complete_advisory()

    def _close(self) -> None:
        self._alarm.cancel()
        self._owner.account.remove(self._chunks)

    def _complete_advisory(self) -> None:
        fields: JsonObject = {
            "stream": self._config.name,
            "start": format_time(self._started_ns),
            "end": format_time(now_ns()),
            "bytes": self._received_bytes,
            "client": self._client,
        }
        self._owner.advisories.send(
            f"$JS.EVENT.ADVISORY.STREAM.RESTORE_COMPLETE.{self._config.name}", "restore_complete", fields
        )
