"""Ties the auth callout to the accounts: its requests are messages in the service's account."""

from __future__ import annotations

import asyncio

from leafbox.app.configuration.options import Options
from leafbox.broker.broker import Broker
from leafbox.jetstream.names import nuid
from leafbox.protocol.nkeys import KeyPair
from leafbox.security.callout import AuthCallout, ServerFacts


class AccountLink:
    """Asks a service by request and reply (`security.callout.CalloutLink`)."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def ask(self, account: str, subject: str, header: bytes, body: bytes, timeout_s: float) -> bytes | None:
        """The first answer; None when nobody serves the subject or none came in time."""
        found = self._broker.account(account)
        if found is None:
            return None
        answer: asyncio.Future[bytes] = self._broker.engine.loop.create_future()

        def receive(subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: object) -> None:
            if not answer.done():
                answer.set_result(payload)

        inbox = f"_INBOX.{nuid()}".encode()
        subscription = found.subscribe(inbox, receive)
        try:
            if not found.publish(subject.encode(), body, inbox, header):
                return None
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            return None
        finally:
            found.remove(subscription)


def auth_callout(options: Options, broker: Broker, keys: KeyPair, curve_keys: KeyPair) -> AuthCallout | None:
    """The authority that a configuration asks for; None without `auth_callout`."""
    if options.security.auth_callout is None:
        return None
    identity = broker.identity
    facts = ServerFacts(keys, curve_keys, identity.name, options.clients.host, identity.version, identity.cluster)
    return AuthCallout(options.security.auth_callout, facts, AccountLink(broker), options.security.auth_timeout_s)
