"""Answers from NATS to MQTT 5 requests that came with correlation data.

The request's reply subject is `$MQTT.resp.<data in hex>.<subject of the response topic>`, so the answer brings the data
back by itself and nothing has to be remembered. Requests without correlation data have the subject itself as reply and
do not come through here.
"""

from __future__ import annotations

import binascii

from leafbox.broker.account import Account
from leafbox.dataplane.routing import Receiver

PREFIX = b"$MQTT.resp."


class ResponseRoute:
    """Serves one account."""

    def __init__(self, account: Account) -> None:
        self.account = account
        account.subscribe(PREFIX + b"*.>", self.receive)

    def receive(self, subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: Receiver | None) -> bool:
        """Publish one answer on the response topic's subject, with its correlation data."""
        data, _, target = subject[len(PREFIX) :].partition(b".")
        try:
            binascii.unhexlify(data)
        except ValueError:
            return False
        if target.startswith(b"$MQTT."):
            return False
        line = b"Nmqtt-Correlation-Data: " + data + b"\r\n"
        head = header or b"NATS/1.0\r\n\r\n"
        # First, so that it counts: some clients send the request's headers back with the answer.
        status, _, rest = head.partition(b"\r\n")
        return self.account.publish(target, payload, reply, status + b"\r\n" + line + rest, origin) > 0
