"""The tree as a whole: its top level, no traces of one machine, links that resolve, locks that are complete."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, relative, tree_files

pytestmark = pytest.mark.capability("AP11")

TOP_LEVEL = {"appliance", "docs", "firmware-image", "hardware", "pyproject.toml", "tests", "web-ui"}
DEMANDED_BY_TOOLS = {".ci", ".gitignore", "LICENSE", "Makefile", "README.md", "SECURITY.md", "requirements"}

# Written in pieces so that this file does not name what it forbids. Registries are the user's choice, made in the
# configuration of pip, npm and apt; absolute homes belong to one machine.
MACHINE_FOLDERS = ("wo" + "rk", "fa" + "rm", "ro" + "ot", "ho" + "me")
SHARED_FOLDER = "../" + "shared"
REGISTRY_HOSTS = ("py" + "pi.org", "python" + "hosted.org", "deb." + "debian.org", "npm" + "js.org", "npm" + "js.com")
INDEX_OPTION = "index" + "-url"
TRACES = re.compile(
    rf"(?<![\w.])/(?:{'|'.join(MACHINE_FOLDERS)})/"
    rf"|{'|'.join(map(re.escape, (SHARED_FOLDER, *REGISTRY_HOSTS)))}|--(?:extra-)?{INDEX_OPTION}"
)

MARKDOWN_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def traces_in(text: str) -> list[str]:
    """The machine paths and registry hosts one text names."""
    return [match[0] for match in TRACES.finditer(text)]


def anchors_of(text: str) -> set[str]:
    """The anchors GitHub makes of a page's headings."""
    headings = re.findall(r"^#+\s+(.+?)\s*$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> list[str]:
    """Links of a page that lead to no file, or to no heading of the file."""
    broken = []
    for target in MARKDOWN_LINK.findall(FENCED.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (
            anchor and file.suffix == ".md" and anchor not in anchors_of(file.read_text(encoding="utf-8"))
        ):
            broken.append(target)
    return broken


def unpinned(lock: str) -> list[str]:
    """The lines of a lock that are not `name==version` with at least one hash."""
    entries = re.split(r"\n(?=\S)", lock.strip())
    return [
        entry.splitlines()[0]
        for entry in entries
        if not entry.startswith("#") and not (re.match(r"[\w.-]+==\S+", entry) and "--hash=sha256:" in entry)
    ]


def test_the_top_level_is_what_the_readme_maps() -> None:
    names = {path.relative_to(ROOT).parts[0] for path in tree_files()}
    assert names <= TOP_LEVEL | DEMANDED_BY_TOOLS
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(TOP_LEVEL) if f"`{name}" not in readme] == []


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = {}
    for path in tree_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # A picture or a recorded sample; it cannot be run.
        if traces := traces_in(text):
            found[relative(path)] = traces
    assert not found


def test_links_between_pages_resolve() -> None:
    pages = [path for path in tree_files() if path.suffix == ".md"]
    assert len(pages) > 5
    broken = {
        relative(page): links for page in pages if (links := broken_links(page, page.read_text(encoding="utf-8")))
    }
    assert not broken


@pytest.mark.parametrize("name", ["runtime", "development"])
def test_every_locked_package_has_a_version_and_hashes(name: str) -> None:
    assert unpinned((ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")) == []


def test_locks_agree_with_each_other_and_with_the_ranges() -> None:
    pins = {}
    for name in ("runtime", "development"):
        text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
        pins[name] = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE))
    assert pins["runtime"].items() <= pins["development"].items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    wanted = {
        "runtime": project["project"]["dependencies"] + groups["build"],
        "development": groups["test"] + groups["style"],
    }
    for name, ranges in wanted.items():
        names = {re.split(r"[^\w.-]", text)[0].lower().replace("_", "-") for text in ranges}
        assert names <= pins[name].keys(), "run `make lock`"


def test_the_locked_build_tools_are_those_of_the_build() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["build-system"]["requires"] == project["dependency-groups"]["build"]


@pytest.mark.parametrize(
    "text",
    [f"see /{MACHINE_FOLDERS[0]}/main", f"cd /{MACHINE_FOLDERS[2]}/x", f"{SHARED_FOLDER}/spec", f"--{INDEX_OPTION} x"]
    + [f"https://{host}/x" for host in REGISTRY_HOSTS],
)
def test_a_trace_is_found(text: str) -> None:
    assert traces_in(text)


@pytest.mark.parametrize("text", ["docs/work/x", "/var/lib/leafbox", "the index", "a/b/root/c"])
def test_ordinary_paths_are_no_trace(text: str) -> None:
    assert traces_in(text) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    other = tmp_path / "other.md"
    other.write_text("# One `two` three!\n", encoding="utf-8")
    text = (
        "[a](other.md) [b](none.md) [c](other.md#one-two-three) [d](other.md#no) [e](https://x.y/z)\n```\n[f](g)\n```\n"
    )
    page.write_text(text, encoding="utf-8")
    assert broken_links(page, text) == ["none.md", "other.md#no"]


@pytest.mark.parametrize(
    ("lock", "wrong"),
    [
        ("a==1 \\\n    --hash=sha256:00\nb>=2\n", ["b>=2"]),
        ("a==1\n", ["a==1"]),
        ("# c\na==1 ; x == 'y' \\\n    --hash=sha256:00\n", []),
    ],
)
def test_an_unpinned_line_is_found(lock: str, wrong: list[str]) -> None:
    assert unpinned(lock) == wrong
