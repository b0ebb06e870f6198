"""Which NATS account a request is about: the query parameter `account`, or the box's default."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request

from leafbox.web.box import box_of
from leafbox.web.core import Core
from leafbox.web.problems import Refusal

KEPT_S = 5.0
"""How long the list of accounts is believed; accounts change with the configuration only."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of the box, without the system account."""

    names: tuple[str, ...]
    default: str
    box_name: str = ""
    version: str = ""
    server_id: str = ""
    read_at: float = 0


_known: dict[int, Accounts] = {}


async def accounts_of(core: Core) -> Accounts:
    """From core, or as it said a moment ago."""
    known = _known.get(id(core))
    if known is not None and time.monotonic() - known.read_at < KEPT_S:
        return known
    answer = await core.request("accounts.list")
    accounts = Accounts(
        tuple(answer["accounts"]),
        answer["default"],
        answer.get("box_name", ""),
        answer.get("version", ""),
        answer.get("server_id", ""),
        time.monotonic(),
    )
    _known.clear()
    _known[id(core)] = accounts
    return accounts


async def _account(
    request: Request,
    account: Annotated[str | None, Query(max_length=256, description="NATS account; default: the box's.")] = None,
) -> str:
    known = await accounts_of(box_of(request).core)
    if account is None or account == "":
        return known.default
    if account not in known.names:
        raise Refusal(404, "account_not_found", f"There is no account {account}.", "See `accounts` of GET session.")
    return account


AccountName = Annotated[str, Depends(_account)]
