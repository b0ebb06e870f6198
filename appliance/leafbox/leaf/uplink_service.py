"""All uplinks that were added by command: durable, hot, and the requests about them (`uplink.<verb>`).

Uplinks of the configuration file stay what they are, remotes of the link layer; they are listed here with what the link
knows, and changed in the file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from leafbox.leaf.remote import LeafRemote, UplinkState
from leafbox.leaf.service import LeafService
from leafbox.leaf.uplink import Uplink, UplinkParts
from leafbox.leaf.uplink_definition import Definition, Forward, buffer_name, checked
from leafbox.leaf.uplink_ledger import Ledger, Outage
from leafbox.leaf.uplink_ports import Buffers, RemoteMaker, UplinkStore
from leafbox.leaf.uplink_reasons import Condition, reason, reason_of_failure
from leafbox.leaf.uplink_report import outage_json, reason_json, since_text, status
from leafbox.leaf.uplink_requests import ApiRefused, NoAnswer, Requests
from leafbox.leaf.uplink_snippet import hub_snippet
from leafbox.leaf.uplink_steps import UplinkTest
from leafbox.protocol.errors import BoxRequestFailed
from leafbox.protocol.jetstream.go_json import JsonObject

UPLINKS_MAX = 16
"""A site has one hub, perhaps a second; each uplink costs a link, two tasks and a look each second."""

T = TypeVar("T")
Handler = Callable[[JsonObject], "JsonObject | Awaitable[JsonObject]"]


class AddForward(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One forward as it is asked for; what is empty is derived from the subjects."""

    subjects: tuple[str, ...]
    stream: str = ""
    hub_stream: str = ""
    rate_bytes: int = 0
    priority: int = 5
    buffer_bytes: int = 0
    replicas: int = 1

    def forward(self) -> Forward:
        """With its names."""
        stream = self.stream or buffer_name(self.subjects[0] if self.subjects else "")
        found = Forward(self.subjects, stream, self.hub_stream or stream, self.rate_bytes, self.priority)
        return msgspec.structs.replace(
            found, replicas=self.replicas, **({"buffer_bytes": self.buffer_bytes} if self.buffer_bytes else {})
        )


class AddRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`uplink.add`."""

    url: str
    name: str = ""
    account: str = "$G"
    credentials_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    is_handshake_first: bool = False
    forwards: tuple[AddForward, ...] = ()


class NameRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests about one uplink; without a name the only one is meant."""

    name: str = ""


class RemoveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`uplink.rm`. `is_forced`: although messages wait; they stay in the local stream."""

    name: str = ""
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class UplinkOutside:
    """What wiring supplies."""

    store: UplinkStore
    buffers: Buffers
    make_remote: RemoteMaker


class Uplinks:
    """The uplinks of one box. Belongs to the loop."""

    def __init__(self, leafs: LeafService, outside: UplinkOutside, tasks: asyncio.TaskGroup) -> None:
        self._leafs = leafs
        self._outside = outside
        self._tasks = tasks
        self.uplinks: dict[str, Uplink] = {}

    def start(self) -> None:
        """Bring back what was added before. An uplink that cannot be used any more is told and skipped."""
        for definition in self._outside.store.definitions():
            try:
                self._begin(definition)
            except BoxRequestFailed as refused:
                self._leafs.context.logger.error("uplink %s cannot be started: %s", definition.name, refused)

    def stop(self) -> None:
        """Close all links."""
        for uplink in self.uplinks.values():
            uplink.stop()
        self.uplinks.clear()

    def handlers(self) -> dict[str, Handler]:
        """By name of the request."""
        return {
            "uplink.add": self.add,
            "uplink.status": self.status,
            "uplink.test": self.test,
            "uplink.pause": self.pause,
            "uplink.resume": self.resume,
            "uplink.drain": self.drain,
            "uplink.outages": self.outages,
            "uplink.hub-snippet": self.snippet,
            "uplink.rm": self.remove,
        }

    # -- requests -----------------------------------------------------------------------------------------------------

    async def add(self, request: JsonObject) -> JsonObject:
        """Add an uplink; it is on flash when this returns. The link is made meanwhile."""
        asked = _read(request, AddRequest)
        definition = self._definition(asked)
        if definition.name in self.uplinks:
            text = f'there is an uplink "{definition.name}" already'
            raise BoxRequestFailed("conflict", text, "Choose another --name, or remove that one first.")
        if len(self.uplinks) >= UPLINKS_MAX:
            raise BoxRequestFailed("too_many", f"there are {UPLINKS_MAX} uplinks already")
        for forward in definition.forwards:
            if any(forward.stream == other.stream for up in self.uplinks.values() for other in up.definition.forwards):
                text = f'another uplink forwards the local stream "{forward.stream}"'
                raise BoxRequestFailed("conflict", text, "A message goes to one hub; choose other subjects.")
        uplink = self._prepare(definition)
        self.uplinks[definition.name] = uplink
        try:
            await self._outside.store.save_definition(definition)
        except BaseException:
            self.uplinks.pop(definition.name, None)
            uplink.stop()
            raise
        uplink.start(self._tasks)
        return status(uplink)

    def status(self, request: JsonObject) -> JsonObject:
        """All uplinks, or one by name; those of the configuration file as well."""
        asked = _read(request, NameRequest)
        if asked.name:
            return {"uplinks": [status(self._find(asked.name))]}
        own = {uplink.parts.remote for uplink in self.uplinks.values()}
        configured = [_configured(remote) for remote in self._leafs.remotes if remote not in own]
        return {"uplinks": [*(status(uplink) for uplink in self.uplinks.values()), *configured]}

    async def test(self, request: JsonObject) -> JsonObject:
        """Walk the way to the hub."""
        return await UplinkTest(self._find(_read(request, NameRequest).name)).run()

    async def pause(self, request: JsonObject) -> JsonObject:
        """Close the link until `resume`, also across restarts; everything is kept here."""
        return await self._set_paused(request, True)

    async def resume(self, request: JsonObject) -> JsonObject:
        """Dial again."""
        return await self._set_paused(request, False)

    async def _set_paused(self, request: JsonObject, is_paused: bool) -> JsonObject:
        uplink = self._find(_read(request, NameRequest).name)
        if uplink.definition.is_paused is not is_paused:
            definition = msgspec.structs.replace(uplink.definition, is_paused=is_paused)
            await self._outside.store.save_definition(definition)
            (uplink.pause if is_paused else uplink.resume)(definition)
        return status(uplink)

    def drain(self, request: JsonObject) -> JsonObject:
        """Lift rate caps and priorities until nothing waits any more."""
        uplink = self._find(_read(request, NameRequest).name)
        if uplink.definition.is_paused:
            raise BoxRequestFailed("paused", f'uplink "{uplink.definition.name}" is paused', "Resume it first.")
        uplink.is_draining = uplink.queued > 0
        return status(uplink)

    def outages(self, request: JsonObject) -> JsonObject:
        """The ledger, newest first."""
        uplink = self._find(_read(request, NameRequest).name)
        outages: list[JsonObject] = [outage_json(outage) for outage in reversed(uplink.parts.ledger.outages)]
        return {"name": uplink.definition.name, "outages": list(outages)}

    def snippet(self, request: JsonObject) -> JsonObject:
        """What to run or write at the hub."""
        uplink = self._find(_read(request, NameRequest).name)
        hub_domain = uplink.parts.remote.snapshot().hub_domain
        text = hub_snippet(uplink.definition, uplink.parts.own_domain or "BOX", hub_domain)
        return {"name": uplink.definition.name, "text": text}

    async def remove(self, request: JsonObject) -> JsonObject:
        """End an uplink. Its buffers are removed when they are empty, and stay when they are not."""
        asked = _read(request, RemoveRequest)
        uplink = self._find(asked.name)
        name = uplink.definition.name
        if uplink.queued and not asked.is_forced:
            text = f'{uplink.queued} messages of uplink "{name}" wait for the hub'
            next_step = "Wait for `leafbox uplink drain`, or use --force: they stay in the local streams then."
            raise BoxRequestFailed("not_empty", text, next_step)
        notes = await self._let_go(uplink)
        await self._outside.store.remove_definition(name)
        uplink.stop("Uplink Removed")
        self._leafs.detach(uplink.parts.remote)
        self.uplinks.pop(name, None)
        return {"name": name, "notes": list(notes)}

    async def _let_go(self, uplink: Uplink) -> list[str]:
        """Tell the hub to fetch no more, remove empty buffers; what could not be done."""
        notes = []
        for forward in uplink.definition.forwards:
            try:
                if uplink.hub is None:
                    raise NoAnswer("there is no link")
                await uplink.hub.stop_fetching(forward)
            except (NoAnswer, ApiRefused) as error:
                notes.append(f"stream {forward.hub_stream} at the hub still has this box as a source ({error})")
            state = self._outside.buffers.state(uplink.definition.account, forward.stream)
            if state is None:
                continue
            if state.messages:
                notes.append(f"stream {forward.stream} is kept: {state.messages} messages are in it")
                continue
            try:
                await uplink.parts.requests.api("$JS.API", f"STREAM.DELETE.{forward.stream}")
            except (NoAnswer, ApiRefused) as error:
                notes.append(f"stream {forward.stream} could not be removed: {error}")
        return notes

    # -- making one ---------------------------------------------------------------------------------------------------

    def _definition(self, asked: AddRequest) -> Definition:
        name = asked.name or ("hub" if "hub" not in self.uplinks else f"hub{len(self.uplinks) + 1}")
        return checked(
            Definition(
                name=name,
                url=asked.url,
                account=asked.account,
                credentials_file=asked.credentials_file,
                ca_file=asked.ca_file,
                cert_file=asked.cert_file,
                key_file=asked.key_file,
                is_handshake_first=asked.is_handshake_first,
                forwards=tuple(forward.forward() for forward in asked.forwards),
                created_ns=time.time_ns(),
            )
        )

    def _begin(self, definition: Definition) -> None:
        uplink = self.uplinks[definition.name] = self._prepare(definition)
        uplink.start(self._tasks)

    def _prepare(self, definition: Definition) -> Uplink:
        """Everything that can be refused is looked at here, before anything is kept."""
        context, store = self._leafs.context, self._outside.store
        options = self._outside.make_remote(definition)
        account = context.broker.account(definition.account)
        if account is None:
            text = f'there is no account "{definition.account}" here'
            raise BoxRequestFailed("not_found", text, "Name an account of the configuration with --account.")
        if definition.forwards and not context.has_jetstream(account):
            text = f'JetStream is not enabled for account "{definition.account}", so nothing can be kept and forwarded'
            raise BoxRequestFailed("unavailable", text, "Enable jetstream in the configuration.")

        def save(number: int, outage: Outage | None) -> None:
            store.save_outage(definition.name, number, outage)

        remote = self._leafs.attach(options)
        remote.tells_early = bool(definition.forwards)
        parts = UplinkParts(
            remote=remote,
            requests=Requests(account),
            buffers=self._outside.buffers,
            ledger=Ledger(store.outages(definition.name), save),
            own_domain=context.domain(),
        )
        return Uplink(definition, parts)

    def _find(self, name: str) -> Uplink:
        if not name and len(self.uplinks) == 1:
            return next(iter(self.uplinks.values()))
        uplink = self.uplinks.get(name)
        if uplink is None:
            known = ", ".join(self.uplinks) or "none"
            text = f'there is no uplink "{name}"' if name else "say which uplink is meant"
            raise BoxRequestFailed("not_found", f"{text}; there is: {known}", "leafbox uplink status")
        return uplink


def _read(request: JsonObject, kind: type[T]) -> T:
    try:
        return msgspec.convert(request, kind)
    except msgspec.ValidationError as error:
        raise BoxRequestFailed("invalid", f"the request is not understood: {error}") from error


def _configured(remote: LeafRemote) -> JsonObject:
    """An uplink of the configuration file: what the link knows."""
    snapshot = remote.snapshot()
    if snapshot.state is UplinkState.UP:
        condition, why = Condition.FLOWING, None
    elif snapshot.state is UplinkState.DISABLED:
        condition, why = Condition.PAUSED, reason("paused", "disabled in the configuration")
    else:
        why = reason("connecting") if snapshot.failure is None else reason_of_failure(snapshot.failure)
        condition = why.condition
    return {
        "name": "",
        "url": snapshot.url,
        "account": snapshot.account,
        "condition": condition.value,
        "sentence": why.sentence if why else "The link of the configuration file is up; its data flow is not probed.",
        "since": since_text(snapshot.since_ns),
        "reasons": [reason_json(why)] if why else [],
        "link": {
            "state": snapshot.state.value,
            "attempts": snapshot.attempts,
            "rtt_ms": round(snapshot.rtt_ns / 1e6, 3),
        },
        "hub": {"name": snapshot.hub_name, "domain": snapshot.hub_domain, "version": ""},
        "forwards": [],
        "queued": 0,
    }
