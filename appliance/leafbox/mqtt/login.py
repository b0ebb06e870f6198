"""Credentials out of a CONNECT (MQTT section of the checklist, row MQ11)."""

from __future__ import annotations

from leafbox.protocol.mqtt.packets import Connect
from leafbox.security.authentication import Credentials

# How a JWT begins: the base64 of `{"`.
_JWT_BEGIN = "eyJ"


def credentials_of(connect: Connect, from_web: Credentials) -> Credentials:
    """User name and password are taken as such, and the password as token or JWT, as nats-server takes it.

    What CONNECT leaves out may come from the cookies of a WebSocket's upgrade.
    """
    user = connect.user_name or from_web.user
    password = connect.password.decode("utf-8", "replace") if connect.password is not None else ""
    jwt = password if password.startswith(_JWT_BEGIN) else from_web.jwt
    return Credentials(user=user, password=password or from_web.password, token=password or from_web.token, jwt=jwt)
