"""The one table of what the log and the database hold, so that no two features pick the same number.

Record kinds live beside the compiled code that writes them (`RecordKind`); this module adds the kinds of blobs, the
small key-value entries of the features, and the names of the database's tables. Numbers are on disk: never reuse one.
"""

from __future__ import annotations

import enum

from leafbox.dataplane.journal import RecordKind

__all__ = ["DATABASE_TABLES", "FORMAT_VERSION", "BlobKind", "RecordKind"]

FORMAT_VERSION = 1
"""Written into the database; a store with another number is refused, not guessed at."""


class BlobKind(enum.IntEnum):
    """Owner of a blob; the key's shape is the owner's business (at most 400 bytes)."""

    STREAM = 1
    """JetStream: a stream's definition."""
    CONSUMER = 2
    """JetStream: a consumer's definition."""
    CONSUMER_STATE = 3
    """JetStream: what a consumer delivered and what was acknowledged; advanced by deltas."""
    MQTT_SESSION = 4
    """MQTT: a persistent session's subscriptions."""
    MQTT_SESSION_STATE = 5
    """MQTT: in-flight packets of a session; advanced by deltas."""
    MQTT_RETAINED = 6
    """MQTT: a retained message."""
    DASHBOARD_USER = 7
    """Web: a dashboard account (password hash inside)."""
    DASHBOARD_SESSION = 8
    """Web: a login, under the SHA-256 of its cookie."""
    UPLINK_CURSOR = 9
    """Leaf: how far the uplink got."""
    HISTORY = 10
    """Dashboard: a piece of a measurement's history."""
    DEVICE = 11
    """Adapters: what is known of a device."""
    SETTING = 12
    """Anything the site changed from the dashboard."""
    STREAM_SOURCES = 13
    """JetStream: how far a mirror or source has come."""
    STREAM_IDS = 14
    """JetStream: message ids of a duplicate window."""
    DASHBOARD_TOKEN = 20
    """Web: an API token, under the SHA-256 of its secret."""
    AUDIT = 21
    """Web: one change, who made it and how it ended."""


DATABASE_TABLES = (b"meta", b"streams", b"blocks", b"index", b"blobs")
"""Named LMDB databases: store facts; stream states; message blocks; block indexes; blobs."""
