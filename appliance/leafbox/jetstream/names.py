"""Random names as nats-server makes them: nuids of 22 characters and consumer names of 8, both base 62."""

from __future__ import annotations

import hashlib
import secrets
import string

PROTECTED_PREFIX = "$MQTT_"
"""Streams whose name begins so belong to the MQTT gateway; the API shows them and changes nothing of them."""

SHOWN_PREFIX = "mqtt_"
"""So begin the names of consumers that stand for MQTT sessions; nobody makes others of such names there."""

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


def nuid() -> str:
    """A 22-character unique id, as in advisories and inboxes."""
    return "".join(secrets.choice(_DIGITS) for _ in range(22))


def consumer_name() -> str:
    """Name of an ephemeral consumer that was not given one."""
    return "".join(secrets.choice(_DIGITS) for _ in range(8))


def short_hash(text: str) -> str:
    """Eight base-62 digits of SHA-256; nats-server names accounts and prefixes so in ack subjects."""
    digest = hashlib.sha256(text.encode()).digest()
    return "".join(_DIGITS[byte % 62] for byte in digest[:8])
