"""Topics and subjects undo each other, whatever a device or a NATS client puts into them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.protocol.mqtt.topics import (
    client_id_to_token,
    filter_to_subjects,
    subject_to_filter,
    subject_to_topic,
    token_to_client_id,
    topic_to_subject,
)

pytestmark = pytest.mark.capability("MQ02")

# Dense in what the mapping treats apart, and in what looks like it.
_PIECES = [*"ab./=2AF3E0*> \t\x7füé", "\uf02f", "\uf02b", "\uf023", "=2F", "=2A", "=20", "\U0001f321"]
_DENSE = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=12).map("".join)
_ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
_WHITE = {chr(code) for code in (*range(0x21), 0x7F)}

topics = (_DENSE | _ANY).map(lambda text: text.replace("+", "").replace("#", "")).filter(bool)
subjects = (_DENSE | _ANY | st.sampled_from(["a+b", "#", "a.+"])).filter(
    lambda text: not _WHITE & set(text) and all(token not in ("", "*", ">") for token in text.split("."))
)


@given(topics)
def test_every_topic_survives_the_way_through_nats(topic: str) -> None:
    subject = topic_to_subject(topic.encode())
    assert not _WHITE & set(subject.decode())
    assert all(token not in (b"", b"*", b">") for token in subject.split(b"."))
    assert len(subject.split(b".")) == topic.count("/") + 1
    assert subject_to_topic(subject) == topic.encode()


@given(subjects)
def test_every_subject_survives_the_way_through_mqtt(subject: str) -> None:
    topic = subject_to_topic(subject.encode())
    if topic is None:
        assert set("\uf02f\uf02b\uf023") & set(subject) or subject == "/"
        return
    assert b"+" not in topic
    assert b"#" not in topic
    assert topic_to_subject(topic) == subject.encode()


@given(st.lists(st.just("+") | topics.map(lambda text: text.replace("/", "")), min_size=1, max_size=5), st.booleans())
def test_every_filter_is_told_from_its_subject(levels: list[str], ends_open: bool) -> None:
    topic_filter = "/".join([*levels, "#"] if ends_open else levels).encode()
    if topic_filter:
        assert subject_to_filter(filter_to_subjects(topic_filter)[0]) == topic_filter


@given(_DENSE | _ANY)
def test_every_client_id_survives(client_id: str) -> None:
    token = client_id_to_token(client_id)
    assert not _WHITE & set(token)
    assert "." not in token
    assert token not in ("*", ">")
    assert token_to_client_id(token) == client_id
