"""Transforms and mappings on a live server: examples, refusals, partition numbers and weights of nats-server 2.15.1."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from leafbox.app.configuration.load import read_settings
from leafbox.broker.config import MappingDestination, SubjectMapping
from leafbox.broker.mappings import AccountMappings
from leafbox.protocol.errors import ConfigError
from tests.support.blocking_client import BlockingClient, messages_in
from tests.support.servers import ServerKind, StartServer, run_program
from tests.support.transform_cases import REFUSED, TRANSFORMED, Transformed

ROW_COUNT_MIN = 60


def publish_all(server_port: int, subjects: list[bytes]) -> dict[int, bytes]:
    """Publish to each subject from one connection that subscribes to everything; where each message arrived."""
    with BlockingClient(server_port) as client:
        client.login()
        client.ask(b"SUB > 1\r\n")
        batch = b"".join(
            b"PUB %b %d\r\n%d\r\n" % (subject, len(str(number)), number) for number, subject in enumerate(subjects)
        )
        return {int(payload): subject for subject, _, payload in messages_in(client.ask(batch))}


def config_of(mappings: list[tuple[str, str]]) -> str:
    lines = "\n".join(f'  "{source}": "{destination}"' for source, destination in mappings)
    return f"mappings {{\n{lines}\n}}\n"


def renamed(number: int, case: Transformed) -> Transformed:
    """The example under a first token of its own, so that many fit into one server."""
    source, destination, results = case
    first = f"a{number}."

    def rename(subject: str) -> str:
        return first + subject[2:] if subject.startswith("a.") else subject

    return rename(source), destination, {rename(subject): rename(result) for subject, result in results.items()}


def grouped(cases: list[Transformed]) -> list[list[Transformed]]:
    """Groups in which no two sources overlap; what depends on its first token cannot be renamed."""
    groups: list[list[Transformed]] = [[]]
    for number, case in enumerate(cases):
        source, destination, _ = case
        if source.startswith("a.") and not any(text in destination for text in ("$0", "$-1", "(7)", "(7,0)")):
            groups[0].append(renamed(number, case))
        else:
            groups.append([case])
    return groups


@pytest.mark.capability("CF05", "CF06")
def test_examples(start_server: StartServer, server_kind: ServerKind) -> None:
    assert sum(len(results) for _, _, results in TRANSFORMED) >= ROW_COUNT_MIN
    wrong: dict[bytes, tuple[bytes | None, bytes]] = {}
    for group in grouped(TRANSFORMED):
        server = start_server(
            server_kind, config=config_of([(source, destination) for source, destination, _ in group])
        )
        rows = [(subject.encode(), result.encode()) for _, _, results in group for subject, result in results.items()]
        arrived = publish_all(server.client_port, [subject for subject, _ in rows])
        for number, (subject, expected) in enumerate(rows):
            if arrived.get(number) != expected:
                wrong[subject] = (arrived.get(number), expected)
    assert not wrong


@pytest.mark.capability("CF05", "CF03")
@pytest.mark.parametrize(("source", "destination", "reason"), REFUSED)
def test_refusals(source: str, destination: str, reason: str, tmp_path: Path) -> None:
    """The real program's error line is our configuration error (in this process: a start costs a second)."""
    config = tmp_path / "wrong.conf"
    config.write_text(config_of([(source, destination)]))
    done = run_program(ServerKind.REAL, ["-t", "-c", str(config)], directory=tmp_path)
    with pytest.raises(ConfigError) as ours:
        read_settings(str(config), {})
    assert f'Error adding mapping for "{source}" to "{destination}" : {reason}' in str(ours.value)
    assert done.returncode == 1
    assert done.stderr.strip() == f"nats-server: {ours.value}".strip()


@pytest.mark.capability("CF06")
def test_partition_numbers_of_a_thousand_subjects(start_server: StartServer, server_kind: ServerKind) -> None:
    mappings = [("p.*.*", "q.{{partition(13,1,2)}}"), ("r.>", "s.{{partition(7)}}.>"), ("t.*", "u.{{partition(1000)}}")]
    server = start_server(server_kind, config=config_of(mappings))
    generator = random.Random(20)
    words = ["".join(generator.choices("abcdefghij-_0123456789", k=generator.randint(1, 12))) for _ in range(2000)]
    subjects = [f"p.{word}.{words[-index]}" for index, word in enumerate(words[:400])]
    subjects += [f"r.{word}.{words[-index]}.x" for index, word in enumerate(words[400:700])]
    subjects += [f"t.{word}" for word in words[700:1000]]
    arrived = publish_all(server.client_port, [subject.encode() for subject in subjects])
    ours = AccountMappings(
        [SubjectMapping(source, (MappingDestination(destination),)) for source, destination in mappings]
    )
    assert len(arrived) == 1000
    assert {number: ours.map(subject.encode()) for number, subject in enumerate(subjects)} == arrived


@pytest.mark.capability("CF06")
def test_random_numbers_cover_their_range(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=config_of([("a.*", "b.{{random(5)}}")]))
    found = Counter(publish_all(server.client_port, [b"a.x"] * 2000).values())
    assert set(found) == {b"b.0", b"b.1", b"b.2", b"b.3", b"b.4"}
    assert min(found.values()) > 200


WEIGHTS = """
mappings {
  rest: [{dest: one, weight: 20}, {dest: two, weight: "30%"}]
  loss: [{dest: loss, weight: 50}, {dest: three, weight: 20}]
  scope: [{dest: elsewhere, weight: 100, cluster: other}, {dest: here, weight: 100}]
}
"""


@pytest.mark.capability("CF04")
def test_weights_hold_within_three_percent(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=WEIGHTS)
    rest = Counter(publish_all(server.client_port, [b"rest"] * 10_000).values())
    assert set(rest) == {b"one", b"two", b"rest"}
    loss = Counter(publish_all(server.client_port, [b"loss"] * 10_000).values())
    assert set(loss) == {b"loss", b"three"}
    for count, percent in (
        (rest[b"one"], 20),
        (rest[b"two"], 30),
        (rest[b"rest"], 50),
        (loss[b"loss"], 50),
        (loss[b"three"], 20),
        (10_000 - loss.total(), 30),
    ):
        assert abs(count / 100 - percent) < 3
    assert set(publish_all(server.client_port, [b"scope"] * 10).values()) == {b"here"}
