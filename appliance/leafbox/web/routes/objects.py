"""Object stores: look, make, upload, download."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path, Request
from starlette.responses import StreamingResponse

from leafbox.web.accounts import AccountName
from leafbox.web.box import box_of
from leafbox.web.core import Object
from leafbox.web.jetstream import JetStreamRefused, api, pages
from leafbox.web.models.base import Done
from leafbox.web.models.data import NewObjectStore, ObjectInfo, Objects, ObjectStore, ObjectStores
from leafbox.web.objects import all_facts, download, facts_of, object_of, remove, upload
from leafbox.web.problems import Refusal, documented
from leafbox.web.routing import may, resource
from leafbox.web.streams import OBJECT_PREFIX

router = resource("objects")

StoreName = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
ObjectName = Annotated[str, Path(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f]+$")]
LOOK = may("viewer", "objects")
CHANGE = may("operator", "objects")
BINARY = "application/octet-stream"
UPLOAD = {"requestBody": {"required": True, "content": {BINARY: {"schema": {"type": "string", "format": "binary"}}}}}


def store_of(info: Any) -> ObjectStore:
    """An OBJ stream as a store."""
    config, state = info["config"], info.get("state") or {}
    return ObjectStore(
        name=config["name"].removeprefix(OBJECT_PREFIX),
        description=config.get("description", ""),
        bytes=state.get("bytes", 0),
        max_bytes=config.get("max_bytes", -1),
        storage=config.get("storage", "file"),
    )


@router.get("/objects", operation_id="list_object_stores", dependencies=LOOK)
async def list_object_stores(request: Request, account: AccountName) -> ObjectStores:
    """All object stores of an account."""
    found = pages(box_of(request).core, account, "STREAM.LIST", "streams")
    stores = [store_of(each) async for each in found if each["config"]["name"].startswith(OBJECT_PREFIX)]
    return ObjectStores(stores=stores)


@router.post(
    "/objects", operation_id="add_object_store", status_code=201, dependencies=CHANGE, responses=documented(409)
)
async def add_object_store(request: Request, account: AccountName, given: NewObjectStore) -> ObjectStore:
    """Make an object store."""
    core, name = box_of(request).core, f"{OBJECT_PREFIX}{given.name}"
    config: Object = {
        "name": name,
        "description": given.description or "",
        "subjects": [f"$O.{given.name}.C.>", f"$O.{given.name}.M.>"],
        "max_bytes": given.max_bytes,
        "storage": given.storage,
        "discard": "new",
        "allow_rollup_hdrs": True,
        "allow_direct": True,
        "num_replicas": 1,
    }
    try:
        await api(core, account, f"STREAM.INFO.{name}")
    except JetStreamRefused:
        return store_of(await api(core, account, f"STREAM.CREATE.{name}", config))
    raise Refusal(409, "exists", f"There is an object store {given.name} already.", "Choose another name.")


@router.get("/objects/{store}", operation_id="get_object_store", dependencies=LOOK, responses=documented(404))
async def get_object_store(request: Request, account: AccountName, store: StoreName) -> Objects:
    """A store and its objects."""
    core = box_of(request).core
    info = await api(core, account, f"STREAM.INFO.{OBJECT_PREFIX}{store}")
    return Objects(store=store_of(info), objects=[object_of(each) for each in await all_facts(core, account, store)])


@router.delete("/objects/{store}", operation_id="remove_object_store", dependencies=CHANGE, responses=documented(404))
async def remove_object_store(request: Request, account: AccountName, store: StoreName) -> Done:
    """Delete a store with all its objects."""
    await api(box_of(request).core, account, f"STREAM.DELETE.{OBJECT_PREFIX}{store}", is_long=True)
    return Done()


@router.get(
    "/objects/{store}/content/{name:path}",
    operation_id="download_object",
    response_class=StreamingResponse,
    responses={200: {"content": {BINARY: {}}}, **documented(404)},
    dependencies=LOOK,
)
async def download_object(
    request: Request, account: AccountName, store: StoreName, name: ObjectName
) -> StreamingResponse:
    """The content of an object."""
    core = box_of(request).core
    facts = await facts_of(core, account, store, name)
    if facts is None:
        raise Refusal(404, "not_found", f"There is no object {name}.", "Reload the list.")
    headers = {
        # Never shown in the dashboard's origin, whatever is in it.
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name.rpartition('/')[2], safe='')}",
        "Content-Length": str(int(facts.get("size", 0) or 0)),
    }
    return StreamingResponse(download(core, account, store, facts), media_type=BINARY, headers=headers)


@router.put(
    "/objects/{store}/content/{name:path}",
    operation_id="upload_object",
    dependencies=CHANGE,
    responses=documented(404),
    openapi_extra=UPLOAD,
)
async def upload_object(request: Request, account: AccountName, store: StoreName, name: ObjectName) -> ObjectInfo:
    """Store the body of the request under a name."""
    core = box_of(request).core
    await api(core, account, f"STREAM.INFO.{OBJECT_PREFIX}{store}")
    return await upload(core, account, store, name, request.stream())


@router.delete(
    "/objects/{store}/content/{name:path}", operation_id="remove_object", dependencies=CHANGE, responses=documented(404)
)
async def remove_object(request: Request, account: AccountName, store: StoreName, name: ObjectName) -> Done:
    """Delete an object."""
    await remove(box_of(request).core, account, store, name)
    return Done()
