"""Where accounts that are not known here are asked for: a web server (`resolver: URL(...)`).

One GET for one account, as HTTP/1.0: the answer then ends with the connection and is never in chunks. Redirections are
not followed: an account server that moved is named anew. Source: config specification section 7.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from urllib.parse import unquote, urlsplit

from leafbox.protocol.jwt import JWT_BYTES_MAX

logger = logging.getLogger(__name__)

HEAD_BYTES_MAX = 16_384
"""Of status line and headers; what web servers accept themselves."""
FETCH_TIMEOUT_S = 1.9
"""For one account, as in nats-server: a login waits for it."""
_PORTS = {"http": 80, "https": 443}


class WebSource:
    """A web server that has `<url><account>`."""

    def __init__(self, url: str, tls: ssl.SSLContext | None, timeout_s: float = FETCH_TIMEOUT_S) -> None:
        """`tls`: for https; the caller makes it of `resolver_tls`."""
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._tls = tls if parts.scheme == "https" else None
        self._port = parts.port or _PORTS.get(parts.scheme, 80)
        self._path = parts.path or "/"
        self._timeout_s = timeout_s
        self._shown = f"{parts.scheme}://{self._host}:{self._port}{self._path}"
        self._login = ""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._login = f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"

    async def fetch(self, key: str) -> str | None:
        """The account's token; None, and a line in the log, when there is none."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._get(key)
        except (OSError, ValueError, EOFError, asyncio.LimitOverrunError) as error:
            # asyncio's timeout and the errors of ssl are OSErrors.
            reason = str(error) or f"no answer in {self._timeout_s:g} s"
            logger.warning("account=%s could not be fetched from %s: %s", key, self._shown, reason)
            return None

    async def _get(self, key: str) -> str:
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=HEAD_BYTES_MAX)
        try:
            host = f"[{self._host}]" if ":" in self._host else self._host
            request = (
                f"GET {self._path}{key} HTTP/1.0\r\nHost: {host}:{self._port}\r\nAccept: */*\r\n"
                f"{self._login}Connection: close\r\n\r\n"
            )
            writer.write(request.encode("latin-1"))
            head = await reader.readuntil(b"\r\n\r\n")
            return await self._body(reader, head)
        finally:
            # All is read that will be; a peer that keeps the connection open is not waited for.
            writer.transport.abort()

    async def _body(self, reader: asyncio.StreamReader, head: bytes) -> str:
        status, *lines = head.decode("latin-1").split("\r\n")
        words = status.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or words[1] != "200":
            raise ValueError(f"the answer is {' '.join(words[1:])!r}")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        told = int(headers["content-length"]) if "content-length" in headers else None
        body = b""
        while len(body) <= JWT_BYTES_MAX and (told is None or len(body) < told):
            more = await reader.read(HEAD_BYTES_MAX)
            if not more:
                break
            body += more
        if len(body) > JWT_BYTES_MAX or (told is not None and len(body) < told):
            raise ValueError("the answer is too long or cut off")
        return body.decode("ascii", "replace")
