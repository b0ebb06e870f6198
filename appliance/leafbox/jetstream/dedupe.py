"""The duplicate window: message ids seen lately and the sequences they got."""

from __future__ import annotations

from collections import deque


class DuplicateWindow:
    """Remembers ids for `window_ns`; about 200 bytes each. 0 remembers nothing."""

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self._seqs: dict[str, int] = {}
        self._order: deque[tuple[int, str, int]] = deque()

    def __len__(self) -> int:
        return len(self._seqs)

    def find(self, msg_id: str, now_ns: int) -> int:
        """The sequence of the message with this id, or 0."""
        self.forget_before(now_ns - self.window_ns)
        return self._seqs.get(msg_id, 0)

    def remember(self, msg_id: str, seq: int, ts_ns: int) -> None:
        """A message with this id was stored."""
        if self.window_ns > 0:
            self._seqs[msg_id] = seq
            self._order.append((ts_ns, msg_id, seq))

    def forget_before(self, ts_ns: int) -> None:
        """Drop ids of messages stored at or before `ts_ns`."""
        order = self._order
        while order and order[0][0] <= ts_ns:
            _, msg_id, seq = order.popleft()
            if self._seqs.get(msg_id) == seq:
                del self._seqs[msg_id]

    def clear(self) -> None:
        """Forget everything."""
        self._seqs.clear()
        self._order.clear()
