"""API endpoints of streams and their messages."""

from __future__ import annotations

import msgspec

from leafbox.jetstream.api import LIST_LIMIT, NAMES_LIMIT, ApiCall, Endpoint, embedded, paged
from leafbox.jetstream.stream import Stream
from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import subjects
from leafbox.protocol.jetstream.go_json import JsonObject, to_object
from leafbox.protocol.jetstream.info import ClusterInfo, StoredMsg, StreamInfo
from leafbox.protocol.jetstream.requests import (
    MsgDeleteRequest,
    MsgGetRequest,
    StreamInfoRequest,
    StreamListRequest,
    StreamNamesRequest,
    StreamPurgeRequest,
)
from leafbox.protocol.jetstream.stream_config import StreamConfigRequest

SUBJECT_DETAILS_MAX = 100_000


def account_info(call: ApiCall) -> JsonObject:
    """`INFO`."""
    return embedded(call.owner.usage())


def create(call: ApiCall) -> JsonObject:
    """`STREAM.CREATE.<stream>`."""
    request = call.decoded(StreamConfigRequest)
    if call.tokens[2] != request.name:
        raise errors.STREAM_MISMATCH.rejected()
    if any(separator in request.name for separator in "\\/"):
        raise errors.STREAM_NAME_CONTAINS_PATH_SEPARATORS.rejected()
    if request.sealed:
        raise errors.STREAM_INVALID_CONFIG.rejected(err="stream configuration for create can not be sealed")
    if request.mirror_direct and request.mirror is None:
        raise errors.STREAM_INVALID_CONFIG.rejected(err="stream has no mirror but does have mirror direct")
    stream, call.lsn = call.owner.create_stream(request.config(), request.pedantic)
    return {**embedded(stream.info(with_domain=False)), "did_create": True}


def update(call: ApiCall) -> JsonObject:
    """`STREAM.UPDATE.<stream>`."""
    request = call.decoded(StreamConfigRequest)
    config = call.owner.checked_config(request.config(), request.pedantic)
    if call.tokens[2] != config.name:
        raise errors.STREAM_MISMATCH.rejected()
    call.stream()
    stream, call.lsn = call.owner.update_stream(config, request.pedantic)
    return embedded(stream.info())


def names(call: ApiCall) -> JsonObject:
    """`STREAM.NAMES`."""
    request = call.decoded(StreamNamesRequest)
    found = [stream.name for stream in _filtered(call, request.subject)]
    page = paged(len(found), request.offset, NAMES_LIMIT)
    selected = found[max(request.offset, 0) :][:NAMES_LIMIT]
    return {**page, "streams": list(selected) or None}


def listing(call: ApiCall) -> JsonObject:
    """`STREAM.LIST`."""
    request = call.decoded(StreamListRequest)
    found = _filtered(call, request.subject)
    page = paged(len(found), request.offset, LIST_LIMIT)
    selected = found[max(request.offset, 0) :][:LIST_LIMIT]
    return {**page, "streams": [embedded(_stored_info(stream)) for stream in selected]}


def _stored_info(stream: Stream) -> StreamInfo:
    """As lists show it: with the stored metadata only."""
    return msgspec.structs.replace(stream.info(), config=stream.config)


def _filtered(call: ApiCall, subject: str) -> list[Stream]:
    streams = sorted(call.owner.streams.values(), key=lambda stream: stream.name)
    if not subject:
        return streams
    return [s for s in streams if any(subjects.overlap(own, subject) for own in s.config.subjects)]


def info(call: ApiCall) -> JsonObject:
    """`STREAM.INFO.<stream>`."""
    request = call.decoded(StreamInfoRequest)
    stream = call.stream()
    offset = max(request.offset, 0)
    page: JsonObject = {"total": 0, "offset": 0, "limit": 0}
    details = embedded(stream.info())
    wanted = ""
    if request.subjects_filter:
        total = len(stream.subject_counts(request.subjects_filter))
        if total:
            page = {"total": total, "offset": offset, "limit": SUBJECT_DETAILS_MAX}
            wanted = request.subjects_filter
    if wanted or request.deleted_details:
        state = stream.detailed_state(request.deleted_details, wanted, offset, SUBJECT_DETAILS_MAX)
        details["state"] = to_object(state)
    cluster = to_object(ClusterInfo(leader=call.owner.context.server_name))
    ordered: JsonObject = {}
    for key, value in details.items():
        if key in ("mirror", "sources", "ts") and "cluster" not in ordered:
            ordered["cluster"] = cluster
        ordered[key] = value
    return {**page, **ordered}


def delete(call: ApiCall) -> JsonObject:
    """`STREAM.DELETE.<stream>`."""
    if not call.is_empty:
        raise errors.NOT_EMPTY_REQUEST.rejected()
    call.lsn = call.owner.delete_stream(call.stream())
    return {"success": True}


def purge(call: ApiCall) -> JsonObject:
    """`STREAM.PURGE.<stream>`."""
    request = StreamPurgeRequest()
    if call.body.lstrip()[:1] in (b"{", b"["):
        request = call.decoded(StreamPurgeRequest)
        if request.seq and request.keep:
            raise errors.BAD_REQUEST.rejected()
    stream = call.stream()
    stream.refuse_if_sealed()
    if stream.config.deny_purge:
        raise errors.STREAM_PURGE_FAILED.rejected(err="stream purge not permitted")
    purged = stream.purge(request.filter, request.seq, request.keep)
    call.lsn = _stored_lsn(stream)
    return {"success": True, "purged": purged}


def get_message(call: ApiCall) -> JsonObject:
    """`STREAM.MSG.GET.<stream>`."""
    if call.is_empty:
        raise errors.BAD_REQUEST.rejected()
    request = call.decoded(MsgGetRequest)
    if (
        request.batch
        or request.max_bytes
        or (request.seq == 0 and not (request.last_by_subj or request.next_by_subj) and request.start_time is None)
        or (request.seq > 0 and (bool(request.last_by_subj) or request.start_time is not None))
        or (request.last_by_subj and (request.next_by_subj or request.start_time is not None))
    ):
        raise errors.BAD_REQUEST.rejected()
    stream = call.stream(3)
    store = stream.store
    seq = store.sequence_at(request.start_time) if request.start_time is not None else request.seq
    if request.next_by_subj:
        message = store.next_matching(seq, store.filter(request.next_by_subj.encode()))
    elif request.last_by_subj:
        message = stream.direct_get.last_of(request.last_by_subj)
    elif request.start_time is not None:
        message = store.next_matching(seq)
    else:
        message = store.message(seq)
    if message is None:
        raise errors.NO_MESSAGE_FOUND.rejected()
    # nats-server answers this one beside its API layer: neither counted nor audited.
    call.is_tracked = False
    stored = StoredMsg(
        subject=message.subject.decode("utf-8", "replace"),
        seq=message.seq,
        hdrs=b"" if request.no_hdr else message.header,
        data=message.payload,
        time=message.ts_ns,
    )
    return {"message": embedded(stored)}


def delete_message(call: ApiCall) -> JsonObject:
    """`STREAM.MSG.DELETE.<stream>`."""
    if call.is_empty:
        raise errors.BAD_REQUEST.rejected()
    request = call.decoded(MsgDeleteRequest)
    stream = call.stream(3)
    stream.refuse_if_sealed()
    if stream.config.deny_delete:
        raise errors.STREAM_MSG_DELETE_FAILED.rejected(err="message delete not permitted")
    # nats-server does not count this refusal among the API's errors.
    call.counts_error = False
    stream.delete_message(request.seq, not request.no_erase)
    call.lsn = _stored_lsn(stream)
    return {"success": True}


def needs_cluster(_call: ApiCall) -> JsonObject:
    """Requests about leaders and peers."""
    raise errors.CLUSTER_REQUIRED.rejected()


def _stored_lsn(stream: Stream) -> int:
    return stream.store.applied_lsn if not stream.is_memory else 0


def _no_page() -> JsonObject:
    return {"total": 0, "offset": 0, "limit": 0}


def _no_names() -> JsonObject:
    return {**_no_page(), "streams": None}


def _no_streams() -> JsonObject:
    return {**_no_page(), "streams": []}


def _nothing_purged() -> JsonObject:
    return {"purged": 0}


ENDPOINTS: dict[tuple[str, ...], Endpoint] = {
    ("INFO",): Endpoint(account_info, "account_info", 1),
    ("STREAM", "CREATE"): Endpoint(create, "stream_create", 3),
    ("STREAM", "UPDATE"): Endpoint(update, "stream_update", 3),
    ("STREAM", "NAMES"): Endpoint(names, "stream_names", 2, on_error=_no_names),
    ("STREAM", "LIST"): Endpoint(listing, "stream_list", 2, on_error=_no_streams),
    ("STREAM", "INFO"): Endpoint(info, "stream_info", 3, on_error=_no_page),
    ("STREAM", "DELETE"): Endpoint(delete, "stream_delete", 3),
    ("STREAM", "PURGE"): Endpoint(purge, "stream_purge", 3, on_error=_nothing_purged),
    ("STREAM", "MSG", "GET"): Endpoint(get_message, "stream_msg_get", 4),
    ("STREAM", "MSG", "DELETE"): Endpoint(delete_message, "stream_msg_delete", 4),
    ("STREAM", "LEADER", "STEPDOWN"): Endpoint(needs_cluster, "stream_leader_stepdown", 4),
    ("STREAM", "PEER", "REMOVE"): Endpoint(needs_cluster, "stream_remove_peer", 4),
    ("STREAM", "PEER", "EVACUATE"): Endpoint(needs_cluster, "stream_remove_peer", 4),
    ("STREAM", "CANCEL_MOVE"): Endpoint(needs_cluster, "stream_update", 3),
    ("CONSUMER", "LEADER", "STEPDOWN"): Endpoint(needs_cluster, "consumer_leader_stepdown", 5),
}
