"""Imports point one way: app -> edges -> features -> broker -> dataplane, protocol; siblings do not meet."""

from __future__ import annotations

import pytest

from tests.architecture.source import PACKAGE, Import, imports_of, module_name, package_files, relative

pytestmark = pytest.mark.capability("AP11")

# Rank of each package; a module imports packages of a lower rank and its own. Two packages of one rank are siblings and
# meet in the ports that `broker` declares, so `jetstream` reaches the store, and an edge another edge, only through it.
RANK = {
    "protocol": 0,
    "dataplane": 1,  # Above protocol only so that it may raise its errors; nothing of protocol needs it.
    "broker": 2,
    "jetstream": 3,
    "security": 3,
    "monitoring": 3,
    "adapters": 4,
    "clients": 4,
    "leaf": 4,
    "mqtt": 4,
    "storage": 4,
    "web": 4,
    "app": 5,
}

# "path imports package": why this arrow may point elsewhere.
EXCEPTIONS: dict[str, str] = {}


def package_of(module: str) -> str | None:
    """`leafbox.mqtt.session` -> `mqtt`; None for the root module, which holds only constants all may use."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def violations(path: str, module: str, imports: list[Import]) -> list[str]:
    """The arrows of one module that point sideways or up, as `path imports package` with line and module."""
    own = package_of(module)
    if own is None:
        return []
    found = []
    for imported in imports:
        if imported.module.split(".")[0] != PACKAGE:
            continue
        other = package_of(imported.module)
        if other is None or other == own or other not in RANK:
            # `from leafbox import __version__` reads as leafbox.__version__: the root, not a package.
            continue
        if RANK[other] >= RANK[own]:
            found.append(f"{path} imports {other}: line {imported.line}, {imported.module}")
    return found


def all_violations() -> list[str]:
    """Over the whole package."""
    found = []
    for path in package_files():
        module = module_name(path)
        imports = imports_of(
            path.read_text(encoding="utf-8"),
            module,
            is_package=path.stem == "__init__",
            is_cython=path.suffix in {".pyx", ".pxd"},
        )
        found += violations(relative(path), module, imports)
    return found


def test_imports_point_one_way() -> None:
    wrong = [found for found in all_violations() if found.partition(":")[0] not in EXCEPTIONS]
    assert not wrong, "\n".join(["arrows that point sideways or up:", *wrong])


def test_every_exception_is_still_needed() -> None:
    used = {found.partition(":")[0] for found in all_violations()}
    assert set(EXCEPTIONS) <= used, f"no longer needed: {set(EXCEPTIONS) - used}"
    assert all(EXCEPTIONS.values()), "an exception needs a reason"


def test_every_package_has_a_rank() -> None:
    packages = {package_of(module_name(path)) for path in package_files()}
    assert packages - {None} <= set(RANK)


@pytest.mark.parametrize(
    ("module", "text", "expected"),
    [
        ("leafbox.jetstream.stream", "from leafbox.storage.wal import Log", "storage"),
        ("leafbox.jetstream.stream", "import leafbox.storage.wal", "storage"),
        ("leafbox.mqtt.session", "from ..leaf import link", "leaf"),
        ("leafbox.broker.account", "def f():\n    from leafbox import jetstream", "jetstream"),
        ("leafbox.protocol.info", "from leafbox.dataplane import engine", "dataplane"),
        ("leafbox.security.users", "if TYPE_CHECKING:\n    from leafbox.app import wiring", "app"),
    ],
)
def test_a_wrong_arrow_is_found(module: str, text: str, expected: str) -> None:
    imports = imports_of(text, module, is_package=False, is_cython=False)
    assert [found.partition(":")[0] for found in violations("p", module, imports)] == [f"p imports {expected}"]


@pytest.mark.parametrize(
    "text",
    [
        "from leafbox.broker.account cimport Account",
        "cimport leafbox.broker.account as account",
        "from leafbox.protocol cimport x\nfrom leafbox.broker import (\n    account,\n    limits as l,\n)",
    ],
)
def test_a_wrong_arrow_in_cython_is_found(text: str) -> None:
    imports = imports_of(text, "leafbox.dataplane.engine", is_package=False, is_cython=True)
    found = violations("p", "leafbox.dataplane.engine", imports)
    assert {line.partition(":")[0] for line in found} == {"p imports broker"}


def test_right_arrows_pass() -> None:
    text = "import asyncio\nfrom leafbox import __version__\nfrom leafbox.broker import account\nfrom . import flows\n"
    assert (
        violations(
            "p", "leafbox.mqtt.session", imports_of(text, "leafbox.mqtt.session", is_package=False, is_cython=False)
        )
        == []
    )
