"""Checks made at start: files that pass `-t` but are refused by a start, with the same text as nats-server."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from leafbox.app.configuration.check import check_file
from leafbox.app.configuration.command_line import configure, parse_command_line
from leafbox.protocol.errors import ConfigError
from tests.conformance.config.check_cases import USER_KEY
from tests.support.servers import ServerKind, ServerProcess

ENVIRONMENT = {"HOME": "/srv/somebody"}
USERS = "authorization { users [ { user: a, password: b } ] }\n"

REFUSED_AT_START = {
    "payload_above_pending": "max_payload: 100MB\n",
    "grace_above_lame_duck": 'lame_duck_grace_period: "5m"\n',
    "no_auth_user_without_users": "no_auth_user: x\n",
    "no_auth_user_unknown": USERS + "no_auth_user: x\n",
    "mqtt_without_jetstream": "mqtt { port: -1 }\n",
    "mqtt_user_with_users": USERS + "jetstream: true\nmqtt { port: -1, authorization { user: x } }\n",
    "mqtt_token_with_users": USERS + "jetstream: true\nmqtt { port: -1, authorization { token: x } }\n",
    "mqtt_negative_ack_wait": 'jetstream: true\nmqtt { port: -1, ack_wait: "-5s" }\n',
    "mqtt_no_auth_user": USERS + "jetstream: true\nmqtt { port: -1, no_auth_user: x }\n",
    "websocket_without_tls": "websocket { port: -1 }\n",
    "websocket_origin_scheme": 'websocket { port: -1, no_tls: true, allowed_origins: [ "ftp://a" ] }\n',
    "websocket_origin_relative": "websocket { port: -1, no_tls: true, allowed_origins: [ abc ] }\n",
    "websocket_user_with_users": USERS + "websocket { port: -1, no_tls: true, authorization { user: x } }\n",
    "websocket_jwt_cookie": "websocket { port: -1, no_tls: true, jwt_cookie: c }\n",
    "websocket_forbidden_header": "websocket { port: -1, no_tls: true, headers { Host: x } }\n",
    "websocket_forbidden_prefix": 'websocket { port: -1, no_tls: true, headers { "Sec-WebSocket-Foo": x } }\n',
    "leaf_remote_account": 'leafnodes { remotes [ { url: "nats://127.0.0.1:1", account: ZZ } ] }\n',
    "leaf_user_account": "leafnodes { port: -1, authorization { users [ { user: a, account: ZZ } ] } }\n",
    "leaf_mixed_urls": 'leafnodes { remotes [ { urls: [ "nats://a:1", "ws://b:2" ] } ] }\n',
    "leaf_compression": "leafnodes { port: -1, compression: zip }\n",
    "leaf_compression_order": 'leafnodes { port: -1, compression { rtt_thresholds: [ "20ms", "10ms" ] } }\n',
    "leaf_compression_no_threshold": 'leafnodes { port: -1, compression { mode: auto, rtt_thresholds: [ "0s" ] } }\n',
    "jetstream_domain_dot": 'jetstream { domain: "a.b" }\n',
    "jetstream_domain_subject": 'jetstream { domain: "a..b" }\n',
    "jetstream_domain_space": 'jetstream { domain: "a b" }\n',
    "jetstream_cluster_name": "jetstream: true\ncluster { port: -1, name: c }\n",
    "jetstream_cluster_cluster_name": "jetstream: true\nserver_name: s\ncluster { port: -1 }\n",
    "jetstream_on_system_account": 'jetstream: true\naccounts { "$SYS" { jetstream: enabled } }\n',
    "default_domain_unknown_account": "default_js_domain { A: x }\n",
    "default_domain_with_jetstream": "jetstream: true\naccounts { A { jetstream: true } }\ndefault_js_domain { A: x }",
    "default_domain_system_account": 'accounts { "$SYS" { } }\ndefault_js_domain { "$SYS": "" }\n',
    "default_domain_bad": 'accounts { A { } }\ndefault_js_domain { A: "a..b" }\n',
    "gateway_without_port": "gateway { name: g }\n",
    "gateway_without_name": "gateway { port: -1 }\n",
    "gateway_remote_without_url": "gateway { name: g, port: -1, gateways [ { name: h } ] }\n",
    "gateway_cluster_conflict": "cluster { name: c, port: -1 }\ngateway { name: g, port: -1 }\n",
    "cluster_duplicate_account": "accounts { A { } }\ncluster { port: -1, accounts: [ A, A ] }\n",
    "cluster_pool_and_accounts": "accounts { A { } }\ncluster { port: -1, pool_size: -1, accounts: [ A ] }\n",
    "default_sentinel_without_operator": "default_sentinel: x\n",
    "http_and_https": "http: 127.0.0.1:-1\nhttps_port: 1\n",
    "https_without_tls": "https: 127.0.0.1:-1\n",
}
ACCEPTED_AT_START = {
    "empty": "# nothing\n",
    "deprecated_seconds": "ping_interval: 30\n",
    "long_timeout": "authorization { user: a, password: b, timeout: 2m }\n",
    "jetstream_limits_above_capacity": "jetstream { max_mem: 1000G, max_file: 1000T }\n",
    "max_connections_zero": "max_connections: 0\n",
    "unknown_feature_flag": "feature_flags { unheard_of: true }\n",
    "variables": "N: x\nserver_name: $N\n",
    "no_auth_user": f"authorization {{ users [ {{ nkey: {USER_KEY} }} ] }}\nno_auth_user: {USER_KEY}\n",
    "leaf_to_system_account": 'leafnodes { remotes [ { url: "nats://127.0.0.1:1", account: "$SYS" } ] }\n',
    "mqtt_with_jetstream": "jetstream: true\nmqtt { port: -1 }\n",
    "websocket_without_tls_allowed": "websocket { port: -1, no_tls: true }\n",
}


def _flags(file: Path) -> list[str]:
    return ["-a", "127.0.0.1", "-p", "-1", "-sd", str(file.parent / "store"), "-c", str(file)]


@pytest.mark.capability("CF03", "CF08", "CF11")
@pytest.mark.parametrize("name", REFUSED_AT_START)
def test_a_start_is_refused_with_the_same_text(name: str, tmp_path: Path) -> None:
    file = tmp_path / "server.conf"
    file.write_text(REFUSED_AT_START[name])
    real = subprocess.run(
        [str(ServerKind.REAL.program), *_flags(file)], capture_output=True, text=True, timeout=20, check=False
    )
    assert real.returncode == 1
    assert check_file(str(file), ENVIRONMENT)[0] == 0, "the check alone passes"
    with pytest.raises(ConfigError) as refused:
        configure(parse_command_line(_flags(file)), ENVIRONMENT)
    # Some are found while starting and so printed as a log line.
    assert str(refused.value) in real.stderr.splitlines()[-1]


@pytest.mark.capability("CF01", "CF11")
@pytest.mark.parametrize("name", ACCEPTED_AT_START)
def test_a_start_is_accepted_by_both(name: str, tmp_path: Path) -> None:
    text = ACCEPTED_AT_START[name]
    flags = ("-sd", str(tmp_path / "store"))
    with ServerProcess(ServerKind.REAL, tmp_path, *flags, config=text) as server:
        configured = configure(parse_command_line(["-c", str(server.config_path), *flags]), ENVIRONMENT)
        for warning in configured.warnings:
            assert warning.reason in server.log
