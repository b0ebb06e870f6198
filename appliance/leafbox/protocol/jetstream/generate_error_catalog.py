"""Writes `error_catalog.py` from `error_catalog.json`, the one place where codes and texts are kept.

`python -m leafbox.protocol.jetstream.generate_error_catalog` after a change; a test compares the two.
"""

from __future__ import annotations

import json
from pathlib import Path

_FOLDER = Path(__file__).parent
_LINE = 120
_HEAD = '''"""JetStream API errors of nats-server 2.15.1, by name. Generated from error_catalog.json: do not edit."""

from __future__ import annotations

from leafbox.protocol.jetstream.api_error import ApiError

'''


def render() -> str:
    """The generated module's text."""
    rows = json.loads((_FOLDER / "error_catalog.json").read_text())
    lines = []
    for row in rows:
        text = json.dumps(row["description"])
        call = f"{row['code']}, {row['err_code']}, {text}"
        line = f"{row['name']} = ApiError({call})"
        lines.append(line if len(line) <= _LINE else f"{row['name']} = ApiError(\n    {call}\n)")
    return _HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    (_FOLDER / "error_catalog.py").write_text(render())
