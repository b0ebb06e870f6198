"""The reload rules cover every option; what is refused is compared with nats-server in conformance."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest

from leafbox.app.configuration.options import Options
from leafbox.app.configuration.reload import RELOAD_TABLE, SPECIAL_PATHS, compare
from leafbox.broker.config import BrokerOptions
from leafbox.clients.config import ClientListenerOptions
from leafbox.jetstream.config import JetStreamOptions
from leafbox.leaf.config import LeafOptions, LeafRemoteOptions, LeafUrl
from leafbox.mqtt.config import MqttOptions
from leafbox.protocol.errors import ConfigError
from leafbox.security.config import SecurityOptions, TlsOptions, UserOptions


def _paths(value: Any, prefix: str = "") -> list[str]:
    paths = []
    for item in dataclasses.fields(value):
        inner = getattr(value, item.name)
        path = f"{prefix}{item.name}"
        if dataclasses.is_dataclass(inner) and path not in ("jetstream.limits", "leaf.compression"):
            paths += _paths(inner, f"{path}.")
        else:
            paths.append(path)
    return paths


@pytest.mark.capability("CF08")
def test_every_option_has_a_reload_rule() -> None:
    known = {path for path, _, _ in RELOAD_TABLE}
    sections = {path for path in SPECIAL_PATHS if "." not in path}
    without = [
        path
        for path in _paths(Options())
        if path not in known
        and path not in SPECIAL_PATHS
        and path.partition(".")[0] not in sections
        and path not in ("config_file", "config_digest")
    ]
    assert without == []


@pytest.mark.capability("CF07")
def test_changes_name_what_changed() -> None:
    new = replace(Options(), broker=BrokerOptions(payload_bytes_max=5), config_digest="sha256:x")
    changes = compare(Options(), new)
    assert changes.changed == {"broker.payload_bytes_max"}
    assert changes.touches("broker")
    assert changes.touches("security", "broker.payload_bytes_max")
    assert not changes.touches("broker.payload", "security")


@pytest.mark.capability("CF08")
def test_a_refused_change_names_old_and_new() -> None:
    new = replace(Options(), clients=ClientListenerOptions(port=4333))
    with pytest.raises(ConfigError, match=r"^config reload not supported for Port: old=4222, new=4333$"):
        compare(Options(), new)


@pytest.mark.capability("CF07")
def test_a_free_port_asked_for_again_is_no_change() -> None:
    old = replace(Options(), clients=ClientListenerOptions(port=4333), mqtt=MqttOptions(port=1883))
    new = replace(Options(), clients=ClientListenerOptions(port=-1), mqtt=MqttOptions(port=-1))
    changes = compare(old, new)
    assert (changes.changed, changes.options.clients.port, changes.options.mqtt.port) == (frozenset(), 4333, 1883)


@pytest.mark.capability("CF08")
def test_secrets_are_not_in_the_text() -> None:
    old = replace(Options(), jetstream=JetStreamOptions(encryption_key="HUSH"))
    with pytest.raises(ConfigError) as refused:
        compare(old, Options())
    assert "HUSH" not in str(refused.value)
    remote = LeafRemoteOptions((LeafUrl("nats", "h", 1, "", "u", "HUSH"),), nkey_seed="HUSH")
    with pytest.raises(ConfigError) as refused:
        compare(
            replace(Options(), leaf=LeafOptions(remotes=(remote,))),
            replace(Options(), leaf=LeafOptions(remotes=(replace(remote, is_hub=True),))),
        )
    assert "HUSH" not in str(refused.value)
    with pytest.raises(ConfigError) as refused:
        compare(replace(Options(), leaf=LeafOptions(password="HUSH")), Options())
    assert "HUSH" not in str(refused.value)


@pytest.mark.capability("CF07", "LF17")
def test_remotes_are_told_apart_by_url_account_and_credentials() -> None:
    def leaf(*remotes: LeafRemoteOptions) -> Options:
        return replace(Options(), leaf=LeafOptions(remotes=remotes))

    first = LeafRemoteOptions((LeafUrl("nats", "a"),))
    second = LeafRemoteOptions((LeafUrl("nats", "b"),))
    disabled = replace(first, is_disabled=True)
    changes = compare(leaf(first), leaf(disabled, second))
    assert (changes.remotes_added, changes.remotes_removed) == ((second,), ())
    assert changes.remotes_changed == ((first, disabled),)
    assert compare(leaf(first, second), leaf(first)).remotes_removed == (second,)


@pytest.mark.capability("CF07")
def test_jetstream_can_be_switched_off_with_its_limits() -> None:
    on = replace(Options(), jetstream=JetStreamOptions(True, "/store", 1000, 1000))
    assert "jetstream.is_enabled" in compare(on, Options()).changed
    other = replace(Options(), jetstream=JetStreamOptions(True, "/other"))
    assert "jetstream.store_directory" in compare(Options(), other).changed


@pytest.mark.capability("CF08")
def test_no_auth_user_can_go_only_with_its_user() -> None:
    user = UserOptions(name="a")
    old = replace(Options(), security=SecurityOptions(users=(user,), no_auth_user="a"))
    with pytest.raises(ConfigError, match=r"^config reload not supported for NoAuthUser: old=a, new=$"):
        compare(old, replace(Options(), security=SecurityOptions(users=(user,))))
    assert "security.no_auth_user" in compare(old, Options()).changed


@pytest.mark.capability("CF07")
def test_tls_is_read_again_at_every_reload() -> None:
    options = replace(Options(), clients=ClientListenerOptions(tls=TlsOptions(cert_file="c", key_file="k")))
    assert compare(options, options).changed == {"clients.tls"}
    tls = TlsOptions(cert_file="c", key_file="k", is_peer_mapped_to_user=True)
    mapped = replace(Options(), clients=ClientListenerOptions(tls=tls))
    with pytest.raises(ConfigError, match="config reload not supported for TLSMap: old=false, new=true"):
        compare(options, mapped)
