"""A link that a leaf opened to us: INFO, its CONNECT and login, the second INFO, and which older link it replaces.

Order and texts as nats-server 2.15.1 (leaf node specification sections 1, 5, 6 and 10).
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Awaitable
from dataclasses import dataclass, field

from leafbox.broker.account import Account
from leafbox.broker.config import UNLIMITED, ConnectionType
from leafbox.dataplane.websocket_framing import WebsocketFraming
from leafbox.leaf.compression import COMPRESSING, agreed_mode
from leafbox.leaf.config import CompressionMode, CompressionOptions
from leafbox.leaf.context import LeafContext
from leafbox.leaf.link import LeafLink, error_line
from leafbox.leaf.rules import accepted_rules, to_wire
from leafbox.protocol.errors import ProtocolViolation
from leafbox.protocol.leaf_info import LeafConnect, LeafInfo, decode_leaf_connect, decode_leaf_info
from leafbox.security.authentication import (
    Authenticator,
    ConnectionFacts,
    Credentials,
    Decision,
    Identity,
    ListenerRules,
    Refusal,
)
from leafbox.security.tls_accept import TlsFacts

NONCE_BYTES = 11


@dataclass(slots=True)
class LeafDoor:
    """What the links of one listener share; the TCP and the WebSocket listener have one each."""

    context: LeafContext
    authenticator: Authenticator
    rules: ListenerRules = field(default_factory=ListenerRules)
    kind: ConnectionType = ConnectionType.LEAFNODE
    host: str = ""
    port: int = 0
    is_tls_required: bool = False
    is_tls_verified: bool = False


class AcceptedLink(LeafLink):
    """We are the hub, unless the leaf says that it wants to be (`hub: true`)."""

    def __init__(
        self, door: LeafDoor, ip: str = "", port: int = 0, tls: TlsFacts | None = None, *, is_greeted: bool = False
    ) -> None:
        super().__init__(door.context, is_spoke=False, ip=ip, port=port)
        self.door = door
        self.tls = tls
        self.is_greeted = is_greeted
        self.is_isolated = door.context.options.is_interest_isolated
        self.nonce = base64.urlsafe_b64encode(os.urandom(NONCE_BYTES)).rstrip(b"=").decode()
        self.connect: LeafConnect | None = None
        self.identity: Identity | None = None

    # -- handshake ----------------------------------------------------------------------------------------------------

    def hello(self, own_address: str = "") -> bytes:
        """The first INFO; `own_address` is where the leaf reached us, unless the configuration says better."""
        return self._info(own_address, nonce=self.nonce, compression=self._offered().value).line()

    def _offered(self) -> CompressionMode:
        """Frames that are deflated already are not compressed again."""
        is_deflated = isinstance(self.framing, WebsocketFraming) and self.framing.deflater is not None
        return CompressionMode.OFF if is_deflated else self.compression_options().mode

    def compression_options(self) -> CompressionOptions:
        return self.context.options.compression

    def _info(self, own_address: str, **facts: object) -> LeafInfo:
        door, options = self.door, self.context.options
        address = options.advertise or own_address or f"{door.host}:{door.port}"
        return self.context.info(
            host=door.host,
            port=door.port,
            ip="" if options.is_advertise_disabled else address,
            client_id=self.cid,
            auth_required=door.authenticator.shows_auth_required(door.rules),
            tls_required=door.is_tls_required,
            tls_verify=door.is_tls_verified,
            # A leaf takes INFO without this list for a client port's.
            leafnode_urls=[address],
            **facts,
        )

    def on_connected(self) -> None:
        super().on_connected()
        if not self.is_greeted:
            self.is_greeted = True
            self.send(self.hello(self._own_address()))
        self.context.logger.debug("%s - Leafnode connection created", self)
        self.start_handshake_timer(
            self.context.options.auth_timeout_s, "Authentication Timeout", "Authentication Timeout"
        )

    def _own_address(self) -> str:
        name = self.transport.get_extra_info("sockname")
        if not isinstance(name, tuple):
            return ""
        host = f"[{name[0]}]" if ":" in str(name[0]) else str(name[0])
        return f"{host}:{self.door.port or name[1]}"

    def on_connect(self, options: bytes) -> None:
        if self.connect is not None:
            self.on_violation("", "Protocol Violation")
            return
        try:
            connect = decode_leaf_connect(options)
        except ProtocolViolation:
            self.close("Protocol Violation")
            return
        self.connect = connect
        self.peer_name, self.peer_version = connect.name or connect.server_id, connect.version
        self.peer_protocol = connect.protocol
        self.headers = connect.headers and not self.context.broker.options.is_header_support_disabled
        decision = self.door.authenticator.authenticate(_credentials(connect), self.facts())
        if isinstance(decision, Identity | Refusal):
            self._decided(decision)
        else:
            self.suspend()
            self.context.tasks.create_task(self._decide_later(decision), name=f"leaf login lid:{self.cid}")

    def on_violation(self, text: str, reason: str) -> None:
        """Whoever does not begin with CONNECT is not let in."""
        if self.connect is None and reason == "Protocol Violation":
            text, reason = "Authorization Violation", "Authentication Failure"
        super().on_violation(text, reason)

    def facts(self) -> ConnectionFacts:
        """What a decision about this link may rest on."""
        return ConnectionFacts(self.door.kind, self.door.rules, self.nonce.encode(), self.tls, self.ip)

    async def _decide_later(self, decision: Awaitable[Decision]) -> None:
        self._decided(await decision)
        self.resume()

    def _decided(self, decision: Decision) -> None:
        if self.closed:
            return
        connect = self.connect
        assert connect is not None
        if isinstance(decision, Refusal):
            self.context.logger.error("%s - authentication error: %s", self, decision.reason)
            self.fail("Authorization Violation", "Authentication Failure")
            return
        account = self.context.broker.account(decision.account)
        if account is None:
            self.fail("Authorization Violation", "Authentication Failure")
            return
        if refusal := self._refusal(connect, account):
            text, reason = refusal
            self.context.logger.error("%s - %s", self, text)
            self.fail(text, reason)
            return
        self._replace_older(connect, account)
        self._enter(connect, decision, account)

    def _refusal(self, connect: LeafConnect, account: Account) -> tuple[str, str] | None:
        if connect.lang or connect.gateway:
            return "attempted to connect to leaf node port", "Attempted To Connect To Wrong Port"
        lowest = self.context.options.version_min
        if lowest and _version(connect.version) < _version(lowest):
            text = f'connection rejected since minimum version required is "{lowest}"'
            return text, "Minimum Version Required"
        if connect.cluster and connect.cluster == self.context.cluster:
            return "remote leafnode has same cluster name", "Cluster Name Conflict"
        most = account.limits.leafnodes_max
        if most != UNLIMITED and len(account.leaf_links) >= most:
            return "maximum account active connections exceeded", "Maximum Account Connections Exceeded"
        return None

    def _replace_older(self, connect: LeafConnect, account: Account) -> None:
        """A leaf that comes again has lost its first link, even if we have not noticed yet."""
        if not connect.remote_account:
            return
        for link in list(account.leaf_links):
            if not isinstance(link, AcceptedLink) or link.connect is None or link is self:
                continue
            other = link.connect
            if (other.name, other.cluster, other.remote_account) == (
                connect.name,
                connect.cluster,
                connect.remote_account,
            ):
                link.context.logger.warning("%s - Replaced by %s", link, self)
                link.fail("Duplicate Remote LeafNode Connection", "Duplicate Remote LeafNode Connection")

    def _enter(self, connect: LeafConnect, identity: Identity, account: Account) -> None:
        self.identity = identity
        self.is_spoke = connect.is_hub
        self.is_isolated = self.is_isolated or connect.isolate
        permissions = identity.permissions
        self.send(
            self._info(
                self._own_address(),
                connect_info=True,
                remote_account=account.name,
                acc_is_sys=account.is_system,
                jetstream=self.context.has_jetstream(account),
                imports=to_wire(permissions.subscribe) if permissions else None,
                exports=to_wire(permissions.publish) if permissions else None,
            ).line()
        )
        rules = accepted_rules(permissions, connect.deny_pub or (), self.context.domains(account, connect.domain))
        self.context.logger.info(
            "%s - Leafnode connection accepted: server %s account %s", self, self.peer_name, account.name
        )
        self.come_up(account, rules, connect.cluster)

    def on_info(self, text: bytes) -> None:
        """A leaf that wants compression answers our INFO with its own, and gets ours again, compressed."""
        if self.connect is not None or self.compression is not CompressionMode.OFF:
            return
        try:
            agreed = agreed_mode(self._offered(), decode_leaf_info(text).compression)
        except ProtocolViolation:
            self.close("Protocol Violation")
            return
        if agreed in COMPRESSING:
            self.begin_compression(agreed)
            self.send(self.hello(self._own_address()))

    def on_peer_error(self, text: bytes) -> None:
        self.context.logger.error("%s - Leafnode Error %s", self, text.decode("utf-8", "replace"))

    # -- reload -------------------------------------------------------------------------------------------------------

    def reconsider(self) -> None:
        """After a reload: end the link if its login is no longer good. New permissions wait for the next login."""
        if self.identity is None or self.closed:
            return
        decision = self.door.authenticator.still_authorised(self.identity, self.facts())
        if isinstance(decision, Refusal) or decision.account != self.account_name:
            self.close("Authentication Failure", error_line("Authorization Violation"))


def _credentials(connect: LeafConnect) -> Credentials:
    return Credentials(
        user=connect.user,
        password=connect.password,
        token=connect.auth_token,
        nkey=connect.nkey,
        signature=connect.sig,
        jwt=connect.jwt,
    )


def _version(text: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else (0, 0, 0)
