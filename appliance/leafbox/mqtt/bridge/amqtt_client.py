"""amqtt's client as the client of a bridge, for MQTT 3.1.1. Imported only where a bridge asks for it.

What has to be wrapped (tried with amqtt 0.12.1): its errors have no common class, `publish` ends with AttributeError or
CancelledError at a cut, a cancelled `connect` is a ConnectError, there is no word when the connection is lost, and
PUBACK goes out before the application has the message. The last cannot be mended from outside: after a cut we store
what was acknowledged before we connect again, but a crash of ours between PUBACK and our log loses messages. Choose our
own client where that matters; going out nothing is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine
from typing import TypeVar
from urllib.parse import quote

from amqtt.client import MQTTClient
from amqtt.errors import AMQTTError, ClientError, CodecError, ConnectError, MQTTError, NoDataError, ProtocolHandlerError
from amqtt.session import ApplicationMessage

from leafbox.mqtt.bridge.ports import BridgeLost, BridgeMessage, MessageRefused, Taker, lost_by
from leafbox.mqtt.bridge.rules import BridgeOptions

CONNECT_TIMEOUT_S = 10.0
ACK_TIMEOUT_S = 20.0
POLL_S = 0.5
STORED_AT_ONCE = 64
"""Messages that share a flush of the local log."""
AGAIN_S = 1.0
DRAIN_TIMEOUT_S = 3.0
"""When the bridge is stopped, perhaps because core is: it has half a dozen seconds to end."""
FAULTS = (
    AMQTTError,
    ClientError,
    CodecError,
    MQTTError,
    NoDataError,
    ProtocolHandlerError,
    AttributeError,
    OSError,
    TimeoutError,
)
"""What a cut makes of whatever was going on."""

LOGIN_REFUSED = (4, 5)
"""Return codes of CONNACK: bad user name or password, not authorized."""

Result = TypeVar("Result")


class AmqttClient:
    """One connection through amqtt."""

    def __init__(
        self, options: BridgeOptions, tls: ssl.SSLContext | None, take: Taker, tasks: asyncio.TaskGroup
    ) -> None:
        del tls  # amqtt makes its own context of the same files.
        self._options = options
        self._take = take
        self._tasks = tasks
        self._client = MQTTClient(
            client_id=options.client_id or f"leafbox-{options.name}",
            config={
                "auto_reconnect": False,
                "keep_alive": options.keep_alive_s,
                "cleansession": False,
                "connection": {"certfile": options.cert_file or None, "keyfile": options.key_file or None},
            },
        )
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._drained = asyncio.Event()
        self._drained.set()

    async def connect(self) -> None:
        """Log in."""
        options = self._options
        where = f"{options.host}:{options.port}"
        login = f"{quote(options.user, safe='')}:{quote(options.password, safe='')}@" if options.user else ""
        uri = f"{options.parts.scheme}://{login}{where}/"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                code = await self._client.connect(uri, cleansession=False, cafile=options.ca_file or None)
        except FAULTS as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from error  # It was meant for us.
            if isinstance(error, TimeoutError):
                raise BridgeLost("timeout", f"the broker at {where} does not answer") from None
            if isinstance(error.__cause__, OSError):
                raise lost_by(error.__cause__, where) from None
            if isinstance(error, ConnectError) and error.return_code in LOGIN_REFUSED:
                raise BridgeLost("auth", f"the broker at {where} refused us", "check --user and --password") from None
            # Its text could hold the address with the password.
            raise BridgeLost("refused", f"{where} cannot be reached or refused us") from None
        if code:
            raise BridgeLost("auth", f"the broker at {where} refused us with code {code}")
        self._tasks.create_task(self._watch(), name=f"bridge {options.name} watch")
        if options.inbound:
            assert self._client.session is not None
            self._drained.clear()
            queue = self._client.session.delivered_message_queue
            self._tasks.create_task(self._receive(queue), name=f"bridge {options.name} receiver")

    async def subscribe(self, filters: list[tuple[bytes, int]]) -> None:
        """Ask for filters."""
        codes = await self._call(self._client.subscribe([(name.decode(), qos) for name, qos in filters]))
        if isinstance(codes, list) and any(code == 0x80 for code in codes):
            raise BridgeLost("auth", "a subscription was refused", "give the bridge's user the right to read there")

    def publish(self, message: BridgeMessage) -> asyncio.Future[None]:
        """Send; amqtt's coroutine ends with the acknowledgement."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._lost.done():
            future.set_exception(BridgeLost("closed", "the connection is gone"))
            return future
        self._tasks.create_task(self._publish(message, future), name=f"bridge {self._options.name} publish")
        return future

    async def wait_lost(self) -> None:
        """Raise when the connection is gone and all that came over it is stored."""
        try:
            await asyncio.shield(self._lost)
        except BridgeLost:
            await self._hang_up()
            await self._drained.wait()
            raise

    async def close(self) -> None:
        """Say goodbye, and store what was acknowledged."""
        self._give_up(BridgeLost("closed", "the bridge was stopped"))
        await self._hang_up()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._drained.wait(), DRAIN_TIMEOUT_S)

    async def _publish(self, message: BridgeMessage, future: asyncio.Future[None]) -> None:
        topic, payload = message.topic.decode(), message.payload
        try:
            await self._call(
                self._client.publish(topic, payload, message.qos, message.is_retained, ack_timeout=ACK_TIMEOUT_S)
            )
        except BridgeLost as lost:
            if not future.done():
                future.set_exception(lost)
                future.exception()
        else:
            if not future.done():
                future.set_result(None)

    async def _call(self, action: Coroutine[object, object, Result]) -> Result:
        """Await something of amqtt's; whatever a cut makes of it is `BridgeLost`."""
        try:
            return await action
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # It is meant for us.
            lost = BridgeLost("closed", "the connection broke")
        except FAULTS as error:
            lost = BridgeLost("closed", f"the connection broke: {type(error).__name__}")
        self._give_up(lost)
        raise lost

    async def _receive(self, queue: asyncio.Queue[ApplicationMessage]) -> None:
        """Everything that amqtt has acknowledged, also when the connection is gone: nobody will send it again.

        Read from amqtt's queue, because `deliver_message` gives nothing after a cut and may lose one when cancelled.
        """
        while not (self._lost.done() and queue.empty()):
            try:
                messages = [await asyncio.wait_for(queue.get(), POLL_S)]
            except TimeoutError:
                continue
            while not queue.empty() and len(messages) < STORED_AT_ONCE:
                messages.append(queue.get_nowait())
            await self._store([_bridged(message) for message in messages])
        self._drained.set()

    async def _store(self, messages: list[BridgeMessage]) -> None:
        for message, first in [(message, self._take(message)) for message in messages]:
            stored = first
            while True:
                try:
                    await stored
                except MessageRefused:
                    break  # Told and counted by who refused it.
                except BridgeLost as lost:
                    self._give_up(lost)  # No more of them; this one is tried until it is stored.
                    await asyncio.sleep(AGAIN_S)
                    stored = self._take(message)
                else:
                    break

    async def _hang_up(self) -> None:
        try:
            async with asyncio.timeout(1):
                await self._client.disconnect()
        except FAULTS:
            return

    async def _watch(self) -> None:
        """amqtt says nothing of a lost connection, so its state is looked at."""
        while not self._lost.done():
            session = self._client.session
            if session is None or not session.transitions.is_connected():
                self._give_up(BridgeLost("closed", "the connection is gone"))
            await asyncio.wait({self._lost}, timeout=POLL_S)

    def _give_up(self, lost: BridgeLost) -> None:
        if not self._lost.done():
            self._lost.set_exception(lost)
            self._lost.exception()


def _bridged(message: ApplicationMessage) -> BridgeMessage:
    return BridgeMessage(message.topic.encode(), bytes(message.data), message.qos or 0, bool(message.retain))
