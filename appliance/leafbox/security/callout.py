"""Auth callout in configuration mode: a NATS service decides who a connection is (ADR-26).

    connection --CONNECT--> we --request JWT, signed by the server, sealed to the service's curve key--> service
    connection <--decision-- we <--response JWT, signed by the issuer, with a user JWT inside or an error-- service

The service answers for one connection only: the request names a user key made for it, and the answer counts only when
both of its tokens are about that key, the response is for this server, and both are signed by the configured issuer.
An answer that is late, empty, unsigned or for somebody else refuses the connection. Connection types and source
networks of the user JWT count here; nats-server 2.15.1 ignores them in this mode.

Source: config specification section 6.1; nats-server 2.15.1 `server/auth_callout.go`, and its behaviour in
`tests/conformance/nats/test_auth_callout.py`. Not here: how a request travels (`CalloutLink`), operator mode.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import nacl.bindings
import nacl.exceptions
import nacl.utils

from leafbox.broker.config import GLOBAL_ACCOUNT, ConnectionType, Permissions, SubjectPermission
from leafbox.protocol.jwt import InvalidJwt, decode_jwt, encode_jwt
from leafbox.protocol.nkeys import KeyPair, KeyRole, decode_public
from leafbox.security.authentication import ConnectionFacts, Credentials, Decision, Identity, Proof, Refusal
from leafbox.security.config import AuthCalloutOptions
from leafbox.security.user_claims import connection_types, is_from, objection, read_permissions, sources, window_end_s

SUBJECT = "$SYS.REQ.USER.AUTH"
XKEY_HEADER = "Nats-Server-Xkey"
AUDIENCE = "nats-authorization-request"
_SEALED = b"xkv1"
_NONCE_BYTES = 24
_JWT_BEGIN = b"eyJ"
# Logins that may wait for the service: each holds a key pair and a few kilobytes until the login timeout.
PENDING_MAX = 1000

_TYPES = {
    ConnectionType.WEBSOCKET: "websocket",
    ConnectionType.MQTT: "mqtt",
    ConnectionType.MQTT_WS: "mqtt",
}


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Who asks: the server's signing key, its curve key, and what it calls itself."""

    keys: KeyPair
    curve_keys: KeyPair
    name: str
    host: str
    version: str
    cluster: str = ""


class CalloutLink(Protocol):
    """How requests reach the service: the account's subjects."""

    async def ask(self, account: str, subject: str, header: bytes, body: bytes, timeout_s: float) -> bytes | None:
        """The answer; None when nobody serves the subject or none came in time."""
        ...


class AuthCallout:
    """An `Authority` that asks. Its awaitables end within `timeout_s` and raise nothing but cancellation."""

    def __init__(
        self,
        options: AuthCalloutOptions,
        server: ServerFacts,
        link: CalloutLink,
        timeout_s: float,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._server = server
        self._link = link
        self._timeout_s = timeout_s
        self._clock_s = clock_s
        self._pending = 0

    def decide(
        self, credentials: Credentials, facts: ConnectionFacts, so_far: Decision | None
    ) -> Decision | Awaitable[Decision]:
        """What the service says; the configured users' outcome where it is not asked."""
        assert so_far is not None
        # Who is nobody yet belongs to the global account, and that is always asked about.
        bound = so_far.account if isinstance(so_far, Identity) else GLOBAL_ACCOUNT
        scope = self._options.allowed_accounts
        is_outside = bool(scope) and bound != GLOBAL_ACCOUNT and bound not in scope
        if is_outside or _named(credentials) in self._options.auth_users:
            return self._without_request_subject(so_far)
        if self._pending >= PENDING_MAX:
            return Refusal(f"{PENDING_MAX} logins wait for the auth callout service")
        return self._ask(credentials, facts)

    def still_authorised(self, identity: Identity, facts: ConnectionFacts) -> Decision:
        """After a reload: until the service's word expires."""
        if identity.expires_at_s is not None and identity.expires_at_s <= self._clock_s():
            return Refusal("claim is expired")
        return identity

    def _without_request_subject(self, decision: Decision) -> Decision:
        """Nobody in the service's account forges requests, which would show what services do with passwords."""
        if isinstance(decision, Refusal) or decision.account != self._options.account:
            return decision
        permissions = decision.permissions or Permissions()
        if permissions.responses is not None and permissions.publish is None:
            # Nothing but answers is allowed already; a rule more would allow the rest.
            return decision
        publish = permissions.publish or SubjectPermission()
        return replace(
            decision,
            permissions=replace(permissions, publish=replace(publish, deny=(*publish.deny, SUBJECT))),
        )

    # -- asking -------------------------------------------------------------------------------------------------------

    async def _ask(self, credentials: Credentials, facts: ConnectionFacts) -> Decision:
        user_key = KeyPair.create(KeyRole.USER).public
        body = encode_jwt(self._request(user_key, credentials, facts), self._server.keys).encode()
        header = b""
        if self._options.xkey:
            body = seal(body, self._server.curve_keys, self._options.xkey)
            header = f"NATS/1.0\r\n{XKEY_HEADER}: {self._server.curve_keys.public}\r\n\r\n".encode()
        self._pending += 1
        try:
            answer = await self._link.ask(self._options.account, SUBJECT, header, body, self._timeout_s)
        finally:
            self._pending -= 1
        if answer is None:
            return Refusal(f'no answer of the auth callout service in account "{self._options.account}" in time')
        if not answer:
            return Refusal("the auth callout service refused without a reason")
        try:
            return self._without_request_subject(self._judge(self._opened(answer), user_key, facts))
        except InvalidJwt as error:
            return Refusal(f"auth callout: {error}")
        except (TypeError, ValueError, AttributeError) as error:
            return Refusal(f"auth callout: unexpected content ({type(error).__name__})")

    def _request(self, user_key: str, credentials: Credentials, facts: ConnectionFacts) -> dict[str, Any]:
        server, about = self._server, facts.about
        now_s = int(self._clock_s())
        server_id = {
            "name": server.name,
            "host": server.host,
            "id": server.keys.public,
            "version": server.version,
            "cluster": server.cluster,
            "xkey": server.curve_keys.public if self._options.xkey else "",
        }
        client_info = {
            "host": facts.ip,
            "id": about.cid,
            "user": _shown_user(credentials),
            "name": about.name,
            "kind": "Client",
            "type": _TYPES.get(facts.connection_type, "nats"),
            "mqtt_id": about.mqtt_client_id,
            "nonce": facts.nonce.decode("ascii", "replace"),
        }
        connect_opts = {
            "jwt": credentials.jwt,
            "nkey": credentials.nkey,
            "sig": credentials.signature,
            "auth_token": credentials.token if not credentials.user else "",
            "user": credentials.user,
            "pass": credentials.password,
            "name": about.name,
            "lang": about.language,
            "version": about.version,
        }
        request: dict[str, Any] = {
            "server_id": _filled(server_id),
            "user_nkey": user_key,
            "client_info": _filled(client_info),
            "connect_opts": {**_filled(connect_opts), "protocol": about.protocol},
            "type": "authorization_request",
            "version": 2,
        }
        if facts.tls is not None:
            request["client_tls"] = _filled(
                {
                    "version": facts.tls.version,
                    "cipher": facts.tls.cipher,
                    "certs": [_pem(facts.tls.peer_certificate)] if facts.tls.peer_certificate else [],
                }
            )
        return {
            "aud": AUDIENCE,
            "exp": now_s + max(int(self._timeout_s), 1),
            "iat": now_s,
            "iss": server.keys.public,
            "sub": self._options.issuer,
            "nats": request,
        }

    # -- the answer ---------------------------------------------------------------------------------------------------

    def _opened(self, answer: bytes) -> str:
        if self._options.xkey and not answer.startswith(_JWT_BEGIN):
            answer = open_sealed(answer, self._server.curve_keys, self._options.xkey)
        return answer.decode("ascii", "replace")

    def _judge(self, token: str, user_key: str, facts: ConnectionFacts) -> Decision:
        response = decode_jwt(token)
        if response.kind != "authorization_response":
            return Refusal("auth callout: the answer is no authorization response")
        if response.issuer != self._options.issuer:
            return Refusal("auth callout: the answer is not signed by the configured issuer")
        if response.audience != self._server.keys.public:
            return Refusal("auth callout: the answer is for another server")
        if response.subject != user_key:
            return Refusal("auth callout: the answer is about another user")
        response.check_time(self._clock_s())
        said = str(response.nats.get("error") or "")
        if said:
            return Refusal(f"auth callout: {said}")
        return self._user(str(response.nats.get("jwt") or ""), user_key, facts)

    def _user(self, token: str, user_key: str, facts: ConnectionFacts) -> Decision:
        user = decode_jwt(token)
        if user.kind != "user" or user.subject != user_key:
            return Refusal("auth callout: the user JWT is of somebody else")
        if user.issuer != self._options.issuer:
            return Refusal("auth callout: the user JWT is not signed by the configured issuer")
        if text := objection(user):
            return Refusal(f"auth callout: user JWT: {text}")
        user.check_time(self._clock_s())
        kinds = connection_types(user.nats)
        if kinds is None or (kinds and facts.connection_type not in kinds):
            return Refusal("auth callout: connection type not allowed")
        is_open, closes_at_s = window_end_s(user.nats, self._clock_s())
        if not is_open:
            return Refusal("auth callout: outside of the user's times of day")
        networks = sources(user.nats)
        if networks and not is_from(facts.ip, networks):
            return Refusal("auth callout: source address not allowed")
        ends = [at_s for at_s in (float(user.expires_at_s), closes_at_s) if at_s]
        return Identity(
            name=user.name or user_key,
            account=user.audience or GLOBAL_ACCOUNT,
            permissions=read_permissions(user.nats),
            allowed_connection_types=kinds,
            nkey=user_key,
            proof=Proof.AUTHORITY,
            expires_at_s=min(ends, default=None),
        )


# Sealing ------------------------------------------------------------------------------------------------------------


def seal(body: bytes, keys: KeyPair, public: str) -> bytes:
    """Encrypted to the holder of a curve key, in the form of the nkeys libraries (`xkv1`)."""
    nonce = nacl.utils.random(_NONCE_BYTES)
    box = nacl.bindings.crypto_box(body, nonce, decode_public(public, KeyRole.CURVE), keys.raw_seed)
    return _SEALED + nonce + box


def open_sealed(data: bytes, keys: KeyPair, public: str) -> bytes:
    """What the holder of the other key sealed to us. Raises `InvalidJwt` when it is not that."""
    if not data.startswith(_SEALED) or len(data) < len(_SEALED) + _NONCE_BYTES:
        raise InvalidJwt("neither a JWT nor sealed")
    nonce = data[len(_SEALED) : len(_SEALED) + _NONCE_BYTES]
    box = data[len(_SEALED) + _NONCE_BYTES :]
    try:
        return nacl.bindings.crypto_box_open(box, nonce, decode_public(public, KeyRole.CURVE), keys.raw_seed)
    except (nacl.exceptions.CryptoError, ValueError) as error:
        raise InvalidJwt("cannot be opened with the configured xkey") from error


# Fields -------------------------------------------------------------------------------------------------------------


def _named(credentials: Credentials) -> str:
    """By what the connection names itself, compared with `auth_users`."""
    return credentials.nkey or credentials.user


def _shown_user(credentials: Credentials) -> str:
    return credentials.nkey or credentials.user or ("[REDACTED]" if credentials.token else "")


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty, as Go leaves it out."""
    return {name: value for name, value in fields.items() if value}


def _pem(der: bytes) -> str:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"
