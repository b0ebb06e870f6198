"""WebSocket clients of other people on both servers: python `websockets`, and nats-py over ws:// and wss://."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
import websockets
from nats.aio.client import Client
from nats.aio.msg import Msg
from websockets.asyncio.client import ClientConnection, connect

from tests.support.certificates import TestAuthority
from tests.support.servers import ServerKind, ServerProcess, StartServer

pytestmark = [
    pytest.mark.capability("CS08"),
    # nats-py 2.16 passes aiohttp an argument in its old form.
    pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float':DeprecationWarning"),
]

PLAIN = 'websocket { listen: "127.0.0.1:-1", no_tls: true }\n'
DEFLATE = 'websocket { listen: "127.0.0.1:-1", no_tls: true, compression: true }\n'
CONNECT = b'CONNECT {"verbose":false,"protocol":1,"headers":true,"no_responders":true}\r\n'


def url(server: ServerProcess, scheme: str = "ws") -> str:
    return f"{scheme}://127.0.0.1:{server.port('websocket')}"


@asynccontextmanager
async def dialled(
    server: ServerProcess, *, compression: str | None = None, headers: dict[str, str] | None = None
) -> AsyncIterator[ClientConnection]:
    """A `websockets` connection that has read INFO."""
    async with connect(url(server), compression=compression, additional_headers=headers, max_size=None) as websocket:
        assert (await websocket.recv())[:5] == b"INFO "
        yield websocket


async def read_until(websocket: ClientConnection, last: bytes) -> bytes:
    """The bytes of all messages until `last` is among them; where messages begin and end means nothing."""
    received = b""
    async with asyncio.timeout(20):
        while last not in received:
            message = await websocket.recv()
            assert isinstance(message, bytes)
            received += message
    return received


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await body()

    asyncio.run(main())


@pytest.mark.capability("WS02")
@pytest.mark.parametrize("is_offered", [True, False])
@pytest.mark.parametrize("is_enabled", [True, False])
def test_a_megabyte_goes_round(
    start_server: StartServer, server_kind: ServerKind, is_enabled: bool, is_offered: bool
) -> None:
    server = start_server(server_kind, config=DEFLATE if is_enabled else PLAIN)
    text = b"the quick brown fox jumps over the lazy dog, " * 22_000
    message = b"PUB room %d\r\n%b\r\n" % (len(text), text)

    async def body() -> None:
        async with dialled(server, compression="deflate" if is_offered else None) as websocket:
            negotiated = [type(extension).__name__ for extension in websocket.protocol.extensions]
            assert negotiated == (["PerMessageDeflate"] if is_enabled and is_offered else [])
            # A message of its own for the payload's first half: frames mean nothing to the protocol inside.
            await websocket.send(CONNECT + b"SUB room 1\r\n")
            await websocket.send(message[:500_000])
            await websocket.send(message[500_000:] + b"PING\r\n")
            received = await read_until(websocket, b"PONG\r\n")
            assert b"MSG room 1 %d\r\n%b\r\n" % (len(text), text) in received

    run(body)


@pytest.mark.capability("WS02")
def test_a_full_size_message_may_be_compressed(start_server: StartServer) -> None:
    """nats-server inflates no more than one max_payload and so refuses this; ours has room for the protocol line."""
    server = start_server(ServerKind.LEAFBOX, config=DEFLATE)
    text = b"x" * (1024 * 1024)

    async def body() -> None:
        async with dialled(server, compression="deflate") as websocket:
            await websocket.send(CONNECT + b"SUB room 1\r\nPUB room %d\r\n%b\r\nPING\r\n" % (len(text), text))
            assert len(await read_until(websocket, b"PONG\r\n")) > len(text)

    run(body)


@pytest.mark.capability("WS02", "WS03")
def test_a_compressed_bomb_ends_its_connection_only(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=DEFLATE)

    async def body() -> None:
        async with dialled(server) as witness, dialled(server, compression="deflate") as websocket:
            # The server may be gone before all of it is sent.
            with contextlib.suppress(websockets.ConnectionClosed):
                await websocket.send(b"\0" * 60_000_000)
            with pytest.raises(websockets.ConnectionClosed):
                await read_until(websocket, b"never")
            await witness.send(b"PING\r\n")
            assert await read_until(witness, b"PONG\r\n")

    run(body)


@pytest.mark.capability("WS03")
def test_pings_and_fragments_of_a_library(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=PLAIN)

    async def body() -> None:
        async with dialled(server) as websocket:
            await (await websocket.ping(b"are you there"))
            await websocket.send([CONNECT + b"SUB a 1\r\nPU", b"B a 2\r", b"", b"\nhi\r\nPING\r\n"])
            assert b"MSG a 1 2\r\nhi\r\n" in await read_until(websocket, b"PONG\r\n")

    run(body)


@pytest.mark.capability("WS03")
@pytest.mark.parametrize(
    ("said", "status", "text"),
    [
        (b"nonsense\r\n", 1002, "Protocol Violation"),
        (CONNECT + b"PUB a 99999999\r\n", 1009, "Maximum Message Payload Exceeded"),
        (CONNECT + b"PUB " + b"a" * 5000, 1008, "Maximum Control Line Exceeded"),
        (b'CONNECT {"account":"x"}\r\n', 1008, "Authentication Failure"),
    ],
)
def test_the_close_frame_says_why(
    start_server: StartServer, server_kind: ServerKind, said: bytes, status: int, text: str
) -> None:
    server = start_server(server_kind, config=PLAIN)

    async def body() -> None:
        async with dialled(server) as websocket:
            await websocket.send(said)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await read_until(websocket, b"never")
            frame = closed.value.rcvd
            # nats-server closes the socket right behind its last words, which may then be lost.
            if frame is not None:
                assert (frame.code, frame.reason) == (status, text)
            else:
                assert server_kind is ServerKind.REAL

    run(body)


@pytest.mark.capability("WS03")
def test_a_client_that_leaves_gets_its_close_frame_back(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=PLAIN)

    async def body() -> None:
        async with dialled(server) as websocket:
            await websocket.close(4001, "done")
            assert websocket.protocol.close_rcvd is not None
            assert (websocket.protocol.close_rcvd.code, websocket.protocol.close_rcvd.reason) == (4001, "done")

    run(body)


@pytest.mark.capability("WS01", "C14")
def test_the_listener_has_a_ping_interval_of_its_own(start_server: StartServer, server_kind: ServerKind) -> None:
    """A silent client is pinged and given up by the listener's clock, not by the server's two minutes."""
    server = start_server(
        server_kind, config='websocket { listen: "127.0.0.1:-1", no_tls: true, ping_interval: "300ms" }\n'
    )

    async def body() -> None:
        async with dialled(server) as websocket:
            await websocket.send(CONNECT + b"PING\r\n")
            received = await read_until(websocket, b"-ERR 'Stale Connection'\r\n")
            assert received.count(b"PING\r\n") == 2

    run(body)


@pytest.mark.capability("WS03")
def test_a_stopping_server_says_going_away(start_server: StartServer) -> None:
    server = start_server(ServerKind.LEAFBOX, config=PLAIN)

    async def body() -> None:
        async with dialled(server) as websocket:
            stopping = asyncio.get_running_loop().run_in_executor(None, server.stop)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await read_until(websocket, b"never")
            await stopping
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "Server Shutdown")

    run(body)


USERS = """
authorization { users: [{user: ann, password: pw}, {user: guest, password: x}] }
websocket { listen: "127.0.0.1:-1", no_tls: true, user_cookie: u, pass_cookie: p }
"""


@pytest.mark.capability("WS01")
@pytest.mark.parametrize(
    ("cookie", "connect_line", "is_let_in"),
    [
        ("u=ann; p=pw", b'CONNECT {"verbose":false}\r\n', True),
        ("u=ann; p=wrong", b'CONNECT {"verbose":false}\r\n', False),
        ("u=ann; p=wrong", b'CONNECT {"verbose":false,"pass":"pw"}\r\n', True),
        ("x=ann; y=pw", b'CONNECT {"verbose":false}\r\n', False),
    ],
)
def test_cookies_fill_what_connect_leaves_out(
    start_server: StartServer, server_kind: ServerKind, cookie: str, connect_line: bytes, is_let_in: bool
) -> None:
    server = start_server(server_kind, config=USERS)

    async def body() -> None:
        async with dialled(server, headers={"Cookie": cookie}) as websocket:
            await websocket.send(connect_line + b"PING\r\n")
            if is_let_in:
                assert await read_until(websocket, b"PONG\r\n")
            else:
                assert (await read_until(websocket, b"\r\n")).startswith(b"-ERR 'Authorization Violation'")

    run(body)


@pytest.mark.capability("WS01")
def test_browsers_get_small_messages(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=PLAIN)

    async def body() -> None:
        async with connect(url(server), compression=None, user_agent_header="Mozilla/5.0 Firefox/140.0") as websocket:
            await websocket.send(CONNECT + b"SUB a 1\r\nPUB a 20000\r\n" + b"x" * 20_000 + b"\r\nPING\r\n")
            sizes = []
            received = b""
            while b"PONG\r\n" not in received:
                message = await websocket.recv()
                assert isinstance(message, bytes)
                sizes.append(len(message))
                received += message
            assert max(sizes) <= 4096
            assert received.count(b"x" * 20_000) == 1

    run(body)


async def exercise(client: Client) -> None:
    """Publish, subscribe, request, headers, a large message, many small ones."""
    received: list[Msg] = []
    seen_all = asyncio.Event()

    async def take(message: Msg) -> None:
        received.append(message)
        if len(received) == 2002:
            seen_all.set()

    await client.subscribe("data.>", cb=take)

    async def answer(message: Msg) -> None:
        await message.respond(b"answer")

    await client.subscribe("help", cb=answer)
    await client.publish("data.large", b"L" * 900_000)
    await client.publish("data.headed", b"h", headers={"K": "v"})
    for number in range(2000):
        await client.publish("data.small", b"%d" % number)
    assert (await client.request("help", b"", timeout=10)).data == b"answer"
    with pytest.raises(nats.errors.NoRespondersError):
        await client.request("nobody", b"", timeout=10)
    await asyncio.wait_for(seen_all.wait(), 20)
    assert len(received[0].data) == 900_000
    assert received[1].headers == {"K": "v"}
    assert [int(message.data) for message in received[2:]] == list(range(2000))


@pytest.mark.capability("WS01")
def test_nats_py_over_ws(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=PLAIN)

    async def body() -> None:
        client = await nats.connect(url(server), allow_reconnect=False, connect_timeout=5)
        await exercise(client)
        await client.close()

    run(body)


@pytest.mark.capability("WS01")
def test_nats_py_over_wss(start_server: StartServer, server_kind: ServerKind, tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path)
    issued = authority.issue_server()
    tls = f'tls {{ cert_file: "{issued.cert_file}", key_file: "{issued.key_file}" }}'
    server = start_server(server_kind, config=f'websocket {{ listen: "127.0.0.1:-1", {tls} }}\n')
    context = ssl.create_default_context(cafile=str(authority.ca_file))

    async def body() -> None:
        address = f"wss://localhost:{server.port('websocket')}"
        client = await nats.connect(address, tls=context, allow_reconnect=False, connect_timeout=5)
        await exercise(client)
        await client.close()

    run(body)


@pytest.mark.capability("WS01")
def test_tls_clients_of_the_plain_listener_are_turned_away(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=PLAIN)
    context = ssl.create_default_context()

    async def body() -> None:
        with pytest.raises((ssl.SSLError, OSError, websockets.InvalidMessage)):
            await connect(url(server, "wss"), ssl=context)
        async with dialled(server) as websocket:
            await websocket.send(b"PING\r\n")
            assert await read_until(websocket, b"PONG\r\n")

    run(body)


@pytest.mark.capability("WS01", "C03")
def test_websocket_and_tcp_clients_meet(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=DEFLATE)

    async def body() -> None:
        plain = await nats.connect(server.url)
        framed = await nats.connect(url(server))
        subscription = await framed.subscribe("from.plain")
        await framed.flush()
        await plain.publish("from.plain", b"p" * 70_000)
        message = await subscription.next_msg(10)
        assert message.data == b"p" * 70_000
        await plain.close()
        await framed.close()

    run(body)
