"""What is wrong with the box, in plain words: named checks over one snapshot, for the dashboard and `leafbox doctor`.

A check is a pure function from `BoxSnapshot` to the issues it finds. `CHECKS` is the list; each entry carries the
stable code that programs, translations and the documentation (docs/operating/issues.md) know it by. A code is never
given to another problem. What a fix does is not in here: an issue only names it; `app/operations/fixes.py` does it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from leafbox.monitoring.box_snapshot import BoxSnapshot, CertificateFact, ConsumerFact, StreamFact
from leafbox.monitoring.machine import CLOCK_BEFORE_S

MEBIBYTE = 1 << 20
DAY_S = 86400

FLASH_WARNING_SHARE = 0.85
"""Flash and file systems slow down and wear faster when nearly full; at 95 % a day's logs may be the last straw."""
FLASH_ERROR_SHARE = 0.95
SYNC_SLOW_US = 100_000
"""A tired SD card takes hundreds of milliseconds; a good one 2 to 20."""
CERTIFICATE_WARNING_S = 21 * DAY_S
"""Time enough to notice and act; ACME renews 30 days before the end."""
LIFE_WARNING_PERCENT = 80
MEMORY_WARNING_SHARE = 0.90
TEMPERATURE_WARNING_C = 80.0
"""A Raspberry Pi begins to throttle at 80 °C and does so hard at 85."""
TEMPERATURE_ERROR_C = 85.0
UPLINK_GRACE_S = 30
"""A link that is dialled again after a hub's restart is no issue yet."""
STREAM_FULL_SHARE = 0.95
CONSUMER_STUCK_S = 300
"""Ten times the default `ack_wait`: everything was redelivered several times, and nobody acknowledged."""
RESTARTS_MANY = 3
BACKLOG_GROWTH_MIN = 1000
"""Fewer waiting messages are what a link that breathes looks like."""


class Severity(enum.Enum):
    """How bad it is."""

    CRITICAL = "critical"
    """Data is refused, lost or in danger now."""
    WARNING = "warning"
    """It will be, or something is not as it should be."""
    INFO = "info"
    """Worth knowing."""


@dataclass(frozen=True, slots=True)
class Fix:
    """Something the box can do about it by itself."""

    label: str
    """What a button says, for example `Save to flash now`."""
    is_safe: bool = True
    """Whether `doctor --fix` may do it without asking for this one by name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; the check's code and severity belong to it, unless `severity` says otherwise."""

    title: str
    cause: str
    next_step: str
    subject: str = ""
    """What it is about (a stream, a listener), where a check can find several."""
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    """One problem with its cause and next step. `code` and `subject` together say which."""

    code: str
    severity: Severity
    title: str
    cause: str
    next_step: str
    subject: str = ""
    fix: Fix | None = None


Look = Callable[[BoxSnapshot], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """A named check."""

    code: str
    severity: Severity
    about: str
    """What it looks at, for the documentation."""
    look: Look
    fix: Fix | None = None

    def issues(self, box: BoxSnapshot) -> Iterator[Issue]:
        """What it finds wrong."""
        for found in self.look(box):
            severity = found.severity or self.severity
            yield Issue(self.code, severity, found.title, found.cause, found.next_step, found.subject, self.fix)


def find_issues(box: BoxSnapshot) -> list[Issue]:
    """Everything that is wrong, the worst first, otherwise in the order of `CHECKS`."""
    order = list(Severity)
    issues = [issue for check in CHECKS for issue in check.issues(box)]
    return sorted(issues, key=lambda issue: order.index(issue.severity))


# -- access ------------------------------------------------------------------------------------------------------------


def _open_listeners(box: BoxSnapshot) -> Iterator[Finding]:
    for door in box.listeners:
        if not door.is_local and not door.is_login_required:
            yield Finding(
                f"Anyone on the network can use {door.name} without a login",
                f"The {door.name} listener on {door.host}:{door.port} is reachable from other machines and asks "
                "nobody who they are.",
                "Configure users (`authorization` or `accounts`) or listen on 127.0.0.1 only.",
                door.name,
            )


def _clear_text(box: BoxSnapshot) -> Iterator[Finding]:
    for door in box.listeners:
        if not door.is_local and door.is_login_required and not door.is_tls:
            yield Finding(
                f"Passwords travel in clear text to {door.name}",
                f"The {door.name} listener on {door.host}:{door.port} is reachable from other machines without TLS.",
                "Add a `tls` block to the listener, or listen on 127.0.0.1 only.",
                door.name,
            )


def _plain_passwords(box: BoxSnapshot) -> Iterator[Finding]:
    if box.has_plain_passwords:
        yield Finding(
            "The configuration holds passwords in clear text",
            f"Whoever reads {box.config_file or 'the configuration'}, or a backup of it, can log in.",
            "Run `leafbox passwd`, type the password, and put the line it prints in place of the password.",
        )


def _unclaimed(box: BoxSnapshot) -> Iterator[Finding]:
    if box.is_claimed is False:
        yield Finding(
            "Nobody has claimed this box yet",
            "The dashboard has no administrator, so whoever has the one-time code becomes it.",
            "Open the dashboard and enter the code that `leafbox run` printed.",
        )


def _config_readable(box: BoxSnapshot) -> Iterator[Finding]:
    if box.config_mode is not None and box.config_mode & 0o004 and box.has_plain_passwords:
        yield Finding(
            "Every user of this machine can read the passwords in the configuration",
            f"{box.config_file} has the permissions {box.config_mode:03o}.",
            f"chmod 600 {box.config_file}",
        )


def _data_readable(box: BoxSnapshot) -> Iterator[Finding]:
    if box.data_mode is not None and box.data_mode & 0o022:
        yield Finding(
            "Other users of this machine can change the data directory",
            f"{box.data_directory} has the permissions {box.data_mode:03o}.",
            f"chmod go-w {box.data_directory}",
        )


def _certificates(box: BoxSnapshot) -> Iterator[Finding]:
    for certificate in box.certificates:
        left_s = certificate.not_after_s - box.now_s
        if left_s <= 0:
            yield _certificate_finding(certificate, "has expired", Severity.CRITICAL)
        elif left_s < CERTIFICATE_WARNING_S:
            yield _certificate_finding(certificate, f"expires in {max(left_s // DAY_S, 1)} days", Severity.WARNING)


def _certificate_finding(certificate: CertificateFact, what: str, severity: Severity) -> Finding:
    return Finding(
        f"The certificate of {certificate.listener} {what}",
        f"Clients that check it refuse to connect after its end ({certificate.path}).",
        "Put a new certificate in its place and reload (`leafbox-server --signal reload` or the Config page).",
        certificate.listener,
        severity,
    )


# -- storage -----------------------------------------------------------------------------------------------------------


def _store_failing(box: BoxSnapshot) -> Iterator[Finding]:
    store = box.store
    if store is not None and store.state == "failed":
        yield Finding(
            "The storage device fails: nothing new is stored",
            f"{store.reason}. Messages are refused rather than acknowledged and lost.",
            "Replace the card or disk; make a backup first (`leafbox backup create`). The box tries again by itself.",
        )


def _store_full(box: BoxSnapshot) -> Iterator[Finding]:
    store = box.store
    if store is not None and store.state != "failed" and not store.is_accepting:
        yield Finding(
            "The storage is full: new messages are refused",
            f"{store.reason or 'The store has reached its limits'}.",
            "Purge or shrink streams, or make room on the file system; then storing goes on by itself.",
        )


def _store_damaged(box: BoxSnapshot) -> Iterator[Finding]:
    if box.store is not None and box.store.damages:
        yield Finding(
            "Some stored data does not verify",
            f"{len(box.store.damages)} findings, the first: {box.store.damages[0]}. The bytes are kept in quarantine.",
            "Look at all with `leafbox store verify`; restore a backup if the data matters. The device may be dying.",
        )


def _checkpoint_failing(box: BoxSnapshot) -> Iterator[Finding]:
    if box.store is not None and box.store.checkpoint_error:
        yield Finding(
            "The log cannot be moved into the database",
            f"{box.store.checkpoint_error}. Nothing is lost, but the log grows until it is full.",
            "Make room on the file system, or try again now.",
        )


def _store_congested(box: BoxSnapshot) -> Iterator[Finding]:
    if box.store is not None and box.store.is_congested:
        yield Finding(
            "Publishers are faster than the storage device",
            f"{box.store.unsaved_bytes // MEBIBYTE} MiB wait to be saved; publishers are being slowed down.",
            "A faster card or disk, fewer messages, or streams in memory for what need not survive a restart.",
        )


def _flash_nearly_full(box: BoxSnapshot) -> Iterator[Finding]:
    total, free = box.machine.flash_bytes, box.machine.flash_free_bytes
    if total <= 0:
        return
    used = 1 - free / total
    near_reserve = bool(box.free_bytes_min) and free < 2 * box.free_bytes_min
    if used >= FLASH_WARNING_SHARE or near_reserve:
        yield Finding(
            "The file system of the data is nearly full",
            f"{100 * used:.0f} % used, {free // MEBIBYTE} MiB free; below {box.free_bytes_min // MEBIBYTE} MiB new "
            "messages are refused.",
            "Purge or shrink streams, delete old backups, or make room.",
            severity=Severity.CRITICAL if used >= FLASH_ERROR_SHARE or near_reserve else None,
        )


def _sync_slow(box: BoxSnapshot) -> Iterator[Finding]:
    if box.sync_mean_us is not None and box.sync_mean_us > SYNC_SLOW_US:
        yield Finding(
            "The storage device is slow",
            f"A sync took {box.sync_mean_us / 1000:.0f} ms on average over the last minute; every acknowledgement "
            "waits for one.",
            "Look for another program that writes much; replace a card that used to be faster.",
        )


def _device_worn(box: BoxSnapshot) -> Iterator[Finding]:
    device = box.machine.device
    if device is None:
        return
    life = device.life_used_percent
    if device.end_of_life in ("warning", "urgent") or (life is not None and life > LIFE_WARNING_PERCENT):
        told = f"{life} % of its life used" if life is not None else f"end of life: {device.end_of_life}"
        yield Finding(
            "The flash is wearing out",
            f"{device.name} says: {told}.",
            "Make backups, and plan to replace the device.",
            severity=Severity.CRITICAL if device.end_of_life == "urgent" or (life or 0) > 100 else None,
        )


# -- machine -----------------------------------------------------------------------------------------------------------


def _clock_not_set(box: BoxSnapshot) -> Iterator[Finding]:
    if box.now_s < CLOCK_BEFORE_S:
        yield Finding(
            "The clock is not set",
            "The time is before this software was made: certificates seem not yet valid and message ages are wrong.",
            "Connect the box to a network with a time server, or fit a clock battery.",
            severity=Severity.CRITICAL,
        )
    elif box.machine.is_clock_synchronised is False:
        yield Finding(
            "The clock is not synchronised",
            "No time service disciplines it, so it drifts by seconds a day.",
            "Install and start one, for example systemd-timesyncd or chrony.",
        )


def _memory_low(box: BoxSnapshot) -> Iterator[Finding]:
    total, available = box.machine.memory_bytes, box.machine.memory_available_bytes
    if total and 1 - available / total > MEMORY_WARNING_SHARE:
        yield Finding(
            "Memory is running out",
            f"{available // MEBIBYTE} MiB of {total // MEBIBYTE} are available; the server itself uses "
            f"{box.memory_bytes // MEBIBYTE}.",
            "Stop what else runs here, or move streams from memory to flash.",
        )


def _hot(box: BoxSnapshot) -> Iterator[Finding]:
    temperature = box.machine.temperature_c
    if temperature is not None and temperature >= TEMPERATURE_WARNING_C:
        yield Finding(
            f"The processor is hot ({temperature:.0f} °C)",
            "At this temperature it slows itself down.",
            "Give it air or a heat sink, or move it out of the sun.",
            severity=Severity.CRITICAL if temperature >= TEMPERATURE_ERROR_C else None,
        )


def _undervoltage(box: BoxSnapshot) -> Iterator[Finding]:
    if box.machine.is_undervoltage:
        yield Finding(
            "The power supply is too weak",
            "The voltage fell below what the board needs; cards are corrupted and boards restart that way.",
            "Use the board's own power supply and a short, thick cable.",
        )


# -- traffic -----------------------------------------------------------------------------------------------------------


def _uplinks(box: BoxSnapshot) -> Iterator[Finding]:
    for uplink in box.uplinks:
        if uplink.state in ("waiting", "dialling", "handshake") and box.now_s - uplink.since_s > UPLINK_GRACE_S:
            yield Finding(
                f"The uplink {uplink.name} is down",
                uplink.reason or "The hub cannot be reached.",
                uplink.next_step or "Run `leafbox uplink test` to see which step fails. Stored messages wait here.",
                uplink.name,
            )


def _uplinks_stalled(box: BoxSnapshot) -> Iterator[Finding]:
    for uplink in box.uplinks:
        if uplink.state == "stalled":
            yield Finding(
                f"The uplink {uplink.name} is connected, but nothing gets through",
                uplink.reason or "The hub does not answer.",
                uplink.next_step or "Look at the hub: its JetStream, the account's limits, the stream's limits.",
                uplink.name,
            )


def _uplinks_paused(box: BoxSnapshot) -> Iterator[Finding]:
    for uplink in box.uplinks:
        if uplink.state == "paused":
            yield Finding(
                f"The uplink {uplink.name} is paused",
                "Somebody paused it; messages wait here.",
                "Resume it with `leafbox uplink resume` when the reason is gone.",
                uplink.name,
            )


def _backlog_grows(box: BoxSnapshot) -> Iterator[Finding]:
    backlog = box.backlog
    if backlog is not None and backlog.now_messages > max(2 * backlog.before_messages, BACKLOG_GROWTH_MIN):
        yield Finding(
            "More comes in than the uplink takes away",
            f"{backlog.now_messages} messages wait; {backlog.before_s // 60} minutes ago it was "
            f"{backlog.before_messages}.",
            "Look at the uplink's state and rate limit, and at how long the streams can hold out.",
        )


def _slow_consumers(box: BoxSnapshot) -> Iterator[Finding]:
    if box.slow_consumers_last_hour:
        yield Finding(
            "Clients were cut off because they read too slowly",
            f"{box.slow_consumers_last_hour} times in the last hour.",
            "Find them with `leafbox events` or on the Connections page; give them less or a JetStream consumer.",
        )


def _streams_full(box: BoxSnapshot) -> Iterator[Finding]:
    for stream in box.streams:
        if stream.refuses_when_full and _fullness(stream) >= STREAM_FULL_SHARE:
            yield Finding(
                f"The stream {stream.name} is full",
                f"It holds {stream.messages} messages, {stream.stored_bytes} bytes: {100 * _fullness(stream):.0f} % of "
                "its limit, and it is set to refuse new messages rather than drop old ones.",
                "Raise its limits, purge it, or see why nobody takes messages out.",
                f"{stream.account}/{stream.name}",
                Severity.CRITICAL if _fullness(stream) >= 1 else None,
            )


def _fullness(stream: StreamFact) -> float:
    shares = [0.0]
    if stream.max_messages > 0:
        shares.append(stream.messages / stream.max_messages)
    if stream.max_bytes > 0:
        shares.append(stream.stored_bytes / stream.max_bytes)
    return max(shares)


def _consumers_stuck(box: BoxSnapshot) -> Iterator[Finding]:
    for consumer in box.consumers:
        if _is_stuck(consumer, box):
            yield Finding(
                f"The consumer {consumer.name} of {consumer.stream} is stuck",
                f"{consumer.ack_pending} messages were delivered and are not acknowledged, so it gets no more; "
                f"{consumer.waiting_messages} wait.",
                "Look at the program that reads it: it takes messages and does not acknowledge them.",
                f"{consumer.account}/{consumer.stream}/{consumer.name}",
            )


def _is_stuck(consumer: ConsumerFact, box: BoxSnapshot) -> bool:
    is_at_limit = 0 < consumer.max_ack_pending <= consumer.ack_pending
    quiet_s = box.now_s - max(consumer.last_acknowledged_s, box.start_s)
    return is_at_limit and not consumer.is_paused and quiet_s > CONSUMER_STUCK_S


def _bridge_refusals(box: BoxSnapshot) -> Iterator[Finding]:
    for bridge in box.bridges:
        if bridge.refused_messages:
            stream = f"BRIDGE_{bridge.name}_REFUSED"
            why = f" The last one: {bridge.refused_reason}." if bridge.refused_reason else ""
            yield Finding(
                f"The other broker of the bridge {bridge.name} refuses messages",
                f"{bridge.refused_messages} messages are kept in the stream {stream}, each with the reason in its "
                f"headers.{why}",
                "Mend the cause at the other broker or here, then send them or purge the stream "
                "(docs/protocols/mqtt.md, Bridges).",
                bridge.name,
            )


def _children(box: BoxSnapshot) -> Iterator[Finding]:
    for child in box.children:
        if child.restarts_last_hour >= RESTARTS_MANY:
            yield Finding(
                f"The process {child.name} keeps ending",
                f"It was started again {child.restarts_last_hour} times in the last hour; last: {child.last_end}.",
                "See why in `leafbox logs`; the messages themselves are not affected.",
                child.name,
            )


CHECKS = (
    Check("store-failing", Severity.CRITICAL, "writing to or syncing the storage device fails", _store_failing),
    Check("store-full", Severity.CRITICAL, "the store refuses new messages for want of room", _store_full),
    Check("store-damaged", Severity.CRITICAL, "stored data whose checksum does not hold", _store_damaged),
    Check(
        "checkpoint-failing",
        Severity.WARNING,
        "the log cannot be moved into the database",
        _checkpoint_failing,
        Fix("Try again now"),
    ),
    Check("open-listener", Severity.CRITICAL, "a listener beyond this machine without a login", _open_listeners),
    Check("clear-text-listener", Severity.WARNING, "a listener beyond this machine without TLS", _clear_text),
    Check("certificate-expiring", Severity.WARNING, "certificates of the listeners", _certificates),
    Check("clock-not-set", Severity.INFO, "the clock: set, and disciplined by a time service", _clock_not_set),
    Check(
        "uplink-stalled", Severity.CRITICAL, "an uplink that is connected and lets nothing through", _uplinks_stalled
    ),
    Check("uplink-down", Severity.WARNING, "an uplink that has been down for a while", _uplinks),
    Check("backlog-growing", Severity.WARNING, "messages that wait for the uplink become more", _backlog_grows),
    Check("stream-full", Severity.WARNING, "a stream at its limit that refuses new messages", _streams_full),
    Check("consumer-stuck", Severity.WARNING, "a consumer whose reader does not acknowledge", _consumers_stuck),
    Check("flash-nearly-full", Severity.WARNING, "free space of the file system of the data", _flash_nearly_full),
    Check("sync-slow", Severity.WARNING, "how long the storage device takes to sync", _sync_slow),
    Check(
        "store-congested",
        Severity.WARNING,
        "publishers wait for the storage device",
        _store_congested,
        Fix("Save to flash now"),
    ),
    Check("flash-worn", Severity.WARNING, "the life that the flash says it has left", _device_worn),
    Check("undervoltage", Severity.CRITICAL, "the power supply (Raspberry Pi)", _undervoltage),
    Check("temperature", Severity.WARNING, "the temperature of the processor", _hot),
    Check("memory-low", Severity.WARNING, "memory of the machine", _memory_low),
    Check("process-restarting", Severity.WARNING, "dashboard and adapters that end again and again", _children),
    Check(
        "config-readable",
        Severity.WARNING,
        "a configuration with passwords that every user can read",
        _config_readable,
        Fix("Let only its owner read it"),
    ),
    Check(
        "data-writable",
        Severity.WARNING,
        "a data directory that other users can change",
        _data_readable,
        Fix("Let only its owner change it"),
    ),
    Check("plain-passwords", Severity.WARNING, "passwords in clear text in the configuration", _plain_passwords),
    Check("slow-consumers", Severity.INFO, "clients cut off for reading too slowly", _slow_consumers),
    Check("bridge-refused", Severity.WARNING, "messages that a bridge's other broker refused", _bridge_refusals),
    Check("uplink-paused", Severity.INFO, "an uplink that somebody paused", _uplinks_paused, Fix("Resume", False)),
    Check("unclaimed", Severity.INFO, "a dashboard without administrator", _unclaimed),
)


# -- in one sentence ---------------------------------------------------------------------------------------------------


def sentence(issues: list[Issue]) -> str:
    """The state of the box in one sentence."""
    bad = [issue for issue in issues if issue.severity is not Severity.INFO]
    if not bad:
        return "Everything works."
    return f"{bad[0].title}." if len(bad) == 1 else f"{bad[0].title}, and {len(bad) - 1} more."


def worst(issues: list[Issue]) -> str:
    """The worst severity there is; `ok` if nothing asks for attention."""
    severities = {issue.severity for issue in issues}
    return next((s.value for s in (Severity.CRITICAL, Severity.WARNING) if s in severities), "ok")


def state_word(issues: list[Issue]) -> str:
    """`ok`, `degraded` (warnings) or `failing` (something critical)."""
    severities = {issue.severity for issue in issues}
    if Severity.CRITICAL in severities:
        return "failing"
    return "degraded" if Severity.WARNING in severities else "ok"
