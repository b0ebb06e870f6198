"""Backups of a box that is being written to, of one that is killed meanwhile, and what is restored of them."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from pathlib import Path

import nats
import pytest

from leafbox.app.control_client import ask
from tests.support.boxes import LEAFBOX, Box, run_command, running_box

pytestmark = pytest.mark.slow

PASSPHRASE = "correct horse battery"


class Writer:
    """Publishes with acknowledgement until it is stopped; `acknowledged` counts."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._stop = threading.Event()
        self.acknowledged = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._write()), daemon=True)

    async def _write(self) -> None:
        async with await nats.connect(self._box.url, allow_reconnect=False, error_cb=_ignore) as client:
            stream = client.jetstream()
            await stream.add_stream(name="S", subjects=["s.*"])
            while not self._stop.is_set():
                try:
                    ack = await stream.publish("s.x", b"%08d" % self.acknowledged)
                except Exception:  # The box was killed; what was acknowledged stands.
                    return
                assert ack.seq == self.acknowledged + 1
                self.acknowledged = ack.seq

    def start(self) -> None:
        self._thread.start()
        self.wait_for(20)

    def wait_for(self, count: int) -> None:
        until_s = time.monotonic() + 60
        while self.acknowledged < count:
            assert time.monotonic() < until_s, "the box stores nothing"
            time.sleep(0.01)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)


async def _ignore(error: Exception) -> None: ...


def stored(box: Box) -> list[bytes]:
    """The payloads of the stream."""

    async def read() -> list[bytes]:
        async with await nats.connect(box.url) as client:
            stream = client.jetstream()
            state = (await stream.stream_info("S")).state
            return [(await stream.get_msg("S", seq)).data or b"" for seq in range(1, state.messages + 1)]

    return asyncio.run(read())


@pytest.mark.capability("OP06")
def test_a_backup_of_a_busy_box_holds_all_that_was_acknowledged_before_it(tmp_path: Path) -> None:
    with running_box(tmp_path) as box:
        writer = Writer(box)
        writer.start()
        before = writer.acknowledged
        made = box.document("backup", "create", "--encrypt", typed=PASSPHRASE + "\n")
        writer.wait_for(before + 20)
        writer.stop()
        assert made["encrypted"] is True
        assert [each["id"] for each in box.document("backup", "list")["backups"]] == [made["id"]]
        backup = Path(made["path"])
        for passphrase, code in ((PASSPHRASE, 0), ("incorrect horse battery", 1)):
            assert run_command("backup", "verify", str(backup), typed=passphrase + "\n").returncode == code
        refused = run_command("backup", "restore", str(backup), "--data", str(box.data), typed=PASSPHRASE + "\n")
        assert (refused.returncode, "not empty" in refused.stderr) == (1, True)
    target = tmp_path / "restored"
    done = run_command("backup", "restore", str(backup), "--data", str(target), typed=PASSPHRASE + "\n")
    assert done.returncode == 0, done.stderr
    assert f"leafbox run --data {target}" in done.stdout
    with running_box(tmp_path, data=target) as again:
        found = stored(again)
        assert found == [b"%08d" % number for number in range(len(found))]
        assert len(found) >= before
        code = again.command("status").returncode  # 3 where the disk of the machine that tests is nearly full
        assert code in (0, 3)
        assert again.document("status", code=code)["storage"]["is_accepting"] is True


@pytest.mark.capability("OP06")
def test_a_kill_in_the_middle_leaves_no_half_backup_and_a_whole_store(tmp_path: Path) -> None:
    with running_box(tmp_path) as box:
        writer = Writer(box)
        writer.start()
        command = [str(LEAFBOX), "backup", "create", "--data", str(box.data)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as creating:
            until_s = time.monotonic() + 60
            while not list((box.data / "backups").glob(".work-*/store/*")) and creating.poll() is None:
                assert time.monotonic() < until_s
                time.sleep(0.002)
            box.kill()
            assert creating.wait(60) in (0, 4)
        writer.stop()
    for path in (box.data / "backups").glob("*.backup"):
        # It was faster than the kill: then it is whole.
        assert run_command("backup", "verify", str(path)).returncode == 0
    with running_box(tmp_path) as again:
        assert len(stored(again)) >= writer.acknowledged
        again.document("backup", "create")
        assert not list((again.data / "backups").glob(".work-*"))


def test_a_backup_put_in_place_over_the_dashboard_counts_from_the_next_start(tmp_path: Path) -> None:
    async def store_one(url: str, text: bytes) -> None:
        async with await nats.connect(url) as client:
            stream = client.jetstream()
            await stream.add_stream(name="S", subjects=["s.*"])
            await stream.publish("s.x", text)

    with running_box(tmp_path) as box:
        asyncio.run(store_one(box.url, b"first"))
        made = box.document("backup", "create")
        asyncio.run(store_one(box.url, b"second"))
        assert ask(box.data, "backup.verify", {"id": made["id"]}, 60)["sound"] is True
        assert ask(box.data, "backup.restore", {"id": made["id"]}, 60)["restart_needed"] is True
        assert len(stored(box)) == 2
    with running_box(tmp_path) as again:
        assert "A backup was put in place" in again.said
        assert stored(again) == [b"first"]
        (former,) = again.data.glob("before-restore-*")
        assert (former / "jetstream").is_dir()
        assert (again.data / "backups" / made["id"]).exists()


def test_a_box_that_does_not_run_can_be_backed_up(tmp_path: Path) -> None:
    with running_box(tmp_path) as box:
        pass
    done = run_command("backup", "create", "--data", str(box.data), "--output", str(tmp_path / "copy.backup"))
    assert done.returncode == 0, done.stderr
    assert run_command("backup", "verify", str(tmp_path / "copy.backup")).returncode == 0
    assert run_command("backup", "create", "--data", str(tmp_path / "nothing")).returncode == 4
