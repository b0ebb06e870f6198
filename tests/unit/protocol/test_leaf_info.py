"""INFO and CONNECT between leafs, as nats-server 2.15.1 sends them."""

from __future__ import annotations

import pytest

from leafbox.protocol.errors import ProtocolViolation
from leafbox.protocol.leaf_info import LeafConnect, LeafInfo, SubjectRules, decode_leaf_connect, decode_leaf_info

pytestmark = pytest.mark.capability("LF01", "LF16")

FIRST = (
    b'{"server_id":"NH","server_name":"hub","version":"2.15.1","proto":3,"git_commit":"b2","go":"go1.27","host":"h",'
    b'"port":20201,"headers":true,"auth_required":true,"max_payload":1048576,"jetstream":true,"ip":"127.0.0.1:20201",'
    b'"client_id":7,"nonce":"GDjKy0gQzMbiW0o","domain":"HUB","compression":"s2_auto","api_lvl":5,"info_on_connect":true,'
    b'"leafnode_urls":["127.0.0.1:20201"],"unheard_of":{"a":1}} '
)


def test_a_hubs_info_is_read() -> None:
    info = decode_leaf_info(FIRST)
    assert (info.server_name, info.client_id, info.domain, info.nonce) == ("hub", 7, "HUB", "GDjKy0gQzMbiW0o")
    assert info.leafnode_urls == ["127.0.0.1:20201"]
    assert not info.connect_info
    assert info.imports is info.exports is None


def test_permissions_travel_as_import_and_export() -> None:
    line = LeafInfo(connect_info=True, imports=SubjectRules(["a"], None), exports=SubjectRules(None, ["b"])).line()
    assert line == b'INFO {"connect_info":true,"import":{"allow":["a"]},"export":{"deny":["b"]}} \r\n'
    info = decode_leaf_info(line[5:])
    assert info.imports == SubjectRules(["a"])
    assert info.exports == SubjectRules(deny=["b"])


def test_connect_is_written_in_nats_servers_order() -> None:
    connect = LeafConnect(
        version="2.15.1", user="leaf", password="pw", server_id="NE", domain="EDGE1", name="edge", cluster="edge",
        headers=True, jetstream=True, deny_pub=["secret.>"], compress_mode="off", remote_account="A", protocol=3,
    )  # fmt: skip
    assert connect.line() == (
        b'CONNECT {"version":"2.15.1","user":"leaf","pass":"pw","server_id":"NE","domain":"EDGE1","name":"edge",'
        b'"cluster":"edge","headers":true,"jetstream":true,"deny_pub":["secret.>"],"compress_mode":"off",'
        b'"remote_account":"A","protocol":3}\r\n'
    )
    assert decode_leaf_connect(connect.line()[8:]) == connect


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"client_id":"x"}', b'{"name":1}', b"\xff"])
def test_what_is_not_readable_is_a_violation(text: bytes) -> None:
    for decode in (decode_leaf_info, decode_leaf_connect):
        if (text == b'{"name":1}' and decode is decode_leaf_info) or (
            text == b'{"client_id":"x"}' and decode is decode_leaf_connect
        ):
            continue
        with pytest.raises(ProtocolViolation):
            decode(text)
