"""Exports and imports that do not fit; single problems are compared with nats-server in conformance."""

from __future__ import annotations

import pytest

from leafbox.app.configuration.sharing import Sharing
from leafbox.broker.config import (
    AccountOptions,
    ServiceExport,
    ServiceImport,
    ServiceLatency,
    StreamExport,
    StreamImport,
)


def problems(*accounts: AccountOptions, is_system_account_disabled: bool = False) -> list[str]:
    return Sharing(accounts, is_system_account_disabled).problems()


@pytest.mark.capability("CF03")
def test_services_that_call_each_other_form_a_cycle() -> None:
    first = AccountOptions(
        "A", service_exports=(ServiceExport("a"),), service_imports=(ServiceImport("B", "b", to="a"),)
    )
    second = AccountOptions(
        "B", service_exports=(ServiceExport("b"),), service_imports=(ServiceImport("A", "a", to="b"),)
    )
    assert problems(first, second) == ['Error adding service import "a": import forms a cycle']


@pytest.mark.capability("CF03")
def test_streams_that_feed_each_other_form_a_cycle() -> None:
    first = AccountOptions("A", stream_exports=(StreamExport("s.>"),), stream_imports=(StreamImport("B", "s.>"),))
    second = AccountOptions("B", stream_exports=(StreamExport("s.>"),), stream_imports=(StreamImport("A", "s.>"),))
    assert problems(first, second) == ['Error adding stream import "s.>": import forms a cycle']


@pytest.mark.capability("CF03")
def test_a_private_export_admits_only_its_accounts() -> None:
    exporter = AccountOptions("A", stream_exports=(StreamExport("a", accounts=("B",)),))
    admitted = AccountOptions("B", stream_imports=(StreamImport("A", "a"),))
    other = AccountOptions("C", stream_imports=(StreamImport("A", "a"),))
    assert problems(exporter, admitted) == []
    assert problems(exporter, admitted, other) == ['Error adding stream import "a": stream import not authorized']


@pytest.mark.capability("CF03")
def test_an_export_by_account_position_admits_the_importer_it_names() -> None:
    exporter = AccountOptions("A", service_exports=(ServiceExport("req.*", account_token_position=2),))
    importer = AccountOptions("B", service_imports=(ServiceImport("A", "req.B"),))
    thief = AccountOptions("B", service_imports=(ServiceImport("A", "req.C"),))
    assert problems(exporter, importer) == []
    assert problems(exporter, thief) == ['Error adding service import "req.C": service import not authorized']


@pytest.mark.capability("CF03")
def test_latency_needs_the_system_account() -> None:
    account = AccountOptions("A", service_exports=(ServiceExport("a", latency=ServiceLatency("m")),))
    assert problems(account) == []
    assert problems(account, is_system_account_disabled=True) == [
        'Error adding service latency sampling for "a": system account not setup'
    ]
