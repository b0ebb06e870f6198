"""Key-value buckets (ADR-8): streams named KV_<bucket>, a subject for each key."""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any

from fastapi import Path, Query, Request

from leafbox.web.accounts import AccountName
from leafbox.web.box import box_of
from leafbox.web.core import Core, Object
from leafbox.web.jetstream import JetStreamRefused, api, headers_of, nanoseconds, pages, payload_of, seconds
from leafbox.web.jetstream import body_of as payload_body
from leafbox.web.models.base import Done
from leafbox.web.models.data import Bucket, BucketKeys, Buckets, KeyEntry, KeyPut, KeyStored, KeyValue, NewBucket
from leafbox.web.problems import Refusal, documented
from leafbox.web.routing import may, resource
from leafbox.web.streams import KV_PREFIX

router = resource("kv")

BucketName = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
KeyName = Annotated[str, Path(min_length=1, max_length=512, pattern=r"^[-/_=A-Za-z0-9]+(\.[-/_=A-Za-z0-9]+)*$")]
LOOK = may("viewer", "kv")
CHANGE = may("operator", "kv")
NO_MESSAGE = 10037
WRONG_LAST_SEQUENCE = 10071
KEY_TTL_NS = nanoseconds(120)


def bucket_of(info: Any) -> Bucket:
    """A KV stream as a bucket."""
    config, state = info["config"], info.get("state") or {}
    return Bucket(
        name=config["name"].removeprefix(KV_PREFIX),
        description=config.get("description", ""),
        keys=state.get("num_subjects", 0),
        bytes=state.get("bytes", 0),
        history=config.get("max_msgs_per_subject", 1),
        ttl_s=seconds(config.get("max_age")),
        max_bytes=config.get("max_bytes", -1),
        storage=config.get("storage", "file"),
    )


@router.get("/kv", operation_id="list_buckets", dependencies=LOOK)
async def list_buckets(request: Request, account: AccountName) -> Buckets:
    """All buckets of an account."""
    found = pages(box_of(request).core, account, "STREAM.LIST", "streams")
    return Buckets(buckets=[bucket_of(each) async for each in found if each["config"]["name"].startswith(KV_PREFIX)])


@router.post("/kv", operation_id="add_bucket", status_code=201, dependencies=CHANGE, responses=documented(409))
async def add_bucket(request: Request, account: AccountName, given: NewBucket) -> Bucket:
    """Make a bucket."""
    core, name = box_of(request).core, f"{KV_PREFIX}{given.name}"
    ttl_ns = nanoseconds(given.ttl_s)
    config: Object = {
        "name": name,
        "description": given.description or "",
        "subjects": [f"$KV.{given.name}.>"],
        "max_msgs_per_subject": given.history,
        "max_bytes": given.max_bytes,
        "max_age": ttl_ns,
        "storage": given.storage,
        "discard": "new",
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "allow_direct": True,
        "duplicate_window": min(ttl_ns, KEY_TTL_NS) if ttl_ns else KEY_TTL_NS,
        "num_replicas": 1,
    }
    try:
        await api(core, account, f"STREAM.INFO.{name}")
    except JetStreamRefused:
        return bucket_of(await api(core, account, f"STREAM.CREATE.{name}", config))
    raise Refusal(409, "exists", f"There is a bucket {given.name} already.", "Choose another name.")


@router.get("/kv/{bucket}", operation_id="get_bucket", dependencies=LOOK, responses=documented(404))
async def get_bucket(
    request: Request,
    account: AccountName,
    bucket: BucketName,
    prefix: Annotated[str, Query(max_length=512, description="Only keys that begin like this.")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> BucketKeys:
    """A bucket with its keys and their newest values; deleted keys are left out."""
    core = box_of(request).core
    body = {"subjects_filter": f"$KV.{bucket}.>"}
    info = await api(core, account, f"STREAM.INFO.{KV_PREFIX}{bucket}", body)
    start = len(f"$KV.{bucket}.")
    keys = sorted(subject[start:] for subject in (info.get("state") or {}).get("subjects") or {})
    keys = [key for key in keys if key.startswith(prefix)]
    entries: list[KeyEntry] = []
    for key in keys[:limit]:
        entry = await _newest(core, account, bucket, key)
        if entry is not None and entry.operation == "put":
            entries.append(entry)
    return BucketKeys(bucket=bucket_of(info), keys=entries, cut=len(keys) > limit)


@router.delete("/kv/{bucket}", operation_id="remove_bucket", dependencies=CHANGE, responses=documented(404))
async def remove_bucket(request: Request, account: AccountName, bucket: BucketName) -> Done:
    """Delete a bucket with all its keys."""
    await api(box_of(request).core, account, f"STREAM.DELETE.{KV_PREFIX}{bucket}", is_long=True)
    return Done()


@router.get("/kv/{bucket}/keys/{key:path}", operation_id="get_key", dependencies=LOOK, responses=documented(404))
async def get_key(request: Request, account: AccountName, bucket: BucketName, key: KeyName) -> KeyValue:
    """A key's newest value and its history."""
    core = box_of(request).core
    entry = await _newest(core, account, bucket, key)
    if entry is None:
        raise Refusal(404, "not_found", f"There is no key {key}.", "Reload the list.")
    history: list[KeyEntry] = []
    seq = 1
    while True:
        found = await _message(core, account, bucket, {"seq": seq, "next_by_subj": f"$KV.{bucket}.{key}"})
        if found is None or found["seq"] >= entry.revision:
            break
        history.append(_entry(key, found))
        seq = found["seq"] + 1
    return KeyValue(entry=entry, history=history[::-1])


@router.put("/kv/{bucket}/keys/{key:path}", operation_id="put_key", dependencies=CHANGE, responses=documented(404, 409))
async def put_key(request: Request, account: AccountName, bucket: BucketName, key: KeyName, given: KeyPut) -> KeyStored:
    """Store a value."""
    headers = {} if given.revision is None else {"Nats-Expected-Last-Subject-Sequence": str(given.revision)}
    payload = payload_of(given.data, given.encoding)
    revision = await _store(box_of(request).core, account, bucket, key, payload, headers)
    return KeyStored(key=key, revision=revision)


@router.delete(
    "/kv/{bucket}/keys/{key:path}", operation_id="remove_key", dependencies=CHANGE, responses=documented(404)
)
async def remove_key(
    request: Request, account: AccountName, bucket: BucketName, key: KeyName, purge: bool = False
) -> KeyStored:
    """Delete a key; `purge` takes its history too."""
    headers = {"KV-Operation": "PURGE", "Nats-Rollup": "sub"} if purge else {"KV-Operation": "DEL"}
    revision = await _store(box_of(request).core, account, bucket, key, b"", headers)
    return KeyStored(key=key, revision=revision)


async def _store(core: Core, account: str, bucket: str, key: str, payload: bytes, headers: dict[str, str]) -> int:
    # Without the stream nobody would answer: say which bucket is missing instead.
    await api(core, account, f"STREAM.INFO.{KV_PREFIX}{bucket}")
    message = await core.raw(account, f"$KV.{bucket}.{key}", payload, headers=headers or None)
    answer = json.loads(message.data)
    error = answer.get("error")
    if isinstance(error, dict):
        if error.get("err_code") == WRONG_LAST_SEQUENCE:
            step = "Look at the present value and decide again."
            raise Refusal(409, "changed_meanwhile", f"{key} was changed by somebody else meanwhile.", step)
        raise JetStreamRefused(error)
    return int(answer["seq"])


async def _message(core: Core, account: str, bucket: str, body: Object) -> Object | None:
    try:
        found = await api(core, account, f"STREAM.MSG.GET.{KV_PREFIX}{bucket}", body)
    except JetStreamRefused as error:
        if error.err_code == NO_MESSAGE:
            return None
        raise
    message: Object = found["message"]
    return message


async def _newest(core: Core, account: str, bucket: str, key: str) -> KeyEntry | None:
    found = await _message(core, account, bucket, {"last_by_subj": f"$KV.{bucket}.{key}"})
    return None if found is None else _entry(key, found)


def _entry(key: str, found: Object) -> KeyEntry:
    headers = headers_of(base64.b64decode(found["hdrs"])) if found.get("hdrs") else {}
    operation = headers.get("KV-Operation", [""])[0]
    marker = headers.get("Nats-Marker-Reason", [""])[0]
    return KeyEntry(
        key=key,
        revision=found["seq"],
        operation="purge" if operation == "PURGE" or marker else "delete" if operation == "DEL" else "put",
        time=found.get("time", ""),
        body=payload_body(base64.b64decode(found.get("data") or "")),
    )
