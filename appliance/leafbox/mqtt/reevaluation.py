"""After a reload: may each live MQTT client stay, and with what rights."""

from __future__ import annotations

from leafbox.broker.account import Account
from leafbox.broker.permission_tables import permission_tables
from leafbox.mqtt.accepting import elsewhere
from leafbox.mqtt.connection import MqttClient
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from leafbox.security.authentication import Refusal


def reevaluate(client: MqttClient) -> None:
    """Apply the present configuration to a live client: close it, or adjust its permissions and limits."""
    if client.closed or client.identity is None or client.member is None:
        return
    options = client.context.options
    if (code := elsewhere(options)) is not None:
        client.say_goodbye(code, "Redirected", options.server_reference)
        return
    decision = client.context.authenticator.still_authorised(client.identity, client.facts())
    if isinstance(decision, Refusal):
        client.say_goodbye(ReasonCode.NOT_AUTHORIZED, "Authentication Failure")
        return
    account = client.context.broker.account(decision.account)
    if account is not client.account:
        client.say_goodbye(ReasonCode.ADMINISTRATIVE_ACTION, "Client Closed")
        return
    assert isinstance(account, Account)
    client.take_identity(decision)
    client.max_payload = account.payload_limit(
        client.context.broker.options.payload_bytes_max, decision.limits.payload_bytes_max
    )
    client.refuses_qos2 = client.context.options.is_qos2_publish_rejected
    permissions = permission_tables(decision.permissions)
    if permissions is client.permissions:
        return
    client.permissions = client.member.core.permissions = permissions
    for lost in client.member.apply_permissions():
        client.context.logger.warning("%s - subscription is not permitted any more: %r", client, lost)
