"""Cutting a byte stream into control packets: fixed header and body (MQTT 5 section 2.1).

Bounds what a peer may make us hold: the announced length is checked as soon as it is complete, before its bytes come.
"""

from __future__ import annotations

from collections.abc import Iterator

from leafbox.protocol.mqtt.decoder import decode_packet
from leafbox.protocol.mqtt.packets import Connect, Packet, Role, Version
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from leafbox.protocol.mqtt.violation import MqttViolation, malformed

FIXED_HEADER_BYTES_MAX = 5


class PacketBuffer:
    """Bytes in, (first byte, body) out. After a violation the rest of the stream means nothing; close it."""

    def __init__(self, packet_bytes_max: int) -> None:
        self._packet_bytes_max = packet_bytes_max
        self._held = bytearray()

    def receive_data(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Every packet that is complete now. Holds at most one incomplete packet and the data just given."""
        self._held += data
        position = 0
        try:
            while (header := self._header(position)) is not None:
                body_start, body_end = header
                if body_end > len(self._held):
                    break
                first_byte, body = self._held[position], bytes(self._held[body_start:body_end])
                position = body_end
                yield first_byte, body
        finally:
            del self._held[:position]

    def _header(self, position: int) -> tuple[int, int] | None:
        """Start and end of the body of the packet at `position`; None: its header is not complete."""
        held, length = self._held, 0
        for index in range(1, FIXED_HEADER_BYTES_MAX):
            if position + index >= len(held):
                return None
            byte = held[position + index]
            length |= (byte & 0x7F) << (7 * (index - 1))
            if byte < 0x80:
                if byte == 0 and index > 1:
                    raise malformed("the remaining length uses more bytes than it needs")
                size = 1 + index + length
                if size > self._packet_bytes_max:
                    raise MqttViolation(
                        f"a packet of {size} bytes, {self._packet_bytes_max} are allowed",
                        reason_code=ReasonCode.PACKET_TOO_LARGE,
                    )
                return position + 1 + index, position + size
        raise malformed("the remaining length has more than four bytes")


class PacketReader:
    """Bytes in, packets out, for one side of a connection. A server learns the version from the CONNECT."""

    def __init__(self, role: Role, packet_bytes_max: int, version: Version = Version.V5) -> None:
        self._role = role
        self._buffer = PacketBuffer(packet_bytes_max)
        self.version = version

    def receive_data(self, data: bytes) -> Iterator[Packet]:
        """Every packet that is complete now; `MqttViolation` after the last good one."""
        for first_byte, body in self._buffer.receive_data(data):
            packet = decode_packet(first_byte, body, self.version, self._role)
            if isinstance(packet, Connect):
                self.version = packet.version
            yield packet
