"""API endpoints of backups."""

from __future__ import annotations

from leafbox.jetstream.api import Endpoint

ENDPOINTS: dict[tuple[str, ...], Endpoint] = {}
