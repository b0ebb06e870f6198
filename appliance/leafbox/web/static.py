"""The dashboard's files: built ahead, some compressed, those with a hash in their name never changing.

Every path that is neither a file nor the API's gets the page, which finds its way by itself. Files are read once; all
of them together are smaller than one photograph.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import Response

from leafbox.web.problems import Refusal
from leafbox.web.routing import PREFIX

FOLDER = Path(__file__).parent / "static"
HASHED = re.compile(r"[.-][A-Za-z0-9]{8,}\.[a-z0-9]+$")
FOR_EVER = "public, max-age=31536000, immutable"
ASK_FIRST = "no-cache"
FILE_BYTES_MAX = 4 * 1024 * 1024
TYPES = {".js": "text/javascript", ".woff2": "font/woff2", ".webmanifest": "application/manifest+json"}
RESERVED = (f"{PREFIX}/", "/api/")

MISSING = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Leafbox</title></head>
<body><h1>Leafbox</h1><p>The dashboard's files are not part of this installation. The API below /api/v1 works.</p>
</body></html>
"""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file with its compressed forms."""

    content_type: str
    body: bytes
    tag: str
    cache: str
    gzip: bytes | None = None
    brotli: bytes | None = None

    def response(self, request: Request) -> Response:
        """The smallest form that the browser takes, or 304."""
        headers = {"ETag": self.tag, "Cache-Control": self.cache, "Vary": "Accept-Encoding"}
        if self.tag in request.headers.get("if-none-match", ""):
            return Response(None, 304, headers)
        accepted = request.headers.get("accept-encoding", "")
        body = self.body
        if self.brotli is not None and "br" in accepted:
            body, headers["Content-Encoding"] = self.brotli, "br"
        elif self.gzip is not None and "gzip" in accepted:
            body, headers["Content-Encoding"] = self.gzip, "gzip"
        return Response(body, headers=headers, media_type=self.content_type)


def load(folder: Path = FOLDER) -> dict[str, Asset]:
    """Path below the root -> file."""
    assets: dict[str, Asset] = {}
    if not folder.is_dir():
        return assets
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in (".gz", ".br") or path.stat().st_size > FILE_BYTES_MAX:
            continue
        body = path.read_bytes()
        kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        assets[path.relative_to(folder).as_posix()] = Asset(
            kind,
            body,
            f'"{hashlib.sha256(body).hexdigest()[:20]}"',
            FOR_EVER if HASHED.search(path.name) else ASK_FIRST,
            _optional(path.with_name(f"{path.name}.gz")),
            _optional(path.with_name(f"{path.name}.br")),
        )
    return assets


def _optional(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def install(app: FastAPI, folder: Path = FOLDER) -> None:
    """Serve the files; must come after all other routes."""
    assets = load(folder)
    page = assets.get("index.html") or Asset("text/html", MISSING.encode(), '"missing"', ASK_FIRST)

    async def get(request: Request, path: str = "") -> Response:
        if request.url.path.startswith(RESERVED):
            raise Refusal(404, "not_found", f"There is no {request.url.path}.", "See /api/v1/openapi.json.")
        asset = assets.get(path)
        if asset is None and "." in path.rpartition("/")[2]:
            raise Refusal(404, "not_found", f"There is no {request.url.path}.")
        return (asset or page).response(request)

    app.add_api_route("/{path:path}", get, methods=["GET", "HEAD"], include_in_schema=False)
