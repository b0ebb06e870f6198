"""The list of normative statements, and that every duty of a server has a test or a reason."""

from __future__ import annotations

import pytest

from leafbox.protocol.mqtt.packets import Role, Version
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from tests.support.mqtt_bad_cases import BadPacket
from tests.support.mqtt_statements import Statement, broken_by, load_statements, named_by_tests, named_in, page

pytestmark = pytest.mark.capability("AP43")


def test_all_statements_of_both_standards_are_listed() -> None:
    """So many have the OASIS texts of 2019 and 2014."""
    statements = load_statements()
    assert [sum(version == each for version, _ in statements) for each in ("v5", "v311")] == [251, 141]


def test_tests_name_statements_that_exist() -> None:
    assert set(named_by_tests()) - set(load_statements()) == set()


def test_every_duty_of_a_server_is_proven_or_excused() -> None:
    tests = named_by_tests()
    ours = {key: each for key, each in load_statements().items() if each.is_ours}
    assert [key for key, each in ours.items() if key not in tests and not each.excuse] == []
    assert [key for key, each in ours.items() if key in tests and each.excuse] == [], "excused and proven"


def test_marks_are_read_from_sources() -> None:
    source = """
@pytest.mark.slow
@pytest.mark.normative(v5="1.1-1 1.1-2", v311="2.2-2")
def test_a(): ...
class T:
    @pytest.mark.normative(v5="1.1-1")
    def test_b(self): ...
"""
    assert named_in(source, "f.py") == [
        (("v5", "1.1-1"), "f.py::test_a"),
        (("v5", "1.1-2"), "f.py::test_a"),
        (("v311", "2.2-2"), "f.py::test_a"),
        (("v5", "1.1-1"), "f.py::test_b"),
    ]


def test_packets_break_the_statement_of_their_version() -> None:
    def case(version: Version, *statements: str) -> BadPacket:
        return BadPacket("x", version, Role.SERVER, "00", ReasonCode.MALFORMED_PACKET, statements)

    assert broken_by(case(Version.V5, "MQTT-1.1-1", "311:MQTT-2.2-2")) == [("v5", "1.1-1")]
    assert broken_by(case(Version.V3_1_1, "MQTT-1.1-1", "311:MQTT-2.2-2")) == [("v311", "2.2-2")]
    assert broken_by(case(Version.V3_1_1, "MQTT-1.1-1")) == [("v311", "1.1-1")]


def test_the_page_names_tests_and_reasons() -> None:
    statements = {
        ("v5", "1.1-1"): Statement("v5", "1.1-1", "server", "is polite"),
        ("v5", "1.1-2"): Statement("v5", "1.1-2", "both", "sings", "nobody listens"),
        ("v311", "1.1-1"): Statement("v311", "1.1-1", "client", "asks"),
    }
    text = page(statements, {("v5", "1.1-1"): ["a.py::test_a", "b", "c", "d", "e"]})
    assert "| MQTT 5.0 | 2 | 2 | 1 | 1 |" in text
    assert "| 1.1-1 | server | is polite | `a.py::test_a`<br>`b`<br>`c`<br>and 2 more |" in text
    assert "| 1.1-2 | both | sings | none: nobody listens |" in text
    assert "| 1.1-1 | client | asks |  |" in text
