from collections.abc import Iterable

class SubjectTable:
    live: int
    def memory_bytes(self) -> int: ...
    def counts(self, wanted: SubjectFilter | None = None) -> dict[bytes, int]: ...

class SubjectFilter:
    table: SubjectTable
    patterns: tuple[bytes, ...]
    matches_all: bool
    is_literal: bool
    def __init__(self, table: SubjectTable, patterns: Iterable[bytes] = ()) -> None: ...
    def matches_subject(self, subject: bytes) -> bool: ...
