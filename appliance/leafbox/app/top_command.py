"""`leafbox top`: the busiest connections and the box's rates, each second: nats-top without port 8222."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from leafbox.app.command_output import (
    DEFAULT_DATA,
    DataOption,
    JsonOption,
    count_text,
    duration_text,
    failures_told,
    say_json,
    say_json_line,
    size_text,
)
from leafbox.app.control_client import Box, run_with_box
from leafbox.protocol.jetstream.go_json import Json, JsonObject

if TYPE_CHECKING:
    from rich.console import RenderableType

COUNTERS = ("in_msgs", "out_msgs", "in_bytes", "out_bytes")
SORTS = ("msgs", "bytes", "pending", "subs", "cid")
ROWS_MAX = 1024
"""One page of connections; the busiest of them are shown."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(top)


def top(
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
    once: Annotated[bool, typer.Option("--once", help="One reading over one interval, then end.")] = False,
    interval: Annotated[float, typer.Option("--interval", "-d", min=0.2, help="Seconds between readings.")] = 1.0,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, help="Connections to show.")] = 20,
    sort: Annotated[str, typer.Option("--sort", help=f"One of {', '.join(SORTS)}.")] = "msgs",
) -> None:
    """Watch rates and the busiest connections; Ctrl-C ends it."""
    if sort not in SORTS:
        raise typer.BadParameter(f"one of {', '.join(SORTS)}", param_hint="--sort")

    async def watch(box: Box) -> None:
        reader = Reader(box)
        await reader.read(sort)
        if once or as_json:
            while True:
                await asyncio.sleep(interval)
                reading = await reader.read(sort)
                reading["connections"] = (
                    reading["connections"][:rows] if isinstance(reading["connections"], list) else []
                )
                if as_json and not once:
                    say_json_line(reading)
                    continue
                say_json(reading) if as_json else _print_once(reading, rows)
                return
        await _watch(reader, sort, interval, rows)

    with failures_told():
        run_with_box(data, watch)


class Reader:
    """Readings of the connections, with the rates since the reading before."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._before: dict[int, tuple[int, ...]] = {}
        self._read_s = time.monotonic()

    async def read(self, sort: str) -> JsonObject:
        """The status, and connections with `rates`, the highest first."""
        status = await self._box.request("status.get")
        request = msgspec.json.encode({"auth": True, "limit": ROWS_MAX})
        answer = await self._box.client.request("$SYS.REQ.SERVER.PING.CONNZ", request, timeout=5)
        rows = msgspec.json.decode(answer.data)["data"]["connections"]
        now_s = time.monotonic()
        elapsed_s = max(now_s - self._read_s, 1e-3)
        self._read_s = now_s
        before, self._before = self._before, {}
        shown: list[JsonObject] = []
        for row in rows:
            counts = tuple(int(row[name]) for name in COUNTERS)
            self._before[row["cid"]] = counts
            earlier = before.get(row["cid"], counts)
            rates = {
                name: max(now - then, 0) / elapsed_s for name, now, then in zip(COUNTERS, counts, earlier, strict=True)
            }
            shown.append(row | {"rates": rates})
        shown.sort(key=lambda row: _weight(row, sort), reverse=sort != "cid")
        connections: list[Json] = [*shown]
        return {"status": status, "connections": connections}


def _weight(row: JsonObject, sort: str) -> float:
    rates = row["rates"]
    assert isinstance(rates, dict)
    if sort in ("msgs", "bytes"):
        return sum(float(str(rates[name])) for name in COUNTERS if name.endswith(sort))
    return float(str(row[{"pending": "pending_bytes", "subs": "subscriptions", "cid": "cid"}[sort]]))


async def _watch(reader: Reader, sort: str, interval: float, rows: int) -> None:
    from rich.live import Live

    with Live(auto_refresh=False, screen=True) as live:
        while True:
            await asyncio.sleep(interval)
            live.update(_screen(await reader.read(sort), rows), refresh=True)


def _print_once(reading: JsonObject, rows: int) -> None:
    from rich.live import Live

    with Live(_screen(reading, rows), auto_refresh=False):
        return


def _screen(reading: JsonObject, rows: int) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    status, connections = reading["status"], reading["connections"]
    assert isinstance(status, dict)
    assert isinstance(connections, list)
    rates, storage = status["rates"], status["storage"]
    assert isinstance(rates, dict)
    assert isinstance(storage, dict)
    head = Text(
        f"{status['sentence']}\n"
        f"up {duration_text(status['uptime_s'])}   cpu {count_text(rates['cpu'])} %   "
        f"memory {size_text(status['memory_bytes'])}   storage {storage['state']}\n"
        f"in {count_text(rates['messages_in'])} msgs/s {size_text(rates['bytes_in'])}/s   "
        f"out {count_text(rates['messages_out'])} msgs/s {size_text(rates['bytes_out'])}/s   "
        f"{len(connections)} connections\n"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in (
        "cid",
        "name",
        "user",
        "address",
        "subs",
        "pending",
        "in msg/s",
        "out msg/s",
        "in B/s",
        "out B/s",
        "up",
    ):
        table.add_column(title, justify="left" if title in ("name", "user", "address") else "right", no_wrap=True)
    for row in connections[:rows]:
        assert isinstance(row, dict)
        table.add_row(*_cells(row))
    return Group(head, table)


def _cells(row: JsonObject) -> list[str]:
    rates = row["rates"]
    assert isinstance(rates, dict)
    return [
        str(row["cid"]),
        str(row.get("name") or row.get("lang") or ""),
        str(row.get("authorized_user") or ""),
        f"{row.get('ip')}:{row.get('port')}",
        count_text(row.get("subscriptions")),
        size_text(row.get("pending_bytes")),
        *(count_text(rates[name]) for name in ("in_msgs", "out_msgs")),
        *(size_text(rates[name]) for name in ("in_bytes", "out_bytes")),
        str(row.get("uptime")),
    ]
