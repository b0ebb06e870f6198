"""The digest's JSON, where it can differ from Go's; equality with nats-server is shown in conformance."""

from __future__ import annotations

import hashlib

import pytest

from leafbox.app.configuration.digest import config_digest
from leafbox.app.configuration.grammar import parse_text


@pytest.mark.capability("CF10")
@pytest.mark.parametrize(
    ("text", "json"),
    [
        ("b: 1\na: 2", '{"a":2,"b":1}'),
        ("a: [ x, true ]", '{"a":["x",true]}'),
        ("a: 1.0", '{"a":1}'),
        ("a: 0.5", '{"a":0.5}'),
        ("a: 0.000001", '{"a":0.000001}'),
        ("a: 0.00000012", '{"a":1.2e-7}'),
        ("a: 123456789012345678901.0", '{"a":123456789012345680000}'),
        ("a: 1234567890123456789012.5", '{"a":1.2345678901234568e+21}'),
        ("a: 1000000000000000000000.0", '{"a":1e+21}'),
        ("a: 2020-01-02T03:04:05Z", '{"a":"2020-01-02T03:04:05Z"}'),
        ("a: 0999-01-02T03:04:05Z", '{"a":"0999-01-02T03:04:05Z"}'),
        ('a: "<&>\\"\\\\"', '{"a":"\\u003c\\u0026\\u003e\\"\\\\"}'),
    ],
)
def test_the_digest_is_that_of_the_tree_as_json(text: str, json: str) -> None:
    assert config_digest(parse_text(text, {})) == "sha256:" + hashlib.sha256(f"{json}\n".encode()).hexdigest()


def test_layout_does_not_change_the_digest() -> None:
    first = config_digest(parse_text("# c\nport = 4222\nhost: 'x'\n", {}))
    assert first == config_digest(parse_text('{"host": "x", "port": 4222}', {}))
