"""Bridges in the configuration: the same values as the command's, errors at their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from leafbox.app.configuration.load import load_options
from leafbox.app.configuration.options import Options
from leafbox.app.configuration.reload import compare
from leafbox.mqtt.bridge.rules import BRIDGES_MAX, BridgeOptions, ClientKind, TopicRule
from leafbox.protocol.errors import ConfigError
from leafbox.protocol.mqtt.packets import Version

pytestmark = pytest.mark.capability("AP42", "CF01")


def loaded(folder: Path, text: str, environment: dict[str, str] | None = None) -> Options:
    path = folder / "leafbox.conf"
    path.write_text(text, encoding="utf-8")
    return load_options(str(path), environment or {})[0]


def test_every_field(tmp_path: Path) -> None:
    options = loaded(
        tmp_path,
        """bridges {
          site { url: "mqtts://hub:8884", out: ["sensors/#:2", "a:b"], in: "commands/+:0", local_prefix: "l/"
                 remote_prefix: "site7/", user: box, password: $BRIDGE_SECRET, version: "3.1.1", client: amqtt
                 client_id: me, account: A, ca_file: ca.pem, cert_file: c.pem, key_file: k.pem, keep_alive: "1m"
                 buffer: 64MB }
          small { url: "mqtt://other", out: "x" }
        }""",
        {"BRIDGE_SECRET": "hunter2"},
    )
    prefixes = {"local_prefix": "l/", "remote_prefix": "site7/"}
    assert options.bridges == (
        BridgeOptions(
            "site",
            "mqtts://hub:8884",
            (TopicRule("sensors/#", 2, **prefixes), TopicRule("a:b", 1, **prefixes)),
            (TopicRule("commands/+", 0, **prefixes),),
            "box",
            "hunter2",
            Version.V3_1_1,
            ClientKind.AMQTT,
            "me",
            "A",
            "ca.pem",
            "c.pem",
            "k.pem",
            60,
            64 << 20,
        ),
        BridgeOptions("small", "mqtt://other", (TopicRule("x"),)),
    )
    assert "hunter2" not in repr(options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bridges: 3", "Expected bridges to be a map"),
        ("bridges { a: 3 }", "Expected bridge a to be a map"),
        ("bridges { a { url: 'mqtt://h' } }", "carries nothing"),
        ("bridges { a { out: 'x' } }", "no broker's address"),
        ("bridges { 'a b' { url: 'mqtt://h', out: 'x' } }", "a bridge's name"),
        ("bridges { a { url: 'mqtt://h', out: 'x', version: 4 } }", "3.1.1 or 5"),
        ("bridges { a { url: 'mqtt://h', out: 'x', client: mine } }", "own or amqtt"),
        ("bridges { a { url: 'mqtt://h', out: 'x', keep_alive: 0 } }", "keep_alive"),
        ("bridges { a { url: 'mqtt://h', out: 'x', buffer: 0 } }", "buffer"),
        ("bridges { a { url: 'mqtt://h', outt: 'x' } }", 'did you mean "out"'),
        ("bridges { a { url: 'mqtt://h', out: 'a/#/b' } }", "#"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, text)
    assert said in str(raised.value)


def test_there_are_not_too_many(tmp_path: Path) -> None:
    bridges = "".join(f"b{number} {{ url: 'mqtt://h', out: 'x' }}\n" for number in range(BRIDGES_MAX + 1))
    with pytest.raises(ConfigError, match=f"{BRIDGES_MAX} bridges"):
        loaded(tmp_path, f"bridges {{ {bridges} }}")


def test_a_reload_may_change_them(tmp_path: Path) -> None:
    before = loaded(tmp_path, "bridges { a { url: 'mqtt://h', out: 'x' } }")
    after = loaded(tmp_path, "bridges { b { url: 'mqtt://h', out: 'x' } }")
    assert "bridges" in compare(before, after).changed
