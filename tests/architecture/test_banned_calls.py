"""Calls that break a rule of the house wherever they stand, with the few places that may make them.

Tasks belong to their owner, so that an error in one is seen and a shutdown ends them all; the loop must not sleep;
output goes to the log; an `except Exception` hides defects unless it stands at a task's root.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.source import package_files, relative

pytestmark = pytest.mark.capability("AP11")

# Last part of the called name -> what to do instead.
BANNED_CALLS = {
    # The method of a task group is fine: wiring hands in the group that `app/lifecycle.py` owns.
    "asyncio.create_task": "start tasks through the owner of the life cycle, so that their errors are seen",
    "loop.create_task": "start tasks through the owner of the life cycle, so that their errors are seen",
    "ensure_future": "start tasks through the owner of the life cycle, so that their errors are seen",
    "time.sleep": "wait for an event or arm a timer",
    "print": "log it; only the command line prints",
    "get_event_loop": "pass the running loop; this may make a second one",
}
BROAD_EXCEPT = "except Exception"

# "path calls name" or "path except Exception": the reason it may.
ALLOWED: dict[str, str] = {
    "appliance/leafbox/storage/checkpoint.py except Exception": (
        "root of the checkpoint worker's job: logged and returned, or checkpoints would end without a word"
    ),
    "appliance/leafbox/storage/recovery.py except Exception": (
        "the structure walker reads damaged files; whatever it stumbles over is a finding about the file"
    ),
    "appliance/leafbox/storage/verify.py except Exception": (
        "the same walker on the same kind of file: what it stumbles over is reported as damage"
    ),
    "appliance/leafbox/dataplane/connection.pyx except Exception": (
        "root of every hook: reported to the loop, and the connection whose hook it was is closed"
    ),
    "appliance/leafbox/dataplane/leaf_connection.pyx except Exception": (
        "root of the hook for violations: reported to the loop, and the link is closed"
    ),
    "appliance/leafbox/dataplane/nats_connection.pyx except Exception": (
        "a receiver's hook runs in the sender's turn: reported, and the receiver is closed"
    ),
    "appliance/leafbox/dataplane/routing.pyx except Exception": (
        "root of internal subscribers: logged; the sender and the other receivers must not notice"
    ),
    "appliance/leafbox/monitoring/box_services.py except Exception": (
        "root of one request to the box: logged and told to the requester, the server goes on"
    ),
    "appliance/leafbox/security/tls_accept.py except Exception": (
        "inside connection_made the transport would only log it; it is kept and raised by `accept`"
    ),
}


def called_name(node: ast.Call) -> str:
    """`asyncio.create_task(...)` -> `asyncio.create_task`; anything not a plain dotted name keeps its last part."""
    parts: list[str] = []
    function: ast.expr = node.func
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if isinstance(function, ast.Name):
        parts.append(function.id)
    return ".".join(reversed(parts))


def is_same_call(name: str, banned: str) -> bool:
    """A name without a dot is banned on any object, except `print`, which is a method elsewhere."""
    if banned == "print" or "." in banned:
        return name == banned
    return name.rpartition(".")[2] == banned


def banned_in_python(path: str, text: str) -> dict[str, int]:
    """What of one Python module is banned, with the first line it stands on."""
    found: dict[str, int] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            for banned in BANNED_CALLS:
                if is_same_call(called_name(node), banned):
                    found.setdefault(f"{path} calls {banned}", node.lineno)
        elif isinstance(node, ast.ExceptHandler) and is_broad(node.type) and not raises_again(node):
            found.setdefault(f"{path} {BROAD_EXCEPT}", node.lineno)
    return found


def is_broad(caught: ast.expr | None) -> bool:
    """`except:`, `except Exception` and `except BaseException`, alone or in a tuple."""
    if caught is None:
        return True
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(name, ast.Name) and name.id in {"Exception", "BaseException"} for name in names)


def raises_again(handler: ast.ExceptHandler) -> bool:
    """Whether the handler only tidies up: it ends with a bare `raise`, so nothing is hidden."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def banned_in_cython(path: str, text: str) -> dict[str, int]:
    """The same for a .pyx, line by line."""
    found: dict[str, int] = {}
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        code = line.partition("#")[0]
        for banned in BANNED_CALLS:
            before = r"(?<![\w.])" if banned == "print" or "." in banned else r"(?<!\w)"
            if re.search(rf"{before}{re.escape(banned)}\(", code):
                found.setdefault(f"{path} calls {banned}", number)
        is_broad_handler = re.match(r"\s*except(\s+\(?.*\b(Base)?Exception\b.*)?\s*:", code)
        if is_broad_handler and last_of_block(lines, number - 1) != "raise":
            found.setdefault(f"{path} {BROAD_EXCEPT}", number)
    return found


def last_of_block(lines: list[str], head: int) -> str:
    """The last line of the block that the line at index `head` opens, without its indentation and comment."""
    indent = len(lines[head]) - len(lines[head].lstrip())
    last = lines[head]
    for line in lines[head + 1 :]:
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        if line.strip():
            last = line
    return last.partition("#")[0].strip()


def all_banned() -> dict[str, int]:
    """Over the whole package."""
    found: dict[str, int] = {}
    for path in package_files():
        text = path.read_text(encoding="utf-8")
        found |= (banned_in_python if path.suffix == ".py" else banned_in_cython)(relative(path), text)
    return found


def test_nothing_banned_is_called() -> None:
    new = [
        f"{name} (line {line}): {BANNED_CALLS.get(name.rpartition(' ')[2], 'catch what can be handled')}"
        for name, line in all_banned().items()
        if name not in ALLOWED
    ]
    assert not new, "\n".join([f"mend it, or list it in {Path(__file__).name} with the reason:", *new])


def test_every_permission_is_still_used() -> None:
    stale = set(ALLOWED) - set(all_banned())
    assert not stale, f"no longer needed: {stale}"
    assert all(ALLOWED.values()), "a permission needs a reason"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("asyncio.create_task(work())", "p calls asyncio.create_task"),
        ("loop.create_task(work())", "p calls loop.create_task"),
        ("asyncio.ensure_future(work())", "p calls ensure_future"),
        ("time.sleep(1)", "p calls time.sleep"),
        ("print('x')", "p calls print"),
        ("try: pass\nexcept Exception: pass", "p except Exception"),
        ("try:\n    pass\nexcept:\n    pass", "p except Exception"),
        ("try:\n    pass\nexcept (OSError, BaseException) as e:\n    pass", "p except Exception"),
    ],
)
def test_a_banned_call_is_found(text: str, expected: str) -> None:
    assert list(banned_in_python("p", text)) == [expected]
    if "\n" in text or "try" not in text:
        assert list(banned_in_cython("p", text.replace("try: pass", "try:").replace(": pass", ":"))) == [expected]


def test_tidying_up_and_raising_again_is_no_broad_catch() -> None:
    text = "try:\n    pass\nexcept BaseException:\n    close()\n    raise\n"
    for sample in (text, text + "else:\n    pass\n"):
        assert banned_in_python("p", sample) == banned_in_cython("p", sample) == {}
    assert banned_in_cython("p", text.replace("raise", "return")) == {"p except Exception": 3}
    assert banned_in_python("p", text.replace("raise", "raise OSError")) == {"p except Exception": 3}


@pytest.mark.parametrize("text", ["self.print('x')", "asyncio.sleep(1)", "try:\n    pass\nexcept OSError:\n    pass"])
def test_what_is_allowed_passes(text: str) -> None:
    assert banned_in_python("p", text) == banned_in_cython("p", text) == {}
