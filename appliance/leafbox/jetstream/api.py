"""The JetStream API of one account: finds the handler for a request, answers it, audits it.

A handler takes an `ApiCall` and returns the response's fields, or raises `RequestRejected`; what it changed is durable
before the response leaves (`ApiCall.lsn`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from leafbox.jetstream.context import API_LEVEL
from leafbox.jetstream.names import PROTECTED_PREFIX, SHOWN_PREFIX
from leafbox.protocol.errors import RequestRejected, StoreError
from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import headers
from leafbox.protocol.jetstream.consumer_config import CreateConsumerRequest
from leafbox.protocol.jetstream.go_json import GoStruct, InvalidJson, JsonObject, decode, encode, to_object, unmarshal

if TYPE_CHECKING:
    from leafbox.jetstream.account import JetStreamAccount
    from leafbox.jetstream.consumer import Consumer
    from leafbox.jetstream.stream import Stream

NAMES_LIMIT = 1024
LIST_LIMIT = 256

T = TypeVar("T", bound=GoStruct)


@dataclass(slots=True)
class ApiCall:
    """One request: its subject's tokens after `$JS.API`, body, header, who asked."""

    owner: JetStreamAccount
    tokens: list[str]
    reply: bytes
    header: bytes
    body: bytes
    origin: object
    lsn: int = 0
    response_header: bytes = b""
    counts_error: bool = True
    is_tracked: bool = True

    def decoded(self, kind: type[T]) -> T:
        """The body as `kind`; `RequestRejected` (10025) if it is not."""
        try:
            return decode(kind, self.body, strict=self.owner.context.options.is_strict)
        except InvalidJson as error:
            raise errors.INVALID_JSON.rejected(err=error) from None

    def unmarshalled(self, kind: type[T]) -> T:
        """The body as `kind`, unknown fields allowed; `RequestRejected` (10025) if it is not."""
        try:
            return unmarshal(kind, self.body)
        except InvalidJson as error:
            raise errors.INVALID_JSON.rejected(err=error) from None

    @property
    def is_empty(self) -> bool:
        """No body, or an empty JSON object."""
        body = self.body.strip()
        return not body or body in (b"{}", b"[]", b"null") or body.replace(b" ", b"") == b"{}"

    def stream(self, index: int = 2) -> Stream:
        """The stream named by a token; `RequestRejected` (10059) if there is none."""
        stream = self.owner.streams.get(self.tokens[index])
        if stream is None:
            raise errors.STREAM_NOT_FOUND.rejected()
        return stream

    def consumer(self) -> Consumer:
        """The consumer named by the last two tokens; `RequestRejected` (10059, 10014) if there is none."""
        consumer = self.stream().consumers.get(self.tokens[3])
        if consumer is None:
            raise errors.CONSUMER_NOT_FOUND.rejected()
        return consumer


Handler: TypeAlias = Callable[[ApiCall], "JsonObject | None"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A handler, the response's type name, how many tokens the subject must have, and what an error response shows.

    `is_counted` False: not among the account's API requests (answered by the consumer itself in nats-server).
    """

    handler: Handler
    response: str
    token_count: int
    has_more_tokens: bool = False
    is_counted: bool = True
    on_error: Callable[[], JsonObject] = dict


def find_endpoint(endpoints: Mapping[tuple[str, ...], Endpoint], tokens: list[str]) -> Endpoint | None:
    """Who answers a request with these tokens after `$JS.API`; None: no such request."""
    found = endpoints.get(tuple(tokens[:2])) or endpoints.get(tuple(tokens[:3])) or endpoints.get((tokens[0],))
    if found is None or len(tokens) < found.token_count:
        return None
    return found if len(tokens) == found.token_count or found.has_more_tokens else None


class ApiRouter:
    """All endpoints, by the words of their subjects."""

    def __init__(self, owner: JetStreamAccount, endpoints: dict[tuple[str, ...], Endpoint]) -> None:
        self._owner = owner
        self._endpoints = endpoints
        self.total = 0
        self.error_count = 0

    def receive(self, subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: object) -> bool | None:
        """A message on `$JS.API.>`. False: nobody is responsible, the sender hears "no responders"."""
        text = subject.decode("utf-8", "replace")
        tokens = text.split(".")[2:]
        if tokens[:3] == ["CONSUMER", "MSG", "NEXT"]:
            return self._next(tokens, reply, header, payload)
        if tokens[0] == "DIRECT":
            return False
        endpoint = find_endpoint(self._endpoints, tokens)
        if endpoint is None:
            return None
        call = ApiCall(self._owner, tokens, reply, header, payload, origin)
        self._answer(endpoint, call, text)
        return None

    def _next(self, tokens: list[str], reply: bytes, header: bytes, payload: bytes) -> bool | None:
        if len(tokens) != 5:
            return False
        stream = self._owner.streams.get(tokens[3])
        consumer = stream.consumers.get(tokens[4]) if stream is not None else None
        if consumer is None:
            if stream is None or stream.shown is None or stream.shown.info(tokens[4], is_listed=True) is None:
                return False
            # An MQTT session: its messages are its client's.
            if reply:
                self._owner.account.publish(reply, b"", b"", headers.status(409, "Consumer is push based"))
            return None
        consumer.request(reply, header, payload)
        return None

    def _answer(self, endpoint: Endpoint, call: ApiCall, subject: str) -> None:
        response: JsonObject = {"type": f"io.nats.jetstream.api.v1.{endpoint.response}_response"}
        try:
            if headers.requires_higher_level(call.header, API_LEVEL):
                raise errors.REQUIRED_API_LEVEL.rejected()
            refuse_tampering(call)
            fields = _handled(endpoint, call)
            if fields is None:
                return
            response.update(fields)
        except RequestRejected as rejected:
            response["error"] = {
                "code": rejected.code,
                "err_code": rejected.err_code,
                "description": self._explained(rejected),
            }
            response.update(endpoint.on_error())
            call.response_header = b""
            self.error_count += endpoint.is_counted and call.counts_error
        self.total += endpoint.is_counted and call.is_tracked
        text = encode(response)
        finish = partial(self._finish, call, subject, text)
        if call.lsn:
            self._owner.context.gate.when_durable(call.lsn, finish)
        else:
            finish()

    def _explained(self, rejected: RequestRejected) -> str:
        """The text of a refusal. Who wants replicas of a box is told where they are to be had."""
        if not errors.STREAM_REPLICAS_NOT_SUPPORTED.matches(rejected) or not (hub := self._owner.context.hub_domain()):
            return rejected.description
        return f"{rejected.description}; replicated streams live at the hub, reached as domain {hub} ($JS.{hub}.API)"

    def _finish(self, call: ApiCall, subject: str, response: bytes) -> None:
        if call.reply:
            self._owner.account.publish(call.reply, response, b"", call.response_header)
        if call.is_tracked:
            self._audit(call, subject, response)

    def _audit(self, call: ApiCall, subject: str, response: bytes) -> None:
        self._owner.advisories.audit(
            subject,
            call.body.decode("utf-8", "replace"),
            response.decode(),
            self._owner.context.describe_client(call.origin),
        )


_CHANGES = {
    ("STREAM", "CREATE"): 2,
    ("STREAM", "UPDATE"): 2,
    ("STREAM", "DELETE"): 2,
    ("STREAM", "PURGE"): 2,
    ("STREAM", "RESTORE"): 2,
    ("STREAM", "MSG", "DELETE"): 3,
}
"""Requests that change a stream, and where its name stands."""
_CONSUMER_CHANGES = {
    ("CONSUMER", "CREATE"): 2,
    ("CONSUMER", "DURABLE", "CREATE"): 3,
    ("CONSUMER", "DELETE"): 2,
    ("CONSUMER", "PAUSE"): 2,
    ("CONSUMER", "UNPIN"): 2,
    ("CONSUMER", "RESET"): 2,
}
"""Requests that change a consumer; its name stands behind the stream's, or in the body."""


def refuse_tampering(call: ApiCall) -> None:
    """`RequestRejected` for a request that would change one of the MQTT gateway's streams."""
    at = _CHANGES.get(tuple(call.tokens[:2])) or _CHANGES.get(tuple(call.tokens[:3]))
    if at is not None and len(call.tokens) > at and call.tokens[at].startswith(PROTECTED_PREFIX):
        raise errors.STREAM_INVALID_CONFIG.rejected(
            err=f"stream {call.tokens[at]} belongs to the MQTT gateway and is changed by nobody else"
        )
    at = _CONSUMER_CHANGES.get(tuple(call.tokens[:2])) or _CONSUMER_CHANGES.get(tuple(call.tokens[:3]))
    if at is None or len(call.tokens) <= at or not call.tokens[at].startswith(PROTECTED_PREFIX):
        return
    for name in (*call.tokens[at + 1 : at + 2], *_names_in_body(call)):
        if name.startswith(SHOWN_PREFIX):
            raise errors.CONSUMER_CREATE.rejected(
                err=f"consumer {name} stands for an MQTT session and is changed by its client only; "
                "an administrator can remove the session"
            )


def _names_in_body(call: ApiCall) -> tuple[str, ...]:
    """The names that a request to make a consumer gives it; a body that is no such request fails later."""
    if "CREATE" not in call.tokens[:3]:
        return ()
    try:
        config = unmarshal(CreateConsumerRequest, call.body).config
    except InvalidJson:
        return ()
    return config.durable_name, config.name


def paged(total: int, offset: int, limit: int) -> JsonObject:
    """The paging fields of list responses; the offset is clamped to the total."""
    return {"total": total, "offset": min(max(offset, 0), total), "limit": limit}


def embedded(value: GoStruct) -> JsonObject:
    """The fields of a value, to be merged into a response."""
    return to_object(value)


def _handled(endpoint: Endpoint, call: ApiCall) -> JsonObject | None:
    """The endpoint's response; a store that cannot take the change is a refusal (10023)."""
    try:
        return endpoint.handler(call)
    except StoreError:
        raise errors.INSUFFICIENT_RESOURCES.rejected() from None
