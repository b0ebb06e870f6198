"""Backups (STREAM.SNAPSHOT, STREAM.RESTORE) between the real server and this one, both ways and onto itself."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from leafbox.dataplane.s2 import S2Encoder
from tests.conformance.jetstream.test_api_differential import CONFIG
from tests.support.servers import ServerKind, ServerProcess

REAL, OURS = ServerKind.REAL, ServerKind.LEAFBOX
MESSAGES = 300


async def api(client: Client, subject: str, body: object = "") -> dict[str, Any]:
    payload = json.dumps(body).encode() if body else b""
    answer = await client.request(f"$JS.API.{subject}", payload, timeout=5)
    parsed: dict[str, Any] = json.loads(answer.data)
    assert "error" not in parsed, parsed
    return parsed


async def fill(client: Client) -> None:
    """A stream with holes, headers, payloads that compress and ones that do not, and a consumer half way."""
    config = {"name": "S", "subjects": ["s.>"], "allow_msg_ttl": True, "metadata": {"owner": "test"}}
    await api(client, "STREAM.CREATE.S", config)
    for index in range(MESSAGES):
        payload = bytes((index * factor) % 251 for factor in range(index % 97)) + b"=" * (index * 20)
        await client.request(f"s.{index % 7}", payload, headers={"Index": str(index)} if index % 3 else None)
    for seq in (1, 2, 50, 51, MESSAGES):
        await api(client, "STREAM.MSG.DELETE.S", {"seq": seq})
    consumer = {"durable_name": "C", "ack_policy": "explicit", "filter_subject": "s.3", "ack_wait": 60 * 10**9}
    await api(client, "CONSUMER.CREATE.S.C.s.3", {"stream_name": "S", "config": consumer})
    inbox = await client.subscribe("got")
    await client.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", b'{"batch":6}', reply="got")
    messages = [await inbox.next_msg(timeout=5) for _ in range(6)]
    for message in (messages[0], messages[1], messages[4]):
        await client.request(message.reply, b"+ACK", timeout=5)


async def contents(client: Client) -> list[object]:
    """Everything about the stream that a backup must carry."""
    info = await api(client, "STREAM.INFO.S", {"deleted_details": True})
    config = {key: value for key, value in info["config"].items() if key != "metadata"}
    # The last message is deleted, and the archive has no place for its time.
    del info["state"]["last_ts"]
    seen: list[object] = [config, info["state"], info["config"]["metadata"]["owner"]]
    for seq in range(info["state"]["first_seq"], info["state"]["last_seq"] + 1):
        if seq not in info["state"].get("deleted", ()):
            seen.append((await api(client, "STREAM.MSG.GET.S", {"seq": seq}))["message"])
    consumer = await api(client, "CONSUMER.INFO.S.C")
    places = {key: (value["consumer_seq"], value["stream_seq"]) for key, value in consumer.items() if key in FLOORS}
    seen.append((places, {key: consumer[key] for key in ("num_ack_pending", "num_pending", "name")}))
    return seen


FLOORS = ("delivered", "ack_floor")


@dataclass
class Backup:
    config: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)


async def take_backup(client: Client) -> Backup:
    """What `nats stream backup` does: it asks, then listens, and acknowledges until the empty chunk."""
    backup, done = Backup(), asyncio.get_running_loop().create_future()

    async def receive(message: Msg) -> None:
        if not message.data:
            done.set_result(message.headers)
            return
        backup.chunks.append(message.data)
        if message.reply:
            await client.publish(message.reply, b"")

    # The answers to a client's requests come by a wildcard that covers its other inboxes: it is no receiver.
    covering = await client.subscribe("backup.*")
    response = await api(client, "STREAM.SNAPSHOT.S", {"deliver_subject": "backup.here", "chunk_size": 4096})
    await client.subscribe("backup.here", cb=receive)
    backup.config, backup.state = response["config"], response["state"]
    await asyncio.wait_for(done, 20)
    await covering.unsubscribe()
    return backup


async def restore(client: Client, backup: Backup) -> dict[str, Any]:
    """What `nats stream restore` does."""
    response = await api(client, "STREAM.RESTORE.S", {"config": backup.config, "state": backup.state})
    for chunk in backup.chunks:
        answer = await client.request(response["deliver_subject"], chunk, timeout=5)
        assert not answer.data or b"error" not in answer.data, answer.data
    final = await client.request(response["deliver_subject"], b"", timeout=10)
    parsed: dict[str, Any] = json.loads(final.data)
    assert "error" not in parsed, parsed
    return parsed


async def saved(port: int) -> tuple[list[object], Backup]:
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    try:
        await fill(client)
        return await contents(client), await take_backup(client)
    finally:
        await client.close()


async def restored(port: int, backup: Backup) -> list[object]:
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    try:
        await restore(client, backup)
        return await contents(client)
    finally:
        await client.close()


@pytest.mark.capability("JS37")
@pytest.mark.parametrize(("origin", "target"), [(REAL, OURS), (OURS, REAL), (OURS, OURS)])
def test_a_backup_carries_everything(origin: ServerKind, target: ServerKind, tmp_path: Path) -> None:
    with ServerProcess(origin, tmp_path / "a", config=CONFIG.format(directory=tmp_path / "a")) as server:
        before, backup = asyncio.run(saved(server.client_port))
    with ServerProcess(target, tmp_path / "b", config=CONFIG.format(directory=tmp_path / "b")) as server:
        after = asyncio.run(restored(server.client_port, backup))
    assert after == before


async def late_ends(port: int) -> list[object]:
    """Of a backup nobody listens to, and of one that is heard by a wildcard only."""
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    try:
        await fill(client)
        ends = await client.subscribe(f"{ADVISORY_SUBJECT}SNAPSHOT_COMPLETE.S")
        heard = await client.subscribe("wild.*")
        for subject in ("nobody", "wild.x"):
            await api(client, "STREAM.SNAPSHOT.S", {"deliver_subject": subject})
        events = [json.loads((await ends.next_msg(timeout=10)).data) for _ in range(2)]
        chunks = [len((await heard.next_msg(timeout=10)).data) for _ in range(2)]
        return [sorted(str(event.get("error")) for event in events), chunks[0] > 0, chunks[1]]
    finally:
        await client.close()


@pytest.mark.capability("JS37")
def test_a_backup_waits_for_its_receiver_and_then_no_longer(tmp_path: Path) -> None:
    with ServerProcess(OURS, tmp_path, config=CONFIG.format(directory=tmp_path)) as server:
        assert asyncio.run(late_ends(server.client_port)) == [["None", "no interest"], True, 0]


def tar_backup(stream_directory: Path, config: dict[str, Any], state: dict[str, Any]) -> Backup:
    """A backup as servers before 2.15 made them: a tar of the stream's files, in S2."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("meta.inf", "meta.sum", "msgs", "obs"):
            found = sorted(path for path in (stream_directory / name).rglob("*") if path.is_file())
            for path in found or [stream_directory / name]:
                entry = tarfile.TarInfo(str(path.relative_to(stream_directory)))
                entry.size, entry.mtime = path.stat().st_size, 1.5
                archive.addfile(entry, io.BytesIO(path.read_bytes()))
    packed = S2Encoder().encode(plain.getvalue())
    return Backup(config, state, [packed[at : at + 4096] for at in range(0, len(packed), 4096)])


async def filled(port: int) -> tuple[list[object], dict[str, Any]]:
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    try:
        await fill(client)
        return await contents(client), await api(client, "STREAM.INFO.S")
    finally:
        await client.close()


@pytest.mark.capability("JS37")
def test_a_backup_of_an_older_server_is_read(tmp_path: Path) -> None:
    with ServerProcess(REAL, tmp_path / "a", config=CONFIG.format(directory=tmp_path / "a")) as server:
        before, info = asyncio.run(filled(server.client_port))
    directory = tmp_path / "a" / "jetstream" / "A" / "streams" / "S"
    backup = tar_backup(directory, info["config"], info["state"])
    for target in (REAL, OURS):
        home = tmp_path / target.value
        with ServerProcess(target, home, config=CONFIG.format(directory=home)) as server:
            assert asyncio.run(restored(server.client_port, backup)) == before


ADVISORY_SUBJECT = "$JS.EVENT.ADVISORY.STREAM."
OWN = {"id", "timestamp", "start", "end", "bytes"}
"""Different in each run, or in how well the archive was packed."""


async def events_of_a_backup(port: int) -> list[tuple[str, list[object]]]:
    """The advisories of one backup and the restore of it under the same name, without what differs in every run."""
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    try:
        await fill(client)
        inbox = await client.subscribe(f"{ADVISORY_SUBJECT}>")
        backup = await take_backup(client)
        await api(client, "STREAM.DELETE.S")
        await restore(client, backup)
        seen: list[tuple[str, list[object]]] = []
        while len(seen) < 4:
            message = await inbox.next_msg(timeout=10)
            event = json.loads(message.data)
            if "snapshot" not in event["type"] and "restore" not in event["type"]:
                continue
            assert OWN & set(event) >= {"id", "timestamp"}
            event["client"] = sorted(event["client"])
            if "state" in event:
                event["state"] = {**event["state"], "first_ts": "", "last_ts": ""}
            seen.append((message.subject, [(key, "" if key in OWN else value) for key, value in event.items()]))
        return seen
    finally:
        await client.close()


@pytest.mark.capability("JS38", "JS37")
def test_advisories_of_a_backup_are_those_of_the_real_server(tmp_path: Path) -> None:
    """Begin and end of a backup and of a restore: subjects, fields, their order and values."""
    seen = {}
    for kind in ServerKind:
        home = tmp_path / kind.value
        with ServerProcess(kind, home, config=CONFIG.format(directory=home)) as server:
            seen[kind] = asyncio.run(events_of_a_backup(server.client_port))
    assert [subject.removeprefix(ADVISORY_SUBJECT) for subject, _ in seen[REAL]] == [
        "SNAPSHOT_CREATE.S",
        "SNAPSHOT_COMPLETE.S",
        "RESTORE_CREATE.S",
        "RESTORE_COMPLETE.S",
    ]
    assert seen[OURS] == seen[REAL]
