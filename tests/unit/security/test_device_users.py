"""Devices at the login: before the configured users, by their own secret, with their own rights."""

from __future__ import annotations

import asyncio

import pytest

from leafbox.broker.config import ConnectionType
from leafbox.security.authentication import Authenticator, ConnectionFacts, Credentials, Identity, Refusal
from leafbox.security.config import SecurityOptions, UserOptions
from leafbox.security.device_users import DeviceAuthenticator, DeviceUser, new_secret
from leafbox.security.passwords import PasswordVerifier

pytestmark = pytest.mark.capability("AP41", "AP06")

FACTS = ConnectionFacts(ConnectionType.STANDARD)


async def authenticator(options: SecurityOptions) -> tuple[Authenticator, dict[str, DeviceUser], dict[str, float], str]:
    password, salt, digest = new_secret()
    devices = {"d": DeviceUser("d", salt, digest, publish=("d.>",), subscribe=())}
    seen: dict[str, float] = {}
    verifier = PasswordVerifier(asyncio.get_running_loop())
    return DeviceAuthenticator(options, verifier, devices, seen), devices, seen, password


@pytest.mark.parametrize("options", [SecurityOptions(), SecurityOptions(users=(UserOptions("u", "p"),))])
def test_a_device_is_let_in_by_its_secret_only(options: SecurityOptions) -> None:
    async def run() -> None:
        asked, devices, seen, password = await authenticator(options)
        identity = asked.authenticate(Credentials("d", password), FACTS)
        assert isinstance(identity, Identity)
        assert identity.name == "d"
        assert identity.permissions is not None
        assert identity.permissions.publish is not None
        assert identity.permissions.publish.allow == ("d.>",)
        assert seen["d"] > 0
        assert isinstance(asked.authenticate(Credentials("d", password + "x"), FACTS), Refusal)
        assert isinstance(asked.authenticate(Credentials("d"), FACTS), Refusal)
        # A device that is gone, or has another secret, does not stay.
        assert asked.still_authorised(identity, FACTS) == identity
        devices["d"] = DeviceUser("d", *new_secret()[1:])
        assert isinstance(asked.still_authorised(identity, FACTS), Refusal)
        del devices["d"]
        assert isinstance(asked.still_authorised(identity, FACTS), Refusal)

    asyncio.run(run())


def test_others_are_decided_as_before() -> None:
    async def run() -> None:
        open_box, *_ = await authenticator(SecurityOptions())
        assert open_box.authenticate(Credentials(), FACTS) == Identity("", "$G")
        closed, *_ = await authenticator(SecurityOptions(users=(UserOptions("u", "p"),)))
        assert isinstance(closed.authenticate(Credentials(), FACTS), Refusal)
        assert isinstance(closed.authenticate(Credentials("u", "p"), FACTS), Identity)

    asyncio.run(run())


def test_secrets_are_not_shown() -> None:
    _, salt, digest = new_secret()
    shown = repr(DeviceUser("d", salt, digest))
    assert salt not in shown
    assert digest not in shown
