from leafbox.dataplane.consumer_delivery import ConsumerDelivery
from leafbox.dataplane.consumer_requests import PullRequest
from leafbox.dataplane.routing import AccountPlane, Callback, CallbackReceiver
from leafbox.dataplane.stream_store import StreamStore

class ApiReceiver(CallbackReceiver):
    consumers: dict[bytes, ConsumerDelivery]
    def __init__(self, callback: Callback) -> None: ...

class DirectGetReceiver(CallbackReceiver):
    store: StreamStore
    account: AccountPlane
    def __init__(
        self, callback: Callback, account: AccountPlane, store: StreamStore, name: bytes, prefix_size: int
    ) -> None: ...

def plain_pull_request(body: bytes) -> PullRequest | None: ...
def time_text(time_ns: int) -> bytes: ...
