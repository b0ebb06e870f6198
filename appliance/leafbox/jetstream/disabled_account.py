"""The JetStream API of an account that has no JetStream on a server that has it: every request is refused by name.

A client then reads "JetStream not enabled for account" instead of "no responders", which would mean the whole server.
Requests go unanswered where something else may answer: over a leaf link of the account, or through an import of its
own (then `app` asks for none of this).
Source: nats-server 2.15.1 `server/jetstream_api.go` `apiDispatch`, `server/jetstream.go` `checkJetStream`.
"""

from __future__ import annotations

from collections.abc import Mapping

from leafbox.broker.account import STAYS_HERE, Account
from leafbox.dataplane.routing import Subscription
from leafbox.jetstream.api import Endpoint, find_endpoint
from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream.go_json import JsonObject, encode

_SYSTEM_DIRECTIVES = frozenset({"META", "SERVER", "ACCOUNT"})
"""First words of requests that only the system account may make; who serves them answers."""


class DisabledAccount:
    """Refuses API requests in one account from construction to `stop`."""

    def __init__(self, account: Account, endpoints: Mapping[tuple[str, ...], Endpoint], domain: str) -> None:
        self._account = account
        self._endpoints = endpoints
        prefixes = ["$JS.API.", *([f"$JS.{domain}.API."] if domain and not account.is_system else [])]
        self._subscriptions = [self._listen(prefix.encode()) for prefix in prefixes]

    def _listen(self, prefix: bytes) -> Subscription:
        def receive(subject: bytes, reply: bytes, _header: bytes, _payload: bytes, _origin: object) -> bool | None:
            return self._receive(subject[len(prefix) :].decode("utf-8", "replace").split("."), reply)

        return self._account.subscribe(prefix + b">", receive, context=STAYS_HERE)

    def stop(self) -> None:
        """The account is gone or gets JetStream."""
        for subscription in self._subscriptions:
            self._account.remove(subscription)
        self._subscriptions.clear()

    def _receive(self, tokens: list[str], reply: bytes) -> bool | None:
        """False: nobody is responsible, the sender hears "no responders"."""
        if self._account.leaf_links:
            return False
        if self._account.is_system and tokens != ["INFO"]:
            # It is told nothing more of JetStream than this, whatever it asks.
            if tokens[0] not in _SYSTEM_DIRECTIVES:
                self._refuse("system", {}, reply)
            return None
        if tokens[0] == "DIRECT" or tokens[:3] == ["CONSUMER", "MSG", "NEXT"]:
            return False
        endpoint = find_endpoint(self._endpoints, tokens)
        if endpoint is not None:
            self._refuse(endpoint.response, endpoint.on_error(), reply)
        return None

    def _refuse(self, kind: str, shown: JsonObject, reply: bytes) -> None:
        if reply:
            error = errors.NOT_ENABLED_FOR_ACCOUNT
            refusal: JsonObject = {
                "type": f"io.nats.jetstream.api.v1.{kind}_response",
                "error": {"code": error.code, "err_code": error.err_code, "description": error.description},
            }
            self._account.publish(reply, encode(refusal | shown))
