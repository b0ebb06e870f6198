"""The flow graph: clients, streams and uplinks around the box, with the rates between two looks.

Made of what monitoring tells anyway; core counts nothing for it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from leafbox.web.connections import connections_of
from leafbox.web.core import Core, CoreRefused
from leafbox.web.jetstream import JetStreamRefused, stream_infos
from leafbox.web.models.box import Flow, FlowEdge, FlowNode
from leafbox.web.models.edges import Connection
from leafbox.web.uplinks import uplinks_of

CLIENTS_MAX = 24
"""Clients drawn one by one, busiest first; a drawing with more cannot be read. The rest is one node."""
STREAMS_MAX = 24
CONNECTIONS_MAX = 1024
RATE_S_MIN = 0.5
"""Two looks closer together than this give the rates of the earlier one."""


@dataclass(slots=True)
class Sample:
    """Counters at a moment."""

    at: float = 0
    counters: dict[str, int] = field(default_factory=dict)


class FlowMeter:
    """Rates of one account."""

    def __init__(self, core: Core, account: str) -> None:
        self._core = core
        self._account = account
        self._last = Sample()
        self._flow: Flow | None = None
        self._lock = asyncio.Lock()

    async def measure(self) -> Flow:
        """The graph now; who comes while it is drawn for another gets that one."""
        async with self._lock:
            return await self._measure()

    async def _measure(self) -> Flow:
        now = time.monotonic()
        if self._flow is not None and now - self._last.at < RATE_S_MIN:
            return self._flow
        sample = Sample(now)
        found = await connections_of(self._core, "open", 0, CONNECTIONS_MAX, subscriptions=False, is_fresh=True)
        clients = [each for each in found.connections if each.account in (self._account, "")]
        nodes = [FlowNode(id="box", kind="box", label="Leafbox")]
        edges: list[FlowEdge] = []
        self._draw_clients(clients, sample, nodes, edges)
        await self._draw_streams(sample, nodes, edges)
        await self._draw_uplinks(nodes, edges)
        self._last = sample
        self._flow = Flow(nodes=nodes, edges=edges, at_s=time.time())
        return self._flow

    def _rate(self, sample: Sample, name: str, value: int) -> float:
        sample.counters[name] = value
        before, elapsed = self._last.counters.get(name), sample.at - self._last.at
        return 0.0 if before is None or elapsed <= 0 or value < before else (value - before) / elapsed

    def _draw_clients(
        self, clients: list[Connection], sample: Sample, nodes: list[FlowNode], edges: list[FlowEdge]
    ) -> None:
        rated = []
        for each in clients:
            name = f"client:{each.cid}"
            inward = (
                self._rate(sample, f"{name}:in", each.in_messages),
                self._rate(sample, f"{name}:inb", each.in_bytes),
            )
            outward = (
                self._rate(sample, f"{name}:out", each.out_messages),
                self._rate(sample, f"{name}:outb", each.out_bytes),
            )
            rated.append((inward[0] + outward[0], name, each, inward, outward))
        rated.sort(key=lambda entry: (-entry[0], entry[2].cid))
        for _, name, each, inward, outward in rated[:CLIENTS_MAX]:
            label = each.user or each.mqtt_client or each.name or f"{each.ip}:{each.port}"
            kind: Any = "device" if each.type == "mqtt" else "client"
            nodes.append(FlowNode(id=name, kind=kind, label=label, detail=each.name or each.type))
            _both_ways(edges, name, inward, outward)
        rest = rated[CLIENTS_MAX:]
        if rest:
            nodes.append(FlowNode(id="clients", kind="group", label=f"{len(rest)} more"))
            inward = sum(entry[3][0] for entry in rest), sum(entry[3][1] for entry in rest)
            outward = sum(entry[4][0] for entry in rest), sum(entry[4][1] for entry in rest)
            _both_ways(edges, "clients", inward, outward)

    async def _draw_streams(self, sample: Sample, nodes: list[FlowNode], edges: list[FlowEdge]) -> None:
        try:
            found = await stream_infos(self._core, self._account, is_fresh=True)
        except JetStreamRefused:
            return
        for info in found[:STREAMS_MAX]:
            name, state = info["config"]["name"], info["state"]
            rate = self._rate(sample, f"stream:{name}", int(state["last_seq"]))
            held = max(int(state["messages"]), 1)
            detail = f"{state['messages']} messages"
            nodes.append(FlowNode(id=f"stream:{name}", kind="stream", label=name, detail=detail))
            edges.append(
                FlowEdge(
                    source="box",
                    target=f"stream:{name}",
                    messages_per_s=round(rate, 1),
                    bytes_per_s=round(rate * int(state["bytes"]) / held, 1),
                )
            )

    async def _draw_uplinks(self, nodes: list[FlowNode], edges: list[FlowEdge]) -> None:
        try:
            uplinks = uplinks_of(await self._core.document("uplink.status")).uplinks
        except CoreRefused:
            return
        known = {node.id for node in nodes}
        for each in uplinks:
            node = f"uplink:{each.name}"
            nodes.append(
                FlowNode(id=node, kind="uplink", label=each.name, detail=each.sentence, severity=each.severity)
            )
            for stream in each.streams:
                source = f"stream:{stream.stream}" if f"stream:{stream.stream}" in known else "box"
                edges.append(FlowEdge(source=source, target=node, messages_per_s=stream.drain_messages_per_s))
            if not each.streams:
                edges.append(FlowEdge(source="box", target=node))


def _both_ways(edges: list[FlowEdge], node: str, inward: tuple[float, float], outward: tuple[float, float]) -> None:
    for source, target, (messages, volume) in ((node, "box", inward), ("box", node, outward)):
        edges.append(
            FlowEdge(source=source, target=target, messages_per_s=round(messages, 1), bytes_per_s=round(volume, 1))
        )
