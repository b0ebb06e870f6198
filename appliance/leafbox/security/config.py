"""Configuration of security: TLS, users, tokens, auth callout, operator mode, trusted proxies, OCSP.

Values only. Passwords and tokens are held as written in the file (plain or bcrypt); they must never be logged, so the
fields that hold secrets are left out of `repr`.
Source: nats-server 2.15.1 `server/opts.go`, `server/auth.go`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from leafbox.broker.config import GLOBAL_ACCOUNT, ConnectionType, Permissions


class OcspMode(enum.Enum):
    """When the server staples OCSP responses."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"
    MUST = "must"


class ResolverKind(enum.Enum):
    """Where account JWTs come from in operator mode."""

    MEMORY = "memory"
    URL = "url"
    FULL = "full"
    CACHE = "cache"


@dataclass(frozen=True, slots=True)
class CertificatePair:
    """One certificate chain and its private key."""

    cert_file: str
    """Path of the PEM certificate chain."""
    key_file: str
    """Path of the PEM private key."""


@dataclass(frozen=True, slots=True)
class OcspPeerOptions:
    """Check of the peer's certificate against its OCSP responder."""

    is_enabled: bool = False
    """Verify client certificates (server side) or the server's (client side)."""
    ca_timeout_s: float = 2.0
    """Seconds to wait for the responder."""
    allowed_clock_skew_s: float = 30.0
    """Seconds the responder's clock may differ; a box without RTC needs time synchronisation first."""
    is_warn_only: bool = False
    """Log instead of refusing a revoked peer."""
    is_unknown_good: bool = False
    """Treat the answer "unknown" as good."""
    is_unreachable_good: bool = False
    """Treat an unreachable responder as good (an attacker who can block it gets in)."""
    ttl_unset_next_update_s: float = 3600.0
    """Seconds a response without `nextUpdate` is cached."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """One `tls {}` block; the same keys serve listeners and outgoing links."""

    cert_file: str = ""
    """Path of the PEM certificate chain; re-read at every reload."""
    key_file: str = ""
    """Path of the PEM private key; keep it readable by the server's user only."""
    certificates: tuple[CertificatePair, ...] = ()
    """Several pairs, chosen by the client's SNI; not together with `cert_file`."""
    ca_file: str = ""
    """PEM bundle that verifies the peer; empty: the system's store."""
    is_peer_verified: bool = False
    """Demand a certificate from connecting clients."""
    is_peer_mapped_to_user: bool = False
    """Demand a certificate and find the user by it (SAN email, DNS, URI, then subject DN)."""
    are_known_urls_checked: bool = False
    """Routes and gateways only: the peer's certificate must name a configured URL."""
    is_insecure: bool = False
    """Outgoing links only: do not verify the server. Anyone on the path can then read and change the traffic."""
    timeout_s: float = 2.0
    """Seconds for the handshake; 2 s as nats-server. Raise it for RSA-4096 on a slow CPU or a satellite link."""
    cipher_suites: tuple[str, ...] = ()
    """TLS 1.2 suites by IANA name; empty: the safe default list."""
    are_insecure_ciphers_allowed: bool = False
    """Accept suites known to be weak in `cipher_suites`."""
    curve_preferences: tuple[str, ...] = ()
    """Key-exchange groups, most wanted first; empty: the default list."""
    version_min: str = "1.2"
    """Lowest TLS version, "1.2" or "1.3"."""
    pinned_certs: frozenset[str] = frozenset()
    """Lower-case hex SHA-256 of accepted public keys (SubjectPublicKeyInfo); empty: no pinning."""
    is_handshake_first: bool = False
    """Start TLS before sending INFO; clients need a matching option."""
    handshake_first_fallback_s: float = 0.0
    """Seconds to wait for a ClientHello before sending INFO after all; 0: never fall back."""
    connections_per_second_max: int = 0
    """New TLS connections a second; 0: no limit. Protects a small CPU against handshake floods."""
    ocsp_peer: OcspPeerOptions | None = None
    """OCSP check of the peer."""


@dataclass(frozen=True, slots=True)
class UserOptions:
    """One user: with name and password, or with an NKey."""

    name: str = ""
    """User name; empty for an NKey user."""
    password: str = field(default="", repr=False)
    """Password in clear or as bcrypt hash (`$2a$...`); clear text is warned about at start."""
    nkey: str = ""
    """Public user key (`U...`); empty for a password user."""
    account: str = GLOBAL_ACCOUNT
    """Account the user's connections live in."""
    permissions: Permissions | None = None
    """Own permissions; not given: those of `default_permissions`, else everything is allowed."""
    allowed_connection_types: frozenset[ConnectionType] = frozenset()
    """Kinds of connection this user may open; empty: all."""
    is_proxy_required: bool = False
    """Only through a trusted proxy."""


@dataclass(frozen=True, slots=True)
class SimpleAuthorization:
    """The `authorization {}` block of the WebSocket and MQTT listeners: one user or one token."""

    username: str = ""
    """The only accepted user; empty: the server's users count."""
    password: str = field(default="", repr=False)
    """Its password, clear or bcrypt."""
    token: str = field(default="", repr=False)
    """The only accepted token."""
    timeout_s: float = 0.0
    """Seconds to authenticate; 0: the client listener's."""


@dataclass(frozen=True, slots=True)
class AuthCalloutOptions:
    """Authentication delegated to a NATS service (ADR-26)."""

    issuer: str
    """Public account key (`A...`) that signs the answers."""
    auth_users: tuple[str, ...]
    """Users (names or NKeys) that bypass the callout: at least the service itself."""
    account: str = GLOBAL_ACCOUNT
    """Account the requests are published in."""
    xkey: str = ""
    """Public curve key (`X...`) of the service; requests are then encrypted to it."""
    allowed_accounts: tuple[str, ...] = ()
    """Accounts whose configured users are asked about, beside the global one; empty: all."""


@dataclass(frozen=True, slots=True)
class ResolverOptions:
    """Source of account JWTs in operator mode."""

    kind: ResolverKind
    """In memory (preloaded), an HTTP endpoint, or a directory kept in sync or as a cache."""
    url: str = ""
    """Base URL of an HTTP resolver; the account key is appended."""
    directory: str = ""
    """Directory of `<account>.jwt` files."""
    is_delete_allowed: bool = False
    """Accept signed delete requests."""
    is_delete_final: bool = False
    """Remove deleted JWTs instead of renaming them."""
    accounts_max: int = 0
    """JWTs kept in the directory; 0: 10,000 (full) or 1000 (cache)."""
    sync_interval_s: float = 0.0
    """Seconds between synchronisations with peers; 0: one minute."""
    ttl_s: float = 0.0
    """Seconds a cached JWT is used without a new look at the next login; 0: until it expires."""
    fetch_timeout_s: float = 1.9
    """Seconds to wait for a lookup."""


@dataclass(frozen=True, slots=True)
class OperatorOptions:
    """Operator (JWT) mode: who is trusted to issue accounts. Nothing configured: the mode is off."""

    operators: tuple[str, ...] = ()
    """Operator JWTs, or paths of files that hold one."""
    trusted_keys: tuple[str, ...] = ()
    """Public operator keys (`O...`) trusted without an operator JWT."""
    resolver: ResolverOptions | None = None
    """Where account JWTs come from."""
    resolver_tls: TlsOptions | None = None
    """TLS towards an HTTP resolver."""
    resolver_preload: dict[str, str] = field(default_factory=dict)
    """Account key to account JWT, known from the start."""
    resolver_pinned_accounts: frozenset[str] = frozenset()
    """Only users of these accounts (and of the system account) are let in; empty: of all."""
    default_sentinel: str = field(default="", repr=False)
    """Bearer user JWT used for clients that send none."""

    @property
    def is_enabled(self) -> bool:
        """Whether only JWTs authenticate."""
        return bool(self.operators or self.trusted_keys)


@dataclass(frozen=True, slots=True)
class OcspOptions:
    """OCSP stapling of the server's own certificates."""

    mode: OcspMode = OcspMode.AUTO
    """`auto` staples when the certificate demands it."""
    responder_urls: tuple[str, ...] = ()
    """Responders that replace those named in the certificate."""


@dataclass(frozen=True, slots=True)
class SecurityOptions:
    """Who may connect and how they prove it."""

    username: str = ""
    """Single user of `authorization {}`; not together with `users` or `token`."""
    password: str = field(default="", repr=False)
    """Its password, clear or bcrypt."""
    token: str = field(default="", repr=False)
    """Single shared token, clear or bcrypt."""
    users: tuple[UserOptions, ...] = ()
    """All users of `authorization {}` and of the accounts."""
    auth_timeout_s: float = 2.0
    """Seconds for CONNECT; with TLS the TLS timeout plus one second. Bounds what an idle stranger can hold open."""
    is_proxy_required: bool = False
    """The single user or token is only accepted through a trusted proxy."""
    is_authorization_block_defined: bool = False
    """The file has an `authorization {}` block, even an empty one."""
    no_auth_user: str = ""
    """User taken for clients without credentials. Danger: that user's permissions are open to the network."""
    auth_callout: AuthCalloutOptions | None = None
    """Delegated authentication."""
    operator: OperatorOptions = field(default_factory=OperatorOptions)
    """Operator (JWT) mode."""
    trusted_proxies: tuple[str, ...] = ()
    """Public keys of proxies that may vouch for clients."""
    ocsp: OcspOptions | None = None
    """OCSP stapling; not given: only if a certificate demands it."""
    ocsp_cache_type: str = "none"
    """Cache of OCSP responses: "none" or "local"."""
    ocsp_cache_directory: str = "_rc_"
    """Directory of the local OCSP cache."""

    @property
    def is_login_needed(self) -> bool:
        """Whether a client listener demands credentials."""
        return bool(
            self.username or self.token or self.users or self.auth_callout is not None or self.operator.is_enabled
        )
