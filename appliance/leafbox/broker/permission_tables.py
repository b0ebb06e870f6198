"""Turns configured permissions into the data plane's tables; users with equal permissions share one table."""

from __future__ import annotations

from functools import lru_cache

from leafbox.broker.config import Permissions as PermissionOptions
from leafbox.broker.config import SubjectPermission
from leafbox.dataplane.permissions import Permissions

# Distinct permission sets kept; users beyond that get tables of their own.
TABLES_MAX = 1024


@lru_cache(maxsize=TABLES_MAX)
def permission_tables(options: PermissionOptions | None) -> Permissions | None:
    """The compiled form of `options`; None: everything is allowed."""
    if options is None:
        return None
    publish = options.publish or SubjectPermission()
    subscribe = options.subscribe or SubjectPermission()
    responses = options.responses
    # The tables take an empty allow list for "everything"; here it is "nothing", which they say by denying.
    publish_deny = publish.deny if publish.allow != () else (*publish.deny, ">")
    subscribe_deny = subscribe.deny if subscribe.allow != () else (*subscribe.deny, ">")
    return Permissions(
        publish_allow=tuple(subject.encode() for subject in publish.allow or ()),
        publish_deny=tuple(subject.encode() for subject in publish_deny),
        subscribe_allow=tuple(_rule(entry) for entry in subscribe.allow or ()),
        subscribe_deny=tuple(_rule(entry) for entry in subscribe_deny),
        responses_max=responses.messages_max if responses else None,
        responses_ttl_s=responses.expires_s if responses else None,
    )


def _rule(entry: str) -> tuple[bytes, bytes | None]:
    """`"subject"` or `"subject queue"`."""
    subject, _, queue = entry.encode().partition(b" ")
    return subject, queue.strip() or None
