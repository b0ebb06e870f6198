"""What is configured but not there is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leafbox.app.configuration.cluster_options import ClusterOptions, GatewayOptions
from leafbox.app.configuration.options import Options
from leafbox.app.configuration.server_options import ServerOptions
from leafbox.app.configuration.unsupported import check_supported, unsupported_features
from leafbox.protocol.errors import ConfigError


@pytest.mark.capability("CF11")
def test_the_defaults_ask_for_nothing_unsupported() -> None:
    assert unsupported_features(Options()) == ()
    assert check_supported(Options()) == ()


@pytest.mark.capability("CF11", "CL01")
def test_gateways_are_refused_and_named() -> None:
    with pytest.raises(ConfigError, match=r"^gateway: gateways are not supported: connect this server to the hub"):
        check_supported(replace(Options(), gateway=GatewayOptions(name="g", port=7222)))


@pytest.mark.capability("CF11", "CL01")
def test_a_cluster_is_accepted_with_a_warning() -> None:
    (listener,) = check_supported(replace(Options(), cluster=ClusterOptions(name="c", port=6222)))
    assert listener.startswith("cluster.listen, -cluster: clustering is not supported")
    (routes,) = check_supported(replace(Options(), cluster=ClusterOptions(port=6222, routes=("nats://a:1",))))
    assert routes.startswith("cluster.routes, -routes: clustering is not supported")
    assert check_supported(replace(Options(), cluster=ClusterOptions(name="only-a-name"))) == ()


@pytest.mark.capability("CF11")
def test_an_unknown_feature_flag_is_named() -> None:
    server = ServerOptions(feature_flags={"js_ack_fc_v2": True, "unheard_of": True})
    assert check_supported(replace(Options(), server=server)) == ("feature_flags: unheard_of is not supported",)
