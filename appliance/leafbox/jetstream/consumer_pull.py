"""Consumer, middle part: pull requests, from the body of a request to its last status message, and priority groups."""

from __future__ import annotations

from leafbox.dataplane.consumer_requests import PullRequest
from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.alarm import Alarm
from leafbox.jetstream.consumer_record import ConsumerRecord
from leafbox.jetstream.context import API_LEVEL
from leafbox.jetstream.names import nuid
from leafbox.jetstream.pull_requests import BadPullRequest, parse_pull_request
from leafbox.protocol.jetstream import headers
from leafbox.protocol.jetstream.consumer_config import PriorityPolicy
from leafbox.protocol.jetstream.go_time import format_duration


class PullConsumer(ConsumerRecord):
    """The side of a consumer that is asked; push consumers refuse. `Consumer` sets the fields."""

    alarm: Alarm
    pinned_ns: int
    pin_expires_ns: int

    # -- pull requests ------------------------------------------------------------------------------------------------

    def request(self, reply: bytes, header: bytes, body: bytes) -> None:
        """A pull request; refusals are status messages to `reply`."""
        if not reply:
            return
        if headers.requires_higher_level(header, API_LEVEL):
            self.status(reply, headers.status(412, "Required Api Level"))
            return
        waiting, now = self.waiting, now_ns()
        if waiting is None:
            self.status(reply, headers.status(409, "Consumer is push based"))
            return
        self.last_used_ns = now
        try:
            request = parse_pull_request(reply, body, now)
        except BadPullRequest as error:
            self.status(reply, headers.status(400, f"Bad Request - {error}"))
            return
        refusal = self._refusal(request, now)
        if refusal is not None:
            self.status(reply, refusal)
            return
        if waiting.is_full:
            self.sweep_requests(now)
        if request.no_wait and self._nothing_for(request):
            return
        if not waiting.add(request):
            if not request.heartbeat_ns:
                self.status(reply, headers.status(409, "Exceeded MaxWaiting"))
            return
        if request.no_wait:
            self.watches_drain = True
        self.alarm.set(request.expires_ns)
        self.alarm.set(request.next_heartbeat_ns)
        self.wake()

    def _refusal(self, request: PullRequest, now: int) -> bytes | None:
        config = self.config
        if 0 < config.max_batch < request.batch:
            return headers.status(409, f"Exceeded MaxRequestBatch of {config.max_batch}")
        if request.expires_ns and 0 < config.max_expires < request.expires_ns - now:
            return headers.status(409, f"Exceeded MaxRequestExpires of {format_duration(config.max_expires)}")
        if 0 < config.max_bytes < request.bytes_left:
            return headers.status(409, f"Exceeded MaxRequestMaxBytes of {config.max_bytes}")
        if not request.has_group:
            return None
        policy, bad = config.priority_policy, "Bad Request - "
        if (request.min_pending or request.min_ack_pending) and policy is not PriorityPolicy.OVERFLOW:
            return headers.status(400, bad + "Not a Overflow Priority consumer")
        if request.pin_id and policy is not PriorityPolicy.PINNED_CLIENT:
            return headers.status(400, bad + "Not a Pinned Client Priority consumer")
        if not 0 <= request.priority <= 9:
            return headers.status(400, bad + "Priority must be between 0 and 9")
        if policy is PriorityPolicy.NONE:
            return None
        if not request.group:
            return headers.status(400, bad + "Priority Group missing")
        if request.group not in config.priority_groups:
            return headers.status(400, bad + "Invalid Priority Group")
        if self.pin_id and request.pin_id:
            if request.pin_id != self.pin_id:
                return headers.status(423, "Nats-Pin-Id mismatch")
            self.pin_expires_ns = now + config.priority_timeout
        return None

    def _nothing_for(self, request: PullRequest) -> bool:
        """Answer a no_wait request at once when there is nothing, or others will take it all."""
        assert self.waiting is not None
        available = self.num_pending() + self.queued_redeliveries()
        if available == 0 and not request.expires_ns:
            self.status(request.reply, headers.status(404, "No Messages"))
            return True
        if available > 0 and available < sum(other.batch for other in self.waiting):
            self.status(request.reply, headers.status(408, "Requests Pending"))
            return True
        return False

    def queued_redeliveries(self) -> int:
        """Messages that wait to be delivered again."""
        return self.redelivery_count

    def sweep_requests(self, now: int, ends_no_wait: bool = False) -> None:
        """Expire requests, drop those nobody listens to, send their heartbeats.

        `ends_no_wait`: a timer rang, so requests that do not wait and got something are done (as in nats-server).
        """
        if self.waiting is None:
            return
        for request in self.waiting:
            if request.expires_ns and request.expires_ns <= now:
                self.waiting.remove(request)
                self.on_expired(request)
            elif ends_no_wait and request.no_wait and (request.delivered or not request.expires_ns):
                self.waiting.remove(request)
                self.status(request.reply, headers.status(404, "No Messages"))
            elif not self.has_listener(request.reply):
                self.waiting.remove(request)
            elif request.next_heartbeat_ns and request.next_heartbeat_ns <= now:
                request.next_heartbeat_ns = now + request.heartbeat_ns
                self.heartbeat(request.reply)

    def on_drained(self, is_stalled: bool) -> None:
        """Nothing more for now: no_wait requests that got something, or never meant to wait, are done."""
        assert self.waiting is not None
        left = False
        for request in self.waiting:
            if not request.no_wait:
                continue
            if not is_stalled and (not request.expires_ns or request.delivered):
                self.waiting.remove(request)
                self.status(request.reply, headers.status(404, "No Messages"))
            else:
                left = True
        self.watches_drain = left

    def on_expired(self, request: PullRequest) -> None:
        """408 with what is left of the request."""
        self.status(request.reply, _with_rest(408, "Request Timeout", request))

    def on_shutdown(self, request: PullRequest) -> None:
        """409: the server stops."""
        self.status(request.reply, _with_rest(409, "Server Shutdown", request))

    def on_too_large(self, request: PullRequest) -> None:
        """409: the next message is larger than the request allows."""
        self.status(request.reply, _with_rest(409, "Message Size Exceeds MaxBytes", request))

    def on_batch_completed(self, request: PullRequest) -> None:
        """409: all messages came, bytes are left."""
        self.status(request.reply, _with_rest(409, "Batch Completed", request))

    def on_next_request(self, reply: bytes, request: bytes) -> None:
        """`+NXT` with an acknowledgement."""
        self.request(reply, b"", request)

    # -- priority groups ----------------------------------------------------------------------------------------------

    def on_priority(self, request: PullRequest) -> bool | None:
        """Serve (True), pass over (None) or drop (False) the request at the head."""
        policy = self.config.priority_policy
        if policy is PriorityPolicy.OVERFLOW and (request.min_pending or request.min_ack_pending):
            pending = self.num_pending() + 1
            if 0 < request.min_pending <= pending or 0 < request.min_ack_pending <= self.pending.count:
                return True
            return None
        if policy is not PriorityPolicy.PINNED_CLIENT:
            return True
        if request.pin_id == self.pin_id and self.pin_id:
            return True
        if request.pin_id:
            self.status(request.reply, _with_rest(423, "Nats-Wrong-Pin-Id", request))
            return False
        if self.pin_id:
            return None
        if request.group:
            self._pin(request)
        return True

    def _pin(self, request: PullRequest) -> None:
        self.pin_id = request.pin_id = nuid()
        self.pinned_ns = now_ns()
        self.pin_expires_ns = self.pinned_ns + self.config.priority_timeout
        self.alarm.set(self.pin_expires_ns)
        self.stream.advisories.group_event(
            "PINNED", self.stream.name, self.name, {"group": request.group, "pinned_id": self.pin_id}
        )

    def unpin(self, group: str, reason: str) -> None:
        """Take the pin; `reason` is `admin` or `timeout`."""
        self.pin_id = ""
        self.pinned_ns = self.pin_expires_ns = 0
        self.stream.advisories.group_event("UNPINNED", self.stream.name, self.name, {"group": group, "reason": reason})
        self.wake()


def _with_rest(code: int, description: str, request: PullRequest) -> bytes:
    return headers.status(
        code,
        description,
        Nats_Pending_Messages=request.batch,
        Nats_Pending_Bytes=request.bytes_left,
    )
