"""Sends the will of a client that was connected, or gone for less than its will's delay, when the box went down.

The connection of then is history, so the will goes out through one that has no socket, with the rights that the
configuration gives its user now: who lost them meanwhile has no last word.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from leafbox.broker.permission_tables import permission_tables
from leafbox.dataplane.connection import Engine
from leafbox.dataplane.mqtt_connection import MqttConnection
from leafbox.mqtt.ports import RightsOfUser
from leafbox.security.authentication import Refusal

if TYPE_CHECKING:
    from leafbox.mqtt.session import Session

logger = logging.getLogger(__name__)


class AbsentSender:
    """In the place of a session's last connection."""

    def __init__(self, engine: Engine, session: Session, rights_of: RightsOfUser) -> None:
        self._engine = engine
        self._session = session
        self._rights_of = rights_of

    def publish_will(self) -> None:
        """Send the will, once."""
        session = self._session
        will, session.will = session.will, None
        if will is None:
            return
        account = session.owner.account
        rights = self._rights_of(session.user, account.name)
        if isinstance(rights, Refusal) or rights.account != account.name:
            logger.warning(
                "a will is not sent: its client's user is not what it was client_id=%r user=%r account=%s",
                session.client_id,
                session.user,
                account.name,
            )
            return
        connection = _Sender(self._engine)
        connection.client_id = session.client_id
        connection.permissions = permission_tables(rights.permissions)
        connection.enter(account, session.owner.plane, session.core)
        connection.publish_own(will.topic, will.payload, will.qos, will.is_retained, will.properties, will.expiry_s)
        connection.leave()


class _Sender(MqttConnection):
    """A connection without a socket."""

    client_id = ""

    def on_publish_denied(self, subject: bytes) -> None:
        logger.error("Publish Violation of a will client_id=%r subject=%r", self.client_id, subject)
