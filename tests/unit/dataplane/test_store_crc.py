"""CRC-32C: the known answer, and the instruction and table versions hold each other."""

import random

import pytest

from leafbox.dataplane import store_crc


@pytest.mark.capability("JS42")
def test_known_answer() -> None:
    """The check value of CRC-32C from RFC 3720, appendix B.4."""
    assert store_crc.checksum(b"123456789") == 0xE3069283
    assert store_crc.checksum(b"") == 0


def test_versions_agree_on_any_length_and_split() -> None:
    random_source = random.Random(7)
    for size in range(70):
        data = random_source.randbytes(size)
        split = random_source.randrange(size + 1)
        whole = store_crc.checksum(data)
        assert store_crc.checksum_without_instructions(data) == whole
        assert store_crc.checksum(data[split:], store_crc.checksum(data[:split])) == whole
