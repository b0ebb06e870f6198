"""The data types of MQTT (MQTT 5 section 1.5; 3.1.1 section 1.5): integers, strings, binary data, variable lengths.

Reading is strict: what the standard calls malformed raises `MqttViolation`. Writing checks the same bounds.
"""

from __future__ import annotations

from leafbox.protocol.mqtt.violation import malformed

STRING_BYTES_MAX = 0xFFFF
VARIABLE_INTEGER_MAX = 268_435_455
"""The greatest a variable byte integer of four bytes can say, and so the greatest remaining length."""


class FieldReader:
    """Reads one packet's body from the left. `what` names the packet in violations."""

    __slots__ = ("_body", "_end", "_position", "what")

    def __init__(self, body: bytes, what: str) -> None:
        self._body = body
        self._position = 0
        self._end = len(body)
        self.what = what

    @property
    def is_at_end(self) -> bool:
        """Nothing is left."""
        return self._position == self._end

    @property
    def left(self) -> int:
        """Bytes left."""
        return self._end - self._position

    def byte(self) -> int:
        """One byte."""
        return self._take(1)[0]

    def two_byte_integer(self) -> int:
        """Big endian [section 1.5.2]."""
        return int.from_bytes(self._take(2))

    def four_byte_integer(self) -> int:
        """Big endian [section 1.5.3]."""
        return int.from_bytes(self._take(4))

    def variable_integer(self) -> int:
        """At most four bytes, and no more than the value needs [MQTT-1.5.5-1]."""
        value = 0
        for index in range(4):
            byte = self.byte()
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if byte == 0 and index:
                    raise malformed(f"{self.what}: a variable byte integer uses more bytes than it needs")
                return value
        raise malformed(f"{self.what}: a variable byte integer has more than four bytes")

    def binary(self) -> bytes:
        """Two bytes of length, then the data."""
        return self._take(self.two_byte_integer())

    def utf8(self) -> bytes:
        """A UTF-8 string, as its bytes [MQTT-1.5.4-1] [MQTT-1.5.4-2]; a byte order mark stays [MQTT-1.5.4-3]."""
        data = self.binary()
        self._decoded(data)
        return data

    def text(self) -> str:
        """The same as `str`."""
        return self._decoded(self.binary())

    def text_pairs(self, mark: int) -> list[tuple[str, str]]:
        """Pairs of strings, the second and every further one behind a byte that is `mark`; stops before another byte.

        In one loop: before login anybody may send tens of thousands of user properties, ten times as costly one by one.
        """
        body, end, position = self._body, self._end, self._position
        pairs: list[tuple[str, str]] = []
        try:
            while True:
                start = position + 2
                middle = start + (body[position] << 8 | body[position + 1]) if start <= end else end
                position = middle + 2 + (body[middle] << 8 | body[middle + 1]) if middle + 2 <= end else end + 1
                if position > end:
                    raise malformed(f"{self.what}: it ends inside a field")
                name, value = body[start:middle].decode(), body[middle + 2 : position].decode()
                if "\0" in name or "\0" in value:
                    raise malformed(f"{self.what}: a string holds U+0000")
                pairs.append((name, value))
                if position == end or body[position] != mark:
                    self._position = position
                    return pairs
                position += 1
        except UnicodeDecodeError:
            raise malformed(f"{self.what}: a string is not UTF-8") from None

    def rest(self) -> bytes:
        """Everything that is left."""
        return self._take(self._end - self._position)

    def sub_reader(self, length: int) -> FieldReader:
        """A reader of the next `length` bytes, which are skipped here."""
        return FieldReader(self._take(length), self.what)

    def expect_end(self) -> None:
        """A packet longer than its fields is malformed."""
        if self._position != self._end:
            raise malformed(f"{self.what}: {self._end - self._position} bytes after the last field")

    def _take(self, count: int) -> bytes:
        position = self._position
        if count > self._end - position:
            raise malformed(f"{self.what}: it ends inside a field")
        self._position = position + count
        return self._body[position : position + count]

    def _decoded(self, data: bytes) -> str:
        try:
            text = data.decode("utf-8")  # Strict: surrogates and overlong forms are refused.
        except UnicodeDecodeError:
            raise malformed(f"{self.what}: a string is not UTF-8") from None
        if "\0" in text:
            raise malformed(f"{self.what}: a string holds U+0000")
        return text


def variable_integer(value: int) -> bytes:
    """A length or a subscription identifier as a variable byte integer."""
    assert 0 <= value <= VARIABLE_INTEGER_MAX, value
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def variable_integer_size(value: int) -> int:
    """How many bytes `variable_integer` needs."""
    return 1 if value < 0x80 else 2 if value < 0x4000 else 3 if value < 0x20_0000 else 4


def binary(data: bytes) -> bytes:
    """Binary data, or a string's bytes, with their length."""
    assert len(data) <= STRING_BYTES_MAX, len(data)
    return len(data).to_bytes(2) + data


def text(value: str) -> bytes:
    """A string with its length."""
    return binary(value.encode())
