# cython: language_level=3
"""Python's view of the CRC-32C that log and database use; for slow paths, checks and tests."""


def checksum(const unsigned char[::1] data not None, uint32_t crc=0) -> int:
    """CRC-32C of `data`, continuing from `crc`."""
    if data.shape[0] == 0:
        return crc32c(crc, b"", 0)
    return crc32c(crc, &data[0], data.shape[0])


def checksum_without_instructions(const unsigned char[::1] data not None, uint32_t crc=0) -> int:
    """The table-driven twin, callable everywhere so that a test can hold both to each other."""
    if data.shape[0] == 0:
        return crc32c_plain(crc, b"", 0)
    return crc32c_plain(crc, &data[0], data.shape[0])


def has_instructions() -> bool:
    """Whether this machine computes CRC-32C in hardware."""
    return bool(crc32c_hardware)
