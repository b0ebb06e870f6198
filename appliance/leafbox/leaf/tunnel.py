"""A TCP connection to a hub through an HTTP proxy: CONNECT (RFC 9110 section 9.3.6), with Basic credentials if given.

The answer is read byte by byte up to its empty line, because the hub's first bytes may follow at once and belong to the
link. Errors say whether the proxy or the hub behind it is the matter; the proxy's password is in none of them.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from urllib.parse import urlsplit

from leafbox.leaf.config import LeafProxyOptions, LeafUrl
from leafbox.leaf.failures import Failure, FailureKind, UplinkFailed

# A proxy's refusal may carry many fields; more than this is no answer to CONNECT.
ANSWER_BYTES_MAX = 16 * 1024
DEFAULT_PROXY_PORT = 80


def proxy_address(proxy: LeafProxyOptions) -> tuple[str, int]:
    """Host and port to connect to."""
    parts = urlsplit(proxy.url)
    return parts.hostname or "", parts.port or DEFAULT_PROXY_PORT


async def open_tunnel(connection: socket.socket, proxy: LeafProxyOptions, url: LeafUrl, timeout_s: float) -> None:
    """Turn a connection to the proxy into one to the hub. Raises `UplinkFailed`; the caller closes the socket."""
    host, port = proxy_address(proxy)
    where = f"the proxy {host}:{port}"
    target = f"[{url.host}]:{url.port}" if ":" in url.host else f"{url.host}:{url.port}"
    try:
        async with asyncio.timeout(timeout_s):
            answer = await _ask(connection, proxy, target)
    except TimeoutError as error:
        text = f"{where} has not opened a way to {target} within {timeout_s:g} s (proxy.timeout)"
        raise UplinkFailed(Failure(FailureKind.PROXY, text)) from error
    words = answer.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1."):
        raise UplinkFailed(Failure(FailureKind.PROXY, f"{where} does not speak HTTP: check proxy.url"))
    if words[1] == "407":
        text = f"{where} wants credentials, or others: set proxy.username and proxy.password"
        raise UplinkFailed(Failure(FailureKind.PROXY, text))
    if not words[1].startswith("2"):
        text = f"{where} refuses a connection to {target}: {' '.join(words[1:])}"
        raise UplinkFailed(Failure(FailureKind.PROXY, text))


async def _ask(connection: socket.socket, proxy: LeafProxyOptions, target: str) -> bytes:
    loop = asyncio.get_running_loop()
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.username:
        login = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {login}")
    await loop.sock_sendall(connection, "\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n") and len(answer) < ANSWER_BYTES_MAX:
        byte = await loop.sock_recv(connection, 1)
        if not byte:
            break
        answer += byte
    return answer
