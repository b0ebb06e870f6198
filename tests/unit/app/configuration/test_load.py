"""A file becomes options; all its problems are named at once, with the nearest known key."""

from __future__ import annotations

import dataclasses
import hashlib
import typing
from pathlib import Path
from typing import Any

import pytest

from leafbox.app.configuration.load import load_options, read_from_disk
from leafbox.app.configuration.options import Options
from leafbox.app.configuration.problems import ConfigRejected
from leafbox.broker.config import (
    AccountJetStreamLimits,
    ConnectionType,
    MappingDestination,
    Permissions,
    ResponsePermission,
    SubjectMapping,
    SubjectPermission,
    WriteTimeoutPolicy,
)
from leafbox.leaf.config import CompressionMode, LeafUrl
from leafbox.mqtt.config import QueueFull
from leafbox.protocol.errors import ConfigError


def load(text: str, folder: Path) -> Options:
    file = folder / "server.conf"
    file.write_text(text)
    return load_options(str(file), {})[0]


@pytest.mark.capability("CF03")
def test_every_problem_is_named_with_its_place_and_the_nearest_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigRejected) as rejected:
        load("max_pyload: 5\nport: x\nmqtt {\n  ack_wiat: 1\n}\nping_interval: 5\n", tmp_path)
    file = tmp_path / "server.conf"
    assert str(rejected.value).splitlines() == [
        f'{file}:6:1: invalid use of field "ping_interval": ping_interval should be converted to a duration',
        f'{file}:1:0: unknown field "max_pyload"',
        '    did you mean "max_payload"?',
        f"{file}:2:1: interface conversion: interface {{}} is string, not int64",
        f'{file}:4:3: unknown field "ack_wiat"',
        '    did you mean "ack_wait"?',
    ]


def test_a_key_that_resembles_nothing_gets_no_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ConfigRejected) as rejected:
        load("qqqq: 5\n", tmp_path)
    assert [error.suggestion for error in rejected.value.errors] == [""]


@pytest.mark.capability("CF10")
def test_the_options_name_their_file_and_digest(tmp_path: Path) -> None:
    options = load("port: 4222\n", tmp_path)
    assert options.config_file == str(tmp_path / "server.conf")
    # sha256 of {"port":4222} and a newline.
    assert options.config_digest == "sha256:" + hashlib.sha256(b'{"port":4222}\n').hexdigest()


@pytest.mark.capability("CF01")
def test_users_keep_their_account_and_inherit_permissions(tmp_path: Path) -> None:
    options = load(
        """
        authorization {
          default_permissions { publish: "a.>", subscribe { allow: [ b, "q g" ], deny: c } }
          users [ { user: x, password: p, allowed_connection_types: [ mqtt ] },
                  { user: y, permissions { publish: [ ], allow_responses: { max: 3, expires: "5s" } } } ]
        }
        accounts { A { users [ { user: z } ], default_permissions { subscribe: s } } }
        """,
        tmp_path,
    )
    inherited = Permissions(SubjectPermission(("a.>",)), SubjectPermission(("b", "q g"), ("c",)))
    assert {(user.name, user.account, user.permissions) for user in options.security.users} == {
        ("x", "$G", inherited),
        # Replies only: an empty publish list would allow everything, so it becomes "nothing".
        ("y", "$G", Permissions(SubjectPermission(()), None, ResponsePermission(3, 5.0))),
        ("z", "A", Permissions(None, SubjectPermission(("s",)))),
    }
    assert options.security.users[0].allowed_connection_types == {ConnectionType.MQTT}


@pytest.mark.capability("CF04")
def test_mappings_keep_order_weights_and_clusters(tmp_path: Path) -> None:
    options = load(
        'mappings { b: c, "a.*": [ { destination: "x.$1", weight: "30%" }, { dest: y, weight: 20, cluster: k } ] }',
        tmp_path,
    )
    (account,) = options.broker.accounts
    assert account.name == "$G"
    assert account.mappings == (
        SubjectMapping("b", (MappingDestination("c"),)),
        SubjectMapping("a.*", (MappingDestination("x.$1", 30), MappingDestination("y", 20, "k"))),
    )


@pytest.mark.capability("CF01")
def test_account_jetstream_forms(tmp_path: Path) -> None:
    options = load(
        "accounts { A { jetstream: enabled }, B { jetstream { max_file: 1K, cluster_traffic: owner } }, C { } }",
        tmp_path,
    )
    by_name = {account.name: account for account in options.broker.accounts}
    assert by_name["A"].jetstream == AccountJetStreamLimits()
    assert by_name["B"].jetstream == AccountJetStreamLimits(storage_bytes_max=1000)
    assert by_name["B"].is_cluster_traffic_owner
    assert by_name["C"].jetstream is None


@pytest.mark.capability("CF01", "LF18")
def test_leaf_remotes(tmp_path: Path) -> None:
    options = load(
        """
        accounts { A { } }
        leafnodes {
          reconnect: "3s", write_timeout: close
          remotes [ { urls: [ "tls://u:p@hub", "nats-leaf://[::1]:7000" ], account: A, compression: fast,
                      deny_exports: [ "x.>" ], first_info_timeout: "0s" } ]
        }
        """,
        tmp_path,
    )
    (remote,) = options.leaf.remotes
    assert remote.urls == (LeafUrl("tls", "hub", 7422, "", "u", "p"), LeafUrl("nats-leaf", "::1", 7000))
    assert (remote.account, remote.deny_exports, remote.first_info_timeout_s) == ("A", ("x.>",), 1.0)
    assert remote.compression.mode is CompressionMode.S2_FAST
    assert (options.leaf.reconnect_interval_s, options.leaf.write_timeout) == (3.0, WriteTimeoutPolicy.CLOSE)
    assert "p@" not in repr(remote)


@pytest.mark.capability("CF01")
def test_zero_means_the_default(tmp_path: Path) -> None:
    options = load("port: 0\nmax_payload: 0\nping_max: 0\nmqtt { max_ack_pending: 0 }\n", tmp_path)
    default = Options()
    assert options.clients == default.clients
    assert options.broker == default.broker
    assert options.mqtt == default.mqtt


@pytest.mark.capability("SE22")
def test_no_secret_is_in_the_repr_of_the_options(tmp_path: Path) -> None:
    options = load(
        """
        authorization { users [ { user: a, password: HUSH }, { user: b, password: HUSH2 } ] }
        leafnodes { authorization { user: l, password: HUSH3 }, remotes [ { url: "nats://u:HUSH4@h" } ] }
        jetstream { key: HUSH5 }
        mqtt { authorization { password: HUSH6, token: HUSH7 } }
        cluster { routes: [ "nats://r:HUSH8@h:1" ], authorization { user: c, password: HUSH9 } }
        """,
        tmp_path,
    )
    assert "HUSH" not in repr(options)


def test_a_huge_file_is_not_read_into_memory() -> None:
    with pytest.raises(OSError, match="File too large"):
        read_from_disk("/dev/zero")
    with pytest.raises(ConfigError, match="file too large"):
        load_options("/dev/zero", {})


def _sections(value: Any) -> list[Any]:
    found: list[Any] = [value]
    for item in dataclasses.fields(value):
        inner = getattr(value, item.name)
        if dataclasses.is_dataclass(inner):
            found += _sections(inner)
    return found


def test_every_option_is_frozen_slotted_and_documented() -> None:
    from leafbox.app.configuration.reference import field_texts

    for section in _sections(Options()):
        kind: Any = type(section)
        assert "__slots__" in vars(kind), kind
        parameters = kind.__dataclass_params__
        assert parameters.frozen, kind
        assert dataclasses.is_dataclass(section), kind
        documented = field_texts(kind)
        assert [item.name for item in dataclasses.fields(section) if item.name not in documented] == [], kind


def test_what_the_reader_stores_has_the_type_the_option_declares(tmp_path: Path) -> None:
    """The tables fill dataclasses by name; this holds both together for every scalar option."""
    from leafbox.app.configuration.fields import Block, Entry, Reading
    from leafbox.app.configuration.problems import Problems
    from leafbox.app.configuration.top_level_keys import TOP_LEVEL_KEYS
    from leafbox.app.configuration.tree import Node

    samples = (1, 5, "5s", True, 64, "x", "close", "a:1", "/x")
    reading = Reading(Problems(), read_from_disk, {})
    checked = 0

    def check(block: Block) -> None:
        nonlocal checked
        for key in block.keys:
            for sample in samples:
                into: dict[str, object] = {}
                entry = Entry(key.names[0], Node(sample), into, reading)
                try:
                    value = key.read(entry)
                except ConfigError:
                    continue
                if type(value) in (int, bool, str, float) and key.fields.count(".") == 1:
                    into[key.fields] = value
                for path, stored in into.items():
                    section, _, field = path.partition(".")
                    kind = type(getattr(Options(), section))
                    declared = typing.get_type_hints(kind)[field]
                    if declared in (int, bool, str, float):
                        assert type(stored) is declared, (path, stored, declared)
                        checked += 1
            if key.block is not None and key.names[0] in ("jetstream", "websocket", "mqtt", "leafnodes", "cluster"):
                check(key.block)

    check(TOP_LEVEL_KEYS)
    assert checked > 100


@pytest.mark.capability("MQ12", "CF01")
def test_the_limits_of_mqtt_queues(tmp_path: Path) -> None:
    options = load("mqtt { max_queued_messages: 10, when_queue_full: drop_old }", tmp_path)
    assert (options.mqtt.queued_messages_max, options.mqtt.when_queue_full) == (10, QueueFull.DROP_OLD)
    assert load('mqtt { max_keep_alive: "5m" }', tmp_path).mqtt.keep_alive_max_s == 300
    for text, reason in (
        ("max_keep_alive: 20h", "invalid value 72000 s"),
        ("max_queued_messages: 0", "invalid value 0"),
        ("redirect: there", "redirect is one of lame_duck, another, moved, not 'there'"),
        ("when_queue_full: dropp", "when_queue_full is one of refuse, drop_new, drop_old, not 'dropp'"),
    ):
        with pytest.raises(ConfigError, match=reason):
            load(f"mqtt {{ {text} }}", tmp_path)
