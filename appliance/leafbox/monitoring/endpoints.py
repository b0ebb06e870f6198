"""The paths of the monitoring listener: from path and query to status, type and body. No sockets."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from leafbox.monitoring.connz import ConnzOptions
from leafbox.monitoring.documents import MonitoringDocuments
from leafbox.monitoring.healthz import HealthzOptions
from leafbox.monitoring.jsz import JszOptions
from leafbox.monitoring.query import BadQuery, Query
from leafbox.monitoring.subsz import SubszOptions
from leafbox.monitoring.wire_format import Document, encode

logger = logging.getLogger(__name__)

JSON = "application/json"
PLAIN = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"

# Link text of the start page -> path below the base.
LINKS = {
    "General": "varz",
    "JetStream": "jsz",
    "Connections": "connz",
    "Accounts": "accountz",
    "Account Stats": "accstatz",
    "Subscriptions": "subsz",
    "Routes": "routez",
    "LeafNodes": "leafz",
    "Gateways": "gatewayz",
    "Health Probe": "healthz",
}


# Documents may be read by pages of any origin, as in nats-server.
OPEN = (("Access-Control-Allow-Origin", "*"),)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request gets; `fields` stand before those that every answer has."""

    status: int
    content_type: str
    body: bytes
    fields: tuple[tuple[str, str], ...] = ()


NOT_FOUND = Answer(404, PLAIN, b"404 page not found\n", (("X-Content-Type-Options", "nosniff"),))

Endpoint = Callable[[Query], Answer]


class Endpoints:
    """Answers requests for one server. Belongs to the loop.

    `/stacksz` and `/debug/vars` are Go's and not offered: the latter shows the command line, passwords included.
    """

    def __init__(self, documents: MonitoringDocuments, base_path: str) -> None:
        self._documents = documents
        # "/mon", "mon" and "/mon/" mean the same; the start page is at exactly "/mon".
        base = base_path.strip("/")
        self._base = f"/{base}" if base else ""
        self._endpoints: Mapping[str, Endpoint] = {
            "/varz": lambda query: _json(documents.varz()),
            "/connz": lambda query: _json(documents.connz(ConnzOptions.from_query(query), time.time_ns())),
            "/subsz": self._subsz,
            "/subscriptionsz": self._subsz,
            "/accountz": lambda query: _json(documents.accountz(query.text("acc"), time.time_ns())),
            "/accstatz": self._accstatz,
            "/routez": lambda query: _json(documents.routez(time.time_ns())),
            "/gatewayz": lambda query: _json(documents.gatewayz(time.time_ns())),
            "/leafz": self._leafz,
            "/jsz": lambda query: _json(documents.jsz(JszOptions.from_query(query), time.time_ns())),
            "/healthz": self._healthz,
            "/raftz": lambda query: Answer(404, PLAIN, b"No Raft nodes registered"),
            "/ipqueuesz": lambda query: _json({}),
        }

    def answer(self, path: str, query: str) -> Answer:
        """The answer for one target; the method does not matter (as in nats-server)."""
        if path == (self._base or "/"):
            self._count("/")
            return Answer(200, HTML, _start_page())
        if not path.startswith(f"{self._base}/"):
            return NOT_FOUND
        name = path.removeprefix(self._base)
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            return NOT_FOUND
        if name not in ("/raftz", "/ipqueuesz"):
            self._count("/subsz" if name == "/subscriptionsz" else name)
        try:
            return endpoint(Query(query))
        except BadQuery as error:
            return Answer(400, PLAIN, str(error).encode())

    def _count(self, path: str) -> None:
        counts = self._documents.request_counts
        counts[path] = counts.get(path, 0) + 1

    def _subsz(self, query: Query) -> Answer:
        return _json(self._documents.subsz(SubszOptions.from_query(query), time.time_ns()))

    def _accstatz(self, query: Query) -> Answer:
        unused = query.boolean("unused")
        return _json(self._documents.accstatz(includes_unused=unused, now_ns=time.time_ns()))

    def _leafz(self, query: Query) -> Answer:
        return _json(
            self._documents.leafz(
                account=query.text("acc"), lists_subscriptions=query.boolean("subs"), now_ns=time.time_ns()
            )
        )

    def _healthz(self, query: Query) -> Answer:
        status, document = self._documents.healthz(HealthzOptions.from_query(query))
        if "error" in document:
            logger.warning('Healthcheck failed: "%s"', document["error"])
        elif status != 200:
            logger.warning("Healthcheck failed: see details")
        return Answer(status, JSON, encode(document, indent=None), OPEN)


def _json(document: Document) -> Answer:
    return Answer(200, JSON, encode(document), OPEN)


def _start_page() -> bytes:
    """Links relative to the page, so that they hold below a base path and behind a proxy."""
    links = "\n".join(f'    <a href="./{path}">{text}</a><br>' for text, path in LINKS.items())
    return f"""<!DOCTYPE html>
<html lang="en">
  <head><meta charset="utf-8"><title>Leafbox monitoring</title></head>
  <body>
    <h1>Leafbox monitoring</h1>
{links}
  </body>
</html>
""".encode()
