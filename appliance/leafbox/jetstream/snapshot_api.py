"""API endpoints of backups and restores."""

from __future__ import annotations

from leafbox.jetstream.api import ApiCall, Endpoint
from leafbox.jetstream.restore import Restore
from leafbox.jetstream.snapshot import Snapshot
from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import subjects
from leafbox.protocol.jetstream.go_json import JsonObject, to_object
from leafbox.protocol.jetstream.requests import StreamRestoreRequest, StreamSnapshotRequest


def snapshot(call: ApiCall) -> JsonObject:
    """`STREAM.SNAPSHOT.<stream>`."""
    if call.is_empty:
        raise errors.BAD_REQUEST.rejected()
    request = call.decoded(StreamSnapshotRequest)
    stream = call.stream()
    if not subjects.is_publishable(request.deliver_subject):
        raise errors.SNAPSHOT_DELIVER_SUBJECT_INVALID.rejected()
    sending = Snapshot(stream, request, call.owner.context.describe_client(call.origin))
    sending.start()
    return {"config": to_object(stream.config), "state": to_object(stream.state())}


def restore(call: ApiCall) -> JsonObject:
    """`STREAM.RESTORE.<stream>`."""
    if call.is_empty:
        raise errors.BAD_REQUEST.rejected()
    request = call.decoded(StreamRestoreRequest)
    if call.tokens[2] != request.config.name and request.config.name:
        raise errors.STREAM_MISMATCH.rejected()
    config = call.owner.checked_restore(request.config)
    receiving = Restore(call.owner, config, request.state, call.owner.context.describe_client(call.origin))
    receiving.start()
    return {"deliver_subject": receiving.subject}


def _no_subject() -> JsonObject:
    return {"deliver_subject": ""}


ENDPOINTS: dict[tuple[str, ...], Endpoint] = {
    ("STREAM", "SNAPSHOT"): Endpoint(snapshot, "stream_snapshot", 3),
    ("STREAM", "RESTORE"): Endpoint(restore, "stream_restore", 3, on_error=_no_subject),
}
