"""The compiled mapping of topics is the reference's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leafbox.dataplane.mqtt_topics import topic_of_subject, topic_to_subject
from leafbox.protocol.mqtt import topics as reference

LETTERS = st.sampled_from("a/.*>= 2F\x01\x7fü\uf02f\uf02b")
TEXTS = st.text(LETTERS, min_size=1, max_size=12)


@given(TEXTS)
def test_topics_to_subjects_and_back(text: str) -> None:
    topic = text.encode()
    subject = topic_to_subject(topic)
    assert subject == reference.topic_to_subject(topic)
    assert topic_of_subject(subject) == reference.subject_to_topic(subject)


@given(st.text(st.sampled_from("a/.*>=2F+#\uf02f"), min_size=1, max_size=12))
def test_any_subject_to_its_topic(text: str) -> None:
    assert topic_of_subject(text.encode()) == reference.subject_to_topic(text.encode())


def test_what_is_no_topic() -> None:
    for topic in (b"", b"a/+", b"#", b"\xff", b"a\x00"):
        assert topic_to_subject(topic) is None
    assert topic_of_subject(b"\xff") is None
