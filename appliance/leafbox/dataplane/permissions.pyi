from collections.abc import Iterable

class Permissions:
    subscribe_allow_rules: tuple[tuple[bytes, bytes | None], ...]
    subscribe_deny_rules: tuple[tuple[bytes, bytes | None], ...]
    publish_deny_subjects: tuple[bytes, ...]
    restricts_publish: bool
    restricts_subscribe: bool
    responses_max: int | None
    responses_ttl_s: float | None
    def __init__(
        self,
        publish_allow: Iterable[bytes] = (),
        publish_deny: Iterable[bytes] = (),
        subscribe_allow: Iterable[tuple[bytes, bytes | None]] = (),
        subscribe_deny: Iterable[tuple[bytes, bytes | None]] = (),
        responses_max: int | None = None,
        responses_ttl_s: float | None = None,
    ) -> None: ...
    def allows_publish(self, subject: bytes) -> bool: ...
    def allows_subscribe(self, subject: bytes, queue: bytes | None = None) -> bool: ...
    def filters(self, subject: bytes) -> bool: ...
    def allows_message(self, subject: bytes) -> bool: ...
    def denies_message(self, subject: bytes) -> bool: ...
