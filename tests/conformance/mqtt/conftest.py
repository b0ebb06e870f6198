"""Brokers that the tests of one module share; each test uses topics and client ids of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.support.mqtt_brokers import BrokerKind, MqttBroker
from tests.support.mqtt_client import close_clients

_names = itertools.count()


@pytest.fixture(autouse=True)
def closes_clients() -> Iterator[None]:
    """Whatever a test opened ends with it."""
    yield
    close_clients()


@pytest.fixture
def name() -> str:
    """A topic and client id that no other test uses."""
    return f"t{next(_names)}"


@pytest.fixture(scope="module", params=[BrokerKind.MOSQUITTO, BrokerKind.LEAFBOX], ids=lambda kind: kind.value)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MqttBroker]:
    """Mosquitto, which shows the test right, and ours."""
    with MqttBroker(request.param, tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module", params=list(BrokerKind), ids=lambda kind: kind.value)
def any_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MqttBroker]:
    """The real nats-server too, for what it does in MQTT 3.1.1."""
    with MqttBroker(request.param, tmp_path_factory.mktemp("broker")) as running:
        yield running
