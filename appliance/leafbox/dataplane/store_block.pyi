from _typeshed import ReadableBuffer

class BlockBuffer:
    def __buffer__(self, flags: int, /) -> memoryview: ...

class BlockCache:
    capacity_bytes: int
    cached_bytes: int
    dirty_bytes: int
    hit_count: int
    miss_count: int
    def __init__(self, capacity_bytes: int) -> None: ...

class Block:
    @property
    def first_sequence(self) -> int: ...

def sound_sequences(value: ReadableBuffer) -> list[int]: ...
def check_block_value(value: ReadableBuffer, stream: int, first_seq: int) -> None: ...
def check_index_value(value: ReadableBuffer, stream: int, first_seq: int) -> tuple[int, int]: ...
