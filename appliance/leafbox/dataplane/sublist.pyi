from collections.abc import Hashable
from typing import Any

CACHE_CAPACITY_MAX: int

class MatchResult:
    queue_names: tuple[bytes, ...]
    @property
    def entries(self) -> list[Any]: ...
    @property
    def groups(self) -> list[list[Any]]: ...

class Sublist:
    count: int
    inserts: int
    removes: int
    matches: int
    cache_hits: int
    cache_count: int
    cached_references: int
    @property
    def cache_capacity_now(self) -> int: ...
    def __init__(self, cache_capacity_max: int = ..., *, entry_type: type = ...) -> None: ...
    def insert(self, subject: bytes, queue: bytes | None, entry: Hashable) -> None: ...
    def remove(self, subject: bytes, queue: bytes | None, entry: Hashable) -> bool: ...
    def find(self, subject: bytes) -> MatchResult: ...
    def has_interest(self, subject: bytes) -> bool: ...
