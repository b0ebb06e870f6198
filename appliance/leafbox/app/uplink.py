"""Ties the uplinks to the store, to JetStream and to the configuration's rules for URLs and TLS."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from leafbox.app.configuration.addresses import AddressError, parse_url
from leafbox.app.jetstream import DurableSide
from leafbox.jetstream.consumer import Consumer
from leafbox.jetstream.stream import Stream
from leafbox.leaf.config import DEFAULT_LEAF_PORT, LeafRemoteOptions, LeafUrl
from leafbox.leaf.service import LeafService
from leafbox.leaf.uplink_backlog import BufferState
from leafbox.leaf.uplink_definition import Definition, decode, encode
from leafbox.leaf.uplink_ledger import Outage
from leafbox.leaf.uplink_reasons import Condition
from leafbox.leaf.uplink_service import UplinkOutside, Uplinks
from leafbox.monitoring.box_services import BoxServices
from leafbox.monitoring.box_snapshot import UplinkFact
from leafbox.protocol.errors import BoxRequestFailed
from leafbox.protocol.jetstream.go_json import JsonObject
from leafbox.security.config import TlsOptions
from leafbox.storage.engine import Store

DEFINITION_KIND = 64
OUTAGE_KIND = 65
"""Kinds of entries in the store; JetStream has those below 16."""
DURABLE_TIMEOUT_S = 15.0
SCHEMES = ("nats-leaf", "nats", "tls", "ws", "wss")
DEFAULT_PORTS = {"ws": 80, "wss": 443}
FULL_SHARE = 0.995
"""A buffer is called full a little before it is: a large message may already be refused."""
CAP_BURST_S = 0.1
"""A rate cap evens out over this long."""


def start_uplinks(
    durable: DurableSide | None, leafs: LeafService, services: BoxServices, tasks: asyncio.TaskGroup
) -> Uplinks | None:
    """Bring back what was added, and answer `uplink.*`. Without a store there is nowhere to keep an uplink."""
    if durable is None:
        services.add("uplink.add", _refuse)
        services.add("uplink.status", lambda request: {"uplinks": []})
        return None
    outside = UplinkOutside(UplinkBlobs(durable.store), JetstreamBuffers(durable), remote_options)
    uplinks = Uplinks(leafs, outside, tasks)
    for name, handler in uplinks.handlers().items():
        services.add(name, handler)
    uplinks.start()
    return uplinks


FACT_STATES = {
    Condition.FLOWING: "up",
    Condition.DEGRADED: "stalled",
    Condition.STALLED: "stalled",
    Condition.DOWN: "waiting",
    Condition.DENIED: "waiting",
    Condition.CONNECTING: "dialling",
    Condition.PAUSED: "paused",
}


def uplink_facts(uplinks: Uplinks, leafs: LeafService) -> list[UplinkFact]:
    """The uplinks as status, issues and history see them; those of the configuration file last."""
    found = []
    for uplink in uplinks.uplinks.values():
        first = uplink.reasons[0] if uplink.reasons else None
        found.append(
            UplinkFact(
                name=uplink.definition.name,
                state=FACT_STATES[uplink.condition],
                since_s=uplink.since_ns // 10**9,
                reason=first.sentence if first is not None else "",
                next_step=first.next_step if first is not None else "",
                backlog_messages=uplink.queued,
                backlog_bytes=sum(meter.state.stored_bytes for meter in uplink.meters.values()),
            )
        )
    own = {uplink.parts.remote for uplink in uplinks.uplinks.values()}
    for remote in leafs.remotes:
        if remote not in own:
            link = remote.snapshot()
            why = str(link.failure) if link.failure is not None else ""
            found.append(UplinkFact(link.hub_name or link.url, link.state.value, link.since_ns // 10**9, why))
    return found


def _refuse(request: JsonObject) -> JsonObject:
    text = "JetStream is off, so there is no store to keep an uplink in"
    raise BoxRequestFailed("unavailable", text, "Enable jetstream, or write the hub into leafnodes { remotes }.")


class UplinkBlobs:
    """Definitions and outages in the store (`leaf.uplink_ports.UplinkStore`)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        store.on_durable(self._on_durable)

    def definitions(self) -> list[Definition]:
        """Every uplink that was added."""
        return [decode(body) for _, body in self._store.list_blobs(DEFINITION_KIND)]

    async def save_definition(self, definition: Definition) -> None:
        """Keep one; returns when it is on flash."""
        await self._durable(self._store.put_blob(DEFINITION_KIND, definition.name.encode(), encode(definition)))

    async def remove_definition(self, name: str) -> None:
        """Forget one and its outages; returns when that is on flash."""
        for outage in self.outages(name):
            self._store.delete_blob(OUTAGE_KIND, _outage_key(name, outage.number))
        await self._durable(self._store.delete_blob(DEFINITION_KIND, name.encode()))

    def outages(self, name: str) -> list[Outage]:
        """The outages of one uplink."""
        prefix = f"{name}/".encode()
        return [
            msgspec.json.decode(body, type=Outage)
            for key, body in self._store.list_blobs(OUTAGE_KIND)
            if key.startswith(prefix)
        ]

    def save_outage(self, name: str, number: int, outage: Outage | None) -> None:
        """Keep one; None: forget it. On flash with the next commit."""
        key = _outage_key(name, number)
        if outage is None:
            self._store.delete_blob(OUTAGE_KIND, key)
        else:
            self._store.put_blob(OUTAGE_KIND, key, msgspec.json.encode(outage))

    async def _durable(self, lsn: int) -> None:
        if lsn <= self._store.health().durable_lsn:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((lsn, future))
        try:
            async with asyncio.timeout(DURABLE_TIMEOUT_S):
                await future
        except TimeoutError as error:
            text = f"the store did not take the change within {DURABLE_TIMEOUT_S:g} s"
            raise BoxRequestFailed("unavailable", text, "Look at the storage: leafbox doctor.") from error

    def _on_durable(self, lsn: int) -> None:
        left = []
        for wanted, future in self._waiting:
            if wanted > lsn:
                left.append((wanted, future))
            elif not future.done():
                future.set_result(None)
        self._waiting = left


class JetstreamBuffers:
    """Local streams as an uplink steers them (`leaf.uplink_ports.Buffers`)."""

    def __init__(self, durable: DurableSide) -> None:
        self._jetstream = durable.jetstream

    def state(self, account: str, stream: str) -> BufferState | None:
        """How a buffer stands; None: there is no such stream."""
        found = self._stream(account, stream)
        if found is None:
            return None
        store = found.store
        state = store.state()
        fetchers = _fetchers(found)
        limit = found.config.max_bytes
        return BufferState(
            messages=state.messages,
            stored_bytes=state.stored_bytes,
            first_seq=state.first_seq,
            last_seq=state.last_seq,
            first_ts_ns=state.first_ts_ns,
            acknowledged_seq=max((consumer.floor_stream_seq for consumer in fetchers), default=0),
            is_fetched=bool(fetchers),
            is_listened=any(consumer.has_interest for consumer in fetchers),
            is_full=limit > 0 and state.stored_bytes >= limit * FULL_SHARE,
            asked_again=next((consumer.asked_again for consumer in fetchers if consumer.asked_again), None),
        )

    def steer(self, account: str, stream: str, bytes_per_second: int, *, is_held: bool) -> None:
        """Cap or hold what the hub's consumers fetch; a consumer of anybody else is left alone."""
        found = self._stream(account, stream)
        for consumer in _fetchers(found) if found is not None else ():
            if consumer.bytes_per_second != bytes_per_second:
                consumer.bytes_per_second = bytes_per_second
                consumer.burst_bytes = max(int(bytes_per_second * CAP_BURST_S), 1)
                consumer.wake()
            if consumer.is_paused != is_held and consumer.config.pause_until is None:
                consumer.is_paused = is_held
                consumer.wake()

    def _stream(self, account: str, stream: str) -> Stream | None:
        owner = self._jetstream.account(account)
        return owner.streams.get(stream) if owner is not None else None


def _fetchers(stream: Stream) -> list[Consumer]:
    """The consumers that a stream elsewhere made here to source from it."""
    return [consumer for consumer in stream.consumers.values() if consumer.config.sourcing]


def _outage_key(name: str, number: int) -> bytes:
    return f"{name}/{number:08d}".encode()


def remote_options(definition: Definition) -> LeafRemoteOptions:
    """What the link layer dials with. Raises `BoxRequestFailed` for a URL or a file that cannot be used."""
    for path in (definition.credentials_file, definition.ca_file, definition.cert_file, definition.key_file):
        if path and not Path(path).is_file():
            raise BoxRequestFailed("invalid", f"there is no file {path}", "The box reads it itself: name it in full.")
    if bool(definition.cert_file) != bool(definition.key_file):
        raise BoxRequestFailed("invalid", "a client certificate needs both --cert and --key")
    urls = tuple(_leaf_url(text.strip()) for text in definition.url.split(","))
    if len({url.is_websocket for url in urls}) > 1:
        raise BoxRequestFailed("invalid", "either all URLs of an uplink are ws/wss, or none is")
    tls = None
    if definition.ca_file or definition.cert_file or definition.is_handshake_first:
        tls = TlsOptions(
            cert_file=definition.cert_file,
            key_file=definition.key_file,
            ca_file=definition.ca_file,
            is_handshake_first=definition.is_handshake_first,
        )
    return LeafRemoteOptions(
        urls=urls,
        account=definition.account,
        credentials_file=definition.credentials_file,
        # What is forwarded goes up only: else the buffers of all boxes at one hub would take each other's readings.
        deny_imports=tuple(subject for forward in definition.forwards for subject in forward.subjects),
        tls=tls,
        dial_timeout_s=5.0,
        first_info_timeout_s=5.0,
    )


def _leaf_url(text: str) -> LeafUrl:
    """The text holds a password, perhaps: it is not repeated in errors."""
    next_step = "As in nats-leaf://hub.example.com:7422, tls://user:password@hub.example.com or wss://hub.example.com."
    try:
        url = parse_url(text if "://" in text else f"nats-leaf://{text}")
        port = int(url.port) if url.port else DEFAULT_PORTS.get(url.scheme, DEFAULT_LEAF_PORT)
    except (AddressError, ValueError) as error:
        raise BoxRequestFailed("invalid", "the URL of the hub cannot be read", next_step) from error
    if url.scheme not in SCHEMES or not url.host or not 0 < port < 65536:
        raise BoxRequestFailed("invalid", f'"{url.scheme}" with host "{url.host}" is no address of a hub', next_step)
    return LeafUrl(url.scheme, url.host, port, url.path, url.username, url.password)
