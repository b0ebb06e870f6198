"""Restoring a stream from a backup: chunks come as requests, messages go straight into a new stream.

The stream takes no messages and no consumers run until the last chunk was read. Only the archive format of 2.15 is
read; older backups (a tar of nats-server's own block files) are refused with a text that says so.
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
from leafbox.protocol.jetstream.consumer_config import ConsumerConfig
from leafbox.protocol.jetstream.go_json import JsonObject, decode, encode
from leafbox.protocol.jetstream.go_time import SECOND, format_time
from leafbox.protocol.jetstream.info import StreamState
from leafbox.protocol.jetstream.progress_codec import ConsumerProgressState, encode_progress
from leafbox.protocol.jetstream.snapshot_archive import ArchiveReader, CorruptArchive, Entry
from leafbox.protocol.jetstream.stream_config import StreamConfig

if TYPE_CHECKING:
    from leafbox.jetstream.account import JetStreamAccount
    from leafbox.jetstream.stream import Stream

# nats-server gives up on a sender that is silent for this long.
_STALL_NS = 5 * SECOND


class _ConsumerDocument(msgspec.Struct, frozen=True):
    config: msgspec.Raw
    state: msgspec.Raw


class Restore:
    """One restore under way; ends by itself when the sender is done, wrong or silent."""

    def __init__(self, owner: JetStreamAccount, config: StreamConfig, client: JsonObject | None) -> None:
        self._owner = owner
        self._config = config
        self._client = client
        self.subject = f"$JS.SNAPSHOT.RESTORE.{config.name}.{nuid()}"
        self._chunks = owner.account.subscribe(self.subject.encode(), self._receive)
        self._alarm = Alarm(owner.context.loop, self._stalled)
        self._reader, self._archive = S2Decoder(), ArchiveReader()
        self._stream: Stream | None = None
        self._consumers: list[tuple[ConsumerConfig, bytes]] = []
        self._state = StreamState()
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
            for entry in self._archive.feed(plain):
                self._take(entry)
            if not self._reader.has_more:
                return
            plain = self._reader.feed(b"")

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
            store = self._stream.store
            if entry.seq <= store.last_seq:
                raise CorruptArchive("messages out of order")
            # What is stored here goes out to subscribers as it is.
            if not subjects.is_publishable(entry.name.decode()):
                raise CorruptArchive("message with an invalid subject")
            store.append_message(entry.name, entry.payload, entry.header, entry.time_ns, 0, entry.seq)

    def _finish(self, reply: bytes) -> None:
        stream = self._stream
        if stream is None or not self._is_complete or not self._reader.is_between_chunks:
            raise CorruptArchive("backup is incomplete")
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
