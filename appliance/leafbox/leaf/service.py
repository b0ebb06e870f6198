"""All leaf links of one server: the doors for those that come, the remotes for those we open, and their reload."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from leafbox.broker.config import ConnectionType
from leafbox.leaf.accepted import AcceptedLink, LeafDoor
from leafbox.leaf.authorization import leaf_authenticator
from leafbox.leaf.config import LeafOptions, LeafRemoteOptions
from leafbox.leaf.context import LeafContext
from leafbox.leaf.link import LeafLink
from leafbox.leaf.listener import LeafListener
from leafbox.leaf.remote import LeafRemote, UplinkSnapshot
from leafbox.monitoring.links import LeafSnapshot
from leafbox.security.authentication import Authenticator
from leafbox.security.passwords import PasswordVerifier
from leafbox.security.tls import TlsListener
from leafbox.security.tls_accept import TlsFacts


class LeafService:
    """Owns listener and remotes. Wiring binds the socket and hands in what changed at a reload."""

    def __init__(self, context: LeafContext, passwords: PasswordVerifier, authenticator: Authenticator) -> None:
        self.context = context
        self._passwords = passwords
        login = leaf_authenticator(context.options, passwords, authenticator)
        self._door = LeafDoor(context, login)
        self._websocket_door = LeafDoor(context, login, kind=ConnectionType.LEAFNODE_WS)
        self.listener: LeafListener | None = None
        self.remotes: list[LeafRemote] = []

    # -- life ---------------------------------------------------------------------------------------------------------

    def listen(self, bound: socket.socket, tls: TlsListener | None) -> LeafListener:
        """Accept leafs on a bound socket."""
        self._door.host = self.context.options.host
        self._door.port = int(bound.getsockname()[1])
        self.listener = LeafListener(self._door, bound, tls)
        self.listener.use_tls(tls)
        self.listener.start()
        return self.listener

    def websocket_link(self, ip: str, port: int, tls: TlsFacts | None) -> AcceptedLink:
        """The link of a leaf that came through the WebSocket listener."""
        self._websocket_door.host, self._websocket_door.port = self._door.host, self._door.port
        return AcceptedLink(self._websocket_door, ip, port, tls)

    def connect(self) -> None:
        """Begin to dial the configured hubs."""
        self._add(self.context.options.remotes)

    def stop_listening(self) -> None:
        """Accept no more leafs (lame duck)."""
        if self.listener is not None:
            self.listener.stop()
            self.listener = None

    def stop(self) -> None:
        """Close everything."""
        self.stop_listening()
        for remote in self.remotes:
            remote.stop()
        for link in self.links():
            link.close("Server Shutdown")

    # -- reload -------------------------------------------------------------------------------------------------------

    def reload(
        self,
        options: LeafOptions,
        authenticator: Authenticator,
        *,
        added: Iterable[LeafRemoteOptions] = (),
        removed: Iterable[LeafRemoteOptions] = (),
        changed: Iterable[tuple[LeafRemoteOptions, LeafRemoteOptions]] = (),
    ) -> None:
        """Follow a new configuration: remotes come and go, logins are checked again, new mappings are announced."""
        self.context.options = options
        login = leaf_authenticator(options, self._passwords, authenticator)
        self._door.authenticator = self._websocket_door.authenticator = login
        for gone in removed:
            for remote in [remote for remote in self.remotes if remote.options == gone]:
                remote.stop("Remote Removed")
                self.remotes.remove(remote)
        for before, after in changed:
            for remote in self.remotes:
                if remote.options == before:
                    remote.change(after)
        self._add(added)
        for link in self.links():
            account = self.context.broker.account(link.account_name) if link.account_name else None
            if link.account is not None and account is not link.account:
                link.close("Account Removed")
            elif isinstance(link, AcceptedLink):
                link.reconsider()
            link.refresh_mappings()

    # -- by command ---------------------------------------------------------------------------------------------------

    def attach(self, options: LeafRemoteOptions) -> LeafRemote:
        """One more remote, which a reload leaves alone; whoever attaches it starts it."""
        remote = LeafRemote(self.context, options)
        self.remotes.append(remote)
        return remote

    def detach(self, remote: LeafRemote) -> None:
        """Forget a remote that was attached."""
        remote.stop("Remote Removed")
        if remote in self.remotes:
            self.remotes.remove(remote)

    def _add(self, added: Iterable[LeafRemoteOptions]) -> None:
        for options in added:
            remote = LeafRemote(self.context, options)
            self.remotes.append(remote)
            remote.start()

    # -- for monitoring -----------------------------------------------------------------------------------------------

    def links(self) -> list[LeafLink]:
        """Every link, also those in their handshake."""
        return [connection for connection in self.context.broker.registry if isinstance(connection, LeafLink)]

    def snapshots(self) -> list[LeafSnapshot]:
        """The links that are up."""
        return [link.leaf_snapshot() for link in self.links() if link.account is not None]

    def hub_domain(self) -> str:
        """JetStream domain of the first hub whose link is up; empty: none."""
        return next((uplink.hub_domain for uplink in self.uplinks() if uplink.hub_domain), "")

    def uplinks(self) -> list[UplinkSnapshot]:
        """The hubs, with what is the matter where a link is not up."""
        return [remote.snapshot() for remote in self.remotes]
