"""Who may come in over MQTT, by which way, and what he may do then: on our gateway, and on the real nats-server
for what its 3.1.1 does.
"""

from __future__ import annotations

import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest
from cryptography.x509.oid import NameOID
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_websocket
from websockets.typing import Subprotocol

from leafbox.protocol.mqtt.packets import Disconnect, Packet, Puback, Publish, Pubrec, Version, Will
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from leafbox.protocol.nkeys import KeyPair, KeyRole
from tests.support.certificates import TestAuthority
from tests.support.jwt_maker import Realm
from tests.support.mqtt_brokers import BrokerKind, MqttBroker
from tests.support.mqtt_client import Closed, RawMqttClient
from tests.support.websocket_frames import BINARY, CLOSE, CONTINUATION, Frame, read_frames, write_frame

SERVERS = [BrokerKind.NATS_SERVER, BrokerKind.LEAFBOX]
BOTH = [Version.V3_1_1, Version.V5]


def users(
    limited: str = 'publish: ["ok.>", "$MQTT.sub.>"], subscribe: {allow: ["ok.>", "$MQTT.>"], deny: "ok.secret"}',
) -> str:
    """The users of the shared server; a reload gives `limited` other permissions."""
    limited_user = f"{{user: limited, password: pw, permissions: {{{limited}}}}}" if limited else ""
    return f"""max_payload: 4096
    websocket {{ listen: "127.0.0.1:-1", no_tls: true }}
    accounts {{ A {{ jetstream: enabled, users: [
        {{user: full, password: pw}}
        {limited_user}
        {{user: nats, password: pw, allowed_connection_types: [STANDARD]}}
        {{user: mqtt, password: pw, allowed_connection_types: [MQTT]}}
        {{user: web, password: pw, allowed_connection_types: [MQTT_WS]}}
    ] }} }}
    """


@pytest.fixture(scope="module", params=SERVERS, ids=lambda kind: kind.value)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MqttBroker]:
    with MqttBroker(request.param, tmp_path_factory.mktemp("access"), users()) as running:
        yield running


def versions(broker: MqttBroker) -> list[Version]:
    """What the server speaks."""
    return BOTH if broker.kind is BrokerKind.LEAFBOX else [Version.V3_1_1]


class WebsocketStream:
    """What `RawMqttClient` uses of a socket, in the binary frames of a WebSocket.

    In one thread: the `websockets` library reads in another one, and over TLS its request was held back now and then
    (2 of 60 beside any server; 0 of 300 in this way).
    """

    def __init__(self, url: str, context: ssl.SSLContext | None) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 0), 30)
        if context is not None:
            self._socket = context.wrap_socket(self._socket, server_hostname=parts.hostname)
        self._socket.sendall(
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: mqtt\r\n\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = self._socket.recv(1 << 16)
            assert data, answer
            answer += data
        head, _, self._received = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        assert b"sec-websocket-protocol: mqtt" in head.lower()

    def settimeout(self, timeout_s: float) -> None:
        self._socket.settimeout(timeout_s)

    def sendall(self, data: bytes) -> None:
        # Packets need not fit frames [MQTT-6.0.0-2].
        for start in range(0, len(data), 7):
            self._socket.sendall(write_frame(Frame(BINARY, data[start : start + 7])))

    def recv(self, most: int) -> bytes:
        while True:
            frames, self._received = read_frames(self._received)
            # [MQTT-6.0.0-1]
            assert all(frame.opcode in (CONTINUATION, BINARY, CLOSE) for frame in frames), frames
            if data := b"".join(frame.payload for frame in frames if frame.opcode != CLOSE):
                return data
            received = self._socket.recv(most) if not frames else b""
            if not received:
                return b""
            self._received += received

    def close(self) -> None:
        self._socket.close()


class WebsocketClient(RawMqttClient):
    """MQTT over WebSocket."""

    def __init__(self, url: str, version: Version, context: ssl.SSLContext | None = None) -> None:
        self._url, self._context = url, context
        super().__init__(0, version)

    def _dial(self, port: int) -> socket.socket:
        return cast(socket.socket, WebsocketStream(self._url, self._context))


def login(
    broker: MqttBroker,
    version: Version = Version.V3_1_1,
    user: str | None = None,
    password: str | None = None,
    *,
    client_id: str = "",
    tls: ssl.SSLContext | None = None,
    will: Will | None = None,
    clean: bool = True,
) -> tuple[RawMqttClient, ReasonCode]:
    """A client and the code of its CONNACK; a refused one was closed."""
    client = RawMqttClient(broker.port, version, tls=tls)
    kept = NO_PROPERTIES if clean or version is not Version.V5 else Properties(session_expiry_interval_s=600)
    secret = None if password is None else password.encode()
    code = client.connect(
        client_id, clean=clean, will=will, user_name=user, password=secret, properties=kept
    ).reason_code
    if code.is_failure:
        assert client.until_closed() == []
    return client, code


def entered(broker: MqttBroker, version: Version, user: str, **options: object) -> RawMqttClient:
    """A client that is in."""
    client, code = login(broker, version, user, "pw", **options)  # type: ignore[arg-type]
    assert code is ReasonCode.SUCCESS
    return client


def messages(packets: list[Packet]) -> list[bytes]:
    return [packet.payload for packet in packets if isinstance(packet, Publish)]


# -- login ------------------------------------------------------------------------------------------------------------


@pytest.mark.normative(v5="3.1.4-2 3.2.2-7", v311="3.2.2-5")
@pytest.mark.capability("MQ11")
def test_user_and_password_and_the_ways_a_user_may_come(server: MqttBroker) -> None:
    for version in versions(server):
        cases: tuple[tuple[str | None, str | None, bool], ...] = (
            ("full", "pw", True),
            ("mqtt", "pw", True),
            ("full", "wrong", False),
            ("full", "", False),
            ("full", None, False),
            ("nobody", "pw", False),
            (None, None, False),
            ("nats", "pw", False),
            ("web", "pw", False),
        )
        for user, password, is_in in cases:
            expected = ReasonCode.SUCCESS if is_in else ReasonCode.NOT_AUTHORIZED
            assert login(server, version, user, password)[1] is expected, (version, user)
    if server.kind is BrokerKind.LEAFBOX:
        assert '"wrong"' not in server.log


@pytest.mark.normative(v5="6.0.0-2 6.0.0-4", v311="6.0.0-2 6.0.0-4")
@pytest.mark.capability("MQ10")
def test_websocket(server: MqttBroker) -> None:
    """[MQTT-6.0.0-1..4]: at /mqtt, for users that may come this way; both sides see each other."""
    assert server.server is not None
    url = f"ws://127.0.0.1:{server.server.port('websocket')}/mqtt"
    for version in versions(server):
        for user, is_in in (("web", True), ("full", True), ("mqtt", False), ("nats", False)):
            client = WebsocketClient(url, version)
            code = client.connect("", user_name=user, password=b"pw").reason_code
            assert code is (ReasonCode.SUCCESS if is_in else ReasonCode.NOT_AUTHORIZED)
        web = WebsocketClient(url, version)
        web.connect("", user_name="web", password=b"pw")
        web.subscribe("web/#", 1)
        plain = entered(server, version, "full")
        plain.subscribe("web/up", 1)
        plain.publish("web/down", b"x" * 3000, 1)
        assert web.receive_message().payload == b"x" * 3000
        web.publish("web/up", b"y", 1)
        assert plain.receive_message().payload == b"y"
        web.disconnect()


@pytest.mark.slow
@pytest.mark.capability("MQ11")
def test_tokens_single_users_and_none(tmp_path: Path) -> None:
    """A token in the password; a user for MQTT alone; a user for those who say nothing."""
    token = 'authorization { token: "s3cret" }\n'
    own = 'authorization { username: "device", password: "pw" }'
    quiet = "accounts { A { jetstream: enabled, users: [{user: guest, password: gp}, {user: full, password: pw}] } }\n"
    for kind in SERVERS:
        with MqttBroker(kind, tmp_path / f"token-{kind.value}", token) as broker:
            for version in versions(broker):
                assert login(broker, version, "anybody", "s3cret")[1] is ReasonCode.SUCCESS
                assert login(broker, version, "anybody", "wrong")[1] is ReasonCode.NOT_AUTHORIZED
                assert login(broker, version)[1] is ReasonCode.NOT_AUTHORIZED
                if version is Version.V5:
                    # [MQTT-3.1.2-22] of 3.1.1 forbids a password without a user name; 5 does not.
                    assert login(broker, version, None, "s3cret")[1] is ReasonCode.SUCCESS
        with MqttBroker(kind, tmp_path / f"own-{kind.value}", mqtt=own) as broker:
            for version in versions(broker):
                assert login(broker, version, "device", "pw")[1] is ReasonCode.SUCCESS
                assert login(broker, version, "device", "no")[1] is ReasonCode.NOT_AUTHORIZED
                assert login(broker, version)[1] is ReasonCode.NOT_AUTHORIZED
        with MqttBroker(kind, tmp_path / f"quiet-{kind.value}", quiet, "no_auth_user: guest") as broker:
            for version in versions(broker):
                assert login(broker, version)[1] is ReasonCode.SUCCESS
                assert login(broker, version, "full", "pw")[1] is ReasonCode.SUCCESS
                assert login(broker, version, "full", "no")[1] is ReasonCode.NOT_AUTHORIZED


@pytest.mark.capability("MQ11")
@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.value)
def test_a_bearer_jwt_is_the_password(tmp_path: Path, kind: BrokerKind) -> None:
    """Only bearers: MQTT has no challenge that could be signed."""
    realm, key = Realm(), KeyPair.create(KeyRole.USER)
    jetstream = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)
    config = realm.config(**jetstream).replace(
        "resolver: MEMORY", "resolver: MEMORY\nsystem_account: " + realm.b.public
    )
    with MqttBroker(kind, tmp_path, config) as broker:
        bearer = {"bearer_token": True}
        limits = {"pub": {"allow": ["ok.>"]}}
        for version in versions(broker):
            for issuer, nats_claims, claims, is_in in (
                (realm.a, bearer | limits, {}, True),
                (realm.a, {}, {}, False),
                (realm.operator, bearer, {}, False),
                (realm.a, bearer, {"exp": int(time.time()) - 5}, False),
                (realm.a, bearer | {"allowed_connection_types": ["STANDARD"]}, {}, False),
                (realm.a, bearer | {"allowed_connection_types": ["MQTT"]}, {}, True),
            ):
                token = realm.user(issuer, key, nats_claims, **claims)
                code = login(broker, version, "jwt", token)[1]
                assert code is (ReasonCode.SUCCESS if is_in else ReasonCode.NOT_AUTHORIZED), (nats_claims, claims)
            revoked = realm.user(realm.a, realm.revoked, bearer)
            assert login(broker, version, "jwt", revoked)[1] is ReasonCode.NOT_AUTHORIZED


@pytest.mark.capability("MQ10")
@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.value)
def test_tls_and_client_certificates(tmp_path: Path, kind: BrokerKind) -> None:
    """TLS on the listener and on WebSocket; `verify_and_map` takes the certificate's name as the user."""
    authority = TestAuthority(tmp_path)
    issued = authority.issue_server()
    block = f'tls {{ cert_file: "{issued.cert_file}", key_file: "{issued.key_file}", ca_file: "{authority.ca_file}"'
    config = f"""
    websocket {{ listen: "127.0.0.1:-1", handshake_timeout: "30s", {block}, verify: true, timeout: 30 }} }}
    accounts {{ A {{ jetstream: enabled, users: [
        {{user: "anna@site", permissions: {{publish: "ok.>"}} }}, {{user: "CN=bert,O=site"}},
        {{user: full, password: pw}}
    ] }} }}
    """
    certificates = {
        "anna": authority.issue("anna", emails=["anna@site"]),
        "bert": authority.issue("bert", subject=[(NameOID.ORGANIZATION_NAME, "site"), (NameOID.COMMON_NAME, "bert")]),
        "nobody": authority.issue("nobody", emails=["nobody@site"]),
    }

    def context(name: str = "") -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(authority.ca_file))
        if name:
            made.load_cert_chain(certificates[name].cert_file, certificates[name].key_file)
        return made

    with MqttBroker(kind, tmp_path / "data", config, f"{block}, verify_and_map: true, timeout: 30 }}") as broker:
        for version in versions(broker):
            for name, code in (
                ("anna", ReasonCode.SUCCESS),
                ("bert", ReasonCode.SUCCESS),
                ("nobody", ReasonCode.NOT_AUTHORIZED),
            ):
                assert login(broker, version, tls=context(name))[1] is code, name
            # Without a certificate there is no connection, without TLS neither.
            with pytest.raises((Closed, ssl.SSLError, ConnectionError)):
                login(broker, version, "full", "pw", tls=context())
            with pytest.raises(Closed):
                login(broker, version, "full", "pw")
            anna, _ = login(broker, version, tls=context("anna"))
            anna.subscribe("#", 1)
            anna.publish("no/a", b"no", 0)
            anna.publish("ok/a", b"T" * 100_000, 1)
            assert anna.receive_message().payload == b"T" * 100_000
            assert broker.server is not None
            url = f"wss://localhost:{broker.server.port('websocket')}/mqtt"
            secure = WebsocketClient(url, version, context("nobody"))
            assert secure.connect("", user_name="full", password=b"pw").reason_code is ReasonCode.NOT_AUTHORIZED
            secure = WebsocketClient(url, version, context("bert"))
            assert secure.connect("").reason_code is ReasonCode.SUCCESS
            secure.publish("ok/web", b"w", 1)
            assert anna.receive_message().payload == b"w"


# -- permissions ------------------------------------------------------------------------------------------------------


@pytest.mark.capability("MQ09")
def test_what_may_not_be_subscribed(server: MqttBroker) -> None:
    """0x80 in 3.1.1, 0x87 in 5; what a wildcard covers and is denied does not come."""
    for version in versions(server):
        sender, limited = entered(server, version, "full"), entered(server, version, "limited")
        for topic_filter in ("no/a", "#", "+/a", "ok/secret"):
            code = limited.subscribe(topic_filter, 0)
            assert code is (ReasonCode.NOT_AUTHORIZED if version is Version.V5 else ReasonCode.UNSPECIFIED_ERROR)
        assert not limited.subscribe("ok/+", 0).is_failure
        for topic in ("ok/secret", "no/a", "ok/a"):
            sender.publish(topic, topic.encode(), 1)
        assert limited.receive_message().payload == b"ok/a"
        assert messages(limited.until_ping()) == []


@pytest.mark.capability("MQ09")
def test_retained_messages_that_are_denied_do_not_come(server: MqttBroker) -> None:
    sender = entered(server, Version.V3_1_1, "full")
    for topic in ("ok/secret", "ok/kept"):
        sender.publish(topic, topic.encode(), 1, retain=True)
    # nats-server shows retained messages late.
    time.sleep(0.2 if server.kind is BrokerKind.NATS_SERVER else 0)
    for version in versions(server):
        limited = entered(server, version, "limited")
        limited.subscribe("ok/+", 1)
        assert limited.receive_message().payload == b"ok/kept"
        assert messages(limited.until_ping()) == []
    for topic in ("ok/secret", "ok/kept"):
        sender.publish(topic, b"", 1, retain=True)


@pytest.mark.normative(v5="4.3.3-9", v311="3.3.5-2")
@pytest.mark.capability("MQ09")
def test_what_may_not_be_published_is_dropped(server: MqttBroker) -> None:
    """The connection lives; MQTT 5 hears 0x87 [MQTT-3.3.5-2], MQTT 3 an acknowledgement [3.3.5-2 of 3.1.1]."""
    for version in versions(server):
        watcher, limited = entered(server, version, "full"), entered(server, version, "limited")
        watcher.subscribe("#", 0)
        limited.publish("no/a", b"no", 0)
        limited.publish("no/a", b"no", 0, retain=True)
        if server.kind is BrokerKind.LEAFBOX:
            for qos in (1, 2) * 2:
                code = limited.publish("no/a", b"no", qos, retain=qos == 1)
                assert code is (ReasonCode.NOT_AUTHORIZED if version is Version.V5 else ReasonCode.SUCCESS)
        limited.publish("ok/a", b"yes", 1)
        assert watcher.receive_message().payload == b"yes"
        will = Will(b"no/will", b"no", 1)
        if server.kind is BrokerKind.LEAFBOX:
            entered(server, version, "limited", will=will).close()
            entered(server, version, "limited", will=Will(b"ok/will", b"bye", 1)).close()
            assert watcher.receive_message().payload == b"bye"
        late = entered(server, version, "full")
        late.subscribe("no/#", 0)
        assert messages(late.until_ping()) == []


@pytest.mark.normative(v5="4.3.3-9")
@pytest.mark.capability("MQ09")
def test_refused_publishes_do_not_use_up_the_receive_maximum(server: MqttBroker) -> None:
    if server.kind is BrokerKind.NATS_SERVER:
        return  # It has no receive maximum.
    limited = entered(server, Version.V5, "limited")
    for _ in range(13):
        for qos in (1, 2):
            numbers = range(1, 101)
            limited.send(*(Publish(b"no/x", b"x", qos, packet_id=number) for number in numbers))
            kind: type[Puback | Pubrec] = Puback if qos == 1 else Pubrec
            codes = {limited.expect(kind).reason_code for _ in numbers}
            assert codes == {ReasonCode.NOT_AUTHORIZED}
    assert not limited.publish("ok/x", b"x", 2).is_failure


# -- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.normative(v5="3.1.2-22 3.2.2-22", v311="3.1.2-24")
@pytest.mark.capability("MQ08", "MQ05")
def test_silence_for_one_and_a_half_times_the_keep_alive_ends_it(server: MqttBroker) -> None:
    """[MQTT-3.1.2-22]: with its will; any packet counts, and 0 switches it off."""
    for version in versions(server):
        watcher = entered(server, version, "full")
        watcher.subscribe("silent/#", 0)
        will = Will(b"silent/will", b"gone", 1)
        silent, alive, never = (RawMqttClient(server.port, version) for _ in range(3))
        start = time.monotonic()
        silent.connect("", keep_alive_s=1, will=will, user_name="full", password=b"pw")
        alive.connect("", keep_alive_s=1, user_name="full", password=b"pw")
        never.connect("", keep_alive_s=0, user_name="full", password=b"pw")
        for _ in range(3):
            time.sleep(0.4)
            alive.publish("other", b"x", 1)
        said = silent.until_closed(5)
        # nats-server cuts one and a half down to whole seconds.
        assert (1.4 if server.kind is BrokerKind.LEAFBOX else 0.9) < time.monotonic() - start < 3
        assert [packet.reason_code for packet in said if isinstance(packet, Disconnect)] == (
            [ReasonCode.KEEP_ALIVE_TIMEOUT] if version is Version.V5 else []
        )
        assert watcher.receive_message().payload == b"gone"
        assert alive.until_ping() == []
        assert never.until_ping() == []


@pytest.mark.normative(v5="3.2.2-15")
@pytest.mark.capability("MQ17")
def test_the_largest_payload(server: MqttBroker) -> None:
    """max_payload holds for the payload; larger ones end the connection, in MQTT 5 with 0x95 [MQTT-3.14]."""
    for version in versions(server):
        client = entered(server, version, "full")
        watcher = entered(server, version, "full")
        watcher.subscribe("large/#", 0)
        # nats-server counts what it adds as well.
        largest = 4096 if server.kind is BrokerKind.LEAFBOX else 4000
        for qos in (1, 2) if server.kind is BrokerKind.LEAFBOX else (1,):
            assert not client.publish("large/a", b"x" * largest, qos).is_failure
            assert len(watcher.receive_message().payload) == largest
        if server.kind is BrokerKind.NATS_SERVER:
            continue  # It takes any size up to its own limit of a packet.
        client.send(Publish(b"large/a", b"x" * 4097, 1, packet_id=99))
        said = client.until_closed()
        assert [packet.reason_code for packet in said if isinstance(packet, Disconnect)] == (
            [ReasonCode.PACKET_TOO_LARGE] if version is Version.V5 else []
        )
        assert watcher.until_ping() == []


@pytest.mark.capability("MQ17")
def test_a_stranger_cannot_announce_more_than_a_connect_may_have(server: MqttBroker) -> None:
    if server.kind is BrokerKind.NATS_SERVER:
        return  # It reads whatever length is announced.
    stranger = RawMqttClient(server.port)
    stranger.send_bytes(b"\x10" + bytes((0xFF, 0xFF, 0x7F)))
    assert stranger.until_closed(3) == []


# -- reload and configuration -----------------------------------------------------------------------------------------


def reload(broker: MqttBroker, config: str) -> None:
    """Give the running server another configuration."""
    assert broker.server is not None
    text = broker.server.config_path.read_text(encoding="utf-8")
    broker.server.config_path.write_text(text.replace(broker.config, config), encoding="utf-8")
    broker.config = config
    lines = broker.server.log_line_count
    broker.server.send_signal(signal.SIGHUP)
    broker.server.wait_for_log("Reloaded server configuration", after=lines)


@pytest.mark.capability("MQ12", "MQ09")
@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.value)
def test_a_reload_takes_rights_and_users_away(tmp_path: Path, kind: BrokerKind) -> None:
    with MqttBroker(kind, tmp_path, users()) as broker:
        for version in versions(broker):
            reload(broker, users())
            full = entered(broker, version, "full")
            full.subscribe("ok/gone", 0)
            will = Will(b"ok/gone", b"gone", 0)
            limited = entered(broker, version, "limited", client_id=f"l{version}", clean=False, will=will)
            for topic_filter in ("ok/a", "ok/b"):
                assert not limited.subscribe(topic_filter, 0).is_failure
            reload(broker, users('publish: "x.>", subscribe: ["ok.b", "ok.gone", "$MQTT.>"]'))
            for topic in ("ok/a", "ok/b"):
                full.publish(topic, topic.encode(), 0)
            full.until_ping()
            assert limited.receive_message().payload == b"ok/b"
            assert limited.subscribe("ok/a", 0).is_failure
            reload(broker, users())
            assert not limited.subscribe("ok/a", 0).is_failure
            reload(broker, users(""))
            said = limited.until_closed()
            assert [packet.reason_code for packet in said if isinstance(packet, Disconnect)] == (
                [ReasonCode.NOT_AUTHORIZED] if version is Version.V5 else []
            )
            # It did not say goodbye itself, so its will is due [MQTT-3.1.2-8].
            assert full.receive_message().payload == b"gone"
            assert login(broker, version, "limited", "pw")[1] is ReasonCode.NOT_AUTHORIZED
            assert messages(full.until_ping()) == []


@pytest.mark.normative(v5="3.2.2-9 3.2.2-10 3.2.2-11 3.2.2-12")
@pytest.mark.capability("MQ13")
@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.value)
def test_qos_2_can_be_refused_and_granted_as_1(tmp_path: Path, kind: BrokerKind) -> None:
    keys = "reject_qos2_publish: true\ndowngrade_qos2_subscribe: true"
    with MqttBroker(kind, tmp_path, mqtt=keys) as broker:
        for version in versions(broker):
            client = RawMqttClient(broker.port, version)
            answer = client.connect("")
            assert answer.properties.maximum_qos == (1 if version is Version.V5 else None)
            assert client.subscribe("a", 2) is ReasonCode.GRANTED_QOS_1
            client.publish("a", b"x", 1)
            assert client.receive_message().qos == 1
            client.send(Publish(b"a", b"no", 2, packet_id=7))
            said = client.until_closed()
            assert [packet.reason_code for packet in said if isinstance(packet, Disconnect)] == (
                [ReasonCode.QOS_NOT_SUPPORTED] if version is Version.V5 else []
            )
            if version is Version.V5:
                # [MQTT-3.2.2-12]
                asker = RawMqttClient(broker.port, version)
                assert asker.connect("", will=Will(b"w", b"w", 2)).reason_code is ReasonCode.QOS_NOT_SUPPORTED


@pytest.mark.capability("MQ13", "MQ06")
def test_absent_sessions_end_after_the_configured_time(tmp_path: Path) -> None:
    """MQTT 5 is told [MQTT-3.2.2]: a shorter session expiry than it asked for."""
    with MqttBroker(BrokerKind.LEAFBOX, tmp_path, mqtt='consumer_inactive_threshold: "1s"') as broker:
        for version in BOTH:
            kept = Properties(session_expiry_interval_s=600) if version is Version.V5 else NO_PROPERTIES
            client = RawMqttClient(broker.port, version)
            answer = client.connect(f"id{version}", clean=False, properties=kept)
            assert answer.properties.session_expiry_interval_s == (1 if version is Version.V5 else None)
            client.disconnect()
        time.sleep(1.6)
        for version in BOTH:
            again = RawMqttClient(broker.port, version)
            assert not again.connect(f"id{version}", clean=False).is_session_present


@pytest.mark.capability("MQ09", "MQ06")
def test_what_waited_is_judged_by_the_rights_of_the_day(tmp_path: Path) -> None:
    """A session that is away does not collect what its user may not read: after a restart, after a reload."""
    with MqttBroker(BrokerKind.LEAFBOX, tmp_path, users()) as broker:
        for number in (1, 2):
            away = entered(broker, Version.V5, "limited", client_id=f"away{number}", clean=False)
            for topic_filter in ("ok/+", "ok/gone/x"):
                assert not away.subscribe(topic_filter, 1).is_failure
            away.disconnect()
        broker.restart()
        sender = entered(broker, Version.V5, "full")
        for topic in ("ok/secret", "ok/gone/x", "ok/a"):
            sender.publish(topic, topic.encode(), 1)
        back = entered(broker, Version.V5, "limited", client_id="away1", clean=False)
        assert sorted(back.receive_message().payload for _ in range(2)) == [b"ok/a", b"ok/gone/x"]
        assert back.until_ping() == []
        reload(broker, users('subscribe: {allow: ["ok.*"], deny: "ok.secret"}'))
        back = entered(broker, Version.V5, "limited", client_id="away2", clean=False)
        assert back.receive_message().payload == b"ok/a"
        assert back.until_ping() == []


@pytest.mark.normative(v5="6.0.0-1", v311="6.0.0-1")
@pytest.mark.capability("MQ10")
def test_text_frames_are_no_mqtt(server: MqttBroker) -> None:
    """[MQTT-6.0.0-1]; nats-server takes them."""
    assert server.server is not None
    with connect_websocket(
        f"ws://127.0.0.1:{server.server.port('websocket')}/mqtt", subprotocols=[Subprotocol("mqtt")], proxy=None
    ) as websocket:
        websocket.send("\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
        if server.kind is BrokerKind.NATS_SERVER:
            assert websocket.recv(10) == b"\x20\x02\x00\x05"
            return
        with pytest.raises(ConnectionClosed):
            websocket.recv(10)
