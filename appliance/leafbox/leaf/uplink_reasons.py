"""What may be the matter with an uplink: every reason has a stable code, one plain sentence and a next step.

The one table that command line, dashboard, doctor and the tests share. A reason is chosen from facts by
`uplink_state`; nothing here looks at a link.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from leafbox.leaf.failures import Failure, FailureKind


class Condition(enum.Enum):
    """How an uplink stands, from what flows; the values are stable."""

    FLOWING = "flowing"
    DEGRADED = "degraded"
    STALLED = "stalled"
    DOWN = "down"
    DENIED = "denied"
    CONNECTING = "connecting"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an uplink is not (entirely) well; `detail` is what the hub, the system or a library said."""

    code: str
    condition: Condition
    sentence: str
    next_step: str
    detail: str = ""


_D, _S, _N = Condition.DOWN, Condition.STALLED, Condition.DENIED
_G = Condition.DEGRADED

# code -> (condition, sentence, next step)
TEXTS: dict[str, tuple[Condition, str, str]] = {
    "dns": (
        _D,
        "The hub's name cannot be resolved.",
        "Check the name in the URL and this machine's DNS (resolvectl query NAME).",
    ),
    "connection_refused": (
        _D,
        "The hub's machine answers, but nothing listens on that port.",
        "Check the port in the URL (7422 by default) and that the hub runs with a leafnodes listener.",
    ),
    "connection_timeout": (
        _D,
        "The hub's address does not answer.",
        "Check that a firewall or the line lets outgoing TCP to the hub's port pass.",
    ),
    "network_unreachable": (_D, "There is no way to the hub's network.", "Check cable, Wi-Fi or modem and the route."),
    "tls": (
        _D,
        "The encrypted connection could not be agreed on.",
        "Check that hub and uplink agree on TLS (scheme tls://, --handshake-first) and its version.",
    ),
    "tls_untrusted": (
        _D,
        "The hub's certificate is not trusted.",
        "Give the hub's CA with --ca FILE, and check that the URL's host name is in the certificate.",
    ),
    "clock": (
        _D,
        "This machine's clock and the hub's certificate or credentials do not agree.",
        "Set the clock (timedatectl set-ntp true); if it is right, renew the certificate or the credentials.",
    ),
    "websocket": (_D, "The WebSocket upgrade was refused.", "Check the URL's path and any proxy in front of the hub."),
    "no_info": (
        _S,
        "The hub takes the connection and then says nothing.",
        "Look at the hub: it may hang, or something else listens on its port; with TLS first use --handshake-first.",
    ),
    "proxy": (
        _D,
        "The HTTP proxy on the way to the hub does not let the link through.",
        "Check the proxy's address and login, and that it allows CONNECT to the hub's port.",
    ),
    "wrong_port": (
        _D,
        "The port belongs to clients, not to leafs.",
        "Use the port of the hub's leafnodes block (7422 by default).",
    ),
    "credentials": (
        _N,
        "The credentials file cannot be read, or is none.",
        "Put a readable credentials file of the hub's operator in that place; no restart is needed.",
    ),
    "credentials_expired": (
        _N,
        "The credentials have expired, or this machine's clock is ahead.",
        "Compare the clock with the detail (timedatectl); if it is right, get a new credentials file from the hub's "
        "operator and put it in the same place: no restart is needed.",
    ),
    "credentials_early": (
        _N,
        "By this machine's clock the credentials are not valid yet.",
        "Set the clock (timedatectl set-ntp true); if it is right, wait until then or get other credentials.",
    ),
    "credentials_revoked": (
        _N,
        "The hub's operator has revoked the credentials.",
        "Ask the operator why; new credentials go into the same file, no restart is needed.",
    ),
    "credentials_refused": (
        _N,
        "The hub refuses the credentials, although they are valid by this machine's clock.",
        "Check that the file is for this hub; ask its operator whether the user was revoked or removed, and whether "
        "the hub's clock is right.",
    ),
    "authorization": (_N, "The hub refuses the login.", "Check user and password, or the token, in the URL."),
    "permissions": (
        _N,
        "The hub's user lacks a permission that the uplink needs.",
        "Give the user the permissions that `leafbox uplink hub-snippet` prints.",
    ),
    "account": (_D, "The local account of this uplink does not exist.", "Name an account of the configuration."),
    "limit": (
        _N,
        "The hub has no room for another link of this account.",
        "Raise the account's limit of leaf connections at the hub.",
    ),
    "version": (_D, "The hub wants a newer server than this one.", "Lower leafnodes.min_version at the hub."),
    "same_cluster": (
        _D,
        "Hub and box use the same cluster or server name.",
        "Give this box a server_name of its own.",
    ),
    "loop": (
        _D,
        "What this box sends comes back to it through the hub.",
        "Remove one of the two ways between the hubs, or use another account on one of them.",
    ),
    "duplicate": (
        _D,
        "Another box with the same server name took this link's place.",
        "Give each box a server_name of its own.",
    ),
    "stale": (_S, "The line is dead although the connection still stands.", "Nothing to do: the box dials again."),
    "hub_shutdown": (_D, "The hub was shut down.", "Nothing to do here: the box dials until the hub is back."),
    "protocol": (_D, "The hub's answer is not understood.", "Check that the URL leads to a nats-server's leafnodes."),
    "closed": (
        _D,
        "The connection to the hub was closed.",
        "Nothing to do: the box dials again; see the hub's log.",
    ),
    "hub_silent": (
        _S,
        "The link stands, but the hub's JetStream does not answer.",
        "Look at the hub; the box closes a silent link and dials again.",
    ),
    "own_domain_missing": (
        _G,
        "This box has no JetStream domain, so the hub cannot tell its streams from its own.",
        "Set jetstream { domain: NAME } in the configuration, a name that no other box uses, and restart.",
    ),
    "hub_domain_missing": (
        _G,
        "The hub's JetStream has no domain.",
        "Set jetstream { domain: HUB } (any name) in the hub's configuration.",
    ),
    "domain_clash": (
        _G,
        "Hub and box use the same JetStream domain.",
        "Give one of them another name in jetstream { domain }.",
    ),
    "hub_jetstream_off": (
        _G,
        "JetStream is off at the hub, or not enabled for the account of this link.",
        "Enable jetstream in the hub's configuration and in that account.",
    ),
    "hub_too_old": (
        _G,
        "The hub is too old to acknowledge what it takes from a work queue.",
        "Update the hub to nats-server 2.14 or newer.",
    ),
    "hub_full": (
        _G,
        "The hub's stream, or its account's storage, is full and takes nothing more.",
        "Raise its limits or let it discard old messages; everything is kept here meanwhile.",
    ),
    "hub_stream_missing": (
        _G,
        "The hub has no stream that fetches from this box, and it could not be made from here.",
        "Run what `leafbox uplink hub-snippet` prints at the hub.",
    ),
    "hub_stream_overlaps": (
        _G,
        "The hub's stream listens on the same subjects, so it would store every message twice.",
        "Remove the subjects from the hub's stream, or choose another stream with --hub-stream.",
    ),
    "buffer_missing": (
        _G,
        "The local stream that keeps the messages could not be made.",
        "See the detail: usually another stream takes these subjects, or the storage limit is reached.",
    ),
    "buffer_full": (
        _G,
        "The local buffer is full; new messages are refused until the hub has taken some.",
        "Bring the hub back, or give the buffer more room with `uplink add --buffer`.",
    ),
    "forward_stuck": (
        _G,
        "The link is well, but the hub's stream fetches nothing.",
        "Look at the stream at the hub (nats stream info): its source shows the error.",
    ),
    "hub_lost": (
        _G,
        "The hub asks again for messages that it had acknowledged; they have left this box.",
        "Unless somebody removed them there, it lost them in a crash: set jetstream { sync_interval: always } at the "
        "hub, or give its stream three replicas.",
    ),
    "paused": (Condition.PAUSED, "The uplink is paused.", "leafbox uplink resume"),
    "connecting": (Condition.CONNECTING, "The link is being made.", "Wait a few seconds."),
}


def reason(code: str, detail: str = "") -> Reason:
    """The reason of that code."""
    condition, sentence, next_step = TEXTS[code]
    return Reason(code, condition, sentence, next_step, detail)


def reason_of_failure(failure: Failure) -> Reason:
    """The reason why there is no link."""
    return reason(failure.kind.value if failure.kind.value in TEXTS else FailureKind.CLOSED.value, failure.text)
