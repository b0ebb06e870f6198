from leafbox.dataplane.routing import Subscription

class MqttInterest:
    overlaps: bool
    subscriptions: list[Subscription]
    @property
    def filter(self) -> bytes: ...
    @property
    def qos(self) -> int: ...
    @property
    def no_local(self) -> bool: ...
    @property
    def retain_as_published(self) -> bool: ...
    @property
    def is_shared(self) -> bool: ...
    @property
    def retain_handling(self) -> int: ...
    @property
    def identifier(self) -> int: ...
    @property
    def skips_dollar(self) -> bool: ...
    def __init__(
        self,
        filter: bytes,
        qos: int,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        identifier: int = 0,
        is_shared: bool = False,
        skips_dollar: bool = False,
    ) -> None: ...
