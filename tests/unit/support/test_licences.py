"""`tests.support.licences`: what counts as free, what stops the page."""

from __future__ import annotations

from email.message import Message

import pytest

from tests.support.licences import Package, installed, is_known_free, licence_of, locked_names, page


def metadata(**fields: str) -> Message:
    """A package's metadata with these fields; underscores stand for dashes."""
    message = Message()
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    return message


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License_Expression": "MIT"}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: Apache Software License"}, "Apache-2.0"),
        ({"License": "Apache License 2.0\n\nVersion 2.0, January 2004"}, "Apache-2.0"),
        ({"Classifier": "License :: OSI Approved", "License": "BSD"}, "BSD-3-Clause"),
    ],
)
def test_licence_is_found_where_packages_put_it(fields: dict[str, str], expected: str) -> None:
    assert licence_of(metadata(**fields)) == expected


def test_an_unknown_licence_is_an_error() -> None:
    with pytest.raises(KeyError, match="what licence"):
        licence_of(metadata(Name="x", License="Ask the author"))


@pytest.mark.parametrize(
    ("expression", "free"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-2.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND (Apache-2.0 OR GPL-3.0-only)", True),
    ],
)
def test_known_free_reads_expressions(expression: str, free: bool) -> None:
    assert is_known_free(expression) is free


def test_a_licence_that_is_not_free_stops_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "importlib.metadata.metadata", lambda name: metadata(Name=name, License_Expression="GPL-3.0-only")
    )
    with pytest.raises(ValueError, match="read it before it is shipped"):
        installed(["x"])


def test_locked_names_leave_out_what_linux_does_not_install() -> None:
    entries = ["a-b==1 ; sys_platform == 'win32' \\", "c.d==2 \\", "e==3 ; implementation_name != 'PyPy' \\"]
    lock = "".join(f"{entry}\n    --hash=sha256:00\n" for entry in entries)
    assert locked_names(lock) == ["c.d", "e"]


def test_page_marks_what_is_needed_to_build_only() -> None:
    text = page([Package("cython", "3", "Apache-2.0", "a | b"), Package("lmdb", "2", "OLDAP-2.8", "c")])
    assert "| cython (to build only) | 3 | Apache-2.0 | a \\| b |" in text
    assert "| lmdb | 2 | OLDAP-2.8 | c |" in text
