"""What somebody runs or writes at the hub so that this box's data gets there: permissions, domain, stream."""

from __future__ import annotations

import msgspec

from leafbox.leaf.uplink_definition import Definition
from leafbox.leaf.uplink_hub import hub_stream_config, needed_permissions, source_of

_CONFIGURATION = """\
# In the hub's configuration: JetStream with a domain, a leafnodes listener, and a user for this box.
jetstream {{ domain: {hub_domain}, store_dir: /var/lib/nats }}
leafnodes {{ listen: "0.0.0.0:7422" }}
# The least permissions of the box's user; beside them it needs those for the subjects that shall cross live.
permissions {{
  publish {{ allow: {publish} }}
  subscribe {{ allow: {subscribe} }}
}}
"""


def hub_snippet(definition: Definition, own_domain: str, hub_domain: str) -> str:
    """Text for the hub's operator."""
    domain = hub_domain or "HUB"
    publish, subscribe = needed_permissions(own_domain, domain, bool(definition.forwards))
    lines = [
        _CONFIGURATION.format(
            hub_domain=domain,
            publish=msgspec.json.encode([*publish, "leafbox.probe.>"]).decode(),
            subscribe=msgspec.json.encode(subscribe).decode(),
        )
    ]
    own_api = f"$JS.{own_domain}.API"
    for forward in definition.forwards:
        config = msgspec.json.encode(hub_stream_config(forward, own_api)).decode()
        source = msgspec.json.encode(source_of(forward, own_api)).decode()
        lines += [
            f"# At the hub, once: the stream that fetches {', '.join(forward.subjects)} from this box.",
            f"nats stream add {forward.hub_stream} --config /dev/stdin <<'END'",
            config,
            "END",
            f"# If stream {forward.hub_stream} is there already: add this to its sources (nats stream edit).",
            source,
        ]
    return "\n".join(lines) + "\n"
