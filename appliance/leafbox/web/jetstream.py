"""The JetStream API as web uses it: plain JSON requests in an account, errors as problems."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

from leafbox.web.core import LONG_TIMEOUT_S, REQUEST_TIMEOUT_S, Core, Object
from leafbox.web.models.data import Body
from leafbox.web.problems import Refusal

SECOND_NS = 1_000_000_000
DATA_BYTES_MAX = 64 * 1024
"""Of one payload in a list; a page shows the beginning of large ones. Downloads are whole."""

NEXT_STEPS = {
    10058: "Choose another name.",
    10059: "It may have been deleted; reload the list.",
    10014: "It may have been deleted; reload the list.",
    10037: "It may have expired or been deleted.",
    10065: "Another stream takes these subjects already; choose others or change that stream.",
    10039: "Switch JetStream on for this account in the configuration.",
    10076: "Switch JetStream on in the configuration.",
    10047: "Free space, or raise the limits of JetStream in the configuration.",
    10023: "Look at the issues on the home page: the store does not take messages.",
}


class JetStreamRefused(Refusal):
    """An API error; `err_code` is nats-server's."""

    def __init__(self, error: Object) -> None:
        code, self.err_code = int(error.get("code", 500)), int(error.get("err_code", 0))
        status = code if code in (400, 404, 409) else 503 if code == 503 else 422
        if self.err_code in (10058, 10071, 10148):
            status = 409
        description = str(error.get("description", "refused"))
        super().__init__(
            status,
            f"jetstream_{self.err_code}",
            description[:1].upper() + description[1:],
            NEXT_STEPS.get(self.err_code, ""),
        )


async def api(core: Core, account: str, name: str, body: Object | None = None, *, is_long: bool = False) -> Object:
    """Ask `$JS.API.<name>`; raises `JetStreamRefused`."""
    timeout_s = LONG_TIMEOUT_S if is_long else REQUEST_TIMEOUT_S
    answer = await core.ask(account, f"$JS.API.{name}", body, timeout_s)
    error = answer.get("error")
    if isinstance(error, dict):
        raise JetStreamRefused(error)
    return answer


async def pages(core: Core, account: str, name: str, key: str, body: Object | None = None) -> AsyncIterator[Any]:
    """Everything of a paged list."""
    offset = 0
    while True:
        answer = await api(core, account, name, {**(body or {}), "offset": offset})
        found = answer.get(key) or []
        for item in found:
            yield item
        offset += len(found)
        if not found or offset >= int(answer.get("total", 0)):
            return


async def stream_infos(core: Core, account: str, *, is_fresh: bool = False) -> list[Object]:
    """Everything about every stream of an account, shared with who asked a moment ago."""

    async def fetch() -> list[Object]:
        return [each async for each in pages(core, account, "STREAM.LIST", "streams")]

    shared: list[Object] = await core.shared(f"STREAM.LIST {account}", fetch, is_fresh=is_fresh)
    return shared


def body_of(data: bytes, bytes_max: int = DATA_BYTES_MAX, size: int | None = None) -> Body:
    """A payload for JSON; `size` is the whole length when `data` is only its beginning."""
    shown = data[:bytes_max]
    size = len(data) if size is None else size
    is_cut = size > len(shown)
    try:
        text = shown.decode()
    except UnicodeDecodeError as error:
        if not is_cut or error.start < len(shown) - 3:
            return Body(data=base64.b64encode(shown).decode(), encoding="base64", size=size, cut=is_cut)
        # Only the cut went through a character.
        text = shown[: error.start].decode()
    return Body(data=text, encoding="text", size=size, cut=is_cut)


def payload_of(data: str, encoding: str) -> bytes:
    """The bytes of a request's data; raises a problem for bad base64."""
    if encoding == "text":
        return data.encode(errors="surrogatepass")
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise Refusal(422, "invalid", f"data is not base64: {error}", "Send text, or correct it.") from error


def headers_of(raw: bytes) -> dict[str, list[str]]:
    """A NATS header block as names and values; lines that are no fields are left out."""
    found: dict[str, list[str]] = {}
    for line in raw.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            found.setdefault(name.decode("utf-8", "replace"), []).append(value.strip().decode("utf-8", "replace"))
    return found


def parsed(data: bytes) -> Object:
    """A JSON object or nothing."""
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def seconds(nanoseconds: Any) -> float:
    """Durations of the API are nanoseconds."""
    return float(nanoseconds or 0) / SECOND_NS


def nanoseconds(seconds_given: float) -> int:
    """And back."""
    return round(seconds_given * SECOND_NS)
