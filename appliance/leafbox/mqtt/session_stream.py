"""The stream `$MQTT_sess`: one message for each kept session, for people and tools to look at.

It is a picture, drawn at most once a second, and never read back: the sessions' own log records are what counts, so a
subscription costs one small record and not the whole session again.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from leafbox.jetstream.names import short_hash
from leafbox.jetstream.stream import Stream
from leafbox.protocol.errors import LeafboxError

if TYPE_CHECKING:
    from leafbox.mqtt.session import Session

# Changes of a session are drawn together: a client that subscribes a thousand times makes one message.
DRAW_INTERVAL_S = 1.0


class SessionStream:
    """Draws sessions into their stream."""

    def __init__(self, stream: Stream, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._loop = loop
        self._changed: dict[str, Session] = {}
        self._timer: asyncio.TimerHandle | None = None

    def show(self, session: Session) -> None:
        """The session is new or has changed."""
        self._changed[session.client_id] = session
        if self._timer is None:
            self._timer = self._loop.call_later(DRAW_INTERVAL_S, self._draw)

    def hide(self, session: Session) -> None:
        """The session is over."""
        self._changed.pop(session.client_id, None)
        store = self._stream.store
        store.purge_messages(store.filter(_subject(session).encode()), 0, 0)

    def stop(self) -> None:
        """Draw what is open and nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._draw()

    def _draw(self) -> None:
        self._timer = None
        changed, self._changed = self._changed, {}
        for session in changed.values():
            subscriptions = {each.filter: each.qos for each in session.records.values()}
            document = {"id": session.client_id, "subs": subscriptions, "expiry": session.expiry_s}
            try:
                self._stream.ingest.store_message(_subject(session).encode(), b"", json.dumps(document).encode(), b"")
            except LeafboxError:
                # The store takes nothing at the moment; the picture is not worth a word beside its own alarm.
                return


def _subject(session: Session) -> str:
    return f"$MQTT.sess.{short_hash(session.client_id)}"
