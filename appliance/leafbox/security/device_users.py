"""Users that were made for devices, beside those of the configuration file: each with a secret and rights of its own.

A device's secret is made by us, 128 random bits, so a salted digest of it is enough: two hundred sensors that come back
at once are checked in microseconds each, where a slow hash would take minutes of a small board.

Not here: where they are kept and who makes them (`app.devices`).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field

from leafbox.broker.config import GLOBAL_ACCOUNT, Permissions, SubjectPermission
from leafbox.security.authentication import (
    USER_REMOVED,
    WRONG_SECRET,
    Authenticator,
    Authority,
    ConnectionFacts,
    Credentials,
    Decision,
    Identity,
    ListenerRules,
    Proof,
)
from leafbox.security.config import SecurityOptions
from leafbox.security.operator import OperatorMode
from leafbox.security.passwords import PasswordVerifier

SECRET_BYTES = 16
SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class DeviceUser:
    """One device's credential and rights; the subjects are NATS subjects."""

    name: str
    salt: str = field(repr=False)
    digest: str = field(repr=False)
    account: str = GLOBAL_ACCOUNT
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    created_s: float = 0.0

    def matches(self, password: str) -> bool:
        """Whether this is the device's secret."""
        return hmac.compare_digest(digest_of(self.salt, password), self.digest)

    @property
    def identity(self) -> Identity:
        """Who a connection with this credential is."""
        permissions = Permissions(SubjectPermission(self.publish), SubjectPermission(self.subscribe))
        return Identity(
            self.name, self.account, permissions, proof=Proof.PASSWORD, secret_fingerprint=bytes.fromhex(self.digest)
        )


def new_secret() -> tuple[str, str, str]:
    """A password, its salt and its digest. The password is letters and digits, to be typed into any firmware."""
    password = secrets.token_hex(SECRET_BYTES)
    salt = secrets.token_hex(SALT_BYTES)
    return password, salt, digest_of(salt, password)


def digest_of(salt: str, password: str) -> str:
    """Salted SHA-256, in hex."""
    return hashlib.sha256(bytes.fromhex(salt) + password.encode("utf-8", "surrogatepass")).hexdigest()


class DeviceAuthenticator(Authenticator):
    """The configured users' decision, after devices have been looked for.

    `devices` is read at each decision: a device that was made or revoked counts at once. `seen` remembers when each
    was let in last. In operator mode devices are not asked for: there only JWTs count.
    """

    def __init__(
        self,
        options: SecurityOptions,
        passwords: PasswordVerifier,
        devices: Mapping[str, DeviceUser],
        seen: dict[str, float],
        *,
        operator: OperatorMode | None = None,
        callout: Authority | None = None,
        maps_certificates_somewhere: bool = False,
    ) -> None:
        super().__init__(
            options,
            passwords,
            operator=operator,
            callout=callout,
            maps_certificates_somewhere=maps_certificates_somewhere,
        )
        self._devices = devices
        self._seen = seen
        self._is_operator_mode = options.operator.is_enabled

    def authenticate(self, credentials: Credentials, facts: ConnectionFacts) -> Decision | Awaitable[Decision]:
        """A device by its name and secret, else the configured users."""
        device = None if self._is_operator_mode else self._devices.get(credentials.user)
        if device is None:
            return super().authenticate(credentials, facts)
        if not device.matches(credentials.password):
            return WRONG_SECRET
        self._seen[device.name] = time.time()
        return device.identity

    def still_authorised(self, identity: Identity, facts: ConnectionFacts) -> Decision:
        """A device stays as long as its secret does."""
        device = None if self._is_operator_mode else self._devices.get(identity.name)
        if device is None:
            return super().still_authorised(identity, facts)
        current = device.identity
        return current if current.secret_fingerprint == identity.secret_fingerprint else USER_REMOVED

    def recalled(self, name: str, account: str, rules: ListenerRules) -> Decision:
        """A device's rights today, however it came in before a restart."""
        device = None if self._is_operator_mode else self._devices.get(name)
        return device.identity if device is not None else super().recalled(name, account, rules)
