"""Joins the client sessions' need of a decision to the security feature."""
from __future__ import annotations
from collections.abc import Callable
from leafbox.app.configuration.options import Options
from leafbox.broker.broker import Broker
from leafbox.broker.config import ConnectionType
from leafbox.clients.ports import Login, LoginRequest, Refusal

class OpenAuthentication:
    needs_nonce = False
    def is_open(self, kind: ConnectionType) -> bool: return True
    def default_login(self, kind: ConnectionType) -> Login | None: return Login("", "$G")
    def decide(self, request: LoginRequest, answer: Callable[[Login | Refusal], None]) -> None: answer(Login("", "$G"))
    def decide_again(self, request: LoginRequest, login: Login, answer: Callable[[Login | Refusal], None]) -> None: answer(login)

def make_authentication(options: Options, broker: Broker) -> OpenAuthentication:
    return OpenAuthentication()
