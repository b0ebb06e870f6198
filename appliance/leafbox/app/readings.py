"""What devices said last, kept by the box so that it is there when a page opens: value, subject, rate, trend.

One receiver (`dataplane.last_readings`) under every rule by which a device may publish, put into the index past
`Account.add`, which would tell the links: no hub sends its traffic for it. The newest message is looked at every
`SAMPLE_S` seconds; a value that is a number becomes a point of the trend. Kept are the readings of READINGS_MAX
devices; what more devices say is not. The file is written at the stop and once an hour, so a power cut costs the trend
of an hour and the last words of who has been silent since.

Not here: credentials and rights (`devices`).
"""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from leafbox.broker.account import Account
from leafbox.dataplane.last_readings import LastReadings, Reading
from leafbox.dataplane.routing import Receiver, Subscription
from leafbox.protocol.jetstream.go_json import Json, JsonObject
from leafbox.security.device_users import DeviceUser

logger = logging.getLogger(__name__)

FILE_NAME = "device-readings.json"
READINGS_MAX = 1000
"""Devices whose readings are kept, some 2 KB each; a list with more is not read by eye."""
POINTS_MAX = 120
"""Of a trend: a small line has no more pixels to tell apart. Ten minutes."""
SAMPLE_S = 5.0
SAVE_S = 3600.0
"""A file of 200 devices has 0.1 MB, so this costs the flash 2.5 MB a day."""
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


class Kept(msgspec.Struct):
    """One device in the file."""

    name: str
    subject: str = ""
    value: str = ""
    at_s: float = 0.0
    points: list[float] = []


@dataclass(slots=True)
class Trend:
    """One device now."""

    reading: Reading = field(default_factory=Reading)
    kept: Kept = field(default_factory=lambda: Kept(""))
    counted: int = 0
    per_s: float = 0.0
    points: deque[float] = field(default_factory=lambda: deque(maxlen=POINTS_MAX))


class DeviceReadings:
    """The readings of one box; belongs to the loop. `users` are the devices, `account` finds an account by its name."""

    def __init__(
        self, directory: Path, users: Mapping[str, DeviceUser], account: Callable[[str], Account | None]
    ) -> None:
        self._path = directory / FILE_NAME
        self._users = users
        self._account = account
        self._table = LastReadings(self._find)
        self._subscriptions: dict[tuple[str, str], Subscription] = {}
        self._trends: dict[str, Trend] = {}
        self._sampled_s = self._saved_s = time.monotonic()
        self._is_changed = False
        for kept in self._load():
            if kept.name in users and len(self._trends) < READINGS_MAX:
                self._trends[kept.name] = Trend(kept=kept, points=deque(kept.points, maxlen=POINTS_MAX))

    def _load(self) -> list[Kept]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[Kept])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            # Nothing depends on it: it fills again.
            logger.warning("readings of devices cannot be read path=%s reason=%s", self._path, error)
            return []

    # -- listening ----------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Devices or accounts have changed: listen where devices may publish now, forget those that are gone."""
        wanted = {(user.account, subject) for user in self._users.values() for subject in user.publish}
        for key, subscription in list(self._subscriptions.items()):
            if key not in wanted or self._account(key[0]) is not subscription.account:
                subscription.closed = True
                subscription.account.sublist.remove(subscription.subject, None, subscription)
                del self._subscriptions[key]
        for key in wanted - self._subscriptions.keys():
            account = self._account(key[0])
            if account is not None:
                subscription = Subscription(account, self._table, key[1].encode())
                account.sublist.insert(subscription.subject, None, subscription)
                self._subscriptions[key] = subscription
        for name in self._trends.keys() - self._users.keys():
            del self._trends[name]
        self._table.by_sender.clear()

    def _find(self, sender: Receiver) -> Reading | None:
        identity = getattr(sender, "identity", None)
        name = getattr(identity, "name", None)
        if not isinstance(name, str) or name not in self._users:
            return None
        trend = self._trends.get(name)
        if trend is None:
            if len(self._trends) >= READINGS_MAX:
                return None
            trend = self._trends[name] = Trend(kept=Kept(name))
        trend.kept.name = name
        return trend.reading

    # -- time ---------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Called about once a second."""
        now_s = time.monotonic()
        table = self._table.by_sender
        for sender in [each for each in table if getattr(each, "closed", False)]:
            del table[sender]
        if now_s - self._sampled_s >= SAMPLE_S:
            elapsed_s, self._sampled_s = now_s - self._sampled_s, now_s
            # A reload may have taken an account away or put another one in its place.
            self.refresh()
            for trend in self._trends.values():
                self._sample(trend, elapsed_s)
        if now_s - self._saved_s >= SAVE_S:
            self._saved_s = now_s
            self.save()

    def _sample(self, trend: Trend, elapsed_s: float) -> None:
        fresh = trend.reading.count - trend.counted
        trend.per_s = fresh / elapsed_s
        if not fresh:
            return
        trend.counted = trend.reading.count
        self._take(trend)
        number = number_in(trend.kept.value)
        if number is not None:
            trend.points.append(number)

    def _take(self, trend: Trend) -> None:
        """The newest message, as text."""
        value = text_of(trend.reading.value)
        trend.kept.subject = trend.reading.subject.decode("utf-8", "replace")
        trend.kept.value = f"{value} …" if trend.reading.size > len(trend.reading.value) else value
        trend.kept.at_s = time.time()
        self._is_changed = True

    def save(self) -> None:
        """Write the file if anything was heard since."""
        if not self._is_changed:
            return
        for trend in self._trends.values():
            trend.kept.points = list(trend.points)
        content = msgspec.json.encode([trend.kept for trend in self._trends.values()])
        part = self._path.with_suffix(".part")
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            part.replace(self._path)
        except OSError as error:
            logger.warning("readings of devices not kept path=%s reason=%s", self._path, error)
            return
        self._is_changed = False

    # -- telling ------------------------------------------------------------------------------------------------------

    def document(self, name: str) -> JsonObject:
        """What a device said last; empty for one that said nothing."""
        trend = self._trends.get(name)
        if trend is None:
            return {}
        if trend.reading.count and text_of(trend.reading.value) != trend.kept.value:
            # Newer than the last sample.
            self._take(trend)
        points: list[Json] = [*trend.points]
        return {
            "last_subject": trend.kept.subject,
            "last_value": trend.kept.value,
            "last_value_s": trend.kept.at_s,
            "messages_per_s": round(trend.per_s, 2),
            "sparkline": points,
        }


def text_of(value: bytes) -> str:
    """A payload for people: text without line breaks, or hexadecimal."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        if error.start < len(value) - 3:
            return value[:32].hex(" ")
        # Only the cut went through a character.
        text = value[: error.start].decode()
    return " ".join(text.split()) if all(each.isprintable() or each.isspace() for each in text) else value[:32].hex(" ")


def number_in(text: str) -> float | None:
    """The number a reading is about: `21.5`, `21.5 °C`, the first number of a JSON object (`{"t": 21.5}`)."""
    if text.startswith("{"):
        try:
            decoded = msgspec.json.decode(text, type=dict[str, object])
        except (msgspec.DecodeError, RecursionError):
            return None
        numbers = (each for each in decoded.values() if isinstance(each, (int, float)) and not isinstance(each, bool))
        return next(map(float, numbers), None)
    found = NUMBER.search(text)
    number = float(found[0]) if found is not None else math.nan
    return number if math.isfinite(number) else None
