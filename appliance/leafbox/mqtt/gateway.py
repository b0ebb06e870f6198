"""The gateway: sessions of every account, live connections, and the one timer that watches their keep-alives."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from leafbox.broker.account import Account
from leafbox.dataplane.connection import Engine
from leafbox.dataplane.mqtt_connection import lapsed
from leafbox.dataplane.stream_ingest import CommitGate
from leafbox.jetstream.account import JetStreamAccount
from leafbox.jetstream.service import JetStream
from leafbox.mqtt.assets import MESSAGES, open_assets
from leafbox.mqtt.config import MqttOptions
from leafbox.mqtt.connection import MqttClient
from leafbox.mqtt.ports import RightsOfUser, SessionStore, SessionValue
from leafbox.mqtt.responses import ResponseRoute
from leafbox.mqtt.sessions import AccountSessions, Restored, read_sessions
from leafbox.protocol.errors import LeafboxError, RequestRejected

logger = logging.getLogger(__name__)

# How exactly a keep-alive of a second is kept; one walk over 10,000 connections takes well under a millisecond.
SWEEP_S = 0.25


class MqttGateway:
    """One per server; belongs to the loop."""

    def __init__(
        self,
        engine: Engine,
        jetstream: JetStream,
        gate: CommitGate,
        store: SessionStore,
        options: Callable[[], MqttOptions],
        rights_of: RightsOfUser,
    ) -> None:
        self._engine = engine
        self._rights_of = rights_of
        self._jetstream = jetstream
        self._gate = gate
        self._store = store
        self._options = options
        self._accounts: dict[str, AccountSessions] = {}
        self._responses: dict[str, ResponseRoute] = {}
        self._restored: Restored = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._last_resend_s = 0.0
        self.connections: set[MqttClient] = set()

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring the sessions of all accounts back, after JetStream has recovered its streams."""
        self._restored = read_sessions(self._store)
        self._store.supply_snapshots(SessionValue.DEFINITION, self._definition)
        self._store.supply_snapshots(SessionValue.PROGRESS, self._progress)
        for name in list(self._restored):
            owner = self._jetstream.account(name)
            if owner is not None:
                self._open(owner)
        self._sweep()

    def stop(self) -> None:
        """End connections' timers and pictures; what is durable stays."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for sessions in self._accounts.values():
            sessions.stop()

    def apply_options(self) -> None:
        """After a reload."""
        self._follow_accounts()
        for sessions in self._accounts.values():
            sessions.apply_options()

    def _follow_accounts(self) -> None:
        """Accounts may have lost JetStream, or have it again: their sessions wait meanwhile."""
        retired = [sessions for sessions in self._accounts.values() if not self._is_current(sessions)]
        for sessions in retired:
            sessions.retire()
            del self._accounts[sessions.account.name]
        if retired:
            kept = read_sessions(self._store)
            self._restored |= {each.account.name: kept.get(each.account.name, []) for each in retired}
        for name in list(self._restored):
            owner = self._jetstream.account(name)
            if owner is None:
                continue
            try:
                self._open(owner)
            except LeafboxError as error:
                logger.error("MQTT sessions wait account=%s reason=%s", name, error)

    def _is_current(self, sessions: AccountSessions) -> bool:
        owner = self._jetstream.account(sessions.account.name)
        return owner is not None and owner.streams.get(MESSAGES) is sessions.assets.messages

    def sessions_of(self, account: Account) -> AccountSessions:
        """The account's sessions. Raises `LeafboxError` when it has no JetStream, or no room for the streams."""
        found = self._accounts.get(account.name)
        if found is not None and found.account is account:
            return found
        owner = self._jetstream.account(account.name)
        if owner is None:
            raise LeafboxError(f'JetStream is not enabled for account "{account.name}"')
        return self._open(owner)

    @property
    def accounts(self) -> dict[str, AccountSessions]:
        """Accounts that have or had MQTT clients."""
        return dict(self._accounts)

    def _open(self, owner: JetStreamAccount) -> AccountSessions:
        account = owner.account
        try:
            assets = open_assets(owner)
        except RequestRejected as rejected:
            raise LeafboxError(f'no streams for MQTT in account "{account.name}": {rejected}') from rejected
        sessions = AccountSessions(account, assets, self._gate, self._store, self._engine.loop, self._options)
        self._accounts[account.name] = sessions
        for record, steps in self._restored.pop(account.name, []):
            sessions.restore(record, steps)
        sessions.restored(self._engine, self._rights_of)
        route = self._responses.get(account.name)
        if route is None or route.account is not account:
            self._responses[account.name] = ResponseRoute(account)
        return sessions

    # -- keeping ------------------------------------------------------------------------------------------------------

    def _definition(self, key: bytes) -> bytes | None:
        return next((found for each in self._accounts.values() if (found := each.definition(key)) is not None), None)

    def _progress(self, key: bytes) -> bytes | None:
        return next((found for each in self._accounts.values() if (found := each.progress(key)) is not None), None)

    # -- time ---------------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """End connections whose peer was silent for too long, and repeat what MQTT 3 clients left unacknowledged."""
        self._sweeper = self._engine.loop.call_later(SWEEP_S, self._sweep)
        for connection in lapsed(list(self.connections)):
            connection.on_keep_alive_lapsed()
        now_s = time.monotonic()
        wait_s = self._options().ack_wait_s
        if wait_s <= 0 or now_s - self._last_resend_s < min(wait_s, 1.0) / 2:
            return
        self._last_resend_s = now_s
        before_ns = int((now_s - wait_s) * 1e9)
        for client in list(self.connections):
            core = client.session
            # [MQTT-4.4.0-1]: MQTT 5 repeats on a new connection only.
            if core is not None and core.inflight_count and client.version < 5:
                core.resend_after(before_ns)
