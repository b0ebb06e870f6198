"""The MQTT codec of the control plane: any bytes, cut anywhere, as a server and as a client reads them.

Nothing but `MqttViolation` may come out of it, cuts change nothing, and a packet that was read is written and read
again as the same value.
"""

from __future__ import annotations

from collections.abc import Sequence

from leafbox.protocol.mqtt.decoder import decode_packet
from leafbox.protocol.mqtt.encoder import encode_packet
from leafbox.protocol.mqtt.framing import PacketBuffer, PacketReader
from leafbox.protocol.mqtt.packets import Connect, Packet, Role, Version
from leafbox.protocol.mqtt.violation import MqttViolation
from tests.fuzz.choices import Choices
from tests.support.mqtt_bad_cases import BAD
from tests.support.mqtt_cases import GOOD
from tests.support.parser_check import cut

PACKET_BYTES_MAX = 4096
ROLES = (Role.SERVER, Role.CLIENT)
VERSIONS = (Version.V3_1_1, Version.V5, Version.V3_1)


def _seed(role: Role, version: Version, data: bytes) -> bytes:
    return bytes((ROLES.index(role), VERSIONS.index(version), 0)) + data


SEEDS = [_seed(good.role, good.version, good.data) for good in GOOD]
SEEDS += [_seed(bad.role, bad.version, bad.data) for bad in BAD]


def read(role: Role, version: Version, chunks: Sequence[bytes]) -> tuple[list[Packet], str]:
    """Packets until the first violation, and what it says."""
    reader = PacketReader(role, PACKET_BYTES_MAX, version)
    packets: list[Packet] = []
    try:
        for chunk in chunks:
            packets += reader.receive_data(chunk)
    except MqttViolation as violation:
        return packets, f"{violation.reason_code} {violation.text_for_peer}"
    return packets, ""


def one_input(data: bytes) -> None:
    """Side, version, cuts, then what the peer sends."""
    choices = Choices(data)
    role, version = choices.pick(ROLES), choices.pick(VERSIONS)
    cuts = [choices.number(512) for _ in range(choices.number(6))]
    sent = choices.rest()
    pieces = cut(sent, cuts)
    _, said = whole = read(role, version, [sent])
    if not said:
        assert read(role, version, pieces) == whole
    for packet in whole[0]:
        spoken = packet.version if isinstance(packet, Connect) else version
        again = encode_packet(packet, spoken)
        [(first_byte, body)] = PacketBuffer(1 << 20).receive_data(again)
        assert decode_packet(first_byte, body, spoken, role) == packet
        version = spoken
