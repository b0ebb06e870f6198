"""A NATS client that came through a WebSocket: cookies may stand in for what its CONNECT leaves out."""

from __future__ import annotations

from leafbox.clients.client import ClientConnection
from leafbox.clients.context import ClientContext
from leafbox.clients.websocket_upgrade import Upgrade
from leafbox.protocol.client_info import Connect
from leafbox.security.authentication import Credentials


class WebsocketClient(ClientConnection):
    """One client. Its frames are handled by the framing that the upgrade sets; here it is like any other."""

    __slots__ = ("_upgrade",)

    def __init__(self, context: ClientContext, upgrade: Upgrade) -> None:
        super().__init__(context, upgrade.ip, upgrade.port, upgrade.tls)
        self._upgrade = upgrade

    def credentials(self, connect: Connect) -> Credentials:
        """Field by field CONNECT's own, or the cookie's, as nats-server takes them."""
        upgrade = self._upgrade
        return Credentials(
            user=connect.user or upgrade.cookie_user,
            password=connect.password or upgrade.cookie_password,
            token=connect.auth_token or upgrade.cookie_token,
            nkey=connect.nkey or "",
            signature=connect.sig or "",
            jwt=connect.jwt or upgrade.cookie_jwt,
        )
