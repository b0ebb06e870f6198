from collections.abc import Callable

from leafbox.dataplane.routing import Receiver

class Reading:
    count: int
    size: int
    @property
    def subject(self) -> bytes: ...
    @property
    def value(self) -> bytes: ...

class LastReadings(Receiver):
    by_sender: dict[Receiver, Reading | None]
    def __init__(self, find: Callable[[Receiver], Reading | None]) -> None: ...
