"""A service decides who a connection is (ADR-26): the same responder serves the real nats-server and ours."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from leafbox.protocol.jwt import encode_jwt
from leafbox.protocol.mqtt.packets import Version
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from leafbox.protocol.nkeys import KeyPair, KeyRole
from leafbox.security.callout import open_sealed, seal
from tests.support.mqtt_client import RawMqttClient
from tests.support.servers import ServerKind, ServerProcess

KINDS = list(ServerKind)
ISSUER = KeyPair.create(KeyRole.ACCOUNT)
STRANGER = KeyPair.create(KeyRole.ACCOUNT)
CURVE = KeyPair.create(KeyRole.CURVE)
CONFIG = """
server_name: callout
jetstream {{ store_dir: "{store}" }}
mqtt {{ listen: "127.0.0.1:-1" }}
accounts {{
  AUTH {{ users: [ {{ user: auth, password: pw }}, {{ user: idle, password: pw }} ] }}
  APP {{ jetstream: enabled, users: [ {{ user: delegated, password: pw }} ] }}
  OTHER {{ users: [ {{ user: own, password: pw }} ] }}
  SYS {{}}
}}
system_account: SYS
authorization {{
  timeout: {timeout}
  auth_callout {{ issuer: {issuer}, account: AUTH, auth_users: [ auth, idle ] {more} }}
}}
"""
Answer = Callable[[dict[str, Any]], str | bytes]


def claims_of(token: bytes | str) -> dict[str, Any]:
    part = (token.decode() if isinstance(token, bytes) else token).split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def user_jwt(request: dict[str, Any], account: str = "APP", signer: KeyPair = ISSUER, **nats_claims: Any) -> str:
    """The user that the request names, in an account."""
    expires_s = nats_claims.pop("expires_s", 0)
    name = nats_claims.pop("name", request["nats"]["connect_opts"].get("user", "somebody"))
    subject = nats_claims.pop("subject", request["nats"]["user_nkey"])
    claims = {"aud": account, "iat": int(time.time()), "iss": signer.public, "name": name, "sub": subject}
    if expires_s:
        claims["exp"] = int(time.time()) + expires_s
    limits = {"subs": -1, "data": -1, "payload": -1}
    return encode_jwt({**claims, "nats": {"type": "user", "version": 2, **limits, **nats_claims}}, signer)


def response(request: dict[str, Any], signer: KeyPair = ISSUER, **changed: Any) -> str:
    """The answer around it: `jwt` or `error`."""
    nats_claims = {"type": "authorization_response", "version": 2}
    nats_claims |= {name: changed.pop(name) for name in ("jwt", "error") if name in changed}
    claims = {
        "aud": request["nats"]["server_id"]["id"],
        "iat": int(time.time()),
        "iss": signer.public,
        "sub": request["nats"]["user_nkey"],
    }
    return encode_jwt({**claims, **changed, "nats": nats_claims}, signer)


class Service:
    """The responder. It answers with what `answers` says for the user's name; unknown users are refused."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answers: dict[str, Answer] = {}
        self.xkeys: list[str] = []
        self.is_sealed = False

    async def serve(self, message: Msg) -> None:
        data, xkey = message.data, (message.headers or {}).get("Nats-Server-Xkey", "")
        if self.is_sealed:
            assert data.startswith(b"xkv1")
            data = open_sealed(data, CURVE, xkey)
        self.xkeys.append(xkey)
        request = claims_of(data)
        self.requests.append(request)
        answer = self.answers.get(request["nats"]["connect_opts"].get("user", ""))
        if answer is None:
            said: str | bytes = response(request, error="who are you?")
        else:
            said = answer(request)
        encoded = said.encode() if isinstance(said, str) else said
        await message.respond(seal(encoded, CURVE, xkey) if self.is_sealed and encoded else encoded)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.value)
def kind(request: pytest.FixtureRequest) -> ServerKind:
    found: ServerKind = request.param
    return found


Work = Callable[[ServerProcess, Service], Any]


def with_service(kind: ServerKind, directory: Path, work: Work, more: str = "", *, is_sealed: bool = False) -> None:
    """Run `work` beside a server whose callout is served."""
    config = CONFIG.format(store=directory / "js", issuer=ISSUER.public, more=more, timeout=20)

    async def run(server: ServerProcess) -> None:
        service = Service()
        service.is_sealed = is_sealed
        connection = await nats.connect(server.url, user="auth", password="pw")
        try:
            await connection.subscribe("$SYS.REQ.USER.AUTH", cb=service.serve)
            await connection.flush()
            await work(server, service)
        finally:
            await connection.close()

    with ServerProcess(kind, directory / "work", config=config) as server:
        asyncio.run(run(server))


async def entered(server: ServerProcess, user: str, password: str = "pw") -> Client:
    return await nats.connect(
        server.url, user=user, password=password, name="a client", allow_reconnect=False, connect_timeout=10
    )


def errors_of(client: Client) -> asyncio.Queue[Exception]:
    """What the server complains of to this client from now on."""
    found: asyncio.Queue[Exception] = asyncio.Queue()
    client._error_cb = found.put
    return found


async def refused(server: ServerProcess, user: str, password: str = "pw") -> None:
    """A login that must fail, without a client library, which leaves half a connection behind then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.client_port)
    try:
        async with asyncio.timeout(20):
            assert (await reader.readline()).startswith(b"INFO ")
            connect = {"user": user, "pass": password, "verbose": False, "protocol": 1, "lang": "raw"}
            writer.write(b"CONNECT " + json.dumps(connect).encode() + b"\r\nPING\r\n")
            assert await reader.readline() == b"-ERR 'Authorization Violation'\r\n"
            assert await reader.read() == b""
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.mark.capability("SE13")
@pytest.mark.parametrize("is_sealed", [False, True], ids=["plain", "sealed"])
def test_the_service_lets_in(kind: ServerKind, tmp_path: Path, is_sealed: bool) -> None:
    """With the account, the rights and the end that it says; the request says all that there is to know."""

    async def work(server: ServerProcess, service: Service) -> None:
        service.answers["anna"] = lambda request: response(
            request, jwt=user_jwt(request, pub={"allow": ["a.>"]}, sub={"allow": ["a.>", "_INBOX.>"]})
        )
        service.answers["brief"] = lambda request: response(request, jwt=user_jwt(request, expires_s=2))
        anna = await entered(server, "anna", "secret")
        errors = errors_of(anna)
        heard = await anna.subscribe("a.x")
        await anna.publish("a.x", b"1")
        assert (await heard.next_msg(5)).data == b"1"
        await anna.publish("b.x", b"no")
        await anna.flush()
        assert "permissions violation" in str(await asyncio.wait_for(errors.get(), 10)).lower()
        await anna.close()
        [request] = service.requests
        body = request["nats"]
        assert request["aud"] == "nats-authorization-request"
        assert request["iss"] == body["server_id"]["id"]
        assert request["exp"] > request["iat"]
        assert body["user_nkey"].startswith("U")
        assert (body["type"], body["version"]) == ("authorization_request", 2)
        assert (body["server_id"]["name"], body["server_id"]["version"]) == ("callout", "2.15.1")
        options = body["connect_opts"]
        assert (options["user"], options["pass"], options["name"]) == ("anna", "secret", "a client")
        assert (options["lang"], options["protocol"]) == ("python3", 1)
        about = body["client_info"]
        assert (about["user"], about["name"], about["kind"], about["type"]) == ("anna", "a client", "Client", "nats")
        assert (about["host"], about["id"] > 0) == ("127.0.0.1", True)
        assert bool(service.xkeys[0]) == is_sealed
        assert body["server_id"].get("xkey", "") == service.xkeys[0]
        over = asyncio.Event()

        async def note_end() -> None:
            over.set()

        brief = await entered(server, "brief")
        brief._closed_cb = note_end
        await asyncio.wait_for(over.wait(), 20)

    more = f", xkey: {CURVE.public}" if is_sealed else ""
    with_service(kind, tmp_path, work, more, is_sealed=is_sealed)


# What the service answers -> why the connection is refused (for our log).
BAD_ANSWERS: dict[str, tuple[Answer, str]] = {
    "an error": (lambda request: response(request, error="locked out"), "locked out"),
    "nothing": (lambda request: b"", "refused without a reason"),
    "no token": (lambda request: b"eyJ.nonsense", "expected three parts"),
    "signed by a stranger": (
        lambda request: response(request, STRANGER, jwt=user_jwt(request)),
        "not signed by the configured issuer",
    ),
    "a user signed by a stranger": (
        lambda request: response(request, jwt=user_jwt(request, signer=STRANGER)),
        "user JWT is not signed",
    ),
    "for another server": (
        lambda request: response(request, aud=KeyPair.create(KeyRole.SERVER).public, jwt=user_jwt(request)),
        "for another server",
    ),
    "about another user": (
        lambda request: response(request, sub=KeyPair.create(KeyRole.USER).public, jwt=user_jwt(request)),
        "about another user",
    ),
    "a user JWT of another user": (
        lambda request: response(request, jwt=user_jwt(request, subject=KeyPair.create(KeyRole.USER).public)),
        "of somebody else",
    ),
    "an account that does not exist": (
        lambda request: response(request, jwt=user_jwt(request, account="NOWHERE")),
        "NOWHERE",
    ),
    "a user who is expired": (lambda request: response(request, jwt=user_jwt(request, expires_s=-5)), "expired"),
    "only for devices": (
        lambda request: response(request, jwt=user_jwt(request, allowed_connection_types=["MQTT"])),
        "connection type",
    ),
    "from another network": (
        lambda request: response(request, jwt=user_jwt(request, src=["10.9.8.0/24"])),
        "source address",
    ),
}


IGNORED_BY_NATS_SERVER = ("only for devices", "from another network")
"""Limits in the user JWT that 2.15.1 does not look at in configuration mode."""


@pytest.mark.capability("SE13")
def test_what_the_service_says_wrong_lets_nobody_in(kind: ServerKind, tmp_path: Path) -> None:
    async def work(server: ServerProcess, service: Service) -> None:
        for name, (answer, reason) in BAD_ANSWERS.items():
            service.answers[name] = answer
            seen = server.log_line_count
            if kind is ServerKind.REAL and name in IGNORED_BY_NATS_SERVER:
                await (await entered(server, name)).close()
                continue
            await refused(server, name)
            if kind is ServerKind.LEAFBOX:
                await asyncio.to_thread(server.wait_for_log, re.escape(reason), after=seen)
        assert len(service.requests) == len(BAD_ANSWERS)
        await refused(server, "unknown")

    with_service(kind, tmp_path, work)


@pytest.mark.capability("SE13")
def test_users_of_the_callout_itself(kind: ServerKind, tmp_path: Path) -> None:
    """They are not asked about, need their passwords, and publish no requests."""

    async def work(server: ServerProcess, service: Service) -> None:
        idle = await entered(server, "idle")
        errors = errors_of(idle)
        await idle.publish("$SYS.REQ.USER.AUTH", b"forged")
        await idle.flush()
        assert "permissions violation" in str(await asyncio.wait_for(errors.get(), 10)).lower()
        await idle.close()
        await refused(server, "idle", "wrong")
        assert service.requests == []

    with_service(kind, tmp_path, work)


@pytest.mark.capability("SE13")
def test_users_of_accounts_that_are_not_delegated(kind: ServerKind, tmp_path: Path) -> None:
    """`allowed_accounts`: configured users of others come in as configured; unknown ones are asked about always, and
    the service may place them anywhere."""

    async def work(server: ServerProcess, service: Service) -> None:
        service.answers["new"] = lambda request: response(request, jwt=user_jwt(request, "OTHER"))
        await (await entered(server, "own")).close()
        assert service.requests == []
        await (await entered(server, "new")).close()
        await refused(server, "delegated")
        assert [each["nats"]["connect_opts"]["user"] for each in service.requests] == ["new", "delegated"]

    with_service(kind, tmp_path, work, ", allowed_accounts: [ APP ]")


@pytest.mark.capability("SE13")
def test_without_an_answer_nobody_comes_in(kind: ServerKind, tmp_path: Path) -> None:
    """In a bounded time, whether the service is silent or gone."""

    config = CONFIG.format(store=tmp_path / "js", issuer=ISSUER.public, more="", timeout=1)

    async def alone(server: ServerProcess) -> None:
        await refused(server, "anna")
        listener = await nats.connect(server.url, user="auth", password="pw")
        await listener.subscribe("$SYS.REQ.USER.AUTH")
        await listener.flush()
        await refused(server, "anna")
        await listener.close()

    with ServerProcess(kind, tmp_path / "work", config=config) as server:
        asyncio.run(alone(server))


@pytest.mark.capability("SE13", "MQ11")
def test_devices_are_decided_by_the_service(kind: ServerKind, tmp_path: Path) -> None:
    """An MQTT login is asked about with its client id; a refusal is CONNACK 5, and a login that expires ends."""

    async def work(server: ServerProcess, service: Service) -> None:
        service.answers["sensor"] = lambda request: response(
            request, jwt=user_jwt(request, pub={"allow": ["t.>"]}, sub={"allow": ["t.>", "$MQTT.>"]})
        )
        port = server.port("mqtt")

        def connect(user: str) -> ReasonCode:
            device = RawMqttClient(port, Version.V3_1_1, timeout_s=30)
            try:
                code = device.connect("device-7", user_name=user, password=b"pw").reason_code
                if code is ReasonCode.SUCCESS:
                    assert device.subscribe("t/1", 1) is ReasonCode.GRANTED_QOS_1
                    device.publish("t/1", b"x", 1)
                    assert device.receive_message().payload == b"x"
                return code
            finally:
                device.close()

        assert await asyncio.to_thread(connect, "sensor") is ReasonCode.SUCCESS
        about = service.requests[0]["nats"]["client_info"]
        assert (about["type"], about["mqtt_id"], about["user"]) == ("mqtt", "device-7", "sensor")
        assert await asyncio.to_thread(connect, "burglar") is ReasonCode.NOT_AUTHORIZED

        def until_expired() -> None:
            device = RawMqttClient(port, Version.V3_1_1, timeout_s=30)
            try:
                assert device.connect("brief", user_name="brief", password=b"pw").reason_code is ReasonCode.SUCCESS
                assert device.until_closed(20) == []
            finally:
                device.close()

        service.answers["brief"] = lambda request: response(request, jwt=user_jwt(request, expires_s=2))
        await asyncio.to_thread(until_expired)

    with_service(kind, tmp_path, work)
