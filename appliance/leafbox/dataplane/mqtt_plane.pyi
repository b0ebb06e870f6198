from collections.abc import Callable

from leafbox.dataplane.connection import Connection
from leafbox.dataplane.mqtt_session import MqttSession
from leafbox.dataplane.routing import AccountPlane
from leafbox.dataplane.stream_ingest import CommitGate, StreamIngest, Task

class MqttPeer(Connection):
    version: int
    packet_bytes_max: int
    alias_max: int
    @property
    def dropped(self) -> int: ...

class MqttPlane(Task):
    is_restoring: bool
    extend: Callable[[bytes, bytes, bool], int]
    on_full: Callable[[MqttSession], object] | None
    @property
    def account(self) -> AccountPlane: ...
    @property
    def messages(self) -> StreamIngest: ...
    @property
    def retained(self) -> StreamIngest: ...
    @property
    def gate(self) -> CommitGate: ...
    @property
    def stored(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def expired(self) -> int: ...
    def __init__(
        self,
        account: AccountPlane,
        messages: StreamIngest,
        retained: StreamIngest,
        gate: CommitGate,
        extend: Callable[[bytes, bytes, bool], int],
    ) -> None: ...
    def settle(self) -> None: ...
    def end_turn(self) -> None: ...
    def needed(self, seq: int) -> int: ...
    def drop_unneeded(self) -> int: ...
