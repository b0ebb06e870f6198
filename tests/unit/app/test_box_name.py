"""A box's name is made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from leafbox.app.box_name import box_name
from leafbox.protocol.errors import ConfigError

pytestmark = pytest.mark.capability("LF08")


def test_the_name_stays(tmp_path: Path) -> None:
    name = box_name(tmp_path)
    assert name.startswith("box-")
    assert box_name(tmp_path) == name
    other = tmp_path / "other"
    other.mkdir()
    assert box_name(other) != name


def test_a_name_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "box-name").write_text("pump-house\n")
    assert box_name(tmp_path) == "pump-house"


@pytest.mark.parametrize("text", ["", "two words", "a.b", "x" * 65])
def test_a_damaged_name_is_not_replaced(text: str, tmp_path: Path) -> None:
    """Another name would cut the hub's streams off from this box's."""
    (tmp_path / "box-name").write_text(text)
    with pytest.raises(ConfigError, match="box-name"):
        box_name(tmp_path)
