"""What is wrong with a configuration, collected so that one run names everything.

nats-server prints each error on its line; what we add (the nearest known key) goes on a line of its own below, so the
text up to there is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from leafbox.app.configuration.go_text import quoted
from leafbox.app.configuration.tree import Node
from leafbox.protocol.errors import ConfigError


@dataclass
class ConfigRejected(ConfigError):
    """A configuration with one or more errors; `str()` is the text nats-server prints, one problem a line."""

    errors: tuple[ConfigError, ...] = ()
    warnings: tuple[ConfigError, ...] = ()

    def __str__(self) -> str:
        return "".join(line(problem) + "\n" for problem in (*self.warnings, *self.errors)) or self.reason


def line(problem: ConfigError) -> str:
    """One problem as printed; a suggestion follows on its own, indented line."""
    if isinstance(problem, ConfigRejected):
        return str(problem).rstrip("\n")
    where = f"{problem.file}:{problem.line}:{problem.column}: " if problem.line else ""
    hint = f"\n    {problem.suggestion}" if problem.suggestion else ""
    return f"{where}{problem.reason}{hint}"


@dataclass(slots=True)
class Problems:
    """Errors and warnings found so far."""

    errors: list[ConfigError] = field(default_factory=list)
    warnings: list[ConfigError] = field(default_factory=list)

    def warn(self, node: Node, reason: str) -> None:
        """A warning at a place; the server starts, `-t` fails."""
        self.warnings.append(problem_at(node, reason))

    def warn_use(self, node: Node, key: str, reason: str) -> None:
        """A deprecated or doubtful use of a key."""
        self.warn(node, f"invalid use of field {quoted(key)}: {reason}")

    def rejection(self) -> ConfigRejected:
        """All of it as one error."""
        return ConfigRejected("configuration rejected", errors=tuple(self.errors), warnings=tuple(self.warnings))


def problem_at(node: Node, reason: str, suggestion: str = "") -> ConfigError:
    """An error at a node's place."""
    return ConfigError(reason, node.file, node.line, node.column, suggestion)


def fail(node: Node, reason: str, suggestion: str = "") -> NoReturn:
    """Raise an error at a node's place."""
    raise problem_at(node, reason, suggestion)
