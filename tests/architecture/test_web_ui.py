"""The dashboard's built files are those of its sources, small enough, and load nothing from elsewhere.

The first tests need no Node, so they hold on every machine. Where Node is there, the sources are checked and built too.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from leafbox.web import openapi
from tests.architecture.source import ROOT

pytestmark = pytest.mark.capability("AP11")

WEB_UI = ROOT / "web-ui"
STATIC = ROOT / "appliance" / "leafbox" / "web" / "static"
GZIP_BYTES_MAX = 90_000
BUILD = "run `make ui`"


def manifest() -> dict[str, object]:
    """What the build wrote of itself."""
    value = json.loads((STATIC / "manifest.json").read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def source_digest() -> str:
    """As tools/build.mjs makes it."""
    digest = hashlib.sha256()
    names = [path.relative_to(WEB_UI).as_posix() for path in (WEB_UI / "src").rglob("*") if path.is_file()]
    for name in sorted([*names, "package-lock.json", "tools/build.mjs"]):
        digest.update(f"{name}\0".encode() + (WEB_UI / name).read_bytes() + b"\0")
    return digest.hexdigest()


def test_the_built_files_are_of_these_sources() -> None:
    assert manifest()["sources"] == source_digest(), BUILD


def test_the_files_are_those_of_the_manifest_and_small() -> None:
    files = manifest()["files"]
    assert isinstance(files, dict)
    there = {path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file()}
    assert there == {"manifest.json", *files, *(f"{name}.gz" for name in files)}, BUILD
    total = 0
    for name, sizes in files.items():
        packed = (STATIC / f"{name}.gz").read_bytes()
        assert gzip.decompress(packed) == (STATIC / name).read_bytes()
        assert sizes == {"bytes": (STATIC / name).stat().st_size, "gzip": len(packed)}
        total += len(packed)
    assert total == manifest()["gzip_bytes"]
    assert total <= GZIP_BYTES_MAX


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page) == []
    assert [url for url in re.findall(r'(?:src|href)="([^"]+)"', page) if not url.startswith("/assets/")] == []


def test_the_types_are_made_of_what_the_web_process_says() -> None:
    assert (WEB_UI / "openapi.json").read_text(encoding="utf-8") == openapi.text(), BUILD


def test_the_lockfile_names_no_registry() -> None:
    lock = json.loads((WEB_UI / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if "integrity" not in package] == []


def node_is_there() -> bool:
    """Whether this machine builds the dashboard: npm, and a Node of 20 or newer."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return int(version.removeprefix("v").split(".")[0] or 0) >= 20


@pytest.mark.slow
@pytest.mark.skipif(not node_is_there(), reason="no Node 20; the tests above hold the built files to their sources")
def test_a_fresh_build_gives_the_same_files_and_the_logic_tests_pass(tmp_path: Path) -> None:
    def run(*command: str) -> None:
        done = subprocess.run(command, cwd=WEB_UI, capture_output=True, text=True, check=False, timeout=110)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"

    if not (WEB_UI / "node_modules" / "esbuild").is_dir():
        run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    run("npm", "run", "types")
    run("npm", "run", "test")
    run("node", "tools/api.mjs", str(tmp_path / "types.ts"))
    assert (tmp_path / "types.ts").read_bytes() == (WEB_UI / "src" / "api" / "types.ts").read_bytes(), BUILD
    run("node", "tools/build.mjs", str(tmp_path / "static"))
    built = {path.relative_to(tmp_path / "static"): path for path in (tmp_path / "static").rglob("*") if path.is_file()}
    for name, path in built.items():
        # Another zlib packs otherwise; what is packed is compared above.
        if path.suffix != ".gz" and name.name != "manifest.json":
            assert path.read_bytes() == (STATIC / name).read_bytes(), f"{name}: {BUILD}"
