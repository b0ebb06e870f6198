"""Whatever the link layer can fail with has its own sentence and next step."""

from __future__ import annotations

import pytest

from leafbox.leaf.failures import Failure, FailureKind
from leafbox.leaf.uplink_reasons import TEXTS, Condition, reason_of_failure

pytestmark = pytest.mark.capability("LF06")


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_has_a_sentence_and_a_next_step(kind: FailureKind) -> None:
    found = reason_of_failure(Failure(kind, "what was said"))
    assert found.code == kind.value
    assert found.detail == "what was said"
    assert found.sentence.endswith(".")
    assert found.next_step
    assert found.condition in (Condition.DOWN, Condition.STALLED, Condition.DENIED)


def test_no_two_reasons_say_the_same() -> None:
    sentences = [sentence for _, sentence, _ in TEXTS.values()]
    assert len(set(sentences)) == len(sentences)
