from leafbox.dataplane.connection import Engine
from leafbox.dataplane.mqtt_plane import MqttPeer, MqttPlane
from leafbox.dataplane.mqtt_session import MqttSession
from leafbox.dataplane.permissions import Permissions
from leafbox.dataplane.routing import AccountPlane

class MqttConnection(MqttPeer):
    account: AccountPlane | None
    plane: MqttPlane | None
    permissions: Permissions | None
    is_accepted: bool
    is_resumed: bool
    max_payload: int
    packet_bytes_limit: int
    keep_alive_ns: int
    receive_maximum: int
    peer_alias_max: int
    refuses_qos2: bool
    @property
    def session(self) -> MqttSession | None: ...
    def __init__(self, engine: Engine) -> None: ...
    def on_packet(self, first_byte: int, body: bytes) -> None: ...
    def on_violation(self, reason: int, text: str) -> None: ...
    def on_publish_denied(self, subject: bytes) -> None: ...
    def on_not_stored(self, subject: bytes) -> None: ...
    def on_keep_alive_lapsed(self) -> None: ...
    def enter(self, account: AccountPlane, plane: MqttPlane, session: MqttSession) -> None: ...
    def leave(self) -> None: ...
    def check_ack(self, first_byte: int, body: bytes) -> bool: ...
    def publish_own(
        self,
        topic: bytes,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,
        properties: bytes = b"",
        expiry_s: int = -1,
    ) -> None: ...

def lapsed(connections: list[MqttConnection]) -> list[MqttConnection]: ...
