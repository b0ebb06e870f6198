"""Every compiled module has its map (.pxd) and its types (.pyi), and pyproject.toml lists it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.source import PACKAGE_ROOT, ROOT

pytestmark = pytest.mark.capability("AP11")

DATAPLANE = PACKAGE_ROOT / "leafbox" / "dataplane"


def missing_companions(names: set[str]) -> set[str]:
    """Of a folder's file names: the .pxd and .pyi that some .pyx lacks."""
    modules = {name.removesuffix(".pyx") for name in names if name.endswith(".pyx")}
    return {f"{module}{ending}" for module in modules for ending in (".pxd", ".pyi")} - names


def listing_mistakes(project: dict[str, Any], modules: set[str]) -> list[str]:
    """Where the extension modules of a pyproject.toml differ from the .pyx files there are."""
    mistakes: list[str] = []
    listed: dict[str, Any] = {entry["name"]: entry for entry in project["tool"]["setuptools"]["ext-modules"]}
    expected = {f"leafbox.dataplane.{module}": f"appliance/leafbox/dataplane/{module}.pyx" for module in modules}
    mistakes += [f"not listed: {name}" for name in expected if name not in listed]
    mistakes += [f"listed without a source: {name}" for name in listed if name not in expected]
    for name in expected.keys() & listed.keys():
        if listed[name]["sources"] != [expected[name]]:
            mistakes.append(f"wrong source: {name}")
        if listed[name].get("extra-compile-args") not in (["-O2"], ["-O3"]):
            mistakes.append(f"not optimised: {name}")
    return mistakes


def file_names() -> set[str]:
    """What is in the data plane's folder."""
    return {path.name for path in DATAPLANE.iterdir()}


def test_every_module_has_its_map_and_its_types() -> None:
    assert missing_companions(file_names()) == set()


def test_every_module_is_listed_and_optimised() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    modules = {Path(name).stem for name in file_names() if name.endswith(".pyx")}
    assert listing_mistakes(project, modules) == []


def test_nothing_is_included_as_text() -> None:
    for path in DATAPLANE.glob("*.p[yx]*"):
        assert not re.search(r"^\s*include\s+[\"']", path.read_text(encoding="utf-8"), re.MULTILINE), path


def test_a_missing_companion_is_found() -> None:
    assert missing_companions({"a.pyx", "a.pxd", "b.pyx", "b.pyi", "c.pxd"}) == {"a.pyi", "b.pxd"}


@pytest.mark.parametrize(
    ("entry", "mistake"),
    [
        ({"name": "leafbox.dataplane.b"}, ["not listed: leafbox.dataplane.a", "listed without a source"]),
        ({"name": "leafbox.dataplane.a", "sources": ["x.pyx"], "extra-compile-args": ["-O3"]}, ["wrong source"]),
        ({"name": "leafbox.dataplane.a", "sources": ["appliance/leafbox/dataplane/a.pyx"]}, ["not optimised"]),
    ],
)
def test_a_wrong_listing_is_found(entry: dict[str, Any], mistake: list[str]) -> None:
    found = listing_mistakes({"tool": {"setuptools": {"ext-modules": [entry]}}}, {"a"})
    assert len(found) == len(mistake)
    assert all(line.startswith(start) for line, start in zip(found, mistake, strict=True))
