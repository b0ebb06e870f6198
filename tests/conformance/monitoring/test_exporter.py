"""The names and labels that boards made for prometheus-nats-exporter query, and the rules that promtool checks.

The exporter is a Go program that cannot be had here, so its names stand below, written down from its sources (GitHub,
nats-io/prometheus-nats-exporter, `collector/*.go` at 2fdbfd7 of June 2026, after 0.20). Left out: what a box has not
(routes, gateways, streaming servers), `accountz` (limits of JWTs) and what that program gives only when asked
(`connz_detailed`, one series for each subscription of a leaf node).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import nats
import pytest
from nats.js.api import StreamSource
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.servers import ServerKind, ServerProcess
from tests.support.web_client import Browser, RunningBox

pytestmark = pytest.mark.capability("MO10")

SERVER = ("server_id",)
JETSTREAM = (*SERVER, "server_name", "cluster", "domain", "meta_leader", "is_meta_leader")
ACCOUNT = (*JETSTREAM, "account", "account_name", "account_id")
STREAM = (*ACCOUNT, "stream_name", "stream_leader", "is_stream_leader", "stream_raft_group")
CONSUMER = (*STREAM, "consumer_name", "consumer_leader", "is_consumer_leader", "consumer_desc")
LEAF = (*SERVER, "account", "account_id", "ip", "port", "name")
STATZ = (*SERVER, "account", "account_id", "account_name")
VALUE = (*SERVER, "value")

EXPORTER: dict[tuple[str, ...], str] = {
    SERVER: """
        gnatsd_varz_connections gnatsd_varz_total_connections gnatsd_varz_cpu gnatsd_varz_mem gnatsd_varz_cores
        gnatsd_varz_in_msgs gnatsd_varz_out_msgs gnatsd_varz_in_bytes gnatsd_varz_out_bytes gnatsd_varz_slow_consumers
        gnatsd_varz_subscriptions gnatsd_varz_leafnodes gnatsd_varz_routes gnatsd_varz_remotes gnatsd_varz_max_payload
        gnatsd_varz_max_connections gnatsd_varz_max_pending gnatsd_varz_max_control_line gnatsd_varz_ping_max
        gnatsd_varz_ping_interval gnatsd_varz_write_deadline gnatsd_varz_port gnatsd_varz_proto
        gnatsd_varz_start gnatsd_varz_config_load_time gnatsd_varz_jetstream_config_max_memory
        gnatsd_varz_jetstream_config_max_storage gnatsd_varz_jetstream_stats_memory gnatsd_varz_jetstream_stats_storage
        gnatsd_varz_jetstream_stats_accounts gnatsd_varz_jetstream_stats_api_total
        gnatsd_varz_jetstream_stats_api_errors
        gnatsd_connz_num_connections gnatsd_connz_total gnatsd_connz_offset gnatsd_connz_limit
        gnatsd_connz_pending_bytes gnatsd_connz_subscriptions gnatsd_connz_in_bytes gnatsd_connz_out_bytes
        gnatsd_connz_in_msgs gnatsd_connz_out_msgs
        gnatsd_subz_num_subscriptions gnatsd_subz_num_cache gnatsd_subz_num_inserts gnatsd_subz_num_removes
        gnatsd_subz_num_matches gnatsd_subz_cache_hit_rate gnatsd_subz_max_fanout gnatsd_subz_avg_fanout
        gnatsd_leafz_conn_nodes_total gnatsd_healthz_status
    """,
    VALUE: "gnatsd_varz_server_id gnatsd_varz_server_name gnatsd_varz_version gnatsd_healthz_status_value",
    LEAF: """
        gnatsd_leafz_info gnatsd_leafz_conn_rtt gnatsd_leafz_conn_in_msgs gnatsd_leafz_conn_out_msgs
        gnatsd_leafz_conn_in_bytes gnatsd_leafz_conn_out_bytes gnatsd_leafz_conn_subscriptions_total
    """,
    STATZ: """
        gnatsd_accstatz_current_connections gnatsd_accstatz_total_connections gnatsd_accstatz_subscriptions
        gnatsd_accstatz_leaf_nodes gnatsd_accstatz_sent_messages gnatsd_accstatz_sent_bytes
        gnatsd_accstatz_received_messages gnatsd_accstatz_received_bytes gnatsd_accstatz_slow_consumers
    """,
    JETSTREAM: """
        jetstream_server_jetstream_disabled jetstream_server_total_streams jetstream_server_total_consumers
        jetstream_server_total_messages jetstream_server_total_message_bytes jetstream_server_max_memory
        jetstream_server_max_storage
    """,
    ACCOUNT: """
        jetstream_account_max_memory jetstream_account_max_storage jetstream_account_memory_used
        jetstream_account_storage_used
    """,
    STREAM: """
        jetstream_stream_total_messages jetstream_stream_total_bytes jetstream_stream_first_seq
        jetstream_stream_last_seq jetstream_stream_consumer_count jetstream_stream_subject_count
        jetstream_stream_limit_bytes jetstream_stream_limit_messages
    """,
    (*STREAM, "source_name", "source_api", "source_deliver"): """
        jetstream_stream_source_lag jetstream_stream_source_active_duration_ns
    """,
    (*STREAM, "mirror_name", "mirror_api", "mirror_deliver"): """
        jetstream_stream_mirror_lag jetstream_stream_mirror_active_duration_ns
    """,
    CONSUMER: """
        jetstream_consumer_delivered_consumer_seq jetstream_consumer_delivered_stream_seq
        jetstream_consumer_num_ack_pending jetstream_consumer_num_redelivered jetstream_consumer_num_waiting
        jetstream_consumer_num_pending jetstream_consumer_ack_floor_stream_seq
        jetstream_consumer_ack_floor_consumer_seq jetstream_consumer_last_delivery_seconds
        jetstream_consumer_last_ack_seconds
    """,
}
UNITS = r"(?:bytes|seconds|celsius|percent|ratio)"


async def fill(url: str) -> None:
    """A stream, one made of it, one that mirrors it, and a consumer that has acknowledged."""
    async with await nats.connect(url, name="sensor") as client:
        stream = client.jetstream(timeout=30)
        await stream.add_stream(name="S", subjects=["s.*"])
        await stream.add_stream(name="COPY", sources=[StreamSource(name="S")])
        await stream.add_stream(name="MIRROR", mirror=StreamSource(name="S"))
        subscription = await stream.pull_subscribe("s.*", durable="C")
        for number in range(5):
            await stream.publish("s.x", b"%d" % number)
        for message in await subscription.fetch(2, timeout=30):
            await message.ack_sync(timeout=30)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What a Prometheus with a token is told by a box with everything the list is about, a leaf node too."""
    folder = tmp_path_factory.mktemp("box")
    config = (
        'listen: "127.0.0.1:-1"\nserver_name: box\nleafnodes { listen: "127.0.0.1:-1" }\n'
        'jetstream { store_dir: "data", domain: edge }\n'
    )
    with RunningBox(folder, "--mqtt-port", "-1", config=config) as box:
        found = re.search(r"Listening for leafnode connections on (\S+)", box.log)
        assert found is not None
        leaf = f'leafnodes {{ remotes: [ {{ url: "nats-leaf://{found[1]}" }} ] }}\n'
        admin = box.claim()
        secret = admin.post("tokens", {"name": "prometheus", "role": "viewer", "scopes": ["monitoring"]}).json["secret"]
        with ServerProcess(ServerKind.REAL, folder / "leaf", config=leaf) as server:
            server.wait_for_log("Leafnode connection created")
            asyncio.run(fill(box.nats_url))
            answer = Browser(box.url, token=secret, origin=None).get("/metrics")
            assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            yield answer.body.decode()


@pytest.fixture(scope="module")
def families(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


@pytest.mark.parametrize("labels", EXPORTER, ids=lambda labels: labels[-1])
def test_the_exporters_names_have_the_exporters_labels(families: list[Metric], labels: tuple[str, ...]) -> None:
    found = {sample.name: set(sample.labels) for family in families for sample in family.samples}
    assert {name: sorted(found.get(name, ())) for name in EXPORTER[labels].split()} == dict.fromkeys(
        EXPORTER[labels].split(), sorted(labels)
    )


def test_what_promtool_checks(text: str, families: list[Metric]) -> None:
    """`promtool check metrics`: help, names, suffixes, units. The exporter's own names break its rules; ours do not."""
    wrong = []
    for family in families:
        own = family.name.startswith("leafbox_")
        if not family.documentation:
            wrong.append(f"{family.name}: no help")
        if own and family.type == "gauge" and re.search(r"_(total|count|sum|bucket)$", family.name):
            wrong.append(f"{family.name}: the suffix of a counter")
        if own and re.search(r"[A-Z]|_(gauge|counter|metric)(_|$)", family.name):
            wrong.append(f"{family.name}: its type or a capital in its name")
        if own and re.search(r"_(milliseconds?|ms|us|ns|minutes|kilobytes|mb|kb|bits|fahrenheit)(_|$)", family.name):
            wrong.append(f"{family.name}: no base unit")
        if own and re.search(rf"_{UNITS}_(?!total$)", family.name):
            wrong.append(f"{family.name}: the unit is not last")
        if len({(sample.name, *sorted(sample.labels.items())) for sample in family.samples}) != len(family.samples):
            wrong.append(f"{family.name}: a series twice")
    names = re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)
    assert wrong == []
    assert len(names) == len(set(names)), "a family in two pieces"
    assert {f"{family.name}{'_total' if family.type == 'counter' else ''}" for family in families} == set(names)
    assert sum(name.startswith("leafbox_") for name in names) > 15
