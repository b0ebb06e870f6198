"""Reload: what the real server accepts on SIGHUP we accept, what it refuses we refuse with the same text."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from leafbox.app.configuration.command_line import configure, parse_command_line
from leafbox.app.configuration.options import Options
from leafbox.app.configuration.reload import compare
from leafbox.protocol.errors import ConfigError
from tests.support.servers import ServerKind, ServerProcess

BASE = """
server_name: reload
max_payload: 1MB
accounts { A { users [ { user: a, password: b } ] }, B { users [ { user: c, password: d } ] } }
jetstream { store_dir: "STORE", max_mem: 32M, max_file: 64M }
http: "127.0.0.1:-1"
leafnodes { listen: "127.0.0.1:-1", remotes [ { url: "nats://127.0.0.1:1", account: A } ] }
websocket { listen: "127.0.0.1:-1", no_tls: true }
mqtt { listen: "127.0.0.1:-1" }
cluster { name: c }
"""
# (text to replace, replacement); an empty first text appends.
ACCEPTED = {
    "nothing": ("", ""),
    "max_payload": ("max_payload: 1MB", "max_payload: 2MB"),
    "max_connections": ("", "max_connections: 5"),
    "max_control_line": ("", "max_control_line: 8k"),
    "ping": ("", 'ping_interval: "5s"\nping_max: 3'),
    "write_deadline": ("", 'write_deadline: "5s"'),
    "debug_and_trace": ("", "debug: true\ntrace: true"),
    "tags_and_metadata": ("", "server_tags: [ a ]\nserver_metadata { b: c }"),
    "client_advertise": ("", 'client_advertise: "box:4222"'),
    "users": ("user: c", "user: e"),
    "account_removed": (", B { users [ { user: c, password: d } ] }", ""),
    "mappings": ("", "mappings { a: b }"),
    "no_fast_producer_stall": ("", "no_fast_producer_stall: true"),
    "mqtt_ack_wait": ('mqtt { listen: "127.0.0.1:-1" }', 'mqtt { listen: "127.0.0.1:-1", ack_wait: "9s" }'),
    "mqtt_threshold": (
        'mqtt { listen: "127.0.0.1:-1" }',
        'mqtt { listen: "127.0.0.1:-1", consumer_inactive_threshold: "1h" }',
    ),
    "jetstream_grows": ("max_mem: 32M", "max_mem: 48M"),
    "remote_removed": (', remotes [ { url: "nats://127.0.0.1:1", account: A } ]', ""),
    "remote_disabled": ("account: A }", "account: A, disabled: true }"),
    "remote_added": ("account: A }", 'account: A }, { url: "nats://127.0.0.1:2", account: B }'),
    "error_reports": ("", "connect_error_reports: 5\nreconnect_error_reports: 5"),
    "max_traced_msg_len": ("", "max_traced_msg_len: 5"),
    "pid_file": ("", 'pid_file: "PIDFILE"'),
    "prof_block_rate": ("", "prof_block_rate: 5"),
}
REFUSED = {
    "server_name": ("server_name: reload", "server_name: other"),
    "max_pending": ("", "max_pending: 10MB"),
    "max_subscriptions": ("", "max_subscriptions: 5"),
    "max_sub_tokens": ("", "max_sub_tokens: 5"),
    "max_closed_clients": ("", "max_closed_clients: 5"),
    "lame_duck_duration": ("", 'lame_duck_duration: "3m"'),
    "lame_duck_grace_period": ("", 'lame_duck_grace_period: "1500ms"'),
    "no_header_support": ("", "no_header_support: true"),
    "disable_sublist_cache": ("", "disable_sublist_cache: true"),
    "allow_non_tls": ("", "allow_non_tls: true"),
    "proxy_protocol": ("", "proxy_protocol: true"),
    "write_timeout": ("", "write_timeout: retry"),
    "http_base_path": ("", "http_base_path: /x"),
    "log_size_limit": ("", "log_size_limit: 5"),
    "log_max_num": ("", "log_max_num: 5"),
    "no_auth_user_added": ("", "no_auth_user: a"),
    "system_account": ("", "system_account: A"),
    "no_system_account": ("", "no_system_account: true"),
    "feature_flags": ("", "feature_flags { js_ack_fc_v2: true }"),
    "default_js_domain": ("", 'default_js_domain { A: "x" }'),
    "jetstream_shrinks": ("max_mem: 32M", "max_mem: 16M"),
    "jetstream_store_dir": ("STORE", "STORE-2"),
    "jetstream_dynamic": (", max_file: 64M", ""),
    "jetstream_domain": ("max_mem: 32M", "max_mem: 32M, domain: x"),
    "jetstream_queue": ("max_mem: 32M", "max_mem: 32M, request_queue_limit: 5"),
    "jetstream_buffered": ("max_mem: 32M", "max_mem: 32M, max_buffered_msgs: 5"),
    "jetstream_unique_tag": ("max_mem: 32M", "max_mem: 32M, unique_tag: az"),
    "leaf_reconnect": ("leafnodes { listen", 'leafnodes { reconnect: "5s", listen'),
    "leaf_no_advertise": ("leafnodes { listen", "leafnodes { no_advertise: true, listen"),
    "leaf_isolate": ("leafnodes { listen", "leafnodes { isolate: true, listen"),
    "leaf_min_version": ("leafnodes { listen", 'leafnodes { min_version: "2.9.0", listen'),
    "leaf_write_deadline": ("leafnodes { listen", 'leafnodes { write_deadline: "5s", listen'),
    "remote_hub": ("account: A }", "account: A, hub: true }"),
    "remote_no_randomize": ("account: A }", "account: A, no_randomize: true }"),
    "remote_deny_imports": ("account: A }", "account: A, deny_imports: [ x, y ] }"),
    "remote_first_info": ("account: A }", 'account: A, first_info_timeout: "5s" }'),
}
REFUSED_SECTION = {
    "websocket": ("websocket { ", "websocket { same_origin: true, "),
    "mqtt": ("mqtt { ", "mqtt { reject_qos2_publish: true, "),
}


def _options(file: Path) -> Options:
    return configure(parse_command_line(["-a", "127.0.0.1", "-p", "-1", "-c", str(file)]), {}).options


def _reload(change: tuple[str, str], folder: Path) -> tuple[str, Options, Options]:
    """What the real server logs for a reload, and our options before and after."""
    text = BASE.replace("STORE", str(folder / "store"))
    old, new = (part.replace("STORE", str(folder / "store")).replace("PIDFILE", str(folder / "pid")) for part in change)
    assert old in text, "the change must change something"
    with ServerProcess(ServerKind.REAL, folder, config=text) as server:
        before = _options(server.config_path)
        server.config_path.write_text(text.replace(old, new) if old else f"{text}\n{new}\n")
        seen = server.log_line_count
        server.send_signal(signal.SIGHUP)
        line = server.wait_for_log(
            r"Reloaded server configuration|Failed to reload server configuration: .*", after=seen
        )
        return line.group(), before, _options(server.config_path)


@pytest.mark.capability("CF07")
@pytest.mark.parametrize("name", ACCEPTED)
def test_a_reload_the_real_server_accepts_is_accepted(name: str, tmp_path: Path) -> None:
    line, before, after = _reload(ACCEPTED[name], tmp_path)
    assert line == "Reloaded server configuration"
    changes = compare(before, after)
    assert bool(changes.changed) == (name != "nothing")


@pytest.mark.capability("CF08")
@pytest.mark.parametrize("name", REFUSED)
def test_a_reload_the_real_server_refuses_is_refused_with_its_text(name: str, tmp_path: Path) -> None:
    line, before, after = _reload(REFUSED[name], tmp_path)
    with pytest.raises(ConfigError) as refused:
        compare(before, after)
    assert f"Failed to reload server configuration: {refused.value}" == line


@pytest.mark.capability("CF08")
@pytest.mark.parametrize("name", REFUSED_SECTION)
def test_a_refused_section_is_named_the_same(name: str, tmp_path: Path) -> None:
    """nats-server prints all of the section; we print what changed."""
    line, before, after = _reload(REFUSED_SECTION[name], tmp_path)
    with pytest.raises(ConfigError) as refused:
        compare(before, after)
    named = re.match("config reload not supported for [A-Za-z]+: old=", str(refused.value))
    assert named is not None
    assert line.startswith(f"Failed to reload server configuration: {named.group()}")
