"""URLs and files of an uplink are refused with what is wrong, and without what is secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from leafbox.app.uplink import remote_options
from leafbox.leaf.uplink_definition import Definition
from leafbox.protocol.errors import BoxRequestFailed

pytestmark = pytest.mark.capability("LF01")


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port"),
    [
        ("hub.example.com", "nats-leaf", "hub.example.com", 7422),
        ("nats-leaf://hub:7000", "nats-leaf", "hub", 7000),
        ("tls://user:secret@hub", "tls", "hub", 7422),
        ("wss://hub", "wss", "hub", 443),
        ("ws://[::1]:80", "ws", "::1", 80),
    ],
)
def test_urls(url: str, scheme: str, host: str, port: int) -> None:
    (found,) = remote_options(Definition("hub", url)).urls
    assert (found.scheme, found.host, found.port) == (scheme, host, port)


@pytest.mark.parametrize("url", ["http://hub", "nats-leaf://", "nats-leaf://u:secret@hub:x", "ws://a,nats://b", "://"])
def test_a_bad_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BoxRequestFailed) as refused:
        remote_options(Definition("hub", url))
    assert refused.value.code == "invalid"
    assert "secret" not in str(refused.value)


def test_files_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BoxRequestFailed, match="no file"):
        remote_options(Definition("hub", "hub", credentials_file=str(tmp_path / "nothing.creds")))
    (tmp_path / "cert").write_text("x")
    with pytest.raises(BoxRequestFailed, match="both"):
        remote_options(Definition("hub", "hub", cert_file=str(tmp_path / "cert")))


def test_several_addresses_of_one_hub() -> None:
    assert [url.host for url in remote_options(Definition("hub", "nats-leaf://a, nats-leaf://b")).urls] == ["a", "b"]
