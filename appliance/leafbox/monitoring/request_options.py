"""The JSON body of a monitoring request over NATS: a filter for servers, and options under other names than in HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from leafbox.monitoring.connz import ConnectionState, ConnzOptions
from leafbox.monitoring.healthz import HealthzOptions
from leafbox.monitoring.jsz import JszOptions
from leafbox.monitoring.subsz import SubszOptions
from leafbox.monitoring.varz import ServerFacts


class BadRequest(Exception):
    """The body is not what it should be: error 400."""


class RequestBody:
    """One body; values by name, of the type asked for. All reading raises `BadRequest`."""

    def __init__(self, payload: bytes) -> None:
        self._values: Mapping[str, object] = {}
        if payload.strip():
            try:
                values = json.loads(payload)
            except (ValueError, RecursionError) as error:
                raise BadRequest(f"invalid JSON: {error}") from error
            if not isinstance(values, dict):
                raise BadRequest("json: cannot unmarshal into Go value: not an object")
            self._values = values

    def text(self, name: str) -> str:
        """A string, empty when missing."""
        value = self._values.get(name)
        if value is None or isinstance(value, str):
            return value or ""
        raise BadRequest(f"json: {name} must be a string")

    def flag(self, name: str) -> bool:
        """A boolean, false when missing."""
        value = self._values.get(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise BadRequest(f"json: {name} must be a boolean")

    def number(self, name: str) -> int:
        """An integer, 0 when missing."""
        value = self._values.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value or 0
        raise BadRequest(f"json: {name} must be an integer")

    def texts(self, name: str) -> list[str]:
        """A list of strings, empty when missing."""
        value = self._values.get(name)
        if value is None:
            return []
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
        raise BadRequest(f"json: {name} must be a list of strings")

    def selects(self, name: str, cluster: str, facts: ServerFacts) -> bool:
        """Whether the filter in the body lets this server answer; an empty filter always does."""
        is_exact = self.flag("exact_match")
        own = (
            ("server_name", name),
            ("host", facts.host),
            ("cluster", cluster),
            ("domain", facts.jetstream_domain),
        )
        for key, value in own:
            wanted = self.text(key)
            if wanted and not (wanted == value if is_exact or key == "domain" else wanted in value):
                return False
        return set(self.texts("tags")) <= set(facts.tags)

    def connz(self, account: str = "") -> ConnzOptions:
        """Options of CONNZ; `account` given: only that account's, whatever the body says."""
        state = self.number("state")
        if state not in tuple(ConnectionState):
            raise BadRequest("json: state must be 0, 1 or 2")
        return ConnzOptions(
            sort=self.text("sort"),
            shows_auth=self.flag("auth"),
            lists_subscriptions=self.flag("subscriptions"),
            details_subscriptions=self.flag("subscriptions_detail"),
            offset=self.number("offset"),
            limit=self.number("limit"),
            cid=self.number("cid"),
            state=ConnectionState(state),
            user=self.text("user"),
            account=account or self.text("acc"),
            mqtt_client=self.text("mqtt_client"),
        )

    def subsz(self, account: str = "") -> SubszOptions:
        """Options of SUBSZ; `account` given: that account's subscriptions, listed."""
        return SubszOptions(
            lists_subscriptions=bool(account) or self.flag("subscriptions"),
            offset=self.number("offset"),
            limit=self.number("limit"),
            account=account or self.text("account"),
            test=self.text("test"),
        )

    def account_jsz(self) -> JszOptions:
        """Options of an account's own JSZ: here consumers do not imply streams."""
        return replace(self.jsz(), streams=self.flag("streams"))

    def jsz(self) -> JszOptions:
        """Options of JSZ."""
        consumers = self.flag("consumer")
        streams = self.flag("streams") or consumers
        return JszOptions(
            account=self.text("account"),
            accounts=self.flag("accounts") or streams,
            streams=streams,
            consumers=consumers,
            direct_consumers=self.flag("direct_consumer"),
            config=self.flag("config"),
            leader_only=self.flag("leader_only"),
            raft=self.flag("raft"),
            stream_leader_only=self.flag("stream_leader_only"),
            offset=self.number("offset"),
            limit=self.number("limit"),
        )

    def healthz(self) -> HealthzOptions:
        """Options of HEALTHZ."""
        return HealthzOptions(
            js_enabled_only=self.flag("js-enabled-only"),
            js_server_only=self.flag("js-server-only"),
            js_meta_only=self.flag("js-meta-only"),
            account=self.text("account"),
            stream=self.text("stream"),
            consumer=self.text("consumer"),
            details=self.flag("details"),
        )
