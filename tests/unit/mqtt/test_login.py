"""Credentials out of a CONNECT."""

from __future__ import annotations

from leafbox.mqtt.login import credentials_of
from leafbox.protocol.mqtt.packets import Connect
from leafbox.security.authentication import Credentials


def test_the_password_may_be_a_token_or_a_jwt() -> None:
    plain = credentials_of(Connect("c", user_name="u", password=b"secret"), Credentials())
    assert (plain.user, plain.password, plain.token, plain.jwt) == ("u", "secret", "secret", "")
    token = credentials_of(Connect("c", user_name="u", password=b"eyJ0"), Credentials())
    assert token.jwt == "eyJ0"


def test_cookies_stand_in_for_what_connect_leaves_out() -> None:
    from_web = Credentials(user="w", password="p", token="t", jwt="j")
    assert credentials_of(Connect("c"), from_web) == from_web
    assert credentials_of(Connect("c", user_name="u", password=b"x"), from_web).password == "x"
