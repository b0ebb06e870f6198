"""Permissions on a live server: every case's subscriptions, publishes and deliveries are those of the model."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from leafbox.broker.config import Permissions
from tests.support.blocking_client import BlockingClient, errors_in, messages_in
from tests.support.permission_cases import CASES, LITERALS, QUEUES, SUBSCRIPTIONS
from tests.support.permission_model import PermissionModel
from tests.support.servers import ServerKind, ServerProcess, StartServer

USERS = {name: f"u{number}" for number, name in enumerate(CASES)}
DENIED_SUBSCRIPTION = re.compile(r'Permissions Violation for Subscription to "([^"]*)"(?: using queue "([^"]*)")?')
DENIED_PUBLISH = re.compile(r'Permissions Violation for Publish to "([^"]*)"')


def config_of(permissions: Permissions) -> str:
    """The `permissions` map of a user; a direction without rules gets an empty list, which allows everything."""
    parts = []
    for key, rules in (("publish", permissions.publish), ("subscribe", permissions.subscribe)):
        if rules is not None:
            lists = {"allow": rules.allow, "deny": rules.deny or None}
            text = ", ".join(f"{name}: {list_of(entries)}" for name, entries in lists.items() if entries)
            parts.append(f"{key}: {{{text}}}" if text else f"{key}: []")
    return "{" + ", ".join(parts) + "}"


def list_of(entries: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{entry}"' for entry in entries) + "]"


@pytest.fixture(scope="module", params=list(ServerKind), ids=lambda kind: kind.value)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server with a user for each case."""
    users = "\n".join(
        f"{{user: {USERS[name]}, password: p, permissions: {config_of(permissions)}}}"
        for name, permissions in CASES.items()
    )
    config = f"authorization {{ users: [ {{user: admin, password: p}}\n{users} ] }}\n"
    with ServerProcess(request.param, tmp_path_factory.mktemp("permissions"), config=config) as process:
        yield process


def model_of(server: ServerProcess, name: str) -> PermissionModel:
    """The model of the server that is asked; they differ in one point, see there."""
    return PermissionModel(CASES[name], takes_tail_for_a_word=server.kind is ServerKind.REAL)


def login(server: ServerProcess, user: str) -> BlockingClient:
    client = BlockingClient(server.client_port)
    assert client.login(user=user, **{"pass": "p"}).endswith(b"PONG\r\n")
    client.read_until(b"\r\n")  # The INFO that follows the first PONG.
    return client


@pytest.mark.capability("SE03", "SE04", "SE05")
@pytest.mark.parametrize("name", CASES)
def test_which_subscriptions_are_accepted(server: ServerProcess, name: str) -> None:
    probes = [(subject, queue) for subject in SUBSCRIPTIONS for queue in QUEUES]
    with login(server, USERS[name]) as client:
        lines = "".join(f"SUB {subject} {queue} {sid}\r\n" for sid, (subject, queue) in enumerate(probes))
        refused = {
            found.groups(default="")
            for text in errors_in(client.ask(lines.encode()))
            if (found := DENIED_SUBSCRIPTION.search(text))
        }
    model = model_of(server, name)
    assert refused == {probe for probe in probes if not model.may_subscribe(*probe)}


@pytest.mark.capability("SE03")
@pytest.mark.parametrize("name", CASES)
def test_which_publishes_are_accepted(server: ServerProcess, name: str) -> None:
    with login(server, USERS[name]) as client:
        answer = client.ask(b"".join(b"PUB %b 1\r\nx\r\n" % subject.encode() for subject in LITERALS))
    model = model_of(server, name)
    refused = {found[1] for text in errors_in(answer) if (found := DENIED_PUBLISH.search(text))}
    assert refused == {subject for subject in LITERALS if not model.may_publish(subject)}


@pytest.mark.capability("SE04")
@pytest.mark.parametrize("name", CASES)
def test_what_is_delivered(server: ServerProcess, name: str) -> None:
    """A wildcard subscription that overlaps a denied subject is accepted and filtered."""
    model = model_of(server, name)
    accepted = [subject for subject in SUBSCRIPTIONS if model.may_subscribe(subject)]
    with login(server, USERS[name]) as client, login(server, "admin") as admin:
        client.ask("".join(f"SUB {subject} {sid}\r\n" for sid, subject in enumerate(accepted)).encode())
        admin.ask(b"".join(b"PUB %b 1\r\nx\r\n" % subject.encode() for subject in LITERALS))
        delivered = {(accepted[int(sid)], subject.decode()) for subject, sid, _ in messages_in(client.ask())}
    assert delivered == {
        (subscribed, subject)
        for subscribed in accepted
        for subject in LITERALS
        if model.is_delivered(subscribed, subject)
    }


REPLYING = """
authorization {{ users: [
  {{user: admin, password: p}}
  {{user: service, password: p, permissions: {{{permissions}}}}}
] }}
"""


def reply_outcomes(server: ServerProcess, replies: list[tuple[str, float]]) -> list[bool]:
    """The service gets one request and publishes to each (subject, pause before in seconds); which got through."""
    with login(server, "service") as service, login(server, "admin") as admin:
        service.ask(b"SUB request 1\r\n")
        admin.ask(b"SUB > 1\r\n")
        admin.ask(b"PUB request inbox.1 0\r\n\r\n")
        service.read_until(b"MSG request 1 inbox.1 0\r\n\r\n")
        outcomes = []
        for subject, pause_s in replies:
            time.sleep(pause_s)
            answer = service.ask(b"PUB %b 2\r\nok\r\n" % subject.encode())
            is_delivered = any(message[0] == subject.encode() for message in messages_in(admin.ask()))
            assert is_delivered == (not errors_in(answer))
            assert is_delivered or errors_in(answer) == [f'Permissions Violation for Publish to "{subject}"']
            outcomes.append(is_delivered)
        return outcomes


@pytest.mark.capability("SE06")
@pytest.mark.parametrize(
    ("permissions", "replies", "outcomes"),
    [
        ("allow_responses: true", [("inbox.1", 0), ("inbox.1", 0)], [True, False]),
        ("allow_responses: true", [("inbox.2", 0), ("other", 0), ("inbox.1", 0)], [False, False, True]),
        ("allow_responses: {max: 2}", [("inbox.1", 0)] * 3, [True, True, False]),
        ("allow_responses: {max: -1}", [("inbox.1", 0)] * 5, [True] * 5),
        ('allow_responses: {max: 5, expires: "1500ms"}', [("inbox.1", 0), ("inbox.1", 1.8)], [True, False]),
        ("publish: other, allow_responses: true", [("other", 0), ("inbox.1", 0), ("third", 0)], [True, True, False]),
        ("publish: {deny: other}, allow_responses: true", [("other", 0), ("third", 0)], [False, False]),
        ("publish: [], allow_responses: true", [("other", 0), ("inbox.1", 0)], [False, True]),
        ("publish: {deny: inbox.1}, allow_responses: true", [("inbox.1", 0), ("inbox.1", 0)], [True, False]),
    ],
)
def test_replies(
    start_server: StartServer,
    server_kind: ServerKind,
    permissions: str,
    replies: list[tuple[str, float]],
    outcomes: list[bool],
) -> None:
    server = start_server(server_kind, config=REPLYING.format(permissions=permissions))
    assert reply_outcomes(server, replies) == outcomes
