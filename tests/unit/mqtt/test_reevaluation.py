"""After a reload: who may stay, and with what rights."""

from __future__ import annotations

from dataclasses import replace

from leafbox.broker.config import Permissions, SubjectPermission
from leafbox.mqtt.config import MqttOptions, Redirect
from leafbox.mqtt.reevaluation import reevaluate
from leafbox.protocol.mqtt.packets import Disconnect, Publish, Subscribe, Subscription, Version
from leafbox.protocol.mqtt.properties import Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from leafbox.security.authentication import Authenticator
from leafbox.security.config import SecurityOptions, UserOptions
from tests.support.gateway_box import Device, GatewayBox

ANNA = UserOptions("anna", "pw")
LIMITED = Permissions(SubjectPermission(("a",)), SubjectPermission(("a",)))


def joined(box: GatewayBox) -> Device:
    client = box.joined("c", Version.V5, user="anna")
    client.send(Subscribe(1, (Subscription(b"a", 0), Subscription(b"b", 0))))
    client.sent()
    return client


def reload(box: GatewayBox, *users: UserOptions) -> None:
    """Another set of users, and everybody is looked at."""
    box.context.authenticator = Authenticator(SecurityOptions(users=users), box.passwords)
    for client in list(box.gateway.connections):
        reevaluate(client)


def test_who_is_no_user_any_more_has_to_go() -> None:
    with GatewayBox(SecurityOptions(users=(ANNA,))) as box:
        client = joined(box)
        reload(box, UserOptions("berta", "pw"))
        assert client.sent() == [Disconnect(ReasonCode.NOT_AUTHORIZED)]


def test_who_changed_its_password_has_to_log_in_again() -> None:
    with GatewayBox(SecurityOptions(users=(ANNA,))) as box:
        client = joined(box)
        reload(box, replace(ANNA, password="other"))
        assert client.is_closed


def test_who_belongs_elsewhere_now_has_to_come_again() -> None:
    with GatewayBox(SecurityOptions(users=(ANNA,))) as box:
        client = joined(box)
        reload(box, replace(ANNA, account="OTHER"))
        assert client.sent() == [Disconnect(ReasonCode.ADMINISTRATIVE_ACTION)]


def test_rights_change_under_a_client_that_stays() -> None:
    """Subscriptions that are not allowed any more are gone; new rights count for what it publishes."""
    with GatewayBox(SecurityOptions(users=(ANNA,))) as box:
        client = joined(box)
        reload(box, replace(ANNA, permissions=LIMITED))
        assert not client.is_closed
        assert list(box.gateway.accounts["$G"].by_id["c"].records) == [b"a"]
        box.account.publish(b"b", b"no", b"", b"")
        box.account.publish(b"a", b"yes", b"", b"")
        assert [each.payload for each in client.sent() if isinstance(each, Publish)] == [b"yes"]
        client.send(Publish(b"b", b"", 0), Publish(b"a", b"own", 0))
        assert [each.payload for each in client.sent() if isinstance(each, Publish)] == [b"own"]


def test_nothing_changes_for_who_may_what_it_might() -> None:
    with GatewayBox(SecurityOptions(users=(ANNA,))) as box:
        client = joined(box)
        before = client.connection.permissions
        reload(box, ANNA)
        assert client.connection.permissions is before
        assert not client.is_closed


def test_everybody_may_be_sent_elsewhere() -> None:
    with GatewayBox(SecurityOptions(users=(ANNA,))) as box:
        client = joined(box)
        box.context.options = MqttOptions(port=1883, server_reference="b:1", redirect=Redirect.MOVED)
        reload(box, ANNA)
        assert client.sent() == [Disconnect(ReasonCode.SERVER_MOVED, Properties(server_reference="b:1"))]
