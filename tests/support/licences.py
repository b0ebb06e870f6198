"""The licences of what is shipped: docs/licences.md, written from the metadata of the installed packages.

`python -m tests.support.licences PAGE`. A package whose licence is not on the list of known free ones stops it: someone
has to read that licence first.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import cast

ROOT = Path(__file__).resolve().parents[2]
RUNTIME_LOCK = ROOT / "requirements" / "runtime.lock"

# Spelling in the metadata -> SPDX expression. Older packages write what they like.
SPDX_OF_TEXT = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "mit license": "MIT",
    "isc license (iscl)": "ISC",
    "openldap bsd": "OLDAP-2.8",
    "openldap public license": "OLDAP-2.8",
}
# Permissive licences: they ask for a notice, which the wheels carry, and nothing of our own source.
KNOWN_FREE = frozenset({"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "OLDAP-2.8", "PSF-2.0"})
# Only needed to build; on the box there is a compiled extension, not these.
BUILD_ONLY = frozenset({"cython", "setuptools"})


@dataclass(frozen=True, slots=True)
class Package:
    """One locked package as installed."""

    name: str
    version: str
    licence: str
    summary: str


def locked_names(lock: str) -> list[str]:
    """The packages a lock installs on Linux with CPython, in its order."""
    entries = re.findall(r"^([\w.-]+)==[^\s;]+(?: ; ([^\\\n]+))?", lock, re.MULTILINE)
    return [name for name, marker in entries if "sys_platform == 'win32'" not in marker]


def licence_of(metadata: Message) -> str:
    """The SPDX expression of a package: its own, or what its licence field or classifiers mean. KeyError if unknown."""
    if expression := metadata.get("License-Expression"):
        return expression
    classifiers = [text for text in metadata.get_all("Classifier", []) if text.startswith("License ::")]
    texts = [text.rpartition(" :: ")[2] for text in classifiers] + [metadata.get("License", "").strip()]
    for text in filter(None, texts):
        first_line = text.splitlines()[0].strip()
        if first_line in KNOWN_FREE:
            return first_line
        if spdx := SPDX_OF_TEXT.get(first_line.lower()):
            return spdx
    raise KeyError(f"{metadata['Name']}: what licence is {texts}?")


def is_known_free(expression: str) -> bool:
    """Whether every licence of an expression is on the list; of `A OR B` one is enough."""
    if " AND " in expression:
        return all(is_known_free(part) for part in expression.split(" AND "))
    return any(part.strip("() ") in KNOWN_FREE for part in expression.split(" OR "))


def installed(names: Sequence[str]) -> list[Package]:
    """Read the metadata; ValueError for a licence that is not known to be free."""
    packages = []
    for name in names:
        metadata = cast(Message, importlib.metadata.metadata(name))
        licence = licence_of(metadata)
        if not is_known_free(licence):
            raise ValueError(f"{name} is under {licence}: read it before it is shipped")
        packages.append(Package(name, metadata["Version"], licence, metadata.get("Summary", "")))
    return packages


def page(packages: Sequence[Package]) -> str:
    """The text of docs/licences.md."""
    lines = [
        "# Licences",
        "",
        "Written by `make docs` from the metadata of the packages in `requirements/runtime.lock`; not edited by hand.",
        "Leafbox itself is under [Apache-2.0](../LICENSE). Each wheel carries its licence text.",
        "",
        "| package | version | licence | what it is |",
        "|---|---|---|---|",
    ]
    for package in packages:
        note = " (to build only)" if package.name in BUILD_ONLY else ""
        summary = package.summary.replace("|", "\\|")
        lines.append(f"| {package.name}{note} | {package.version} | {package.licence} | {summary} |")
    return "\n".join(lines) + "\n"


def current_page() -> str:
    """The page as it should be now."""
    return page(installed(locked_names(RUNTIME_LOCK.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(current_page(), encoding="utf-8")
