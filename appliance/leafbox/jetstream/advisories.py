"""Events under `$JS.EVENT.`: built only when somebody listens. Fields and their order are nats-server's."""

from __future__ import annotations

from leafbox.broker.account import Account
from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.context import ServerContext
from leafbox.jetstream.names import nuid
from leafbox.protocol.jetstream.go_json import Json, JsonObject, encode
from leafbox.protocol.jetstream.go_time import format_time

_ADVISORY = "io.nats.jetstream.advisory.v1."


class Advisories:
    """Publishes the events of one account."""

    def __init__(self, context: ServerContext, account: Account) -> None:
        self._context = context
        self._account = account

    def send(self, subject: str, kind: str, fields: JsonObject, *, domain_last: bool = True) -> None:
        """Publish an event of type `kind` unless nobody listens. `fields` follow the envelope; `domain` closes it."""
        target = subject.encode()
        if not self._account.has_interest(target):
            return
        event: JsonObject = {
            "type": kind if "." in kind else _ADVISORY + kind,
            "id": nuid(),
            "timestamp": format_time(now_ns()),
        }
        event.update({name: value for name, value in fields.items() if value is not None})
        if domain_last and self._context.domain:
            event["domain"] = self._context.domain
        self._account.publish(target, encode(event))

    def stream_action(self, stream: str, action: str) -> None:
        """`action` is create, modify or delete."""
        name = {"create": "CREATED", "modify": "UPDATED", "delete": "DELETED"}[action]
        self.send(f"$JS.EVENT.ADVISORY.STREAM.{name}.{stream}", "stream_action", {"stream": stream, "action": action})

    def consumer_action(self, stream: str, consumer: str, action: str) -> None:
        """`action` is create or delete."""
        name = {"create": "CREATED", "delete": "DELETED"}[action]
        self.send(
            f"$JS.EVENT.ADVISORY.CONSUMER.{name}.{stream}.{consumer}",
            "consumer_action",
            {"stream": stream, "consumer": consumer, "action": action},
        )

    def consumer_event(self, name: str, kind: str, stream: str, consumer: str, fields: JsonObject) -> None:
        """An event about one consumer, such as `MSG_NAKED`."""
        self.send(
            f"$JS.EVENT.ADVISORY.CONSUMER.{name}.{stream}.{consumer}",
            kind,
            {"stream": stream, "consumer": consumer, **fields},
        )

    def group_event(self, name: str, stream: str, consumer: str, fields: JsonObject) -> None:
        """Pinned and unpinned: `account` first, `domain` before the group's fields."""
        domain: Json = self._context.domain or None
        self.send(
            f"$JS.EVENT.ADVISORY.CONSUMER.{name}.{stream}.{consumer}",
            f"consumer_group_{name.lower()}",
            {"account": self._account.name, "stream": stream, "consumer": consumer, "domain": domain, **fields},
            domain_last=False,
        )

    def ack_metric(self, stream: str, consumer: str, fields: JsonObject) -> None:
        """A sampled acknowledgement."""
        self.send(
            f"$JS.EVENT.METRIC.CONSUMER.ACK.{stream}.{consumer}",
            "io.nats.jetstream.metric.v1.consumer_ack",
            {"stream": stream, "consumer": consumer, **fields},
        )

    def batch_abandoned(self, stream: str, batch: str, reason: str) -> None:
        """An atomic batch ended without a commit."""
        domain: Json = self._context.domain or None
        self.send(
            f"$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.{stream}",
            "stream_batch_abandoned",
            {"account": self._account.name, "stream": stream, "domain": domain, "batch": batch, "reason": reason},
            domain_last=False,
        )

    def audit(self, subject: str, request: str, response: str, client: JsonObject | None) -> None:
        """One API request and its answer."""
        fields: JsonObject = {"server": self._context.server_name, "client": client, "subject": subject}
        if request:
            fields["request"] = request
        fields["response"] = response
        self.send("$JS.EVENT.ADVISORY.API", "api_audit", fields)
