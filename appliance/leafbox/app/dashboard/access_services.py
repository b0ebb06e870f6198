"""`$LEAFBOX` nouns access, accounts, monitoring: what the NATS configuration allows whom, and the monitoring paths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import leafbox
from leafbox.app.configuration.options import Options
from leafbox.app.dashboard.people_services import optional, text
from leafbox.broker.broker import Broker
from leafbox.broker.config import GLOBAL_ACCOUNT, Permissions, SubjectPermission
from leafbox.broker.permission_tables import permission_tables
from leafbox.dataplane.subjects import is_subset, is_valid_literal, is_valid_subject
from leafbox.monitoring.box_services import BoxServices
from leafbox.monitoring.documents import MonitoringDocuments
from leafbox.monitoring.endpoints import Endpoints
from leafbox.protocol.errors import BoxRequestFailed
from leafbox.protocol.jetstream.go_json import Json, JsonObject

PATHS = frozenset({"varz", "connz", "jsz", "subsz", "leafz", "accountz", "accstatz", "routez", "gatewayz", "healthz"})
QUERY_CHARACTERS_MAX = 2048


class ConfiguredServer(Protocol):
    """What of the server is needed."""

    options: Options
    broker: Broker
    monitoring: MonitoringDocuments


@dataclass(frozen=True, slots=True)
class NamedUser:
    """A user of the configuration, whatever block it stands in."""

    name: str
    account: str
    kind: str
    permissions: Permissions | None


class AccessServices:
    """Questions about the running configuration. Belongs to the loop."""

    def __init__(self, server: ConfiguredServer) -> None:
        self._server = server
        self._endpoints = Endpoints(server.monitoring, "/")

    def register(self, services: BoxServices) -> None:
        """Answer the nouns."""
        services.add("accounts.list", self.accounts)
        services.add("access.users", self.list_users)
        services.add("access.test", self.test)
        services.add("monitoring.get", self.monitoring)

    def accounts(self, request: JsonObject) -> JsonObject:
        """Accounts that hold data, the one a page shows first, and which box this is."""
        broker, options = self._server.broker, self._server.options
        names = sorted(name for name, account in broker.accounts.items() if not account.is_system)
        configured = [account.name for account in options.broker.accounts if account.name in names]
        with_streams = [account.name for account in options.broker.accounts if account.jetstream is not None]
        candidates = [name for name in with_streams if name in names] or configured
        default = candidates[0] if candidates else GLOBAL_ACCOUNT
        return {
            "accounts": [*names],
            "default": default,
            "box_name": options.server.name or "Leafbox",
            "version": leafbox.__version__,
            "server_id": broker.identity.server_id,
        }

    def monitoring(self, request: JsonObject) -> JsonObject:
        """A monitoring document as the monitoring listener would answer it."""
        path, query = text(request, "path"), optional(request, "query", "")
        if path not in PATHS or len(query) > QUERY_CHARACTERS_MAX:
            raise BoxRequestFailed("not_found", f"there is no /{path[:32]}", f"one of {', '.join(sorted(PATHS))}")
        answer = self._endpoints.answer(f"/{path}", query)
        body = answer.body.decode("utf-8", "replace")
        return {"status": answer.status, "content_type": answer.content_type, "body": body}

    # -- users --------------------------------------------------------------------------------------------------------

    def users(self) -> Iterable[NamedUser]:
        """Everybody in the configuration."""
        security = self._server.options.security
        if security.username:
            yield NamedUser(security.username, GLOBAL_ACCOUNT, "single user", None)
        if security.token:
            yield NamedUser("(token)", GLOBAL_ACCOUNT, "token", None)
        for user in security.users:
            kind = "nkey" if user.nkey else "password"
            yield NamedUser(user.nkey or user.name, user.account, kind, user.permissions)

    def list_users(self, request: JsonObject) -> JsonObject:
        """Users with their permissions and live connections."""
        connected: dict[str, int] = {}
        for connection in self._server.broker.registry:
            name = connection.snapshot().user
            connected[name] = connected.get(name, 0) + 1
        users: list[Json] = []
        for user in self.users():
            publish = (user.permissions and user.permissions.publish) or SubjectPermission()
            subscribe = (user.permissions and user.permissions.subscribe) or SubjectPermission()
            users.append(
                {
                    "name": user.name,
                    "account": user.account,
                    "kind": user.kind,
                    "publish_allow": None if publish.allow is None else [*publish.allow],
                    "publish_deny": [*publish.deny],
                    "subscribe_allow": None if subscribe.allow is None else [*subscribe.allow],
                    "subscribe_deny": [*subscribe.deny],
                    "connections": connected.get(user.name, 0),
                }
            )
        names: list[Json] = [*sorted(self._server.broker.accounts)]
        return {"users": users, "accounts": names, "login_needed": self._server.options.security.is_login_needed}

    def test(self, request: JsonObject) -> JsonObject:
        """Whether a user may publish or subscribe, with the rule that decides."""
        name, action, subject = text(request, "user"), text(request, "action"), text(request, "subject")
        account = optional(request, "account", "")
        user = next((each for each in self.users() if each.name == name and account in ("", each.account)), None)
        if user is None:
            step = "see the list of users; users of an operator or callout are not in the configuration"
            raise BoxRequestFailed("not_found", f"the configuration has no user {name}", step)
        raw = subject.encode()
        is_publish = action == "publish"
        if not (is_valid_literal(raw) if is_publish else is_valid_subject(raw)):
            raise BoxRequestFailed("invalid", f"{subject} is no subject for this", "words joined by dots")
        allowed, reason, rule = decide(user.permissions, raw, is_publish=is_publish)
        answer: JsonObject = {"allowed": allowed, "reason": reason, "rule": rule, "user": name, "account": user.account}
        return answer


def decide(permissions: Permissions | None, subject: bytes, *, is_publish: bool) -> tuple[bool, str, str]:
    """The data plane's own decision, and the configured rule that explains it."""
    tables = permission_tables(permissions)
    if tables is None or permissions is None:
        return True, "This user has no restrictions.", ""
    allowed = tables.allows_publish(subject) if is_publish else tables.allows_subscribe(subject)
    rules = (permissions.publish if is_publish else permissions.subscribe) or SubjectPermission()
    word = "publish" if is_publish else "subscribe"
    denied = _covering(rules.deny, subject)
    if denied and not allowed:
        return False, f"A deny rule for {word} covers it.", denied
    granted = _covering(rules.allow or (), subject)
    if allowed:
        return True, f"An allow rule for {word} covers it." if granted else f"Nothing restricts {word} here.", granted
    if is_publish and permissions.responses is not None and rules.allow is None:
        return False, "Only answers to requests may be published (allow_responses without publish rules).", ""
    return False, f"No allow rule for {word} covers it.", ""


def _covering(rules: Iterable[str], subject: bytes) -> str:
    for rule in rules:
        if is_subset(subject, rule.split(" ")[0].encode()):
            return rule
    return ""
