"""One hub we keep a link to: dials, waits for the end, tries again, and can say at any time what is the matter.

States::

    DISABLED                              the entry is switched off
    DIALLING ──> HANDSHAKE ──> UP         DNS, TCP, TLS; then INFO and CONNECT; then interest and messages
        ^            │          │
        └── WAITING <┴──────────┘         with the `Failure` that ended it

The wait is the configured reconnect interval, shortened by up to a tenth at random so that the boxes of a site do not
dial in step; no back-off beyond that, as nats-server (leaf node specification section 9). A refusal that does not pass
by itself names a longer one.
"""

from __future__ import annotations

import asyncio
import enum
import random
import time
from dataclasses import dataclass
from pathlib import Path

from leafbox.leaf.config import LeafRemoteOptions, LeafUrl
from leafbox.leaf.context import LeafContext
from leafbox.leaf.dial import dial
from leafbox.leaf.dialled import DialledLink
from leafbox.leaf.failures import Failure, FailureKind, UplinkFailed, own_clock, utc
from leafbox.protocol.credentials import InvalidCredentials, UserCredentials, parse_credentials
from leafbox.protocol.leaf_info import LeafInfo

JITTER = 0.1
# Addresses a hub may announce; a cluster has a handful of servers.
DISCOVERED_MAX = 64


class UplinkState(enum.Enum):
    """Where the link to a hub stands."""

    DISABLED = "disabled"
    DIALLING = "dialling"
    HANDSHAKE = "handshake"
    UP = "up"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class UplinkSnapshot:
    """One hub as a dashboard shows it; `failure` is the last one, also while the link is up again."""

    url: str
    account: str
    state: UplinkState
    since_ns: int
    attempts: int
    hub_name: str = ""
    hub_domain: str = ""
    rtt_ns: int = 0
    failure: Failure | None = None


class LeafRemote:
    """The link to one hub. `start` and `stop` may be called in turn, by a reload."""

    def __init__(self, context: LeafContext, options: LeafRemoteOptions) -> None:
        self.context = context
        self.options = options
        self.link: DialledLink | None = None
        self.state = UplinkState.DISABLED
        self.failure: Failure | None = None
        self.attempts = 0
        self._since_ns = time.time_ns()
        self.tells_early = False
        """Tell the hub with CONNECT that our JetStream can be asked (`DialledLink.early_interest`)."""
        self._was_up = False
        self._revoked_jwt = ""
        """What a hub has called revoked on a standing link; at the next login it only says that it refuses."""
        self._task: asyncio.Task[None] | None = None
        self._urls: list[LeafUrl] = list(options.urls)
        self._next_url = 0
        if not options.is_url_order_kept:
            random.shuffle(self._urls)

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to dial, unless the entry is disabled."""
        if self._task is None and not self.options.is_disabled:
            self._task = self.context.tasks.create_task(self._run(), name=f"leaf remote {self.options.urls[0].host}")

    def stop(self, reason: str = "Server Shutdown") -> None:
        """Close the link and dial no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self.link is not None:
            self.link.close(reason)
            self.link = None
        self._enter(UplinkState.DISABLED)

    def change(self, options: LeafRemoteOptions) -> None:
        """After a reload: new TLS counts from the next attempt on, `disabled` at once."""
        self.options = options
        if options.is_disabled:
            self.stop("Remote Disabled")
        else:
            self.start()

    def snapshot(self) -> UplinkSnapshot:
        """The hub and how the link to it stands."""
        link = self.link
        hub = link.hub if link is not None and self.state is UplinkState.UP else None
        return UplinkSnapshot(
            url=(link.url if link is not None else self.options.urls[0]).redacted(),
            account=self.options.account,
            state=self.state,
            since_ns=self._since_ns,
            attempts=self.attempts,
            hub_name=hub.server_name if hub else "",
            hub_domain=hub.domain if hub else "",
            rtt_ns=link.rtt_ns if link is not None else 0,
            failure=self.failure,
        )

    # -- the loop -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self.attempts += 1
            url = self._urls[self._next_url % len(self._urls)]
            self._next_url += 1
            failure = await self._attempt(url)
            if self._task is not asyncio.current_task():
                # Stopped while an attempt was just failing: Python before 3.12 loses the cancellation then, and the
                # server would wait for this task for ever.
                return
            self.failure = failure
            self._report(url, failure)
            self._enter(UplinkState.WAITING)
            interval_s = self.context.options.reconnect_interval_s * (1 - JITTER * random.random())
            await asyncio.sleep(max(interval_s, failure.delay_s))

    async def _attempt(self, url: LeafUrl) -> Failure:
        """One link from the first packet to its end; returns why it ended."""
        self._enter(UplinkState.DIALLING)
        try:
            credentials = self._read_credentials()
        except UplinkFailed as error:
            return error.failure
        link = DialledLink(self.context, self.options, url, credentials, self._came_up)
        self.link = link
        if self.tells_early and self.context.domain():
            link.early_interest = (f"$JS.{self.context.domain()}.API.>".encode(),)
        try:
            await dial(link, self.context.options)
            if self.state is UplinkState.DIALLING:
                self._enter(UplinkState.HANDSHAKE)
            return self._explained(self._without_early(await link.ended), credentials)
        except UplinkFailed as error:
            return error.failure
        finally:
            link.abort("Client Closed")
            if self.link is link:
                self.link = None

    def _without_early(self, failure: Failure) -> Failure:
        """A hub whose user may not hear of our JetStream ends the link for it: not again, and at once."""
        if self.tells_early and failure.kind is FailureKind.PERMISSIONS:
            self.tells_early = False
            return Failure(failure.kind, failure.text)
        return failure

    def _read_credentials(self) -> UserCredentials | None:
        """The file is read for each attempt, so that renewed credentials need no restart."""
        name = self.options.credentials_file
        if not name:
            return None
        try:
            return parse_credentials(Path(name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, InvalidCredentials) as error:
            raise UplinkFailed(Failure(FailureKind.CREDENTIALS, f"credentials file {name}: {error}")) from error

    def _came_up(self, info: LeafInfo) -> None:
        link = self.link
        assert link is not None
        assert link.hub is not None
        self._was_up = True
        self.attempts = 0
        self._enter(UplinkState.UP)
        self._learn_urls(link.url, link.hub.leafnode_urls or [])
        logger = self.context.logger
        logger.info("%s - Leafnode connection created for account: %s", link, self.options.account)
        if link.hub.domain or self.context.domain():
            local, remote = self.context.domain(), link.hub.domain
            logger.info('%s - JetStream using domains: local "%s", remote "%s"', link, local, remote)

    def _learn_urls(self, reached: LeafUrl, announced: list[str]) -> None:
        """Other servers of the hub's cluster are tried when the configured ones are out."""
        if self.options.are_discovered_servers_ignored or reached.is_websocket:
            return
        known = {(url.host, url.port) for url in self._urls}
        for text in announced[:DISCOVERED_MAX]:
            host, _, port = text.rpartition(":")
            host = host.strip("[]")
            if not host or not port.isdecimal() or (host, int(port)) in known or len(self._urls) >= DISCOVERED_MAX:
                continue
            known.add((host, int(port)))
            self._urls.append(
                LeafUrl(reached.scheme, host, int(port), username=reached.username, password=reached.password)
            )

    def _explained(self, failure: Failure, credentials: UserCredentials | None) -> Failure:
        """A hub that refuses a login does not say why: what the credentials and our clock say about it."""
        if credentials is None:
            return failure
        if failure.kind is FailureKind.CREDENTIALS_REVOKED:
            self._revoked_jwt = credentials.jwt
        if failure.kind is not FailureKind.AUTHORIZATION:
            return failure
        now_s, said = time.time(), failure.text
        if credentials.expires_s and credentials.expires_s <= now_s:
            text = f"{said}; the credentials expired at {utc(credentials.expires_s)}; {own_clock()}"
            return Failure(FailureKind.CREDENTIALS_EXPIRED, text, failure.delay_s)
        if credentials.not_before_s > now_s:
            text = f"{said}; the credentials are valid from {utc(credentials.not_before_s)} on; {own_clock()}"
            return Failure(FailureKind.CREDENTIALS_EARLY, text, failure.delay_s)
        if credentials.jwt == self._revoked_jwt:
            return Failure(FailureKind.CREDENTIALS_REVOKED, f"{said}; it had said before: revoked", failure.delay_s)
        return Failure(FailureKind.CREDENTIALS_REFUSED, f"{said}; {own_clock()}", failure.delay_s)

    def _report(self, url: LeafUrl, failure: Failure) -> None:
        """The first failure, and then every so many (`connect_error_reports`, `reconnect_error_reports`)."""
        logger = self.context.logger
        if self.attempts == 0:
            logger.warning("Leafnode connection to %s lost: %s", url.redacted(), failure)
            return
        context = self.context
        every = context.reconnect_error_reports if self._was_up else context.connect_error_reports
        if self.attempts == 1 or (every > 0 and self.attempts % every == 0):
            logger.error(
                "Error trying to connect as leafnode to remote server %s (attempt %d): %s",
                url.redacted(),
                self.attempts,
                failure,
            )

    def _enter(self, state: UplinkState) -> None:
        if state is not self.state:
            self.state = state
            self._since_ns = time.time_ns()
