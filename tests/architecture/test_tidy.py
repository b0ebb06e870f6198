"""Sizes ratchet: a function that crosses 70 lines or a module that crosses 600 must be listed with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.source import cython_functions_of, functions_of, relative, tree_files

pytestmark = pytest.mark.capability("AP11")

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 600
SOURCE_ENDINGS = {".py", ".pyx", ".pxd", ".pyi", ".ts", ".tsx"}

# "path" or "path::function": why it may be longer. An entry that is no longer needed must go.
LISTED: dict[str, str] = {
    "appliance/leafbox/dataplane/connection.pyx": "one cdef class: its input and output share the transport's state",
    "appliance/leafbox/dataplane/consumer_progress.pyx": "one cdef class: Cython cannot spread a class over modules",
    "appliance/leafbox/dataplane/journal.pyx": "one cdef class: Cython cannot spread a class over modules",
    "appliance/leafbox/dataplane/leaf_connection.pyx::LeafConnection.send_message": (
        "one LMSG written left to right into one reserved room; every length is counted above its copy"
    ),
    "appliance/leafbox/dataplane/mqtt_connection.pyx::MqttConnection.publish": (
        "one message put together in one reserved room, part after part"
    ),
    "appliance/leafbox/dataplane/mqtt_plane.pyx::MqttPeer.send_publish": (
        "one PUBLISH written left to right into one reserved room; every length is counted above its copy"
    ),
    "appliance/leafbox/dataplane/store_block.pyx::decode_index": "straight-line decoding, fields checked in file order",
    "appliance/leafbox/dataplane/stream_store.pyx": "one cdef class: Cython cannot spread a class over modules",
    "web-ui/src/api/types.ts": "generated",
    "appliance/leafbox/dataplane/sublist.pyx": "trie and cache are one index with one change counter",
}


def oversized(path: str, text: str) -> dict[str, int]:
    """What of one file is over the limits, with its size in lines."""
    found: dict[str, int] = {}
    if (lines := text.count("\n")) > MODULE_LINES_MAX:
        found[path] = lines
    if path.endswith(".py"):
        functions = functions_of(text)
    elif path.endswith(".pyx"):
        functions = cython_functions_of(text)
    else:
        functions = []
    return found | {f"{path}::{each.name}": each.length for each in functions if each.length > FUNCTION_LINES_MAX}


def all_oversized() -> dict[str, int]:
    """Over the whole tree."""
    found: dict[str, int] = {}
    for path in tree_files():
        if path.suffix in SOURCE_ENDINGS:
            found |= oversized(relative(path), path.read_text(encoding="utf-8"))
    return found


def test_what_is_oversized_is_listed() -> None:
    new = {name: size for name, size in all_oversized().items() if name not in LISTED}
    assert not new, f"split it, or list it in {Path(__file__).name} with the reason: {new}"


def test_what_is_listed_is_still_oversized() -> None:
    stale = set(LISTED) - set(all_oversized())
    assert not stale, f"small again, take it off the list: {stale}"
    assert all(LISTED.values()), "an entry needs a reason"


def body(lines: int, indent: str = "    ") -> str:
    """So many lines of a function's body."""
    return f"{indent}x = 1\n" * lines


def test_a_long_function_is_found_without_its_docstring() -> None:
    text = f'class A:\n    def f(self) -> None:\n        """One.\n\n        Two.\n        """\n{body(70, " " * 8)}'
    assert oversized("a.py", text) == {"a.py::A.f": 71}
    assert oversized("a.py", text.replace("        x = 1\n", "", 1)) == {}


def test_a_long_cython_function_is_found() -> None:
    head = "cdef class A(B):\n    cdef inline int f(\n        self, int a\n    ) except -1:\n"
    after = "    def short(self):\n        return 1\n\ncpdef int g(int a) noexcept nogil:\n"
    text = f"{head}{body(70, ' ' * 8)}\n{after}{body(70)}"
    assert oversized("a.pyx", text) == {"a.pyx::A.f": 73, "a.pyx::g": 71}


def test_a_long_module_is_found() -> None:
    assert oversized("a.pyi", "x: int\n" * 601) == {"a.pyi": 601}
    assert oversized("a.pyi", "x: int\n" * 600) == {}
