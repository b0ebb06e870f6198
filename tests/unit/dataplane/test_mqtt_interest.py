"""What a session asked for with one filter."""

from __future__ import annotations

import pytest

from leafbox.dataplane.mqtt_interest import MqttInterest


def test_options_are_kept_and_default_to_nothing_special() -> None:
    plain = MqttInterest(b"a/b", 1)
    assert (plain.filter, plain.qos, plain.identifier, plain.retain_handling) == (b"a/b", 1, 0, 0)
    assert not any((plain.no_local, plain.retain_as_published, plain.is_shared, plain.skips_dollar, plain.overlaps))
    assert plain.subscriptions == []
    special = MqttInterest(b"#", 2, no_local=True, retain_as_published=True, identifier=7, skips_dollar=True)
    assert (special.no_local, special.retain_as_published, special.identifier, special.skips_dollar) == (
        True,
        True,
        7,
        True,
    )


def test_a_filter_is_bytes() -> None:
    with pytest.raises(TypeError):
        MqttInterest("a", 1)  # type: ignore[arg-type]
