"""Thousands of packets with a few bytes changed, to a running gateway: the reason the codec gives, or the end.

The codec says what each is; the gateway parses the frequent packets itself and must agree. LEAFBOX_MUTATIONS=10000
makes a longer run of it.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from leafbox.protocol.mqtt.framing import PacketReader
from leafbox.protocol.mqtt.packets import Connack, Disconnect, Packet, Pingreq, Pingresp, Role, Version
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from leafbox.protocol.mqtt.violation import MqttViolation
from tests.support.mqtt_bad_cases import BAD, BadPacket
from tests.support.mqtt_brokers import BrokerKind, MqttBroker
from tests.support.mqtt_cases import GOOD, GoodPacket
from tests.support.mqtt_client import Closed, RawMqttClient

pytestmark = [pytest.mark.capability("MQ17"), pytest.mark.slow, pytest.mark.timeout(1200)]

MUTATIONS = int(os.environ.get("LEAFBOX_MUTATIONS", "1000"))
SEED = 20190307
GROWTH_MIB_MAX = 24
PING = b"\xc0\x00"
# A PUBLISH may have two faults, one in its topic and one in its properties, and either may be named.
FAULTS_OF_PUBLISH = {
    ReasonCode.MALFORMED_PACKET,
    ReasonCode.PROTOCOL_ERROR,
    ReasonCode.TOPIC_NAME_INVALID,
    ReasonCode.TOPIC_ALIAS_INVALID,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """Changed bytes, and what a reader makes of them with a PINGREQ behind."""

    version: Version
    data: bytes
    violation: ReasonCode | None
    is_complete: bool
    """The PINGREQ was read as one."""
    is_first: bool = True
    """Nothing before the fault could end the connection for a reason of its own."""

    def allows(self, found: ReasonCode | str) -> bool:
        """Whether that is a right end."""
        if self.violation is None:
            return True  # It may end for what it means, as DISCONNECT does.
        if self.version is not Version.V5 or not self.is_first or self.is_connect:
            return found != "alive"
        is_publish = self.data[0] >> 4 == 3
        return found is self.violation or (is_publish and found in FAULTS_OF_PUBLISH)

    @property
    def is_connect(self) -> bool:
        return self.data[0] >> 4 == 1


def mutated(choices: random.Random, data: bytes) -> bytes:
    """A few bytes changed, added or taken; mostly with a length that fits again, for faults further in."""
    changed = bytearray(data)
    for _ in range(choices.randrange(1, 4)):
        how = choices.random()
        if how < 0.6 or len(changed) < 3:
            changed[choices.randrange(len(changed))] = choices.choice((choices.randrange(256), 0, 1, 0xFF, 0x23, 0x2B))
        elif how < 0.8:
            changed.insert(choices.randrange(1, len(changed) + 1), choices.randrange(256))
        else:
            del changed[choices.randrange(1, len(changed))]
    if choices.random() < 0.7 and len(changed) >= 2 and len(changed) < 130:
        changed[1] = len(changed) - 2
    return bytes(changed)


def judged(version: Version, data: bytes) -> Mutant:
    """What the codec says."""
    reader = PacketReader(Role.SERVER, 6 * 65536, version)
    packets: list[Packet] = []
    try:
        packets.extend(reader.receive_data(data + PING))
    except MqttViolation as violation:
        return Mutant(version, data, violation.reason_code, is_complete=True, is_first=not packets)
    return Mutant(version, data, None, is_complete=bool(packets) and isinstance(packets[-1], Pingreq))


def outcome(broker: MqttBroker, mutant: Mutant) -> ReasonCode | str:
    """The code of the farewell, or `closed`, `alive`, `waits`."""
    with RawMqttClient(broker.port, mutant.version, timeout_s=20) as client:
        try:
            if not mutant.is_connect:
                client.connect()
            client.send_bytes(mutant.data + PING)
            if not mutant.is_complete:
                return "waits"
            last: Packet | None = None
            while mutant.violation or not isinstance(last, Pingresp):
                last = client.receive()
                if isinstance(last, Connack | Disconnect) and last.reason_code.is_failure:
                    client.until_closed()
                    return last.reason_code
        except Closed:
            return "closed"
        except TimeoutError:
            return "alive"
        except MqttViolation:
            assert mutant.is_connect, mutant  # A CONNACK in the words of the version that was asked for.
            if mutant.violation:
                client.all_bytes()
            return "closed"
    return "alive"


def resident_mib(pid: int) -> float:
    fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_what_is_malformed_ends_with_its_reason(tmp_path: Path) -> None:
    choices = random.Random(SEED)
    cases: list[GoodPacket | BadPacket] = [case for case in GOOD if case.role is Role.SERVER]
    cases += [case for case in BAD if case.role is Role.SERVER]
    with MqttBroker(BrokerKind.LEAFBOX, tmp_path) as broker:
        wrong: list[str] = []
        before = 0.0
        for number in range(MUTATIONS):
            case = choices.choice(cases)
            mutant = judged(case.version, mutated(choices, case.data))
            found = outcome(broker, mutant)
            if not mutant.allows(found):
                wrong.append(f"{case.name}: {mutant.data.hex(' ')}: {found!r}, the codec says {mutant.violation!r}")
            if number == MUTATIONS // 5:
                before = resident_mib(broker.pid)
        assert not wrong, "\n".join(wrong[:20])
        assert resident_mib(broker.pid) - before < GROWTH_MIB_MAX
        with RawMqttClient(broker.port) as client:
            client.connect()
            assert client.until_ping() == []
