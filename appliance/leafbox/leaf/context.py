"""What all leaf links of a server share: the broker, the options, and what INFO and CONNECT say of us."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from leafbox.broker.account import Account
from leafbox.broker.broker import Broker
from leafbox.broker.identity import API_LEVEL
from leafbox.leaf.config import LeafOptions
from leafbox.leaf.rules import Domains
from leafbox.protocol.leaf_info import LEAF_PROTOCOL, LeafConnect, LeafInfo

LOOP_PREFIX = b"$LDS."


@dataclass(slots=True)
class LeafContext:
    """Mutable only by its owner (wiring and reload)."""

    broker: Broker
    options: LeafOptions
    tasks: asyncio.TaskGroup
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("leafbox.leaf"))
    has_jetstream: Callable[[Account], bool] = lambda account: False
    """Whether JetStream serves this account."""
    domain: Callable[[], str] = lambda: ""
    """JetStream domain of this server; empty: none."""
    connect_error_reports: int = 3600
    """A hub never reached is reported at the first try and then at every so many tries."""
    reconnect_error_reports: int = 1
    """The same for a hub that was reached before."""
    cluster_name: str = ""
    """Configured name of the cluster, which counts here even where there is no cluster."""
    loop_subjects: dict[str, bytes] = field(default_factory=dict)
    """By account: what we announce on every link; whoever hears his own has a loop."""

    @property
    def cluster(self) -> str:
        """The name that links of one cluster have in common; a server that is in none is its own."""
        return self.cluster_name or self.broker.identity.name

    def loop_subject(self, account: Account) -> bytes:
        """`$LDS.<id>` of an account, made once per start."""
        subject = self.loop_subjects.get(account.name)
        if subject is None:
            subject = LOOP_PREFIX + base64.b32encode(os.urandom(13)).rstrip(b"=")
            self.loop_subjects[account.name] = subject
        return subject

    def domains(self, account: Account, remote_domain: str) -> Domains:
        """What JetStream keeps apart on a link of this account."""
        return Domains(self.has_jetstream(account), self.domain(), remote_domain, account.is_system)

    def info(self, **facts: object) -> LeafInfo:
        """INFO; `facts` are those of one link and of its listener."""
        identity, options = self.broker.identity, self.broker.options
        info = LeafInfo(
            server_id=identity.server_id,
            server_name=identity.name,
            version=identity.version,
            proto=LEAF_PROTOCOL,
            git_commit=identity.git_commit,
            go=identity.language,
            headers=not options.is_header_support_disabled,
            max_payload=options.payload_bytes_max,
            cluster=self.cluster_name,
            domain=self.domain(),
            api_lvl=API_LEVEL,
            info_on_connect=True,
        )
        for name, value in facts.items():
            setattr(info, name, value)
        return info

    def connect(self, account: Account) -> LeafConnect:
        """CONNECT without credentials."""
        identity = self.broker.identity
        return LeafConnect(
            version=identity.version,
            server_id=identity.server_id,
            domain=self.domain(),
            name=identity.name,
            cluster=self.cluster,
            headers=not self.broker.options.is_header_support_disabled,
            jetstream=self.has_jetstream(account),
            remote_account=account.name,
            protocol=LEAF_PROTOCOL,
        )
