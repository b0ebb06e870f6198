"""What a configuration asks for that this server does not do: named, never silently ignored.

The table is data: a feature that gets built removes its row. `REFUSED` rows stop a start, because ignoring them would
open the server, lose data or leave a site without a link; `WARNED` rows are only told.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from leafbox.app.configuration.options import Options
from leafbox.leaf.config import CompressionMode
from leafbox.protocol.errors import ConfigError
from leafbox.security.config import TlsOptions


class Severity(enum.Enum):
    """Whether the server starts without the feature."""

    WARNED = "warned"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class UnsupportedFeature:
    """A feature that may be configured but is not there."""

    keys: str
    """The configuration keys that ask for it."""
    text: str
    """What to tell the user, with the way out."""
    severity: Severity
    is_configured: Callable[[Options], bool]


def _tls_blocks(options: Options) -> list[TlsOptions]:
    blocks = [options.clients.tls, options.websocket.tls, options.mqtt.tls, options.leaf.tls]
    blocks += [remote.tls for remote in options.leaf.remotes]
    return [block for block in blocks if block is not None]


_WARNED, _REFUSED = Severity.WARNED, Severity.REFUSED

UNSUPPORTED_FEATURES: tuple[UnsupportedFeature, ...] = (
    UnsupportedFeature(
        "gateway",
        "gateways are not supported: connect this server to the hub's cluster as a leaf node (leafnodes.remotes)",
        _REFUSED,
        lambda options: options.gateway.is_configured,
    ),
    UnsupportedFeature(
        "cluster.routes, -routes",
        "clustering is not supported: routes are not connected; replicated data belongs to the hub (leafnodes.remotes)",
        _WARNED,
        lambda options: bool(options.cluster.routes),
    ),
    UnsupportedFeature(
        "cluster.listen, -cluster",
        "clustering is not supported: no route listener is opened; only the cluster's name is used",
        _WARNED,
        lambda options: options.cluster.is_configured and not options.cluster.routes,
    ),
    UnsupportedFeature(
        "prof_port, -profile",
        "the profiling port is not supported",
        _WARNED,
        lambda options: bool(options.server.profiling_port or options.server.profiling_block_rate),
    ),
    UnsupportedFeature(
        "jetstream.tpm",
        "keys from a TPM are not supported: the store would be unreadable or unencrypted",
        _REFUSED,
        lambda options: options.jetstream.tpm is not None,
    ),
    UnsupportedFeature(
        "jetstream.key",
        "encryption at rest is not supported: the store would be unencrypted; encrypt the partition instead",
        _REFUSED,
        lambda options: bool(options.jetstream.encryption_key),
    ),
    UnsupportedFeature(
        "resolver.interval",
        "directories of accounts are not compared with other servers at times: accounts are pushed to this server, or "
        "looked up when a user logs in",
        _WARNED,
        lambda options: (
            options.security.operator.resolver is not None and options.security.operator.resolver.sync_interval_s > 0
        ),
    ),
    UnsupportedFeature(
        "mqtt.js_domain",
        "MQTT sessions of a box live in its own store: leave the key out or name the box's domain (jetstream.domain); "
        "streams that capture what devices publish can be mirrored to the hub",
        _REFUSED,
        lambda options: options.mqtt.jetstream_domain not in ("", options.jetstream.domain),
    ),
    UnsupportedFeature(
        "mqtt.stream_replicas",
        "one box keeps one copy: replicated streams live at the hub",
        _WARNED,
        lambda options: options.mqtt.stream_replicas > 1,
    ),
    UnsupportedFeature(
        "proxies, proxy_required",
        "trusted proxies are not supported: a user that requires one could never log in",
        _REFUSED,
        lambda options: bool(
            options.security.trusted_proxies
            or options.security.is_proxy_required
            or options.leaf.is_proxy_required
            or any(user.is_proxy_required for user in options.security.users)
            or any(user.is_proxy_required for user in options.leaf.users)
        ),
    ),
    UnsupportedFeature(
        "proxy_protocol",
        "the PROXY protocol is not supported: clients behind such a proxy could not connect",
        _REFUSED,
        lambda options: options.clients.is_proxy_protocol_expected,
    ),
    UnsupportedFeature(
        "tls.ocsp_peer",
        "OCSP checks of peers are not supported: revoked certificates would be accepted",
        _REFUSED,
        lambda options: any(block.ocsp_peer and block.ocsp_peer.is_enabled for block in _tls_blocks(options)),
    ),
    UnsupportedFeature(
        "ocsp",
        "OCSP stapling is not supported: clients must ask the responder themselves",
        _WARNED,
        lambda options: options.security.ocsp is not None,
    ),
    UnsupportedFeature(
        "leafnodes.remotes.proxy",
        "proxies that want TLS themselves (https) are not supported: name the proxy's http port",
        _REFUSED,
        lambda options: any(
            remote.proxy is not None and remote.proxy.url.lower().startswith("https:")
            for remote in options.leaf.remotes
        ),
    ),
    UnsupportedFeature(
        "leafnodes.compression",
        "s2_better and s2_best are not supported: such links are compressed as s2_fast",
        _WARNED,
        lambda options: any(
            block.mode in (CompressionMode.S2_BETTER, CompressionMode.S2_BEST)
            for block in (options.leaf.compression, *(r.compression for r in options.leaf.remotes))
        ),
    ),
)

KNOWN_FEATURE_FLAGS = frozenset(("js_ack_fc_v2", "js_api_reply_v2", "js_raft_delete_range", "js_snapshot_sources"))
"""Names nats-server 2.15.1 knows; others are reported as unsupported."""


def unsupported_features(
    options: Options, table: tuple[UnsupportedFeature, ...] = UNSUPPORTED_FEATURES
) -> tuple[UnsupportedFeature, ...]:
    """The rows of the table that these options ask for."""
    return tuple(feature for feature in table if feature.is_configured(options))


def check_supported(options: Options, table: tuple[UnsupportedFeature, ...] = UNSUPPORTED_FEATURES) -> tuple[str, ...]:
    """What to warn about. Raises `ConfigError` naming every refused feature at once."""
    found = unsupported_features(options, table)
    refused = [feature for feature in found if feature.severity is Severity.REFUSED]
    if refused:
        raise ConfigError("\n".join(f"{feature.keys}: {feature.text}" for feature in refused))
    flags = sorted(options.server.feature_flags.keys() - KNOWN_FEATURE_FLAGS)
    unknown = [f"feature_flags: {name} is not supported" for name in flags]
    return (*(f"{feature.keys}: {feature.text}" for feature in found), *unknown)
