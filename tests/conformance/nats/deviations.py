"""The scripts of the table to which ours answers otherwise than nats-server 2.15.1, each with the reason.

A script listed here must differ: when it no longer does, its line goes.
"""

from __future__ import annotations

DEVIATIONS = {
    "operation: b'SUB room\\x0c 1\\r\\nPUB room\\x0c 2\\r\\nhi\\r\\n'": (
        "a form feed is white space in a subject everywhere else in nats-server; ours refuses it in SUB too"
    ),
    "client -err without text": "ours closes silently like for any -ERR; nats-server names a parse error first",
    "line b'PUB room 02'": "ours writes sizes as numbers; nats-server copies the publisher's digits",
    "line b'HPUB room 012 014'": "the same",
    "wide subscription over an allowed subject": (
        "nats-server reads `>` as a literal token here, so a user allowed `*.w.*` hears all of `room.w.>`; ours refuses"
    ),
    "stream import and its maximum": "nats-server forgets UNSUB's maximum for imported messages; ours keeps it",
}
