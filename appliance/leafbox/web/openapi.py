"""`python -m leafbox.web.openapi [file]`: writes the OpenAPI document, from which the dashboard's types are made."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from leafbox.web.app import document, make_application
from leafbox.web.settings import Settings


def text() -> str:
    """The document, stable from run to run."""
    return json.dumps(document(make_application(Settings())[1]), indent=1, sort_keys=True) + "\n"


def main() -> None:
    """To the file named, or to standard output."""
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text(), encoding="utf-8")
    else:
        sys.stdout.write(text())


if __name__ == "__main__":
    main()
