"""`/subsz`: the subject indexes of all accounts, and on demand every subscription (monitoring section 2.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from leafbox.dataplane.subjects import is_valid_literal, subject_matches
from leafbox.monitoring.query import BadQuery, Query
from leafbox.monitoring.snapshots import AccountSubscription, SublistSnapshot
from leafbox.monitoring.wire_format import Document, number, time_text, without_empty

ROWS_DEFAULT = 1024


@dataclass(frozen=True, slots=True)
class SubszOptions:
    """What a request wants. `test`: only subscriptions that a message on this subject would reach."""

    lists_subscriptions: bool = False
    offset: int = 0
    limit: int = 0
    account: str = ""
    test: str = ""

    @classmethod
    def from_query(cls, query: Query) -> SubszOptions:
        """The options of an HTTP request. Raises `BadQuery`."""
        return cls(
            lists_subscriptions=query.boolean("subs"),
            offset=query.integer("offset"),
            limit=query.integer("limit"),
            account=query.text("acc"),
            test=query.text("test"),
        )


def sublist_document(sublist: SublistSnapshot) -> Document:
    """The counts of an index. Fan-out is not measured on the hot path here, so it reads as zero."""
    return {
        "num_subscriptions": sublist.subscriptions,
        "num_cache": sublist.cached,
        "num_inserts": sublist.inserts,
        "num_removes": sublist.removes,
        "num_matches": sublist.matches,
        "cache_hit_rate": number(sublist.cache_hits / sublist.matches if sublist.matches else 0.0),
        "max_fanout": 0,
        "avg_fanout": 0,
    }


def subsz_document(
    server_id: str,
    now_ns: int,
    sublist: SublistSnapshot,
    subscriptions: Callable[[], list[AccountSubscription]],
    options: SubszOptions,
) -> Document:
    """The document; `subscriptions` is called only when they are to be listed. Raises `BadQuery`."""
    test = options.test.encode()
    if test and not is_valid_literal(test):
        raise BadQuery(f"invalid test subject, must be valid publish subject: {options.test}")
    offset, limit = max(options.offset, 0), options.limit if options.limit > 0 else ROWS_DEFAULT
    document: Document = {
        "server_id": server_id,
        "now": time_text(now_ns),
        **sublist_document(sublist),
        "total": 0,
        "offset": offset,
        "limit": limit,
    }
    if not options.lists_subscriptions:
        return document
    found = [s for s in subscriptions() if not test or subject_matches(test, s.subject.encode())]
    document["total"] = len(found)
    if page := found[offset : offset + limit]:
        document["subscriptions_list"] = [_subscription_document(s) for s in page]
    return document


def _subscription_document(subscription: AccountSubscription) -> Document:
    document: Document = {
        "account": subscription.account,
        "account_tag": subscription.account,
        "subject": subscription.subject,
        "qgroup": subscription.queue,
        "sid": subscription.sid,
        "msgs": subscription.msgs,
        "max": subscription.max_msgs,
        "cid": subscription.cid,
    }
    return without_empty(document, "qgroup", "max")
