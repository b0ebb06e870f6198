"""The request by which a mirror or source asks an origin for a consumer; nats-server's, field for field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from leafbox.jetstream.names import consumer_name, short_hash
from leafbox.jetstream.source_index import index_of
from leafbox.protocol.jetstream import headers
from leafbox.protocol.jetstream.consumer_config import AckPolicy, ConsumerConfig, CreateConsumerRequest, DeliverPolicy
from leafbox.protocol.jetstream.go_json import encode
from leafbox.protocol.jetstream.go_time import SECOND

if TYPE_CHECKING:
    from leafbox.jetstream.stream import Stream
    from leafbox.protocol.jetstream.stream_config import StreamSource

LEVEL_IDENTITY = 5
"""API level of an origin that tells its identity."""
LEVEL_SOURCING = 4
"""API level of an origin that knows sourcing consumers; 0 stands for older ones."""
_ACK_WAIT = 22 * 3600 * SECOND
_HEARTBEAT = SECOND
_INACTIVE_AFTER = 10 * SECOND
_API = "$JS.API."


class OriginRequest:
    """Composes the requests for one origin of `stream`."""

    def __init__(self, stream: Stream, source: StreamSource, *, is_mirror: bool) -> None:
        self._stream = stream
        self._source = source
        self._is_mirror = is_mirror
        self.level = LEVEL_IDENTITY
        sources = [other for other in stream.config.sources if other.name == source.name]
        identity = " ".join(filter(None, (stream.name, stream.account.name, stream.context.domain)))
        stable = short_hash(identity)
        if is_mirror:
            self._name = f"JS_MIRROR_{stable}"
        else:
            self._name = f"JS_SRC_{short_hash(stable if len(sources) == 1 else f'{stable} {index_of(source)}')}"

    def subject(self) -> str:
        """Where the request goes."""
        source = self._source
        if source.consumer is not None:
            return self._under_prefix(f"CONSUMER.RESET.{source.name}.{source.consumer.name}")
        return self._under_prefix(f"CONSUMER.CREATE.{source.name}")

    def delete_subject(self) -> bytes:
        """Where to ask for the removal of the consumer."""
        return self._under_prefix(f"CONSUMER.DELETE.{self._source.name}.{self._name}").encode()

    def compose(self, place: int, identity: str) -> tuple[str, bytes, bytes]:
        """Subject, header and body of a request for everything after sequence `place`."""
        header = b""
        if self.level:
            header = headers.add(header, headers.REQUIRED_API_LEVEL, str(self.level).encode())
        if self.level >= LEVEL_IDENTITY and not self._is_mirror:
            header = headers.add(header, headers.STREAM_IDENTITY, identity.encode())
        if self._source.consumer is not None:
            return self.subject(), header, b""
        config = self._config(place)
        subject = self.subject()
        if config.filter_subject:
            subject += f".{config.name}.{config.filter_subject}"
        request = CreateConsumerRequest(stream_name=self._source.name, config=config)
        return subject, header, encode(request)

    def _under_prefix(self, request: str) -> str:
        external = self._source.external
        if external is None or not external.api:
            return _API + request
        return f"{external.api}.{request}".replace("..", ".")

    def _config(self, place: int) -> ConsumerConfig:
        source = self._source
        filters = tuple(item.src or ">" for item in source.subject_transforms)
        single = source.filter_subject or (filters[0] if len(filters) == 1 else "")
        config = ConsumerConfig(
            # Old servers need a name of its own for each attempt.
            name=self._name if self.level else f"{self._name}_{consumer_name()}",
            deliver_subject=self._deliver_subject(),
            ack_policy=AckPolicy.NONE,
            ack_wait=_ACK_WAIT,
            max_deliver=1,
            flow_control=True,
            idle_heartbeat=_HEARTBEAT,
            inactive_threshold=_INACTIVE_AFTER,
            direct=True,
            sourcing=self.level > 0,
            filter_subject=single,
            filter_subjects=() if single else filters,
            metadata=self._metadata(),
        )
        if place:
            start = {"deliver_policy": DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": place + 1}
        elif source.opt_start_seq:
            start = {"deliver_policy": DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": source.opt_start_seq}
        elif source.opt_start_time is not None:
            start = {"deliver_policy": DeliverPolicy.BY_START_TIME, "opt_start_time": source.opt_start_time}
        else:
            return config
        return msgspec.structs.replace(config, **start)

    def _deliver_subject(self) -> str:
        letter = "M" if self._is_mirror else "S"
        external = self._source.external
        prefix = external.deliver if external is not None and external.deliver else "$JS"
        return f"{prefix}.{letter}.{consumer_name()}".replace("..", ".")

    def _metadata(self) -> dict[str, str]:
        kind = "mirror" if self._is_mirror else "src"
        metadata = {f"_nats.{kind}.stream": self._stream.name, f"_nats.{kind}.acc": self._stream.account.name}
        if self._stream.context.domain:
            metadata[f"_nats.{kind}.domain"] = self._stream.context.domain
        return metadata
