"""The generated pages are current, complete, and the example is what it says."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from leafbox.app.configuration.load import load_options
from leafbox.app.configuration.options import Options
from leafbox.app.configuration.reference import CHAPTERS, example_file, key_text, reference_page

DOCS = Path(__file__).resolve().parents[4] / "docs" / "config"


@pytest.mark.parametrize(("name", "make"), [("reference.md", reference_page), ("leafbox.conf.example", example_file)])
def test_the_page_is_current(name: str, make: object) -> None:
    assert callable(make)
    assert (DOCS / name).read_text(encoding="utf-8") == make(), (
        "run: python -m leafbox.app.configuration.reference docs/config"
    )


def test_every_key_is_explained() -> None:
    without = [
        f"{chapter.path}.{key.names[0]}"
        for chapter in CHAPTERS
        for key in chapter.keys.keys
        if not key_text(chapter, key)
    ]
    assert without == []


def test_every_table_of_keys_has_a_chapter() -> None:
    # Blocks that differ only by context (queue entries, the client side of TLS) share a chapter; where an entry of
    # exports or imports comes from is explained in its own row.
    shown = [[key.names for key in chapter.keys.keys] for chapter in CHAPTERS]
    blocks = [(key.names[0], key.block) for chapter in CHAPTERS for key in chapter.keys.keys if key.block is not None]
    missing = [name for name, block in blocks if [key.names for key in block.keys] not in shown]
    assert missing == ["stream", "service", "trusted"]


@pytest.mark.capability("CF01")
def test_the_example_is_valid_and_its_comments_show_the_defaults(tmp_path: Path) -> None:
    text = example_file()
    file = tmp_path / "example.conf"
    file.write_text(text)
    as_written, warnings = load_options(str(file), {})
    assert warnings == ()
    # Taking the comment signs away changes nothing; JetStream is only named to show its keys.
    file.write_text(re.sub(r"(?m)^( *)#([a-z}])", r"\1\2", text).replace("jetstream {", "jetstream { enabled: false"))
    uncommented, warnings = load_options(str(file), {})
    assert warnings == ()
    assert _without_file(uncommented) == _without_file(as_written)


def _without_file(options: Options) -> Options:
    return dataclasses.replace(options, config_digest="")
