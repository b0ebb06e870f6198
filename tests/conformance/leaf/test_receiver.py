"""Mirrors and sources of streams behind the link: resumed after outages of either side, nothing lost, nothing twice.

The edge receives, the hub has the origin. With us as the edge that is our receiver, with us as the hub our origin.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.leaf.pairs import OURS, REAL, Client, Pair, PairStarter, eventually
from tests.conformance.leaf.test_jetstream import messages_of, request, start_domains
from tests.support.servers import StartServer

HUB = {"api": "$JS.HUB.API", "deliver": ""}


@pytest.fixture(params=[(REAL, OURS), (OURS, REAL)], ids=["edge", "hub"])
def pair(request: pytest.FixtureRequest, start_server: StartServer, tmp_path: Path) -> Pair:
    """Linked servers, each with a JetStream domain, one of them real."""
    return start_domains(PairStarter(start_server, request.param), tmp_path)


@pytest.fixture
def edge_pair(start_server: StartServer, tmp_path: Path) -> Pair:
    """Us as the edge of a real hub, for what a real edge does too slowly."""
    return start_domains(PairStarter(start_server, (REAL, OURS)), tmp_path)


def messages_in(client: Client, stream: str) -> Iterator[tuple[int, str, str, str, str]]:
    """Every message: sequence, subject, header block, data, time."""
    last = request(client, f"$JS.API.STREAM.INFO.{stream}")["state"]["last_seq"]
    seq = 0
    while seq < last:
        query = {"next_by_subj": ">", "seq": seq + 1}
        found: dict[str, Any] = request(client, f"$JS.API.STREAM.MSG.GET.{stream}", query)["message"]
        seq = found["seq"]
        header = base64.b64decode(found.get("hdrs", "")).decode()
        yield seq, found["subject"], header, base64.b64decode(found.get("data", "")).decode(), found["time"]


def publish_at(client: Client, subject: str, numbers: range) -> None:
    for number in numbers:
        request(client, f"{subject}.{number % 3}", number)


@pytest.mark.capability("LF10", "JS31")
def test_a_mirror_is_the_origin_message_for_message_also_after_restarts(pair: Pair) -> None:
    with Client(pair.hub) as hub, Client(pair.edge) as edge:
        request(hub, "$JS.API.STREAM.CREATE.CMD", {"name": "CMD", "subjects": ["cmd.>"]})
        publish_at(hub, "cmd", range(20))
        request(hub, "$JS.API.STREAM.MSG.DELETE.CMD", {"seq": 3})
        request(hub, "$JS.API.STREAM.PURGE.CMD", {"seq": 2})
        request(edge, "$JS.API.STREAM.CREATE.M", {"name": "M", "mirror": {"name": "CMD", "external": HUB}})
        eventually(lambda: messages_of(edge, "M") == 18, "the mirror has what there is")
        assert list(messages_in(edge, "M")) == list(messages_in(hub, "CMD"))
        mirror = request(edge, "$JS.API.STREAM.INFO.M")["mirror"]
        assert (mirror["name"], mirror["lag"], mirror["external"]) == ("CMD", 0, HUB)
        assert mirror["active"] >= 0
        assert "error" not in mirror
    pair.edge.restart()
    with Client(pair.hub) as hub:
        publish_at(hub, "cmd", range(20, 30))
    if pair.edge.kind is OURS:
        # A real receiver would need 40 s to ask again.
        pair.hub.restart()
    with Client(pair.hub) as hub, Client(pair.edge) as edge:
        publish_at(hub, "cmd", range(30, 40))
        request(hub, "$JS.API.STREAM.MSG.DELETE.CMD", {"seq": 25})
        eventually(lambda: last_of(edge, "M") == 40, "the mirror caught up", timeout_s=60)
        at_hub = [message for message in messages_in(hub, "CMD") if message[0] != 25]
        assert [message for message in messages_in(edge, "M") if message[0] != 25] == at_hub


def last_of(client: Client, stream: str) -> int:
    return int(request(client, f"$JS.API.STREAM.INFO.{stream}")["state"]["last_seq"])


@pytest.mark.capability("LF10", "JS32")
def test_sources_filter_and_rename_and_say_where_each_message_came_from(pair: Pair) -> None:
    with Client(pair.hub) as hub, Client(pair.edge) as edge:
        request(hub, "$JS.API.STREAM.CREATE.CMD", {"name": "CMD", "subjects": ["cmd.>"]})
        publish_at(hub, "cmd", range(6))
        sources = [
            {"name": "CMD", "external": HUB, "filter_subject": "cmd.1"},
            {"name": "CMD", "external": HUB, "subject_transforms": [{"src": "cmd.2", "dest": "two"}]},
        ]
        request(edge, "$JS.API.STREAM.CREATE.S", {"name": "S", "subjects": ["own"], "sources": sources})
        eventually(lambda: messages_of(edge, "S") == 4, "both sources are taken")
        request(edge, "own", "mine")
        found = [(subject, header, data) for _, subject, header, data, _ in messages_in(edge, "S")]
        notes = [re.sub(r" \w{8}\r", " <identity>\r", header) for _, header, _ in found]
        assert sorted(subject for subject, _, _ in found) == ["cmd.1", "cmd.1", "own", "two", "two"]
        assert any(re.search(r"CMD:\w{8} 3 cmd\.2 two cmd\.2 <identity>", note) for note in notes)
        assert any(re.search(r"CMD:\w{8} 5 cmd\.1 > cmd\.1 <identity>", note) for note in notes)


@pytest.mark.capability("JS33", "LF10")
def test_a_work_queue_is_taken_once_through_crashes_of_the_receiver(pair: Pair) -> None:
    with Client(pair.hub) as hub, Client(pair.edge) as edge:
        config = {"name": "JOBS", "subjects": ["jobs.>"], "retention": "workqueue"}
        request(hub, "$JS.API.STREAM.CREATE.JOBS", config)
        source = {"name": "JOBS", "external": HUB}
        request(edge, "$JS.API.STREAM.CREATE.S", {"name": "S", "sources": [source], "retention": "workqueue"})
        publish_at(hub, "jobs", range(50))
        eventually(lambda: messages_of(edge, "S") == 50, "all are taken")
        (consumer,) = request(hub, "$JS.API.CONSUMER.LIST.JOBS")["consumers"]
        assert consumer["name"].startswith("JS_SRC_")
        assert consumer["config"]["ack_policy"] == "flow_control"
        eventually(lambda: messages_of(hub, "JOBS") == 0, "the receiver acknowledged")
        # Consumed and gone before the crash: only the stored place can tell that they were taken.
        request(edge, "$JS.API.STREAM.PURGE.S")
    pair.edge.restart(crash=pair.edge.kind is OURS)
    with Client(pair.hub) as hub, Client(pair.edge) as edge:
        publish_at(hub, "jobs", range(50, 60))
        eventually(lambda: last_of(edge, "S") == 60, "the rest is taken", timeout_s=60)
        assert [data for *_, data, _ in messages_in(edge, "S")] == [str(number) for number in range(50, 60)]
        eventually(lambda: messages_of(hub, "JOBS") == 0, "the receiver acknowledged")


@pytest.mark.capability("JS34")
def test_an_origin_that_was_made_anew_is_taken_from_its_start(edge_pair: Pair) -> None:
    with Client(edge_pair.hub) as hub, Client(edge_pair.edge) as edge:
        config = {"name": "CMD", "subjects": ["cmd.>"]}
        request(hub, "$JS.API.STREAM.CREATE.CMD", config)
        publish_at(hub, "cmd", range(10))
        source = {"name": "CMD", "external": HUB}
        request(edge, "$JS.API.STREAM.CREATE.S", {"name": "S", "sources": [source]})
        eventually(lambda: messages_of(edge, "S") == 10, "the first ten")
        request(hub, "$JS.API.STREAM.DELETE.CMD")
        request(hub, "$JS.API.STREAM.CREATE.CMD", config)
        publish_at(hub, "cmd", range(10, 15))
        eventually(lambda: messages_of(edge, "S") == 15, "and the five of the new stream", timeout_s=60)
        assert [data for *_, data, _ in messages_in(edge, "S")] == [str(number) for number in range(15)]


@pytest.mark.capability("KV08")
def test_a_bucket_of_the_hub_is_read_at_the_edge_while_the_hub_is_away(pair: Pair) -> None:
    bucket: dict[str, object] = {
        "name": "KV_B",
        "subjects": ["$KV.B.>"],
        "max_msgs_per_subject": 1,
        "allow_direct": True,
    }
    with Client(pair.hub) as hub, Client(pair.edge) as edge:
        request(hub, "$JS.API.STREAM.CREATE.KV_B", {**bucket, "allow_rollup_hdrs": True})
        for number in range(3):
            request(edge, "$JS.HUB.API.$KV.B.k", number)
        mirror: dict[str, object] = {"name": "KV_B", "mirror": {"name": "KV_B", "external": HUB}, "mirror_direct": True}
        mirror |= {"max_msgs_per_subject": 1, "allow_direct": True}
        request(edge, "$JS.API.STREAM.CREATE.KV_B", mirror)
        eventually(lambda: last_of(edge, "KV_B") == 3, "the mirror has the last value")
        pair.hub.stop()
        assert request(edge, "$JS.API.DIRECT.GET.KV_B.$KV.B.k") == 2
        assert messages_of(edge, "KV_B") == 1
        pair.hub.start()


@pytest.mark.capability("LF10")
def test_what_keeps_a_source_from_its_origin_is_said_and_ends(edge_pair: Pair) -> None:
    with Client(edge_pair.edge) as edge:
        sources = [
            {"name": "CMD", "external": HUB},
            {"name": "CMD", "external": {"api": "$JS.NONE.API", "deliver": ""}},
        ]
        request(edge, "$JS.API.STREAM.CREATE.S", {"name": "S", "sources": sources})

        def errors() -> list[Any]:
            return [source.get("error") for source in request(edge, "$JS.API.STREAM.INFO.S")["sources"]]

        eventually(lambda: all(errors()), "both cannot be reached")
        assert errors()[0] == {"code": 404, "err_code": 10059, "description": "stream not found"}
        assert errors()[1]["err_code"] == 10045
        assert "nobody answers $JS.NONE.API.CONSUMER.CREATE.CMD: the link is down" in errors()[1]["description"]
        with Client(edge_pair.hub) as hub:
            request(hub, "$JS.API.STREAM.CREATE.CMD", {"name": "CMD", "subjects": ["cmd"]})
            request(hub, "cmd", 1)
        eventually(lambda: messages_of(edge, "S") == 1, "the source followed", timeout_s=30)
        assert errors()[0] is None


@pytest.mark.capability("JS33")
def test_a_consumer_made_in_advance_feeds_a_source(pair: Pair) -> None:
    with Client(pair.hub) as hub, Client(pair.edge) as edge:
        config = {"name": "JOBS", "subjects": ["jobs.>"], "retention": "workqueue"}
        request(hub, "$JS.API.STREAM.CREATE.JOBS", config)
        consumer: dict[str, object] = {"durable_name": "D", "deliver_subject": "feed.edge"}
        consumer["ack_policy"] = "flow_control"
        consumer |= {"flow_control": True, "idle_heartbeat": 1_000_000_000, "max_ack_pending": 100}
        request(hub, "$JS.API.CONSUMER.CREATE.JOBS.D", {"stream_name": "JOBS", "config": consumer})
        publish_at(hub, "jobs", range(10))
        source = {"name": "JOBS", "external": HUB, "consumer": {"name": "D", "deliver_subject": "feed.edge"}}
        request(edge, "$JS.API.STREAM.CREATE.S", {"name": "S", "sources": [source]})
        eventually(lambda: messages_of(edge, "S") == 10, "all are taken")
        eventually(lambda: messages_of(hub, "JOBS") == 0, "and acknowledged")
        assert [data for *_, data, _ in messages_in(edge, "S")] == [str(number) for number in range(10)]
