"""One uplink under supervision: its link, its probes, its buffers, its ledger, and one immutable status.

Two loops run in the server's task group. `_steer_loop` looks at the local side a few times a second: backlog, rate
caps, priorities, verdict, ledger. `_look_loop` asks the hub across the link: the probe every few seconds, the streams
less often. Neither touches a message: those go from the buffer's consumer through the data plane.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

import msgspec

from leafbox.leaf.dialled import DialledLink
from leafbox.leaf.failures import Failure, FailureKind
from leafbox.leaf.remote import LeafRemote, UplinkState
from leafbox.leaf.uplink_backlog import BacklogMeter
from leafbox.leaf.uplink_definition import Definition, Forward
from leafbox.leaf.uplink_hub import Hub, ProbeResult, listed
from leafbox.leaf.uplink_ledger import HUB_LOST, Ledger
from leafbox.leaf.uplink_ports import Buffers
from leafbox.leaf.uplink_reasons import Condition, Reason, reason
from leafbox.leaf.uplink_requests import ApiRefused, NoAnswer, Requests
from leafbox.leaf.uplink_state import Facts, is_outage, verdict
from leafbox.protocol.jetstream import subjects

logger = logging.getLogger("leafbox.uplink")

STEER_S = 0.25
PROBE_S = 4.0
"""With a probe's time-out of 4 s and two in a row, silence is told 12 s after the last good answer at the latest."""
HUB_LOOK_S = 10.0
SILENT_CLOSE_S = 20.0
"""A link on which nothing at all came for so long after a probe is closed and dialled again."""
LOST_REQUEST_S = 1.5
"""A request of the hub's streams that was open when the link came up and is so still was lost on its way."""
INTEREST_S = 1.0
STUCK_S = 30.0
"""A backlog of which nothing went for so long is not explained by an outage of the hub's own retry."""
BEGIN_S = 5.0
"""The first dial after a start or a resume is no outage until it takes longer."""
BUFFER_RETRY_S = 10.0


@dataclass(frozen=True, slots=True)
class UplinkParts:
    """What an uplink works with."""

    remote: LeafRemote
    requests: Requests
    buffers: Buffers
    ledger: Ledger
    own_domain: str


class Uplink:
    """Supervises one definition from `start` to `stop`."""

    def __init__(self, definition: Definition, parts: UplinkParts) -> None:
        self.definition = definition
        self.parts = parts
        self.meters = {forward.stream: BacklogMeter() for forward in definition.forwards}
        self.held: set[str] = set()
        self.is_draining = False
        self.condition = Condition.CONNECTING
        # Nothing has flowed yet, and that is what is told until the first look.
        self.reasons: tuple[Reason, ...] = (reason("connecting"),)
        self.since_ns = time.time_ns()
        self.probe: ProbeResult | None = None
        self.probe_ns = 0
        self.hub: Hub | None = None
        self._silent_probes = 0
        self._silent_since_s = 0.0
        self._bytes_when_silent = 0
        self._hub_problems: tuple[Reason, ...] = ()
        self._buffer_problems: dict[str, Reason] = {}
        self._buffers_at_s = 0.0
        self._targets: dict[str, int] = {}
        self._started_s = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Dial and supervise."""
        name = self.definition.name
        self._resume_ledger()
        if not self.definition.is_paused:
            self.parts.remote.start()
        self._tasks = [
            tasks.create_task(self._steer_loop(), name=f"uplink {name} steering"),
            tasks.create_task(self._look_loop(), name=f"uplink {name} probes"),
        ]

    def stop(self, reason_text: str = "Server Shutdown") -> None:
        """Close the link and supervise no more."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        self.parts.remote.stop(reason_text)
        self.parts.requests.close()

    def pause(self, definition: Definition) -> None:
        """Close the link and keep everything here; `definition` is the durable one."""
        self.definition = definition
        self.parts.remote.stop("Uplink Paused")
        self._judge()

    def resume(self, definition: Definition) -> None:
        """Dial again."""
        self.definition = definition
        self._started_s = time.monotonic()
        self.parts.remote.failure = None
        self.parts.remote.start()
        self._judge()

    # -- the local side -----------------------------------------------------------------------------------------------

    async def _steer_loop(self) -> None:
        while True:
            await self._keep_buffers()
            self._measure()
            self._steer()
            self._judge()
            await asyncio.sleep(STEER_S)

    async def _keep_buffers(self) -> None:
        """Make what is missing of the local streams."""
        now_s = time.monotonic()
        if self._buffers_at_s and now_s - self._buffers_at_s < BUFFER_RETRY_S:
            return
        self._buffers_at_s = now_s
        for forward in self.definition.forwards:
            found = await make_buffer(self.parts.requests, forward)
            if found is None:
                self._buffer_problems.pop(forward.stream, None)
            else:
                self._buffer_problems[forward.stream] = found

    def _measure(self) -> None:
        now_s = time.monotonic()
        for stream, meter in self.meters.items():
            state = self.parts.buffers.state(self.definition.account, stream)
            if state is None:
                continue
            meter.measure(state, now_s)
            known = self._buffer_problems.get(stream)
            if state.is_full:
                self._buffer_problems[stream] = reason("buffer_full", f"stream {stream}, {state.messages} messages")
            elif known is not None and known.code == "buffer_full":
                del self._buffer_problems[stream]

    def _steer(self) -> None:
        """Rate caps, and the smaller priority number first; a stream that does not move holds up nobody."""
        now_s = time.monotonic()
        busy_from: int | None = None
        for forward in sorted(self.definition.forwards, key=lambda forward: forward.priority):
            meter = self.meters[forward.stream]
            is_held = busy_from is not None and forward.priority > busy_from and not self.is_draining
            rate = 0 if self.is_draining else forward.rate_bytes
            self.parts.buffers.steer(self.definition.account, forward.stream, rate, is_held=is_held)
            (self.held.add if is_held else self.held.discard)(forward.stream)
            if meter.state.messages and now_s - meter.still_since_s < HUB_LOOK_S and busy_from is None:
                busy_from = forward.priority
        if self.is_draining and not self.queued:
            self.is_draining = False

    @property
    def queued(self) -> int:
        """Messages that wait for the hub."""
        return sum(meter.state.messages for meter in self.meters.values())

    # -- verdict and ledger -------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        remote = self.parts.remote
        problems = (*self._hub_problems, *self._buffer_problems.values())
        facts = Facts(
            is_paused=self.definition.is_paused,
            link=remote.state,
            failure=remote.failure,
            is_probed=self.probe is not None,
            silent_probes=self._silent_probes,
            problems=problems,
        )
        condition, reasons = verdict(facts)
        codes, before = [each.code for each in reasons], [each.code for each in self.reasons]
        self.reasons = reasons
        if condition is not self.condition:
            self.condition, self.since_ns = condition, time.time_ns()
        if codes[:1] != before[:1]:
            self._log()
        self._keep_ledger()
        self._note_hub_lost()

    def _log(self) -> None:
        name = self.definition.name
        if not self.reasons:
            logger.info("uplink flowing name=%s", name)
        elif self.condition in (Condition.PAUSED, Condition.CONNECTING):
            logger.info("uplink %s name=%s", self.condition.value, name)
        else:
            first = self.reasons[0]
            logger.warning(
                "uplink %s name=%s reason=%s %s (%s)",
                self.condition.value, name, first.code, first.sentence, first.detail,
            )  # fmt: skip

    def _keep_ledger(self) -> None:
        ledger, now_ns = self.parts.ledger, time.time_ns()
        is_out = is_outage(self.condition, self.reasons, is_forwarding=bool(self.definition.forwards))
        is_new = time.monotonic() - self._started_s < BEGIN_S
        if is_out:
            first = self.reasons[0]
            if ledger.current is not None:
                if self.condition is not Condition.CONNECTING:
                    ledger.explain(first.code, first.detail)
            elif not is_new:
                ledger.begin(now_ns, first.code, first.detail)
        elif ledger.current is not None:
            self._targets = {stream: meter.state.last_seq for stream, meter in self.meters.items()}
            ledger.end(now_ns, self.queued)
        outage = ledger.unsettled
        if outage is not None:
            left = lost = 0
            for stream, meter in self.meters.items():
                state = meter.state
                left += min(state.messages, max(self._targets.get(stream, 0) - state.first_seq + 1, 0))
                if state.is_fetched:
                    lost += max(state.last_seq - state.messages - state.acknowledged_seq, 0)
            ledger.deliver(max(outage.queued - left - lost, 0), lost)

    def _note_hub_lost(self) -> None:
        """A hub that keeps what it takes and asks for it again has lost it."""
        for forward in self.definition.forwards:
            asked = self.meters[forward.stream].state.asked_again
            if asked is None or self.hub is None or forward.hub_stream not in self.hub.keeping:
                continue
            start, acknowledged = asked
            detail = f"{forward.hub_stream} asks for {forward.stream} from {start} on, had acknowledged {acknowledged}"
            if self.parts.ledger.note_hub_lost(time.time_ns(), detail, acknowledged - start + 1):
                found = reason(HUB_LOST, detail)
                logger.error("uplink name=%s reason=%s %s (%s)", self.definition.name, HUB_LOST, found.sentence, detail)

    def _resume_ledger(self) -> None:
        """After a restart, everything that is in the buffers counts for the outage before."""
        if self.parts.ledger.unsettled is not None:
            self._measure()
            self._targets = {stream: meter.state.last_seq for stream, meter in self.meters.items()}

    # -- the far side -------------------------------------------------------------------------------------------------

    async def _look_loop(self) -> None:
        looked_s = 0.0
        link: DialledLink | None = None
        while True:
            remote = self.parts.remote
            if remote.state is not UplinkState.UP or remote.link is None or remote.link.account is None:
                self._forget()
                link = None
                await asyncio.sleep(STEER_S)
                continue
            if remote.link is not link:
                self._forget()
                link, looked_s = remote.link, 0.0
                self.hub = Hub(link, self.parts.requests, self.parts.own_domain)
                for meter in self.meters.values():
                    meter.link_is_up(time.monotonic())
                await self._wake_hub(self.hub)
            if time.monotonic() - looked_s >= HUB_LOOK_S:
                looked_s = time.monotonic()
                await self._look()
            await self._probe()
            if not self._silent_probes:
                await self._pause_between(link)

    async def _wake_hub(self, hub: Hub) -> None:
        """See that the hub's streams ask again soon, if their first request met a link that was not ready."""
        if not self.definition.forwards or not hub.domain:
            return
        await asyncio.sleep(STEER_S)
        early = hub.open_requests()
        if not early:
            return
        await asyncio.sleep(LOST_REQUEST_S)
        states = [self.parts.buffers.state(self.definition.account, stream) for stream in self.meters]
        if all(state is not None and state.is_listened for state in states):
            return
        for inbox in early & hub.open_requests():
            logger.debug("uplink name=%s answers a lost request inbox=%s", self.definition.name, inbox)
            hub.answer_lost(inbox)

    async def _pause_between(self, link: DialledLink) -> None:
        """Until the next probe, or until the link is another."""
        for _ in range(int(PROBE_S / STEER_S)):
            if self.parts.remote.link is not link or self.parts.remote.state is not UplinkState.UP:
                return
            await asyncio.sleep(STEER_S)

    def _forget(self) -> None:
        self.hub, self.probe, self._silent_probes, self._hub_problems = None, None, 0, ()

    async def _look(self) -> None:
        """Is the hub fit, and do its streams fetch from here?"""
        hub, forwards = self.hub, self.definition.forwards
        assert hub is not None
        if obstacle := hub.obstacle(forwards):
            self._hub_problems = (obstacle,)
            return
        if not hub.offers_jetstream:
            # What the hub is interested in comes right behind its INFO.
            await asyncio.sleep(INTEREST_S)
            if self.hub is hub and not hub.offers_jetstream:
                self._hub_problems = (reason("hub_jetstream_off", "nobody takes requests of this account"),)
                return
        found: list[Reason] = []
        try:
            if problem := await hub.account_problem():
                found.append(problem)
            for forward in forwards:
                problem = await hub.check_forward(forward)
                if problem is None:
                    problem = await self._stuck(hub, forward)
                if problem is not None:
                    found.append(problem)
        except NoAnswer as error:
            logger.debug("uplink look name=%s %s", self.definition.name, error)
            return
        except msgspec.MsgspecError as error:
            found.append(reason("protocol", str(error)))
        if self.hub is hub:
            self._hub_problems = tuple(found)

    async def _stuck(self, hub: Hub, forward: Forward) -> Reason | None:
        meter = self.meters[forward.stream]
        if not meter.state.messages or forward.stream in self.held or time.monotonic() - meter.still_since_s < STUCK_S:
            return None
        try:
            said = await hub.source_error(forward)
        except ApiRefused as refused:
            said = str(refused)
        return reason("forward_stuck", said or f"nothing of {forward.stream} went for {STUCK_S:g} s")

    async def _probe(self) -> None:
        hub = self.hub
        assert hub is not None
        is_off = not hub.offers_jetstream
        if is_off or not hub.domain or not hub.own_domain or hub.domain == hub.own_domain:
            # There is no JetStream that could be asked; the link's own pings say whether it lives.
            await asyncio.sleep(PROBE_S)
            return
        link = hub.link
        sent_s, messages, received = time.monotonic(), link.in_msgs, link.in_bytes
        if self.probe is None:
            link.ask_alive()
        try:
            result = await hub.probe()
        except ApiRefused as refused:
            self._silent_probes = 0
            if not self._hub_problems:
                self._hub_problems = (reason("hub_jetstream_off", f"the hub says: {refused}"),)
            return
        except (NoAnswer, msgspec.MsgspecError) as error:
            self._not_answered(link, sent_s, moved=link.in_msgs > messages, received=received, error=error)
            return
        if self.hub is hub:
            self.probe, self.probe_ns, self._silent_probes = result, time.time_ns(), 0

    def _not_answered(self, link: DialledLink, sent_s: float, *, moved: bool, received: int, error: Exception) -> None:
        """On a thin line a probe waits behind the backlog: as long as the hub says anything, it is slow, not silent."""
        logger.debug("uplink probe name=%s %s", self.definition.name, error)
        if moved:
            self._silent_probes = 0
            return
        if self.probe is None and link.last_activity_ns > int(sent_s * 1e9):
            # It answers pings, and its JetStream has never answered on this link: there is none for us.
            self._hub_problems = (reason("hub_jetstream_off", str(error)),)
            return
        if not self._silent_probes:
            self._silent_since_s, self._bytes_when_silent = sent_s, received
        self._silent_probes += 1
        silent_s = time.monotonic() - self._silent_since_s
        if silent_s > SILENT_CLOSE_S and link.in_bytes == self._bytes_when_silent and not link.closed:
            text = f"the hub said nothing for {silent_s:.0f} s"
            link.end_with(Failure(FailureKind.STALE, text))


async def make_buffer(requests: Requests, forward: Forward) -> Reason | None:
    """See that the local work queue is there and is one. Existing streams are used as they are, if they fit."""
    config = {
        "name": forward.stream,
        "subjects": list(forward.subjects),
        "retention": "workqueue",
        "discard": "new",
        "max_bytes": forward.buffer_bytes,
        "storage": "file",
    }
    try:
        try:
            info = await requests.api("$JS.API", f"STREAM.INFO.{forward.stream}")
        except ApiRefused:
            await requests.api("$JS.API", f"STREAM.CREATE.{forward.stream}", config)
            return None
    except ApiRefused as refused:
        return reason("buffer_missing", str(refused))
    except (NoAnswer, msgspec.MsgspecError) as error:
        return reason("buffer_missing", f"{error}; is JetStream enabled for the account of this uplink?")
    return _misfit(forward, info.get("config"))


def _misfit(forward: Forward, config: object) -> Reason | None:
    if not isinstance(config, dict) or config.get("retention") != "workqueue":
        return reason("buffer_missing", f"stream {forward.stream} exists and is no work queue; choose another --stream")
    taken = [str(subject) for subject in listed(config, "subjects")]
    if not all(any(subjects.is_subset(wanted, one) for one in taken) for wanted in forward.subjects):
        text = f"stream {forward.stream} exists and listens on {', '.join(taken)}; choose another --stream"
        return reason("buffer_missing", text)
    return None
