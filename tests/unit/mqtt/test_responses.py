"""Answers to requests with correlation data find their way back."""

from __future__ import annotations

import pytest

from leafbox.broker.account import Account
from leafbox.mqtt.responses import ResponseRoute

Heard = list[tuple[bytes, bytes, bytes]]


@pytest.fixture
def account() -> Account:
    made = Account("A")
    ResponseRoute(made)
    return made


@pytest.fixture
def heard(account: Account) -> Heard:
    found: Heard = []

    def receive(subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: object) -> None:
        if not subject.startswith(b"$MQTT.resp."):
            found.append((subject, header, payload))

    account.subscribe(b">", receive)
    return found


def test_an_answer_gets_its_data_back(account: Account, heard: Heard) -> None:
    account.publish(b"$MQTT.resp.00FF.answers.1", b"2", b"", b"")
    assert heard == [(b"answers.1", b"NATS/1.0\r\nNmqtt-Correlation-Data: 00FF\r\n\r\n", b"2")]


def test_the_data_of_the_request_counts_not_what_the_service_says(account: Account, heard: Heard) -> None:
    """Some services send the request's headers back."""
    header = b"NATS/1.0 200 OK\r\nNmqtt-Correlation-Data: EE\r\nA: b\r\n\r\n"
    account.publish(b"$MQTT.resp.01.x", b"", b"", header)
    [(_, found, _)] = heard
    lines = found.split(b"\r\n")
    assert lines[:3] == [b"NATS/1.0 200 OK", b"Nmqtt-Correlation-Data: 01", b"Nmqtt-Correlation-Data: EE"]


@pytest.mark.parametrize("subject", [b"$MQTT.resp.xy.answers", b"$MQTT.resp.0.answers", b"$MQTT.resp.01.$MQTT.msgs.a"])
def test_what_is_no_answer_goes_nowhere(account: Account, heard: Heard, subject: bytes) -> None:
    """No data in hex, or a subject of the gateway's own."""
    account.publish(subject, b"x", b"", b"")
    assert heard == []
