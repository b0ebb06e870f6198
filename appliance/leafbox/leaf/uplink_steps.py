"""`uplink test`: the way to the hub step by step, each with its time, as a report that can be copied.

The first steps use a connection of their own that ends before the login, because a second login of this box would push
the living link aside. What follows is asked over the link itself.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from leafbox.leaf.config import LeafRemoteOptions, LeafUrl
from leafbox.leaf.dial import probe_transport
from leafbox.leaf.failures import UplinkFailed, failure_of_error
from leafbox.leaf.remote import UplinkState
from leafbox.leaf.uplink import Uplink
from leafbox.leaf.uplink_reasons import Reason, reason, reason_of_failure
from leafbox.leaf.uplink_report import reason_json
from leafbox.leaf.uplink_requests import ApiRefused, NoAnswer
from leafbox.protocol.jetstream.go_json import JsonObject

LOGIN_WAIT_S = 5.0

T = TypeVar("T")


@dataclass(slots=True)
class Step:
    """One step of a test."""

    name: str
    is_done: bool
    elapsed_ms: float
    detail: str
    reason: Reason | None = None


class StepFailed(Exception):
    """A step ended the test."""

    def __init__(self, found: Reason) -> None:
        super().__init__(found.detail)
        self.reason = found


class UplinkTest:
    """One run. `run` returns the report; it takes some seconds when the hub is silent."""

    def __init__(self, uplink: Uplink) -> None:
        self._uplink = uplink
        self._steps: list[Step] = []

    async def run(self) -> JsonObject:
        """The steps until the first that fails."""
        options = self._uplink.parts.remote.options
        try:
            await self._transport(options)
            await self._login()
            await self._hub()
        except StepFailed:
            pass
        failed = next((step for step in self._steps if not step.is_done), None)
        return {
            "name": self._uplink.definition.name,
            "url": options.urls[0].redacted(),
            "is_ok": failed is None,
            "steps": [_step_json(step) for step in self._steps],
            "reason": reason_json(failed.reason) if failed is not None and failed.reason is not None else None,
        }

    async def _step(self, name: str, action: Awaitable[T], detail: str = "") -> T:
        started_s = time.monotonic()

        def elapsed_ms() -> float:
            return round((time.monotonic() - started_s) * 1000, 1)

        try:
            found = await action
        except UplinkFailed as failed:
            why = reason_of_failure(failed.failure)
        except OSError as error:
            url = self._uplink.parts.remote.options.urls[0]
            why = reason_of_failure(failure_of_error(error, f"{url.host}:{url.port}"))
        except NoAnswer as silent:
            why = reason("hub_silent", str(silent))
        except ApiRefused as refused:
            why = reason("hub_jetstream_off", f"the hub says: {refused}")
        except msgspec.MsgspecError as error:
            why = reason("protocol", str(error))
        except StepFailed as failed_step:
            why = failed_step.reason
        else:
            self._steps.append(Step(name, True, elapsed_ms(), detail or (found if isinstance(found, str) else "")))
            return found
        self._steps.append(Step(name, False, elapsed_ms(), why.detail, why))
        raise StepFailed(why)

    async def _transport(self, options: LeafRemoteOptions) -> None:
        url = options.urls[0]
        await self._step("name", _resolve(url))
        timeout_s = options.dial_timeout_s or self._uplink.parts.remote.context.options.dial_timeout_s
        await self._step("connection", probe_transport(options, url, timeout_s))

    async def _login(self) -> None:
        await self._step("login", self._logged_in())

    async def _logged_in(self) -> str:
        remote = self._uplink.parts.remote
        if self._uplink.definition.is_paused:
            raise StepFailed(reason("paused"))
        deadline_s = time.monotonic() + LOGIN_WAIT_S
        while remote.state is not UplinkState.UP:
            if time.monotonic() > deadline_s:
                failure = remote.failure
                raise StepFailed(reason("connecting") if failure is None else reason_of_failure(failure))
            await asyncio.sleep(0.05)
        snapshot = remote.snapshot()
        return f'hub "{snapshot.hub_name}", domain "{snapshot.hub_domain}"'

    async def _hub(self) -> None:
        deadline_s = time.monotonic() + LOGIN_WAIT_S
        while self._uplink.hub is None:
            if time.monotonic() > deadline_s:
                return
            await asyncio.sleep(0.05)
        hub = self._uplink.hub
        forwards = self._uplink.definition.forwards

        async def passes(problem: Reason | None) -> None:
            if problem is not None:
                raise StepFailed(problem)

        await self._step("domains and permissions", passes(hub.obstacle(forwards)))

        async def answers() -> None:
            await passes(await hub.account_problem())

        await self._step("hub's JetStream", answers())

        async def stores() -> str:
            result = await hub.probe()
            return f"{result.kind}, round trip {result.rtt_ns / 1e6:.1f} ms"

        await self._step("message through the hub", stores())
        for forward in forwards:

            async def fetches(forward=forward) -> None:  # type: ignore[no-untyped-def]
                await passes(await hub.check_forward(forward))

            await self._step(f"{forward.stream} -> {forward.hub_stream}", fetches())


async def _resolve(url: LeafUrl) -> str:
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    return ", ".join(dict.fromkeys(str(address[4][0]) for address in addresses))


def _step_json(step: Step) -> JsonObject:
    return {"name": step.name, "is_done": step.is_done, "elapsed_ms": step.elapsed_ms, "detail": step.detail}
