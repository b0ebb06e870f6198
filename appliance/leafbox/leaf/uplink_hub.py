"""The hub as an uplink sees it through the link: does its JetStream answer and store, and does it fetch from here.

Each look asks the hub over the same link that carries the data, so that a good answer means that data can flow. What is
wrong comes back as reasons. Not here: the link itself, the local buffers, when to look.

A hub that lets us keeps one tiny stream for the probes of all its boxes (last message of each box, in memory); one
that does not is probed with a plain request, and the status says which of the two it was.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from leafbox.leaf.dialled import DialledLink
from leafbox.leaf.uplink_definition import Forward
from leafbox.leaf.uplink_reasons import Reason, reason
from leafbox.leaf.uplink_requests import ApiRefused, NoAnswer, Requests
from leafbox.protocol.jetstream import subjects
from leafbox.protocol.jetstream.go_json import Json, JsonObject

PROBE_TIMEOUT_S = 4.0
PROBE_STREAM = "LEAFBOX_PROBE"
PROBE_SUBJECT = "leafbox.probe"
PROBE_AGE_NS = 24 * 3600 * 10**9
API_LEVEL_MIN = 4
"""Of a hub that acknowledges what it sources from a work queue (ADR-60, nats-server 2.14)."""

SOURCE_INBOX = b"$JSC.R."
_LOST_ANSWER = (
    b'{"type":"io.nats.jetstream.api.v1.consumer_create_response","error":{"code":503,"err_code":10008,'
    b'"description":"JetStream system temporarily unavailable"}}'
)
_NOT_FOUND = 10059
_NOT_ENABLED = 10039


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One round trip through the hub's JetStream. `kind`: `stored`, or `answered` where nothing may be stored."""

    kind: str
    rtt_ns: int


class Hub:
    """The far end of one link while it is up."""

    def __init__(self, link: DialledLink, requests: Requests, own_domain: str) -> None:
        assert link.hub is not None
        self.link = link
        self._requests = requests
        self.own_domain = own_domain
        self.domain = link.hub.domain
        self._can_store: bool | None = None
        self.keeping: set[str] = set()
        """Its streams that keep what they have taken: if one of them asks for it again, it is missing there."""

    @property
    def api(self) -> str:
        """Prefix of its JetStream API."""
        return f"$JS.{self.domain}.API"

    @property
    def own_api(self) -> str:
        """Prefix under which it reaches ours."""
        return f"$JS.{self.own_domain}.API"

    # -- is it fit ----------------------------------------------------------------------------------------------------

    def obstacle(self, forwards: tuple[Forward, ...]) -> Reason | None:
        """What the handshake alone tells to be in the way."""
        hub = self.link.hub
        assert hub is not None
        if not self.own_domain:
            return reason("own_domain_missing")
        if not self.domain:
            return reason("hub_jetstream_off" if not hub.jetstream else "hub_domain_missing")
        if self.domain == self.own_domain:
            return reason("domain_clash", f'both are called "{self.domain}"')
        if not hub.jetstream:
            return reason("hub_jetstream_off")
        if forwards and hub.api_lvl < API_LEVEL_MIN:
            return reason("hub_too_old", f"it is nats-server {hub.version}")
        lacking = self.lacking_permissions(forwards)
        return reason("permissions", "; ".join(lacking)) if lacking else None

    @property
    def offers_jetstream(self) -> bool:
        """Whether the hub has told us that somebody there takes JetStream requests of this account."""
        return any(
            (subject.encode(), None) in self.link.remote_interest for subject in (f"{self.api}.INFO", f"{self.api}.>")
        )

    def lacking_permissions(self, forwards: tuple[Forward, ...]) -> list[str]:
        """What the hub's user may not do although the uplink needs it."""
        going, telling = self.link.rules.outgoing, self.link.rules.telling
        publish, subscribe = needed_permissions(self.own_domain, self.domain, bool(forwards))
        lacking = [
            f"may not publish {subject}"
            for subject in publish
            if going is not None and not going.allows_publish(subject.replace(">", "x").encode())
        ]
        return lacking + [
            f"may not subscribe {subject}"
            for subject in subscribe
            if telling is not None and not telling.allows_subscribe(subject.replace("LEAFBOX.>", "LEAFBOX.x").encode())
        ]

    # -- does it answer -----------------------------------------------------------------------------------------------

    async def probe(self) -> ProbeResult:
        """Store one message at the hub and wait for its acknowledgement. Raises `NoAnswer` and `ApiRefused`."""
        if self._can_store is None:
            self._can_store = await self._prepare_probe()
        started_ns = time.monotonic_ns()
        if not self._can_store:
            await self._requests.api(self.api, "INFO", timeout_s=PROBE_TIMEOUT_S)
            return ProbeResult("answered", time.monotonic_ns() - started_ns)
        answer = await self._requests.ask(f"{PROBE_SUBJECT}.{self.own_domain}", b"", PROBE_TIMEOUT_S)
        if b'"error"' in answer:
            self._can_store = None
        return ProbeResult("stored", time.monotonic_ns() - started_ns)

    async def _prepare_probe(self) -> bool:
        """Whether the probes' stream is there now."""
        await self._requests.api(self.api, "INFO", timeout_s=PROBE_TIMEOUT_S)
        try:
            await self._requests.api(self.api, f"STREAM.INFO.{PROBE_STREAM}", timeout_s=PROBE_TIMEOUT_S)
            return True
        except ApiRefused as refused:
            if refused.code != _NOT_FOUND:
                return False
        config: JsonObject = {
            "name": PROBE_STREAM,
            "subjects": [f"{PROBE_SUBJECT}.*"],
            "storage": "memory",
            "max_msgs_per_subject": 1,
            "max_age": PROBE_AGE_NS,
            "discard": "old",
        }
        try:
            await self._requests.api(self.api, f"STREAM.CREATE.{PROBE_STREAM}", config)
        except (ApiRefused, NoAnswer):
            return False
        return True

    async def account_problem(self) -> Reason | None:
        """Whether JetStream of the hub's account is enabled and has room. Raises `NoAnswer`."""
        try:
            info = await self._requests.api(self.api, "INFO", timeout_s=PROBE_TIMEOUT_S)
        except ApiRefused as refused:
            code = "hub_jetstream_off" if refused.code == _NOT_ENABLED else "hub_silent"
            return reason(code, f"the hub says: {refused}")
        limits = info.get("limits")
        most, used = number(limits, "max_storage"), number(info, "storage")
        if most > 0 and used >= most:
            return reason("hub_full", f"the account's storage is used up: {used} of {most} bytes")
        return None

    # -- does it fetch ------------------------------------------------------------------------------------------------

    async def check_forward(self, forward: Forward) -> Reason | None:
        """See that the hub's stream fetches from the buffer, make it so if allowed. Raises `NoAnswer`."""
        try:
            info = await self._requests.api(self.api, f"STREAM.INFO.{forward.hub_stream}")
        except ApiRefused as refused:
            if refused.code != _NOT_FOUND:
                return reason("hub_stream_missing", f"the hub says: {refused}")
            return await self._change("CREATE", hub_stream_config(forward, self.own_api))
        config = info.get("config")
        if not isinstance(config, dict):
            return reason("hub_stream_missing", "the hub's answer has no configuration")
        if config.get("retention") == "limits":
            self.keeping.add(forward.hub_stream)
        taken = [str(subject) for subject in listed(config, "subjects")]
        if any(subjects.overlap(one, other) for one in taken for other in forward.subjects):
            return reason("hub_stream_overlaps", f"{forward.hub_stream} listens on {', '.join(taken)}")
        sources = listed(config, "sources")
        if not any(self._is_ours(source, forward) for source in sources):
            return await self._change("UPDATE", {**config, "sources": [*sources, source_of(forward, self.own_api)]})
        return _full(forward.hub_stream, config, info.get("state"))

    async def stop_fetching(self, forward: Forward) -> None:
        """Take our buffer off the hub's stream. Raises `NoAnswer` and `ApiRefused`."""
        info = await self._requests.api(self.api, f"STREAM.INFO.{forward.hub_stream}")
        config = info.get("config")
        if isinstance(config, dict):
            left = [source for source in listed(config, "sources") if not self._is_ours(source, forward)]
            await self._requests.api(
                self.api, f"STREAM.UPDATE.{forward.hub_stream}", {**config, "sources": left or None}
            )

    async def source_error(self, forward: Forward) -> str:
        """What the hub says about fetching from here; empty: nothing. Raises `NoAnswer` and `ApiRefused`."""
        info = await self._requests.api(self.api, f"STREAM.INFO.{forward.hub_stream}")
        for source in listed(info, "sources"):
            error = source.get("error") if isinstance(source, dict) else None
            if self._is_ours(source, forward) and isinstance(error, dict):
                return str(error.get("description", ""))
        return ""

    def open_requests(self) -> set[bytes]:
        """Inboxes on which the hub's streams wait for an answer about a consumer."""
        return {subject for subject, _ in self.link.remote_interest if subject.startswith(SOURCE_INBOX)}

    def answer_lost(self, inbox: bytes) -> None:
        """Say on an inbox that the request did not get here: the stream asks again after 10 s instead of 40.

        nats-server asks as soon as it has read CONNECT, when it cannot know yet that we would answer; that request goes
        nowhere, and it waits half a minute for its answer.
        """
        account = self.link.account
        if account is not None:
            account.publish(inbox, _LOST_ANSWER)

    def _is_ours(self, source: object, forward: Forward) -> bool:
        if not isinstance(source, dict) or source.get("name") != forward.stream:
            return False
        external = source.get("external")
        return isinstance(external, dict) and external.get("api") == self.own_api

    async def _change(self, verb: str, config: JsonObject) -> Reason | None:
        try:
            await self._requests.api(self.api, f"STREAM.{verb}.{config['name']}", config)
        except ApiRefused as refused:
            return reason("hub_stream_missing", f"the hub says: {refused}")
        return None


def needed_permissions(own_domain: str, hub_domain: str, is_forwarding: bool) -> tuple[list[str], list[str]]:
    """What the hub's user must be allowed to publish and to subscribe."""
    publish = [f"$JS.{hub_domain}.API.>"]
    subscribe = ["_INBOX.LEAFBOX.>"]
    if is_forwarding:
        publish += ["$JSC.R.>", "$JS.S.>"]
        subscribe += [f"$JS.{own_domain}.API.CONSUMER.>", "$JS.FC.>"]
    return publish, subscribe


def source_of(forward: Forward, own_api: str) -> JsonObject:
    """The entry in the hub stream's `sources`."""
    return {"name": forward.stream, "external": {"api": own_api, "deliver": ""}}


def hub_stream_config(forward: Forward, own_api: str) -> JsonObject:
    """The hub's stream when it is made from here: no subjects of its own, everything comes from boxes."""
    return {
        "name": forward.hub_stream,
        "storage": "file",
        "retention": "limits",
        "num_replicas": forward.replicas,
        "sources": [source_of(forward, own_api)],
    }


def number(found: object, key: str) -> int:
    """A number of a JSON object; 0 if it is not there."""
    value = found.get(key) if isinstance(found, dict) else None
    return value if isinstance(value, int) else 0


def listed(found: JsonObject, key: str) -> list[Json]:
    """A list of a JSON object; empty if it is not there."""
    value = found.get(key)
    return value if isinstance(value, list) else []


def _full(name: str, config: JsonObject, state: object) -> Reason | None:
    """A stream that discards old messages is never full."""
    if config.get("discard") != "new":
        return None
    for limit, used in (("max_msgs", "messages"), ("max_bytes", "bytes")):
        most, has = number(config, limit), number(state, used)
        # One more message of ordinary size does not fit.
        room = 256 if used == "bytes" else 1
        if most > 0 and has + room > most:
            return reason("hub_full", f"stream {name} has {has} of {most} {used}")
    return None
