"""Bodies of requests over NATS: which servers are meant, and what is wanted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.monitoring.connz import ConnectionState
from leafbox.monitoring.request_options import BadRequest, RequestBody
from leafbox.monitoring.varz import ServerFacts

pytestmark = pytest.mark.capability("MO07")

FACTS = ServerFacts(host="10.0.0.7", tags=("site-a", "arm"), jetstream_domain="box")


@pytest.mark.parametrize(
    ("body", "is_meant"),
    [
        (b"", True),
        (b" {} ", True),
        (b'{"server_name":"box-7"}', True),
        (b'{"server_name":"box"}', True),
        (b'{"server_name":"box","exact_match":true}', False),
        (b'{"host":"10.0.0"}', True),
        (b'{"host":"10.0.1"}', False),
        (b'{"cluster":"east"}', False),
        (b'{"domain":"box"}', True),
        (b'{"domain":"bo"}', False),
        (b'{"tags":["arm"]}', True),
        (b'{"tags":["arm","x86"]}', False),
    ],
)
def test_filters(body: bytes, is_meant: bool) -> None:
    assert RequestBody(body).selects("box-7", "", FACTS) == is_meant


@pytest.mark.parametrize(
    "body", [b"{bad", b"[]", b"1", b'{"tags":"arm"}', b'{"server_name":7}', b'{"exact_match":"x"}']
)
def test_what_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        RequestBody(body).selects("box", "", FACTS)


def test_options_have_names_of_their_own() -> None:
    body = RequestBody(b'{"sort":"rtt","auth":true,"subscriptions_detail":true,"state":1,"acc":"A","limit":3,"cid":7}')
    options = body.connz()
    assert (options.sort, options.shows_auth, options.details_subscriptions) == ("rtt", True, True)
    assert (options.state, options.account, options.limit, options.cid) == (ConnectionState.CLOSED, "A", 3, 7)
    assert body.connz("B").account == "B"
    assert RequestBody(b"").subsz("A").lists_subscriptions
    assert RequestBody(b'{"consumer":true}').jsz().streams
    assert RequestBody(b'{"js-server-only":true,"account":"A"}').healthz().js_server_only
    with pytest.raises(BadRequest):
        RequestBody(b'{"state":9}').connz()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_body_or_refused(payload: bytes) -> None:
    try:
        body = RequestBody(payload)
        body.connz()
        body.jsz()
    except BadRequest:
        return
