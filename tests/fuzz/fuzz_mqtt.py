"""The MQTT gateway's data plane: any bytes from a peer, cut anywhere; what receivers get must be well formed.

Two sessions hear everything, one per version; a third peer sends the bytes. Cuts must change neither what is heard nor
what is answered, and every byte that goes out must be understood by a strict client. Order is promised for a topic and
a QoS [MQTT-4.6.0-5]: what needs no flash may overtake what waits for it, and where the bytes are cut decides whether.
"""

from __future__ import annotations

from leafbox.protocol.mqtt.packets import Packet, Publish, Version
from tests.fuzz.choices import Choices
from tests.support.gateway_stage import Stage
from tests.support.parser_check import cut

SEEDS = [
    b"\x00\x00\x30\x05\x00\x01ahi\xc0\x00\x32\x07\x00\x01a\x00\x01hi",
    b"\x01\x00\x32\x08\x00\x01a\x00\x01\x00hi\x34\x08\x00\x01a\x00\x02\x00hi\x62\x02\x00\x02",
    b"\x01\x02\x05\x09\x30\x14\x00\x03a/b\x0d\x26\x00\x01k\x00\x01v\x02\x00\x00\x00\x09hi",
    b"\x01\x00\x30\x0b\x00\x01a\x06\x23\x00\x01\x08\x00\x00hi\x40\x03\x00\x01\x10\x50\x02\x00\x02",
    b"\x10\x61\x10\x10\x01\x00\x32\x08\x00\x01a\x00\x01\x00hi\x31\x08\x00\x01a\x00\x08\x00\x01\x00\x32\x02\x00\x01",
    b"\x00\x00\x31\x05\x00\x01ahi\x31\x03\x00\x01a\x82\x06\x00\x01\x00\x01a\x00",
]

Outcome = tuple[list[tuple[bytes, bytes, bytes]], list[list[Packet]], list[tuple[int, str]]]


def play(version: Version, chunks: list[bytes]) -> Outcome:
    """What NATS heard, what each peer got, and how the sender ended."""
    stage = Stage()
    stage.listen()
    wires = []
    for name, spoken in (("three", Version.V3_1_1), ("five", Version.V5)):
        session = stage.session(name, is_persistent=name == "three")
        wire = stage.peer(session, spoken)
        wire.connection.alias_max = 2
        stage.subscribe(session, b"#", 2, identifier=3)
        wires.append(wire)
    sender = stage.peer(stage.session("sender", is_persistent=True), version)
    sender.connection.peer_alias_max = 3
    sender.connection.max_payload = 600
    for chunk in chunks:
        sender.receive(chunk)
    stage.loop.run_ready()
    got = [wire.sent() for wire in (*wires, sender)]
    violations = sender.connection.violations
    stage.end()
    return stage.heard, got, violations


def one_input(data: bytes) -> None:
    """Version, cuts, then what the peer sends."""
    choices = Choices(data)
    version = choices.pick((Version.V3_1_1, Version.V5, Version.V3_1))
    cuts = [choices.number(512) for _ in range(choices.number(6))]
    sent = choices.rest()
    heard, got, violations = play(version, cut(sent, cuts))
    whole_heard, whole_got, whole_violations = play(version, [sent])
    assert (heard, violations) == (whole_heard, whole_violations)
    for packets, whole in zip(got[:2], whole_got[:2], strict=True):
        assert by_qos(packets) == by_qos(whole)


def by_qos(packets: list[Packet]) -> list[list[bytes]]:
    """The payloads of each QoS, in order."""
    return [[each.payload for each in packets if isinstance(each, Publish) and each.qos == qos] for qos in range(3)]
