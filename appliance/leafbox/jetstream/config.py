"""Configuration of JetStream: where it stores, how much, how durable, and server-wide limits.

Values only. Source: nats-server 2.15.1 `server/opts.go`, `server/jetstream.go`. Where Leafbox is stricter than
nats-server (an acknowledgement always means the data is on flash) the field says so.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class StoreCipher(enum.Enum):
    """Cipher of encryption at rest."""

    CHACHA = "chacha"
    AES = "aes"


class AcknowledgeAfter(enum.Enum):
    """What has happened to a message of a file stream before it is acknowledged."""

    SYNC = "sync"
    """It is on the flash: the sync that covers it has ended."""
    WRITE = "write"
    """The operating system has it: a power cut loses what was not synced yet."""


@dataclass(frozen=True, slots=True)
class TpmOptions:
    """Encryption key sealed in a TPM (read, but not supported here)."""

    keys_file: str = ""
    """File of the sealed key."""
    encryption_password: str = field(default="", repr=False)
    """Password that encrypts the key."""
    srk_password: str = field(default="", repr=False)
    """Password of the storage root key."""
    pcr: int = 0
    """Platform configuration register the key is bound to."""


@dataclass(frozen=True, slots=True)
class JetStreamServerLimits:
    """Upper bounds for every stream and consumer of the server."""

    ack_pending_max: int = 0
    """Largest `max_ack_pending` a consumer may ask for; 0: no bound."""
    ha_assets_max: int = 0
    """Replicated assets; without clustering it changes nothing."""
    request_batch_max: int = 0
    """Largest pull batch; 0: no bound."""
    duplicate_window_max_s: float = 0.0
    """Longest duplicate window of a stream, seconds; 0: no bound. The window costs memory per message id."""
    consumers_default_max: int = 1000
    """Consumers of a stream that does not say `max_consumers`."""
    batches_inflight_per_stream_max: int = 50
    """Open atomic batches of one stream."""
    batches_inflight_max: int = 1000
    """Open atomic batches of the server."""
    batch_messages_max: int = 1000
    """Messages of one atomic batch."""
    batch_timeout_s: float = 10.0
    """Seconds an unfinished atomic batch is kept."""


@dataclass(frozen=True, slots=True)
class JetStreamOptions:
    """The durable part of the server."""

    is_enabled: bool = False
    """Streams and consumers are available."""
    store_directory: str = ""
    """Directory of the store; empty: `<temporary directory>/nats`, which a reboot may wipe."""
    memory_bytes_max: int = -1
    """Bytes of memory streams; -1: three quarters of the RAM."""
    storage_bytes_max: int = -1
    """Bytes of file streams; -1: three quarters of the free flash."""
    domain: str = ""
    """Name of this JetStream for others; needed to be reached over a leaf link."""
    is_strict: bool = True
    """Refuse unknown fields in API requests."""
    acknowledge_after: AcknowledgeAfter = AcknowledgeAfter.SYNC
    """`sync`: acknowledged is on the flash. `write`: faster on slow flash, but a power cut or kernel crash loses up to
    a second of acknowledged messages, consumer progress and changes; a crash of Leafbox alone loses nothing."""
    sync_interval_s: float = 120.0
    """Seconds between syncs in nats-server; kept for reports. Here `acknowledge_after` says what waits for a sync."""
    is_sync_always: bool = False
    """Sync each message before acknowledging it; what Leafbox does in any case."""
    encryption_key: str = field(default="", repr=False)
    """Key of encryption at rest; lose it and the store is lost."""
    previous_encryption_key: str = field(default="", repr=False)
    """Key the store was written with before a change of key."""
    cipher: StoreCipher = StoreCipher.CHACHA
    """Cipher of encryption at rest; ChaCha is the fast one on CPUs without AES instructions."""
    tpm: TpmOptions | None = None
    """Key from a TPM."""
    extension_hint: str = ""
    """`will_extend`/`no_extend`: intent about sharing a JetStream meta group; without clustering no effect."""
    unique_tag: str = ""
    """Tag prefix for placing replicas; without clustering no effect."""
    limits: JetStreamServerLimits = JetStreamServerLimits()
    """Upper bounds for all accounts."""
    catchup_bytes_max: int = 0
    """Catch-up traffic between replicas; without clustering no effect."""
    buffered_bytes_max: int = 134_217_728
    """Bytes queued for one stream before publishes are refused; bounds memory when flash is slow."""
    buffered_messages_max: int = 100_000
    """Messages queued for one stream before publishes are refused."""
    request_queue_max: int = 10_000
    """Waiting API requests; further ones are dropped."""
    info_queue_max: int = 10_000
    """Waiting INFO requests; further ones are dropped."""
    meta_compact: int = 0
    """Meta log compaction threshold, entries; without clustering no effect."""
    meta_compact_bytes: int = 0
    """Meta log compaction threshold, bytes; without clustering no effect."""
    is_meta_compact_sync: bool = False
    """Sync meta compaction; without clustering no effect."""
    concurrent_io_max: int = 4096
    """Disk operations at once in nats-server; Leafbox has one committer thread, so no effect."""
    default_domains: dict[str, str] = field(default_factory=dict)
    """Account name to the JetStream domain its clients use by default."""
