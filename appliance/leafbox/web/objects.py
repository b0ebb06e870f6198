"""Object stores (ADR-20): streams named OBJ_<store>; contents in chunks on `$O.<store>.C.<id>`, facts on `.M.<name>`.

An upload is visible once its facts are stored, which happens after every chunk was acknowledged; what an interrupted
one left is deleted.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator

from leafbox.web.core import Core, Object
from leafbox.web.jetstream import JetStreamRefused, api
from leafbox.web.models.data import ObjectInfo
from leafbox.web.problems import Refusal
from leafbox.web.streams import OBJECT_PREFIX

CHUNK_BYTES = 128 * 1024
"""The size all clients use."""
NO_MESSAGE = 10037


def facts_subject(store: str, name: str) -> str:
    """Where the facts of an object are."""
    return f"$O.{store}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


def object_of(facts: Object) -> ObjectInfo:
    """Facts as the API shows them."""
    return ObjectInfo(
        name=str(facts.get("name", "")),
        description=str(facts.get("description", "") or ""),
        size=int(facts.get("size", 0) or 0),
        chunks=int(facts.get("chunks", 0) or 0),
        digest=str(facts.get("digest", "") or ""),
        modified=str(facts.get("modified", "") or ""),
    )


async def facts_of(core: Core, account: str, store: str, name: str) -> Object | None:
    """The facts of an object; None: there is none, or it was deleted."""
    try:
        found = await api(
            core, account, f"STREAM.MSG.GET.{OBJECT_PREFIX}{store}", {"last_by_subj": facts_subject(store, name)}
        )
    except JetStreamRefused as error:
        if error.err_code == NO_MESSAGE:
            return None
        raise
    facts: Object = json.loads(base64.b64decode(found["message"].get("data") or "") or b"{}")
    facts["modified"] = found["message"].get("time", "")
    return None if facts.get("deleted") else facts


async def all_facts(core: Core, account: str, store: str) -> list[Object]:
    """Facts of every object, by name."""
    info = await api(core, account, f"STREAM.INFO.{OBJECT_PREFIX}{store}", {"subjects_filter": f"$O.{store}.M.>"})
    found: list[Object] = []
    for subject in (info.get("state") or {}).get("subjects") or {}:
        encoded = subject.rpartition(".")[2]
        try:
            name = base64.urlsafe_b64decode(encoded).decode()
        except ValueError:
            # Not written by an object store client: nothing we could name.
            continue
        facts = await facts_of(core, account, store, name)
        if facts is not None:
            found.append(facts)
    return sorted(found, key=lambda facts: str(facts.get("name", "")))


async def upload(core: Core, account: str, store: str, name: str, content: AsyncIterator[bytes]) -> ObjectInfo:
    """Store an object in place of one of the same name."""
    old = await facts_of(core, account, store, name)
    nuid = secrets.token_hex(11)
    digest, size, chunks = hashlib.sha256(), 0, 0
    try:
        async for chunk in _in_chunks(content):
            digest.update(chunk)
            size += len(chunk)
            chunks += 1
            await _store(core, account, f"$O.{store}.C.{nuid}", chunk)
        facts: Object = {
            "name": name,
            "bucket": store,
            "nuid": nuid,
            "size": size,
            "chunks": chunks,
            "digest": f"SHA-256={base64.urlsafe_b64encode(digest.digest()).decode()}",
            "options": {"max_chunk_size": CHUNK_BYTES},
        }
        payload = json.dumps(facts).encode()
        await _store(core, account, facts_subject(store, name), payload, {"Nats-Rollup": "sub"})
    except BaseException:
        await _purge(core, account, store, nuid)
        raise
    if old is not None and old.get("nuid"):
        await _purge(core, account, store, str(old["nuid"]))
    return object_of(await facts_of(core, account, store, name) or facts)


async def remove(core: Core, account: str, store: str, name: str) -> None:
    """Delete an object's content and leave the mark that clients expect."""
    facts = await facts_of(core, account, store, name)
    if facts is None:
        raise Refusal(404, "not_found", f"There is no object {name}.", "Reload the list.")
    nuid = str(facts.get("nuid", ""))
    facts.pop("modified", None)
    facts |= {"deleted": True, "size": 0, "chunks": 0, "digest": ""}
    await _store(core, account, facts_subject(store, name), json.dumps(facts).encode(), {"Nats-Rollup": "sub"})
    await _purge(core, account, store, nuid)


async def download(core: Core, account: str, store: str, facts: Object) -> AsyncIterator[bytes]:
    """The content, chunk by chunk. A chunk that is missing ends it early, which the length tells the receiver."""
    subject = f"$O.{store}.C.{facts.get('nuid', '')}"
    seq = 1
    for _ in range(int(facts.get("chunks", 0) or 0)):
        found = await api(
            core, account, f"STREAM.MSG.GET.{OBJECT_PREFIX}{store}", {"seq": seq, "next_by_subj": subject}
        )
        seq = found["message"]["seq"] + 1
        yield base64.b64decode(found["message"].get("data") or "")


async def _in_chunks(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    waiting = bytearray()
    async for piece in content:
        waiting += piece
        while len(waiting) >= CHUNK_BYTES:
            yield bytes(waiting[:CHUNK_BYTES])
            del waiting[:CHUNK_BYTES]
    if waiting:
        yield bytes(waiting)


async def _store(core: Core, account: str, subject: str, payload: bytes, headers: dict[str, str] | None = None) -> None:
    message = await core.raw(account, subject, payload, headers=headers)
    error = json.loads(message.data).get("error")
    if isinstance(error, dict):
        raise JetStreamRefused(error)


async def _purge(core: Core, account: str, store: str, nuid: str) -> None:
    body = {"filter": f"$O.{store}.C.{nuid}"}
    await api(core, account, f"STREAM.PURGE.{OBJECT_PREFIX}{store}", body, is_long=True)
