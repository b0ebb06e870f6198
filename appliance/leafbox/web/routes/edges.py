"""Devices, uplinks, bridges, connections: what comes in and goes out."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path, Query, Request

from leafbox.web.box import box_of
from leafbox.web.connections import connections_of, kick
from leafbox.web.core import LONG_TIMEOUT_S
from leafbox.web.models.base import Done
from leafbox.web.models.edges import (
    Bridge,
    Bridges,
    Connections,
    Device,
    DeviceCredential,
    Devices,
    HubSnippet,
    NewBridge,
    NewDevice,
    NewUplink,
    Outages,
    Uplink,
    Uplinks,
    UplinkTest,
)
from leafbox.web.problems import documented
from leafbox.web.routing import filled, may, resource, told
from leafbox.web.uplinks import addition_of, outages_of, snippet_of, test_of, uplink_of, uplinks_of

router = resource("edges")

Name = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
MQTT_LEVELS = {"3.1.1": 4, "5": 5}
"""The protocol level that says it on the wire, and to core."""
Cid = Annotated[int, Path(ge=1, le=2**53)]


@router.get("/devices", operation_id="list_devices", dependencies=may("viewer", "devices"), tags=["devices"])
async def list_devices(request: Request) -> Devices:
    """All devices with their last readings."""
    return told(Devices, await box_of(request).core.document("device.list"))


@router.post(
    "/devices",
    operation_id="add_device",
    status_code=201,
    dependencies=may("operator", "devices"),
    tags=["devices"],
    responses=documented(409),
)
async def add_device(request: Request, given: NewDevice) -> DeviceCredential:
    """Make a credential for a device, with lines to paste; the secret is shown this once."""
    body = filled(**given.model_dump())
    return told(DeviceCredential, await box_of(request).core.request("device.add", body))


@router.get(
    "/devices/{name}",
    operation_id="get_device",
    dependencies=may("viewer", "devices"),
    tags=["devices"],
    responses=documented(404),
)
async def get_device(request: Request, name: Name) -> Device:
    """One device."""
    return told(Device, await box_of(request).core.request("device.get", {"name": name}))


@router.delete(
    "/devices/{name}",
    operation_id="remove_device",
    dependencies=may("operator", "devices"),
    tags=["devices"],
    responses=documented(404),
)
async def remove_device(request: Request, name: Name) -> Done:
    """Take a device's credential and close its connections."""
    await box_of(request).core.request("device.revoke", {"name": name})
    return Done()


@router.post(
    "/devices/{name}/rotate",
    operation_id="rotate_device",
    dependencies=may("operator", "devices"),
    tags=["devices"],
    responses=documented(404),
)
async def rotate_device(request: Request, name: Name) -> DeviceCredential:
    """Give a device a new secret."""
    return told(DeviceCredential, await box_of(request).core.request("device.rotate", {"name": name}))


@router.get("/uplinks", operation_id="list_uplinks", dependencies=may("viewer", "uplinks"), tags=["uplinks"])
async def list_uplinks(request: Request) -> Uplinks:
    """Links to hubs, and whether data flows."""
    return uplinks_of(await box_of(request).core.document("uplink.status"))


@router.post(
    "/uplinks",
    operation_id="add_uplink",
    status_code=201,
    dependencies=may("admin", "uplinks"),
    tags=["uplinks"],
    responses=documented(409),
)
async def add_uplink(request: Request, given: NewUplink) -> Uplink:
    """Link up to a hub, without a restart."""
    box = box_of(request)
    return uplink_of(await box.core.request("uplink.add", addition_of(given, box.settings.data_directory)))


@router.delete(
    "/uplinks/{name}",
    operation_id="remove_uplink",
    dependencies=may("admin", "uplinks"),
    tags=["uplinks"],
    responses=documented(404),
)
async def remove_uplink(request: Request, name: Name, force: bool = False) -> Done:
    """Take a link down for good; `force`: although messages wait, which stay in their local streams then."""
    await box_of(request).core.request("uplink.rm", {"name": name, "is_forced": force}, LONG_TIMEOUT_S)
    return Done()


@router.post(
    "/uplinks/{name}/test",
    operation_id="test_uplink",
    dependencies=may("operator", "uplinks"),
    tags=["uplinks"],
    responses=documented(404),
)
async def test_uplink(request: Request, name: Name) -> UplinkTest:
    """Try every step from name resolution to a message that the hub has stored."""
    return test_of(await box_of(request).core.request("uplink.test", {"name": name}, LONG_TIMEOUT_S))


@router.post(
    "/uplinks/{name}/{action}",
    operation_id="control_uplink",
    dependencies=may("operator", "uplinks"),
    tags=["uplinks"],
    responses=documented(404),
)
async def control_uplink(request: Request, name: Name, action: Literal["pause", "resume", "drain"]) -> Uplink:
    """Pause, go on, or send what waits without the link's own limits of speed until nothing does."""
    return uplink_of(await box_of(request).core.request(f"uplink.{action}", {"name": name}, LONG_TIMEOUT_S))


@router.get(
    "/uplinks/{name}/outages",
    operation_id="list_outages",
    dependencies=may("viewer", "uplinks"),
    tags=["uplinks"],
    responses=documented(404),
)
async def list_outages(request: Request, name: Name, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Outages:
    """The outage ledger of a link."""
    return outages_of(await box_of(request).core.request("uplink.outages", {"name": name}), limit)


@router.get(
    "/uplinks/{name}/hub-snippet",
    operation_id="get_hub_snippet",
    dependencies=may("viewer", "uplinks"),
    tags=["uplinks"],
    responses=documented(404),
)
async def get_hub_snippet(request: Request, name: Name) -> HubSnippet:
    """What to run or paste at the hub."""
    return snippet_of(await box_of(request).core.request("uplink.hub-snippet", {"name": name}))


@router.get("/bridges", operation_id="list_bridges", dependencies=may("viewer", "bridges"), tags=["bridges"])
async def list_bridges(request: Request) -> Bridges:
    """Bridges to other MQTT brokers."""
    return told(Bridges, await box_of(request).core.document("bridge.list"))


@router.post(
    "/bridges",
    operation_id="add_bridge",
    status_code=201,
    dependencies=may("admin", "bridges"),
    tags=["bridges"],
    responses=documented(409),
)
async def add_bridge(request: Request, given: NewBridge) -> Bridge:
    """Carry topics to another broker and back, without a restart; they are kept while it is away."""
    body = filled(**given.model_dump()) | {"version": MQTT_LEVELS[given.version]}
    return told(Bridge, await box_of(request).core.request("bridge.add", body))


@router.delete(
    "/bridges/{name}",
    operation_id="remove_bridge",
    dependencies=may("admin", "bridges"),
    tags=["bridges"],
    responses=documented(404, 409),
)
async def remove_bridge(request: Request, name: Name) -> Done:
    """Take a bridge down for good; what waits stays in its local streams."""
    await box_of(request).core.request("bridge.remove", {"name": name})
    return Done()


@router.get(
    "/connections", operation_id="list_connections", dependencies=may("viewer", "connections"), tags=["connections"]
)
async def list_connections(
    request: Request,
    state: Literal["open", "closed"] = "open",
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=1024)] = 256,
    subscriptions: bool = False,
) -> Connections:
    """Clients of all accounts."""
    return await connections_of(box_of(request).core, state, offset, limit, subscriptions=subscriptions)


@router.get(
    "/connections/{cid}",
    operation_id="get_connection",
    dependencies=may("viewer", "connections"),
    tags=["connections"],
    responses=documented(404),
)
async def get_connection(request: Request, cid: Cid) -> Connections:
    """One client with its subscriptions; an empty list if it is gone."""
    return await connections_of(box_of(request).core, "open", 0, 1, subscriptions=True, cid=cid)


@router.delete(
    "/connections/{cid}",
    operation_id="kick_connection",
    dependencies=may("operator", "connections"),
    tags=["connections"],
    responses=documented(404),
)
async def kick_connection(request: Request, cid: Cid) -> Done:
    """Close a client's connection; it may come back."""
    await kick(box_of(request).core, cid)
    return Done()
