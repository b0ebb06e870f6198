"""Topics and subjects by example; `tests/properties/test_mqtt_topics.py` holds the rule that each undoes the other."""

from __future__ import annotations

import pytest

from leafbox.protocol.mqtt.topics import (
    client_id_to_token,
    filter_to_subjects,
    subject_to_filter,
    subject_to_topic,
    token_to_client_id,
    topic_to_subject,
)

pytestmark = pytest.mark.capability("MQ02")

# Seen on nats-server 2.15.1.
AS_NATS_SERVER = [
    ("foo", "foo"),
    ("a/b", "a.b"),
    ("/a/b", "/.a.b"),
    ("a/b/", "a.b./"),
    ("a//b", "a./.b"),
    ("/", "/./"),
    ("//", "/././"),
    ("a.b", "a//b"),
    (".", "//"),
    ("a./.b", "a//.//b"),
    ("tst/ü", "tst.ü"),
    ("$SYS/x", "$SYS.x"),
    ("a*b/c>", "a*b.c>"),
]
# nats-server refuses these, or takes them for wildcards.
ESCAPED = [
    ("a b", "a/=20b"),
    ("zigbee/Living room/state", "zigbee.Living/=20room.state"),
    ("a\tb", "a/=09b"),
    ("\x7f", "/=7F"),
    ("a/*/b", "a./=2A.b"),
    (">", "/=3E"),
    ("a /.", "a/=20.//"),
    (" .", "/=20//"),
    (". ", "///=20"),
    # Looks like an escape and is none.
    ("=20", "=20"),
]
# Subjects that no topic of MQTT's own would have.
PRIVATE = [
    ("q/a\uf02fb", "q.a/b"),
    ("a\uf02f", "a/"),
    ("\uf02fa", "/a"),
    (".\uf02f", "///"),
    ("\uf02f", "/=2F"),
    ("\uf02f.", "/=2F//"),
    ("\uf02f\uf02f", "/=2F/"),
    ("\uf02f=20", "/=2F=20"),
    ("\uf02f=2A", "/=2F=2A"),
    ("a\uf02f=2A", "a/=2A"),
    ("x\uf02f=41", "x/=41"),
    ("a\uf02bb/\uf023", "a+b.#"),
]


@pytest.mark.parametrize(("topic", "subject"), AS_NATS_SERVER + ESCAPED + PRIVATE)
def test_a_topic_has_this_subject_and_the_subject_this_topic(topic: str, subject: str) -> None:
    assert topic_to_subject(topic.encode()) == subject.encode()
    assert subject_to_topic(subject.encode()) == topic.encode()


@pytest.mark.parametrize(
    ("topic_filter", "subjects"),
    [
        ("a/+/c", ["a.*.c"]),
        ("a/#", ["a.>", "a"]),
        ("+/#", ["*.>", "*"]),
        ("#", [">"]),
        ("/#", ["/.>"]),
        ("//#", ["/./.>", "/./"]),
        ("+", ["*"]),
        ("*/>", ["/=2A./=3E"]),
        ("a.b/+", ["a//b.*"]),
    ],
)
def test_a_filter_has_these_subjects(topic_filter: str, subjects: list[str]) -> None:
    assert filter_to_subjects(topic_filter.encode()) == tuple(subject.encode() for subject in subjects)
    assert subject_to_filter(subjects[0].encode()) == topic_filter.encode()


@pytest.mark.parametrize("subject", [b"a.*", b"a.>", b"/", b"a\xff", b"a\0", "a\uf02f".encode(), "\uf02b".encode()])
def test_what_mqtt_cannot_carry_has_no_topic(subject: bytes) -> None:
    assert subject_to_topic(subject) is None


@pytest.mark.parametrize(
    ("client_id", "token"),
    [("sensor-1", "sensor-1"), ("a.b c", "a/=2Eb/=20c"), ("a/b", "a/=2Fb"), ("*", "/=2A"), (">", "/=3E"), ("a*", "a*")],
)
def test_a_client_id_is_one_token(client_id: str, token: str) -> None:
    assert client_id_to_token(client_id) == token
    assert token_to_client_id(token) == client_id
