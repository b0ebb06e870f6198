"""Exit codes of every `leafbox` command, so that scripts need not read texts. docs/operating/commands.md lists them."""

from __future__ import annotations

EXIT_OK = 0
"""Done; of `status` and `doctor`: nothing is wrong."""
EXIT_FAILED = 1
"""Refused or failed; the reason is on standard error."""
EXIT_USAGE = 2
"""The command line was wrong."""
EXIT_DEGRADED = 3
"""It runs, and something is wrong with it: `status` and `doctor` found a warning or an error."""
EXIT_UNREACHABLE = 4
"""No box runs on this data directory, or it does not answer."""
EXIT_DENIED = 5
"""The box is another user's, or it denied the request."""
