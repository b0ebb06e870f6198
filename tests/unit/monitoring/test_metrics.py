"""The Prometheus text: valid, with the exporter's names, and nothing of a document breaks it."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from leafbox.monitoring.metrics import render

VARZ = {
    "server_id": "NID",
    "server_name": "box",
    "version": "2.15.1",
    "go": "python",
    "start": "2026-11-26T22:00:01.5Z",
    "connections": 3,
    "auth_required": True,
    "mem": 1000,
    "cpu": 1.5,
    "jetstream": {"config": {"max_memory": 7, "domain": "edge"}, "stats": {"api": {"total": 9}}},
    "http_req_stats": {"/varz": 2},
    "leaf": {"port": 7422},
    "slow_consumer_stats": {"clients": 4},
}
JSZ = {
    "streams": 1,
    "consumers": 1,
    "messages": 5,
    "bytes": 50,
    "config": {"max_memory": 7, "max_storage": 8, "domain": "edge"},
    "account_details": [
        {
            "name": "$G",
            "id": "$G",
            "memory": 0,
            "storage": 50,
            "stream_detail": [
                {
                    "name": 'a"b\\c\nd',
                    "cluster": {"leader": "box"},
                    "config": {"max_msgs": -1, "max_bytes": 100},
                    "state": {"messages": 5, "bytes": 50, "first_seq": 1, "last_seq": 5, "consumer_count": 1},
                    "sources": [{"name": "O", "lag": 3, "active": 5, "external": {"api": "$JS.hub.API"}}],
                    "mirror": {"name": "M", "lag": 4, "active": -1},
                    "consumer_detail": [
                        {
                            "name": "C",
                            "delivered": {"consumer_seq": 2, "stream_seq": 3, "last_active": "2026-11-27T05:00:00.25Z"},
                            "ack_floor": {"consumer_seq": 1, "stream_seq": 1},
                            "num_ack_pending": 1,
                            "ts": "2026-11-27T05:00:10.5Z",
                            "num_pending": 2,
                        }
                    ],
                }
            ],
        }
    ],
}

Samples = dict[str, list[tuple[dict[str, str], float]]]


def samples(documents: dict[str, object]) -> Samples:
    """What a Prometheus reads."""
    found: Samples = {}
    for family in text_string_to_metric_families(render(documents)):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


@pytest.mark.capability("MO10")
def test_varz_is_flattened_as_the_exporter_does() -> None:
    found = samples({"varz": VARZ})
    server = {"server_id": "NID"}
    assert found["gnatsd_varz_connections"] == [(server, 3)]
    assert found["gnatsd_varz_cpu"] == [(server, 1.5)]
    assert found["gnatsd_varz_jetstream_config_max_memory"] == [(server, 7)]
    assert found["gnatsd_varz_jetstream_stats_api_total"] == [(server, 9)]
    assert found["gnatsd_varz_slow_consumer_stats_clients"] == [(server, 4)]
    assert found["gnatsd_varz_version"] == [({**server, "value": "2.15.1"}, 1)]
    assert found["gnatsd_varz_jetstream_config_domain"] == [({**server, "value": "edge"}, 1)]
    assert found["gnatsd_varz_start"] == [(server, 1795730401500)]
    assert [name for name in found if "leaf_" in name or name.endswith(("_go", "auth_required"))] == []


@pytest.mark.capability("MO10")
def test_streams_and_consumers() -> None:
    found = samples({"varz": VARZ, "jsz": JSZ})
    (labels, value), *_ = found["jetstream_stream_total_messages"]
    assert value == 5
    assert labels == {
        "server_id": "NID",
        "server_name": "box",
        "cluster": "",
        "domain": "edge",
        "meta_leader": "",
        "is_meta_leader": "true",
        "account": "$G",
        "account_name": "$G",
        "account_id": "$G",
        "stream_name": 'a"b\\c\nd',
        "stream_leader": "box",
        "is_stream_leader": "true",
        "stream_raft_group": "",
    }
    assert found["jetstream_stream_limit_bytes"][0][1] == 100
    assert found["jetstream_consumer_ack_floor_stream_seq"][0][1] == 1
    assert found["jetstream_consumer_num_redelivered"][0][1] == 0
    assert found["jetstream_consumer_last_delivery_seconds"][0][1] == pytest.approx(10.25)
    assert "jetstream_consumer_last_ack_seconds" not in found
    (labels, value), *_ = found["jetstream_stream_source_lag"]
    assert (value, labels["source_name"], labels["source_api"]) == (3, "O", "$JS.hub.API")
    assert found["jetstream_stream_mirror_active_duration_ns"][0][1] == -1
    assert found["jetstream_server_jetstream_disabled"][0][1] == 0


def test_links_accounts_and_health() -> None:
    leaf = {"name": "hub", "account": "A", "ip": "1.2.3.4", "port": 7422, "rtt": "1.5ms", "in_msgs": 1}
    account = {"acc": "A", "conns": 2, "sent": {"msgs": 3, "bytes": 4}}
    found = samples(
        {
            "leafz": {"leafnodes": 1, "leafs": [leaf]},
            "accstatz": {"account_statz": [account]},
            "healthz": {"status": "unavailable"},
            "connz": {"num_connections": 2, "in_msgs": 9},
        }
    )
    assert found["gnatsd_leafz_conn_rtt"][0][1] == pytest.approx(0.0015)
    assert found["gnatsd_leafz_conn_nodes_total"][0][1] == 1
    assert found["gnatsd_accstatz_sent_messages"][0][1] == 3
    assert found["gnatsd_healthz_status"][0][1] == 1
    assert found["gnatsd_healthz_status_value"] == [({"server_id": "", "value": "unavailable"}, 0)]
    assert found["gnatsd_connz_in_msgs"][0][1] == 9


def test_what_only_this_box_has() -> None:
    system = {
        "temperature_c": 55.5,
        "disk": {"free_bytes": 10, "life_used_percent": None},
        "store": {"sync_count": 4, "sync_us": 2_000_000, "is_accepting": True, "damages": ["x"]},
    }
    status = {
        "issues": [{"code": "sync-slow", "subject": "", "severity": "warning"}],
        "uplinks": [{"name": "hub", "state": "stalled", "backlog_messages": 7}],
    }
    found = samples({"system": system, "status": status})
    assert found["leafbox_sync_seconds_total"] == [({}, 2.0)]
    assert found["leafbox_temperature_celsius"] == [({}, 55.5)]
    assert found["leafbox_store_accepting"] == [({}, 1)]
    assert found["leafbox_store_damages"] == [({}, 1)]
    assert "leafbox_flash_life_used_percent" not in found
    assert found["leafbox_uplink_up"] == [({"uplink": "hub"}, 0)]
    assert found["leafbox_uplink_backlog_messages"] == [({"uplink": "hub"}, 7)]
    assert found["leafbox_issue"] == [({"code": "sync-slow", "subject": "", "severity": "warning"}, 1)]


def test_without_documents_there_is_no_text() -> None:
    assert render({}) == ""
