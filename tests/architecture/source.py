"""The tree as the architecture tests see it: which files there are, what they import, how long their functions are.

Pure reading: text in, values out, so that every rule can be shown to fail on a bad sample.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE_ROOT = ROOT / "appliance"
PACKAGE = "leafbox"

# What .gitignore names: built, downloaded or run-time files. A walk rather than `git ls-files`, because a source
# archive without git must pass the same tests.
IGNORED_FOLDERS = frozenset({".git", ".venv", "build", "data", "node_modules", "results", "__pycache__"})
IGNORED_ENDINGS = (".so", ".egg-info", ".pyc", ".hypothesis", "_cache")


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module and the line it stands on."""

    module: str
    line: int


@dataclass(frozen=True, slots=True)
class Function:
    """A function's dotted name inside its module and its length in lines, its docstring not counted."""

    name: str
    line: int
    length: int


def tree_files(root: Path = ROOT) -> Iterator[Path]:
    """Every source file of the tree, in a stable order; built files are left out."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name for name in folders if name not in IGNORED_FOLDERS and not name.endswith(IGNORED_ENDINGS)
        )
        for name in sorted(names):
            path = Path(folder) / name
            if name != ".git" and not name.endswith(IGNORED_ENDINGS) and not is_generated_c(path):
                yield path


def is_generated_c(path: Path) -> bool:
    """Whether Cython wrote it: a .c or .cpp beside the .pyx of the same name."""
    return path.suffix in {".c", ".cpp"} and path.with_suffix(".pyx").exists()


def package_files() -> Iterator[Path]:
    """The Python and Cython sources of the appliance, stubs included."""
    return (path for path in tree_files(PACKAGE_ROOT / PACKAGE) if path.suffix in {".py", ".pyx", ".pxd", ".pyi"})


def relative(path: Path) -> str:
    """A path as the lists in these tests write it: from the root, with slashes."""
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    """`appliance/leafbox/mqtt/session.py` is `leafbox.mqtt.session`; a package is named without `__init__`."""
    parts = path.relative_to(PACKAGE_ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(text: str, module: str, *, is_package: bool, is_cython: bool) -> list[Import]:
    """What a module imports, at any depth and also for types only. Relative names are resolved."""
    if is_cython:
        return list(_cython_imports(text, module, is_package=is_package))
    found: list[Import] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = resolve("." * node.level + (node.module or ""), module, is_package=is_package)
            # `from leafbox import broker` imports a package too, so the names count as well as the source.
            found += [Import(f"{base}.{alias.name}", node.lineno) for alias in node.names]
    return found


_CYTHON_FROM = re.compile(r"^[ \t]*from[ \t]+([.\w]+)[ \t]+c?import[ \t]+(?:\(([^)]*)\)|([^\n#]*))", re.MULTILINE)
_CYTHON_IMPORT = re.compile(r"^[ \t]*c?import[ \t]+([^\n#]+)", re.MULTILINE)


def _cython_imports(text: str, module: str, *, is_package: bool) -> Iterator[Import]:
    # Cython's grammar is not Python's, so lines are matched; docstrings that look like imports would be taken too.
    for match in _CYTHON_FROM.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        base = resolve(match[1], module, is_package=is_package)
        for name in re.findall(r"(\w+|\*)(?:\s+as\s+\w+)?\s*(?:,|$)", match[2] or match[3]):
            yield Import(f"{base}.{name}", line)
    for match in _CYTHON_IMPORT.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        for name in match[1].split(","):
            yield Import(name.split()[0], line)


def resolve(name: str, module: str, *, is_package: bool) -> str:
    """A possibly relative module name (`..errors`) as seen from `module`, made absolute."""
    level = len(name) - len(name.lstrip("."))
    if level == 0:
        return name
    parts = module.split(".")
    keep = len(parts) - level + (1 if is_package else 0)
    return ".".join([*parts[:keep], *filter(None, [name.lstrip(".")])])


def functions_of(text: str) -> list[Function]:
    """Every function of a Python module, nested ones and methods included."""
    found: list[Function] = []

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{prefix}{child.name}."
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append(Function(name[:-1], child.lineno, _length(child)))
            visit(child, name)

    visit(ast.parse(text), "")
    return found


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    length = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        assert first.end_lineno is not None
        length -= first.end_lineno - first.lineno + 1
    return length


_CYTHON_CLASS = re.compile(r"(?:cdef[ \t]+)?class[ \t]+(\w+)")
_CYTHON_FUNCTION = re.compile(r"(?:async[ \t]+def|def|cpdef|cdef)\b[^=(]*?(\w+)[ \t]*\(")


def cython_functions_of(text: str) -> list[Function]:
    """Every function of a .pyx, by indentation: a body ends before the next line indented no deeper than its head."""
    lines = text.splitlines()
    found: list[Function] = []
    owner, owner_indent = "", -1
    for number, line in enumerate(lines):
        stripped, indent = line.strip(), len(line) - len(line.lstrip())
        if not stripped or stripped.startswith(("#", ")")):
            continue
        if indent <= owner_indent:
            owner, owner_indent = "", -1
        if head := _CYTHON_CLASS.match(stripped):
            owner, owner_indent = f"{head[1]}.", indent
        elif head := _CYTHON_FUNCTION.match(stripped):
            found.append(Function(owner + head[1], number + 1, _cython_length(lines, number, indent)))
    return found


def _cython_length(lines: list[str], head: int, indent: int) -> int:
    last = head
    for number in range(head + 1, len(lines)):
        stripped = lines[number].strip()
        depth = len(lines[number]) - len(lines[number].lstrip())
        # The closing line of a long signature stands as deep as its head.
        if stripped and depth <= indent and not stripped.startswith((")", "#")):
            break
        if stripped and depth > indent:
            last = number
    body = "\n".join(lines[head + 1 : last + 1])
    docstring = re.match(r'\s*(?:"""|r""").*?"""', body, re.DOTALL) if '"""' in body else None
    return last - head + 1 - (docstring[0].strip("\n").count("\n") + 1 if docstring else 0)
