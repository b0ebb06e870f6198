"""What may be asked of an uplink."""

from __future__ import annotations

import msgspec
import pytest

from leafbox.leaf.uplink_definition import Definition, Forward, buffer_name, checked, decode, encode
from leafbox.protocol.errors import BoxRequestFailed

pytestmark = pytest.mark.capability("LF06")
GOOD = Forward(("sensors.>",), "sensors", "readings")


def test_it_survives_the_store() -> None:
    definition = Definition("hub", "tls://u:p@hub", forwards=(GOOD,), is_paused=True)
    assert decode(encode(definition)) == definition


@pytest.mark.parametrize(
    ("subject", "name"),
    [("sensors.>", "sensors"), ("site.*.temperature", "site_temperature"), ("a.b:c.d", "a_b_c_d"), (">", "everything")],
)
def test_a_buffer_is_named_after_its_subjects(subject: str, name: str) -> None:
    assert buffer_name(subject) == name


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"subjects": (">",)}, "bad_subject"),
        ({"subjects": ("*.x",)}, "bad_subject"),
        ({"subjects": ("$JS.API.>",)}, "bad_subject"),
        ({"subjects": ("a..b",)}, "bad_subject"),
        ({"stream": "a.b"}, "bad_stream"),
        ({"hub_stream": ""}, "bad_stream"),
        ({"priority": 0}, "bad_priority"),
        ({"priority": 10}, "bad_priority"),
        ({"rate_bytes": -1}, "bad_number"),
        ({"replicas": 6}, "bad_number"),
        ({"buffer_bytes": 0}, "bad_number"),
    ],
)
def test_a_bad_forward_is_refused_by_name(change: dict[str, object], code: str) -> None:
    forward = msgspec.structs.replace(GOOD, **change)
    with pytest.raises(BoxRequestFailed) as refused:
        checked(Definition("hub", "nats-leaf://hub", forwards=(forward,)))
    assert refused.value.code == code


def test_two_forwards_of_one_stream_are_refused() -> None:
    with pytest.raises(BoxRequestFailed, match="--stream"):
        checked(Definition("hub", "nats-leaf://hub", forwards=(GOOD, GOOD)))


@pytest.mark.parametrize("name", ["", "a b", "a.b", "x" * 65])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(BoxRequestFailed, match="name"):
        checked(Definition(name, "nats-leaf://hub"))
