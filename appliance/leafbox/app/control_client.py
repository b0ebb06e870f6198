"""Asking a running box from the command line: finds `control.json`, connects, requests, and says what went wrong.

Exit codes of commands that use it: `exit_codes`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from leafbox.app.exit_codes import EXIT_DENIED, EXIT_FAILED, EXIT_UNREACHABLE
from leafbox.protocol.control import FILE_NAME, Control, user_of
from leafbox.protocol.errors import BoxRequestFailed, LeafboxError
from leafbox.protocol.jetstream.go_json import JsonObject

if TYPE_CHECKING:
    # `leafbox run` is imported with this and must stay small: nats-py is 12 MiB, so functions import it.
    from nats.aio.client import Client

CONNECT_TIMEOUT_S = 10
"""A core that is busy recovering, or a machine that is, takes its time; one that is gone refuses at once."""
REQUEST_TIMEOUT_S = 10.0
"""Long work (backups) names its own."""

T = TypeVar("T")


@dataclass
class BoxUnreachable(LeafboxError):
    """No box runs with this data directory, or we may not talk to it."""

    reason: str
    is_denied: bool = False

    def __str__(self) -> str:
        return self.reason


def read_control(data: Path) -> Control:
    """What a running box wrote into its data directory. Raises `BoxUnreachable`."""
    path = data / FILE_NAME
    try:
        return Control.decode(path.read_bytes())
    except FileNotFoundError:
        raise BoxUnreachable(f"no box is running on {data} (there is no {path}); start it with `leafbox run`") from None
    except PermissionError:
        raise BoxUnreachable(f"{path} belongs to another user; run this as the user of the box", True) from None
    except ValueError as error:
        raise BoxUnreachable(f"{path} is damaged ({error}); restart the box") from error


class Box:
    """A connection to a running box."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def request(
        self, name: str, body: JsonObject | None = None, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> JsonObject:
        """Ask `$LEAFBOX.<name>`. Raises `BoxRequestFailed` (it refused) or `BoxUnreachable`."""
        import nats.errors

        try:
            message = await self.client.request(f"$LEAFBOX.{name}", msgspec.json.encode(body or {}), timeout=timeout_s)
        except (OSError, nats.errors.Error) as error:
            raise BoxUnreachable(f"the box did not answer {name}: {error or type(error).__name__}") from error
        return checked(name, message.data)


def checked(name: str, data: bytes) -> JsonObject:
    """An answer, or the refusal it holds as `BoxRequestFailed`."""
    answer = msgspec.json.decode(data)
    if not isinstance(answer, dict):
        raise BoxRequestFailed("internal", f"{name} answered with something else than an object")
    error = answer.get("error")
    if isinstance(error, dict) and "code" in error:
        raise BoxRequestFailed(str(error["code"]), str(error.get("description", "")), str(error.get("next_step", "")))
    return answer


@asynccontextmanager
async def connected(data: Path, account: str = "") -> AsyncIterator[Box]:
    """A connection to the box of a data directory, on the system account or in another. Raises `BoxUnreachable`."""
    import nats.errors
    from nats.aio.client import Client

    control = read_control(data)
    client = Client()
    try:
        await client.connect(
            control.url,
            user=user_of(account),
            password=control.password,
            connect_timeout=CONNECT_TIMEOUT_S,
            allow_reconnect=False,
            name="leafbox command",
            error_cb=_ignore,
        )
    except (TimeoutError, OSError, nats.errors.Error) as error:
        await _close(client)
        reason = f"the box on {data} does not answer at {control.url}: {error or type(error).__name__}"
        raise BoxUnreachable(reason) from error
    try:
        yield Box(client)
    finally:
        await _close(client)


async def _close(client: Client) -> None:
    """What was asked is answered or has failed by now; a box that ends meanwhile changes nothing about it."""
    import nats.errors

    with suppress(OSError, nats.errors.Error):
        await client.close()


async def _ignore(error: Exception) -> None:
    """The call that failed raises; nats-py would also print it."""


def ask(data: Path, name: str, body: JsonObject | None = None, timeout_s: float = REQUEST_TIMEOUT_S) -> JsonObject:
    """One request, blocking. Raises `BoxRequestFailed` or `BoxUnreachable`."""
    return run_with_box(data, lambda box: box.request(name, body, timeout_s))


def run_with_box(data: Path, action: Callable[[Box], Awaitable[T]]) -> T:
    """Run something that talks to the box, blocking."""

    async def run() -> T:
        async with connected(data) as box:
            return await action(box)

    return asyncio.run(run())


def exit_code_of(error: LeafboxError) -> int:
    """The exit code of a command that ended with this error."""
    if isinstance(error, BoxUnreachable):
        return EXIT_DENIED if error.is_denied else EXIT_UNREACHABLE
    if isinstance(error, BoxRequestFailed) and error.code == "denied":
        return EXIT_DENIED
    return EXIT_FAILED
