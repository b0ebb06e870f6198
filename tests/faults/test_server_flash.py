"""The whole server on flash that is full, fails or wears out, and after an orderly stop; seen as its clients see it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import nats.errors
import nats.js.api
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from tests.benchmarks.flash import SMALL_IMAGE_BYTES, Flash, mounted_flash
from tests.benchmarks.generator import run_load
from tests.benchmarks.machine import Placement, memory_bytes
from tests.support.power_cut import PowerCutDisk
from tests.support.servers import ServerKind, ServerProcess, StartServer

MEBIBYTE = 1 << 20
WAIT_S = 30.0


def config_for(store: Path, more: str = "") -> str:
    return f'listen: "127.0.0.1:-1"\nhttp: "127.0.0.1:-1"\njetstream {{ store_dir: "{store}", {more} }}'


def health_of(server: ServerProcess) -> tuple[int, str]:
    """Status of `/healthz` and what it says."""
    try:
        with urllib.request.urlopen(f"{server.monitor_url}/healthz", timeout=10) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@contextlib.asynccontextmanager
async def connected(server: ServerProcess) -> AsyncIterator[tuple[Client, JetStreamContext]]:
    client = await nats.connect(server.url, allow_reconnect=False, error_cb=_ignore)
    try:
        yield client, client.jetstream(timeout=10)
    finally:
        with contextlib.suppress(nats.errors.Error):
            await client.close()


async def _ignore(_: Exception) -> None:
    """Errors come to the calls that caused them."""


async def core_messages_flow(client: Client) -> bool:
    subscription = await client.subscribe("core")
    await client.publish("core", b"still here")
    return (await subscription.next_msg(timeout=10)).data == b"still here"


async def wait_until_stored(server: ServerProcess, stream: JetStreamContext) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            await stream.publish("s.again", b"x")
        except nats.js.errors.APIError as error:
            if time.monotonic() > deadline:
                raise AssertionError(f"still refused: {error}; {health_of(server)}") from error
            await asyncio.sleep(0.1)
        else:
            return


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """400 MiB of tmpfs, 256 of them taken by a file named ballast; the store keeps 64 MiB in reserve."""
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", path], check=True)
    (path / "ballast").write_bytes(bytes(256 * MEBIBYTE))
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


@pytest.mark.capability("JS41")
def test_a_full_disk_refuses_messages_and_serves_the_rest(small_disk: Path, start_server: StartServer) -> None:
    """Publishers get an error, `/healthz` 503 with the reason, core messages flow; space that returns ends it."""
    server = start_server(ServerKind.LEAFBOX, config=config_for(small_disk / "store"))

    async def run() -> None:
        async with connected(server) as (client, stream):
            await stream.add_stream(name="S", subjects=["s.>"])
            stored = 0
            refused = None
            while refused is None and stored < 2_000:
                try:
                    await stream.publish("s.fill", bytes(100_000))
                    stored += 1
                except nats.js.errors.APIError as error:
                    refused = error
            assert refused is not None
            assert refused.code in (500, 503)
            assert "insufficient" in (refused.description or "")
            status, body = health_of(server)
            assert status == 503
            assert "reserve" in json.loads(body)["error"]
            assert await core_messages_flow(client)
            assert (await stream.get_msg("S", stored)).seq == stored, "reading goes on"
            (small_disk / "ballast").unlink()
            await wait_until_stored(server, stream)
            assert health_of(server) == (200, '{"status":"ok"}')
            assert (await stream.stream_info("S")).state.messages >= stored + 1

    asyncio.run(run())


@pytest.mark.capability("OP08")
@pytest.mark.parametrize("code", [errno.EROFS, errno.EIO], ids=["read-only", "failing"])
def test_bad_flash_degrades_the_server(tmp_path: Path, start_server: StartServer, code: int) -> None:
    """No acknowledgement while writes fail, and health says why; core messages flow; a healed device is used again."""
    with PowerCutDisk(tmp_path / "disk") as disk:
        server = start_server(ServerKind.LEAFBOX, config=config_for(disk.path / "store"))

        async def run() -> None:
            async with connected(server) as (client, stream):
                await stream.add_stream(name="S", subjects=["s.>"])
                await stream.publish("s.a", b"before")
                disk.fail(code)
                with pytest.raises((nats.errors.TimeoutError, nats.js.errors.APIError)):
                    await stream.publish("s.a", b"lost in no case", timeout=1)
                deadline = time.monotonic() + WAIT_S
                while health_of(server)[0] != 503:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.05)
                with pytest.raises(nats.js.errors.APIError):
                    await stream.publish("s.a", b"refused at once")
                assert await core_messages_flow(client)
                assert (await stream.get_msg("S", 1)).data == b"before"
                disk.fail(0)
                await wait_until_stored(server, stream)
                assert health_of(server)[0] == 200

        asyncio.run(run())
        assert server.stop() in (0, 1)


@pytest.fixture
def flash(tmp_path: Path) -> Iterator[Flash]:
    with mounted_flash(tmp_path, SMALL_IMAGE_BYTES) as mounted:
        if not mounted.is_counted:
            pytest.skip("needs a loop device, which needs root")
        yield mounted


@pytest.mark.slow
@pytest.mark.capability("JS42", "AP05")
def test_flash_wears_as_little_as_promised(flash: Flash, start_server: StartServer) -> None:
    """Bytes at the block device per acknowledged message: one at a time, a thousand, and where nobody waits."""
    server = start_server(ServerKind.LEAFBOX, config=config_for(flash.directory / "store"))

    async def prepare() -> None:
        async with connected(server) as (client, stream):
            await stream.add_stream(name="S", subjects=["s.sync"])
            wanted = {"name": "A", "subjects": ["s.async"], "storage": "file", "persist_mode": "async"}
            answer = await client.request("$JS.API.STREAM.CREATE.A", json.dumps(wanted).encode(), timeout=10)
            assert "error" not in json.loads(answer.data), answer.data

    asyncio.run(prepare())
    log = flash.directory / "store" / "jetstream" / "log"
    deadline = time.monotonic() + WAIT_S
    while not list(log.glob("segment-*.log")) or (log / "unfinished").exists():
        # The first segment, written once in the box's life.
        assert time.monotonic() < deadline
        time.sleep(0.05)

    def cost(subject: str, window: int, count: int) -> float:
        before = flash.written_bytes()
        figures = run_load(
            "requests", server.client_port, Placement.FREE, subject=subject, size=128, window=window, count=count
        )
        return (flash.written_bytes() - before) / figures["messages"]

    assert cost("s.sync", 1, 500) <= 5_000
    assert cost("s.sync", 1_000, 40_000) <= 500
    assert cost("s.async", 1, 5_000) <= 500, "a sync per second, not per message"


@pytest.mark.capability("OP04", "AP02")
def test_an_orderly_stop_under_load_keeps_what_was_acknowledged(start_server: StartServer, tmp_path: Path) -> None:
    """SIGTERM in the middle of publishing; the next start finds every acknowledged message and a clean log."""
    home = tmp_path / "home"
    server = start_server(ServerKind.LEAFBOX, config=config_for(tmp_path / "store"), directory=home)
    acknowledged: set[int] = set()

    async def publish() -> None:
        many = asyncio.Event()
        async with connected(server) as (_, stream):
            await stream.add_stream(name="S", subjects=["s.>"])

            async def one_by_one(number: int) -> None:
                with contextlib.suppress(nats.errors.Error, asyncio.TimeoutError):
                    while True:
                        acknowledged.add((await stream.publish(f"s.{number}", b"x", timeout=2)).seq)
                        if len(acknowledged) >= 500:
                            many.set()

            workers = [asyncio.ensure_future(one_by_one(number)) for number in range(20)]
            await asyncio.wait_for(many.wait(), WAIT_S)
            await asyncio.to_thread(server.stop)
            await asyncio.gather(*workers)

    asyncio.run(publish())
    again = start_server(ServerKind.LEAFBOX, config=config_for(tmp_path / "store"), directory=home)

    async def count() -> tuple[int, int]:
        async with connected(again) as (_, stream):
            state = (await stream.stream_info("S")).state
            return state.first_seq, state.last_seq

    first, last = asyncio.run(count())
    assert first == 1
    assert last >= max(acknowledged)


@pytest.mark.slow
@pytest.mark.capability("OP05")
def test_a_full_store_starts_quickly_and_stays_small(start_server: StartServer, tmp_path: Path) -> None:
    """300,000 messages on 1,000 subjects: less than 2 seconds, and 64 bytes each beside a cache of fixed size."""
    home, count = tmp_path / "home", 300_000
    server = start_server(ServerKind.LEAFBOX, config=config_for(tmp_path / "store"), directory=home)
    empty = memory_bytes(server.pid)

    async def prepare() -> None:
        async with connected(server) as (_, stream):
            await stream.add_stream(name="S", subjects=["s.>"])

    asyncio.run(prepare())
    run_load(
        "requests", server.client_port, Placement.FREE, subject="s.", keys=1000, size=128, window=1000, count=count
    )
    server.stop()
    again = start_server(ServerKind.LEAFBOX, config=config_for(tmp_path / "store"), directory=home)
    with open(f"/proc/{again.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    # Processor time instead of the clock: other tests may run beside this one.
    assert (int(fields[11]) + int(fields[12])) / 100 < 2
    assert memory_bytes(again.pid) - empty <= 64 * count + 8 * MEBIBYTE

    async def found() -> int:
        async with connected(again) as (_, stream):
            return (await stream.stream_info("S")).state.messages

    assert asyncio.run(found()) == count


@pytest.mark.capability("JS42")
@pytest.mark.parametrize("word", ["write", "sync", "never"])
def test_what_an_acknowledgement_waits_for_is_configured(start_server: StartServer, tmp_path: Path, word: str) -> None:
    """On a device whose syncs fail, `write` acknowledges and `sync` does not; other words the config refuses."""
    with PowerCutDisk(tmp_path / "disk") as disk:
        config = config_for(disk.path / "store", f"acknowledge_after: {word}")
        if word == "never":
            with pytest.raises(Exception, match="Expected 'sync' or 'write' for acknowledge_after"):
                start_server(ServerKind.LEAFBOX, config=config)
            return
        server = start_server(ServerKind.LEAFBOX, config=config)

        async def is_acknowledged() -> bool:
            async with connected(server) as (_, stream):
                await stream.add_stream(name="S", subjects=["s.>"])
                disk.fail(errno.EIO, "sync")
                try:
                    await stream.publish("s.a", b"x", timeout=0.6)
                except (nats.errors.TimeoutError, nats.js.errors.APIError):
                    return False
                finally:
                    disk.fail(0)
                return True

        assert asyncio.run(is_acknowledged()) is (word == "write")
