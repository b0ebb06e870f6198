"""Who may open a leaf link to us: the users of `leafnodes.authorization`, or else those of the server.

Leaf users that are configured stand alone: the server's own users then cannot open links, as in nats-server.
"""

from __future__ import annotations

from leafbox.broker.config import GLOBAL_ACCOUNT
from leafbox.leaf.config import LeafOptions
from leafbox.security.authentication import Authenticator
from leafbox.security.config import SecurityOptions, UserOptions
from leafbox.security.passwords import PasswordVerifier


def leaf_authenticator(options: LeafOptions, passwords: PasswordVerifier, server: Authenticator) -> Authenticator:
    """The decision for leaf links under these options."""
    users = _users(options)
    if not users:
        return server
    return Authenticator(SecurityOptions(users=users), passwords)


def _users(options: LeafOptions) -> tuple[UserOptions, ...]:
    account = options.account or GLOBAL_ACCOUNT
    if options.username:
        return (UserOptions(options.username, options.password, account=account),)
    if options.nkey:
        return (UserOptions(nkey=options.nkey, account=account),)
    return tuple(
        UserOptions(user.name, user.password, account=user.account or GLOBAL_ACCOUNT) for user in options.users
    )
