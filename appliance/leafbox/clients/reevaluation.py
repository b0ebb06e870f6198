"""After a reload: may each live client stay, and with what rights (config spec section 11, row SE20)."""

from __future__ import annotations

from leafbox.broker.account import Account
from leafbox.broker.config import UNLIMITED
from leafbox.broker.permission_tables import permission_tables
from leafbox.clients.client import ClientConnection, error_line, quoted
from leafbox.dataplane.routing import Subscription
from leafbox.security.authentication import Identity, Refusal


def reevaluate(client: ClientConnection) -> None:
    """Apply the present configuration to a live client: close it, or adjust its permissions and limits."""
    if client.closed or client.identity is None:
        return
    authenticator = client.context.authenticator
    decision = authenticator.still_authorised(client.identity, client.facts())
    if isinstance(decision, Refusal):
        if decision.is_silent:
            client.close("Client Closed")
        else:
            client.refuse(decision.reason, decision.peer_text, decision.closed_as)
        return
    account = client.context.broker.account(decision.account)
    if account is not client.account:
        # nats-server says nothing to a client whose account moved; it reconnects and lands in the new one.
        client.close("Client Closed")
        return
    assert isinstance(account, Account)
    apply_rights(client, decision, account)


def apply_rights(client: ClientConnection, identity: Identity, account: Account) -> None:
    """New permissions and limits for a client that stays; subscriptions that lost their right are withdrawn."""
    options = client.context.broker.options
    client.identity = identity
    client.end_at_expiry(identity)
    client.max_control_line = options.control_line_bytes_max
    client.max_pending = options.pending_bytes_max
    client.max_payload = account.payload_limit(options.payload_bytes_max, identity.limits.payload_bytes_max)
    client.keep_subscription_limit(account)
    permissions = permission_tables(identity.permissions)
    if permissions is client.permissions:
        return
    client.permissions = permissions
    if permissions is None or permissions.responses_max is None:
        client.reply_permissions = None
    elif client.reply_permissions is None:
        client.reply_permissions = {}
    for subscription in list(client.subscriptions.values()):
        if permissions is not None and not permissions.allows_subscribe(subscription.subject, subscription.queue):
            withdraw_with_error(client, subscription)
        else:
            subscription.filters_deliveries = permissions is not None and permissions.filters(subscription.subject)


def send_surplus_away(account: Account | None) -> None:
    """Of an account that may have fewer connections now, the latest go."""
    if account is None or account.limits.connections_max == UNLIMITED:
        return
    clients = sorted(
        (client for client in account.connections if isinstance(client, ClientConnection)), key=lambda each: each.cid
    )
    for client in clients[account.limits.connections_max :]:
        client.fail("maximum account active connections exceeded", "Maximum Account Connections Exceeded")


def withdraw_with_error(client: ClientConnection, subscription: Subscription) -> None:
    """Tell a client which of its subscriptions it lost."""
    client.withdraw(subscription)
    queue = f" using queue {quoted(subscription.queue)}" if subscription.queue is not None else ""
    text = f"Permissions Violation for Subscription to {quoted(subscription.subject)}{queue}"
    client.send(error_line(f"{text} (sid {quoted(subscription.sid)})"))
