"""The raw client: hears what was said before a hang-up, and splits a server's stream into operations."""

from __future__ import annotations

import asyncio
import socket

from tests.support.raw_client import RawClient, operations_of


def test_operations_keep_payloads_whole() -> None:
    """CRLF and operation names inside a payload belong to it; an unfinished operation comes last."""
    stream = (
        b"INFO {} \r\n+OK\r\nMSG a 1 6\r\n\r\nPING\r\nHMSG a 1 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPONG\r\nMSG a 1 5\r\nhe"
    )
    assert operations_of(stream) == [
        b"INFO {} \r\n",
        b"+OK\r\n",
        b"MSG a 1 6\r\n\r\nPING\r\n",
        b"HMSG a 1 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
        b"PONG\r\n",
        b"MSG a 1 5\r\nhe",
    ]


def test_last_words_are_heard_although_writing_failed() -> None:
    """A server that says why it closes is heard even when we go on writing into the closed connection."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"-ERR 'no'\r\n")
        writer.close()

    async def talk() -> RawClient:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        client = await RawClient.open(host, port)
        await client.send_in_pieces([b"x"] * 20, 0.001)
        await client.wait_until(lambda heard: False, 5.0)
        client.hang_up()
        server.close()
        await server.wait_closed()
        return client

    client = asyncio.run(talk())
    assert bytes(client.received) == b"-ERR 'no'\r\n"
    assert client.is_closed


def test_wait_ends_when_time_is_up() -> None:
    """A silent server costs the time given, and the answer says that the condition did not hold."""

    async def wait() -> bool:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = await RawClient.open(*listener.getsockname())
            try:
                return await client.wait_until(lambda heard: bool(heard.received), 0.05)
            finally:
                client.hang_up()

    assert asyncio.run(wait()) is False
