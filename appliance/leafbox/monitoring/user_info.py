"""USER.INFO: who the requester is and what it may do (core-protocol section 7.3)."""

from __future__ import annotations

import time
from typing import Protocol, runtime_checkable

from leafbox.broker.config import Permissions, SubjectPermission
from leafbox.broker.registry import ConnectionSnapshot
from leafbox.monitoring.wire_format import SECOND_NS, Document


class KnownIdentity(Protocol):
    """What a login has established."""

    @property
    def permissions(self) -> Permissions | None: ...

    @property
    def expires_at_s(self) -> float | None: ...


@runtime_checkable
class LoggedIn(Protocol):
    """A connection that may ask about itself."""

    @property
    def identity(self) -> KnownIdentity | None: ...

    def snapshot(self) -> ConnectionSnapshot: ...


def user_info(origin: object, account: str) -> Document | None:
    """The document, None for a requester that is no login (a link, a service inside)."""
    if not isinstance(origin, LoggedIn):
        return None
    document: Document = {"user": origin.snapshot().user, "account": account, "account_name": account}
    identity = origin.identity
    if identity is not None and identity.permissions is not None:
        document["permissions"] = _permissions(identity.permissions)
    if identity is not None and identity.expires_at_s is not None:
        document["expires"] = max(int((identity.expires_at_s - time.time()) * SECOND_NS), 0)
    return document


def _permissions(permissions: Permissions) -> Document:
    document: Document = {
        "publish": _subjects(permissions.publish),
        "subscribe": _subjects(permissions.subscribe),
    }
    if permissions.responses is not None:
        responses = permissions.responses
        document["responses"] = {"max": responses.messages_max, "ttl": int(responses.expires_s * SECOND_NS)}
    return document


def _subjects(permission: SubjectPermission | None) -> Document:
    if permission is None:
        return {}
    lists = {"allow": list(permission.allow or ()), "deny": list(permission.deny)}
    return {name: subjects for name, subjects in lists.items() if subjects}
