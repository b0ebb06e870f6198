"""amqtt's client as the client of a bridge, for MQTT 3.1.1. Imported only where a bridge asks for it.

What has to be wrapped (tried with amqtt 0.12.1): its errors have no common class, `publish` ends with AttributeError or
CancelledError at a cut, a cancelled `connect` is a ConnectError, there is no word when the connection is lost, and
PUBACK goes out before the application has the message. The last cannot be
mended from outside: coming in, a crash between PUBACK and our log loses messages. Choose our own client where that
matters; going out nothing is lost.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from typing import TypeVar
from urllib.parse import quote

from amqtt.client import MQTTClient
from amqtt.errors import AMQTTError, ClientError, CodecError, ConnectError, MQTTError, NoDataError, ProtocolHandlerError

from leafbox.mqtt.bridge.ports import BridgeLost, BridgeMessage, MessageRefused, Taker, lost_by
from leafbox.mqtt.bridge.rules import BridgeOptions

CONNECT_TIMEOUT_S = 10.0
ACK_TIMEOUT_S = 20.0
POLL_S = 0.5
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
            self._tasks.create_task(self._receive(), name=f"bridge {options.name} receiver")

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
        """Raise when the connection is gone."""
        await asyncio.shield(self._lost)

    async def close(self) -> None:
        """Say goodbye."""
        self._give_up(BridgeLost("closed", "the bridge was stopped"))
        try:
            async with asyncio.timeout(1):
                await self._client.disconnect()
        except FAULTS:
            return

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

    async def _receive(self) -> None:
        while not self._lost.done():
            try:
                message = await self._call(self._client.deliver_message())
            except BridgeLost:
                return
            if message is not None:
                stored = self._take(
                    BridgeMessage(message.topic.encode(), bytes(message.data), message.qos or 0, bool(message.retain))
                )
                try:
                    await stored
                except MessageRefused:
                    continue  # Told and counted by who refused it; amqtt has acknowledged it long ago.
                except BridgeLost as lost:
                    self._give_up(lost)

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
