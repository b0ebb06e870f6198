"""A link that we opened to a hub: check its INFO, send CONNECT, wait for the INFO that says where we landed.

Leaf node specification sections 1 and 12. When both sides want compression we answer with an INFO of our own, and the
hub repeats its INFO inside the S2 stream (section 3).
"""

from __future__ import annotations

import base64
from asyncio import Future
from collections.abc import Callable

from leafbox.broker.account import Account
from leafbox.leaf.compression import COMPRESSING, agreed_mode
from leafbox.leaf.config import CompressionMode, CompressionOptions, LeafRemoteOptions, LeafUrl
from leafbox.leaf.context import LeafContext
from leafbox.leaf.failures import Failure, FailureKind, failure_of_peer
from leafbox.leaf.link import LOOP_DELAY_S, LeafLink
from leafbox.leaf.rules import dialled_rules
from leafbox.protocol.credentials import UserCredentials
from leafbox.protocol.errors import ProtocolViolation
from leafbox.protocol.leaf_info import LeafConnect, LeafInfo, decode_leaf_info
from leafbox.protocol.nkeys import KeyPair
from leafbox.security.tls_accept import TlsFacts

# nats-server gives the second INFO as long.
CONNECT_INFO_TIMEOUT_S = 2.0
CLIENT_PROTOCOL = 1
"""In the INFO of a client port; that of a leaf port has 3, or none before nats-server 2.11."""
STALE_TEXT = "Stale Leaf Node Connection - Closing"

REASONS = {
    "Stale Connection": FailureKind.STALE,
    "Loop Detected": FailureKind.LOOP,
    "Protocol Violation": FailureKind.PROTOCOL,
    "Slow Consumer (Pending Bytes)": FailureKind.LIMIT,
    "Maximum Message Payload Exceeded": FailureKind.PROTOCOL,
}


class DialledLink(LeafLink):
    """We are the spoke, unless the remote says `hub: true`. `ended` resolves once, with the cause."""

    def __init__(
        self,
        context: LeafContext,
        remote: LeafRemoteOptions,
        url: LeafUrl,
        credentials: UserCredentials | None,
        on_up: Callable[[LeafInfo], None],
    ) -> None:
        super().__init__(context, is_spoke=not remote.is_hub, ip=url.host, port=url.port)
        self.is_dialled = True
        self.is_isolated = remote.is_local_interest_isolated
        self.remote = remote
        self.url = url
        self.ended: Future[Failure] = context.broker.engine.loop.create_future()
        self.hub: LeafInfo | None = None
        self._credentials = credentials
        self._on_up = on_up
        self._has_begun = False
        self._early_info: bytes | None = None
        self._failure: Failure | None = None
        self.early_interest: tuple[bytes, ...] = ()
        """Told together with CONNECT. A hub whose streams fetch from here asks again as soon as it has read CONNECT; if
        it does not know by then that its request has a taker, its next try is half a minute away."""

    # -- handshake ----------------------------------------------------------------------------------------------------

    def begin(self, tls: TlsFacts | None) -> None:
        """The peer at the other end is the one we wanted: answer its INFO, now or when it comes."""
        self.tls = tls
        self._has_begun = True
        if self._early_info is not None:
            self.on_info(self._early_info)
        else:
            self.start_handshake_timer(self.remote.first_info_timeout_s, STALE_TEXT, "No INFO")

    def on_info(self, text: bytes) -> None:
        if not self._has_begun:
            self._early_info = text
            return
        try:
            info = decode_leaf_info(text)
        except ProtocolViolation:
            self.end_with(Failure(FailureKind.PROTOCOL, "the hub's INFO is not readable"))
            return
        if self.hub is None:
            self._answer(info)
        elif info.connect_info and self.account is None:
            self._arrive(info)

    def _answer(self, info: LeafInfo) -> None:
        # A hub with no_advertise names no addresses; the client port is told by its protocol version then.
        if info.client_id == 0 or (info.leafnode_urls is None and info.proto == CLIENT_PROTOCOL):
            text = "a client port answered: the URL must name the hub's leafnodes port (7422 by default)"
            self.end_with(Failure(FailureKind.WRONG_PORT, text))
            return
        if self._offer_compression(info):
            return
        self.hub = info
        self.headers = info.headers and not self.context.broker.options.is_header_support_disabled
        self.peer_name, self.peer_version = info.server_name, info.version
        self.peer_protocol = info.proto
        account = self.context.broker.account(self.remote.account)
        if account is None:
            self.end_with(Failure(FailureKind.ACCOUNT, f'there is no local account "{self.remote.account}"'))
            return
        connect = self.context.connect(account)
        connect.compress_mode = self.compression.value
        connect.is_hub = self.remote.is_hub
        connect.isolate = self.remote.is_isolation_requested
        connect.deny_pub = list(self.remote.deny_imports) or None
        self._add_credentials(connect, info.nonce)
        self.send(connect.line() + b"".join(b"LS+ %b\r\n" % subject for subject in self.early_interest))
        self.start_handshake_timer(CONNECT_INFO_TIMEOUT_S, STALE_TEXT, "No INFO")

    def _offer_compression(self, info: LeafInfo) -> bool:
        """True: the hub's INFO comes again, inside the stream that has just begun."""
        if self.compression is not CompressionMode.OFF:
            return False
        agreed = agreed_mode(self.remote.compression.mode, info.compression)
        if agreed not in COMPRESSING:
            return False
        self.send(LeafInfo(client_id=info.client_id, compression=agreed.value).line())
        self.begin_compression(agreed)
        self.start_handshake_timer(self.remote.first_info_timeout_s, STALE_TEXT, "No INFO")
        return True

    def compression_options(self) -> CompressionOptions:
        return self.remote.compression

    def _add_credentials(self, connect: LeafConnect, nonce: str) -> None:
        keys: KeyPair | None = None
        if self._credentials is not None:
            keys = self._credentials.keys
            connect.jwt = self._credentials.jwt
        elif self.remote.nkey_seed:
            keys = KeyPair.from_seed(self.remote.nkey_seed)
            connect.nkey = keys.public
        elif self.url.username:
            connect.user = self.url.username
            connect.password = self.url.password or ""
            if self.url.password is None:
                # It may be a token as well as a user without a password: the hub knows.
                connect.auth_token = self.url.username
        if keys is not None:
            connect.sig = base64.urlsafe_b64encode(keys.sign(nonce.encode())).rstrip(b"=").decode()

    def _arrive(self, info: LeafInfo) -> None:
        account = self.context.broker.account(self.remote.account)
        assert account is not None
        assert self.hub is not None
        remote = self.remote
        domains = self.context.domains(account, info.domain or self.hub.domain)
        rules = dialled_rules(info.imports, info.exports, remote.deny_imports, remote.deny_exports, domains)
        self._on_up(info)
        self.come_up(account, rules, info.cluster or self.hub.cluster)

    # -- end ----------------------------------------------------------------------------------------------------------

    def end_with(self, failure: Failure) -> None:
        """Close for a cause of our own."""
        self._failure = self._failure or failure
        self.close(failure.kind.value)

    def on_loop(self, account: Account) -> None:
        text = f'loop: what account "{account.name}" sends comes back to it through this hub'
        self._failure = Failure(FailureKind.LOOP, text, float(LOOP_DELAY_S))
        super().on_loop(account)

    def on_peer_error(self, text: bytes) -> None:
        """The hub says why, and then closes; a link is not closed because of an -ERR (section 10)."""
        said = text.decode("utf-8", "replace")
        self.context.logger.error("%s - Leafnode Error %s", self, said)
        self._failure = failure_of_peer(said)

    def on_closing(self) -> None:
        super().on_closing()
        if not self.ended.done():
            self.ended.set_result(self._failure or self._own_failure())

    def _own_failure(self) -> Failure:
        reason = self.close_reason
        if reason == "No INFO":
            step = "CONNECT" if self.hub is not None else "the connection was made"
            return Failure(FailureKind.NO_INFO, f"the hub sent no INFO in time after {step}")
        if reason == "Stale Connection":
            return Failure(FailureKind.STALE, "the hub does not answer pings any more: the line is dead")
        if reason is None:
            return Failure(FailureKind.CLOSED, "the hub closed the connection")
        return Failure(REASONS.get(reason, FailureKind.CLOSED), reason)
