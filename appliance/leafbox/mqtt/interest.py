"""From a topic filter to the data plane's interest: which subjects, which queue, what is refused.

Source: MQTT 5 sections 3.8, 4.7, 4.8.2. Not here: who may subscribe to what (the session asks the permissions).
"""

from __future__ import annotations

from dataclasses import dataclass

from leafbox.protocol.mqtt.filters import split_shared
from leafbox.protocol.mqtt.topics import client_id_to_token, filter_to_subjects

OWN_PREFIX = b"$MQTT"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a filter asks for. `queue` None: not shared."""

    subjects: tuple[bytes, ...]
    queue: bytes | None
    has_wildcard: bool
    skips_dollar: bool
    """The filter begins with a wildcard: topics that begin with `$` are not meant [MQTT-4.7.2-1]."""

    @property
    def is_internal(self) -> bool:
        """Whether it asks for the gateway's own subjects."""
        return any(subject.split(b".", 1)[0] == OWN_PREFIX for subject in self.subjects)


def wanted_by(topic_filter: bytes) -> Wanted:
    """The subjects of a well-formed filter, shared ones (in every version) included."""
    shared = split_shared(topic_filter)
    plain = shared.filter if shared is not None else topic_filter
    queue = client_id_to_token(shared.group.decode()).encode() if shared is not None else None
    return Wanted(
        subjects=filter_to_subjects(plain),
        queue=queue,
        has_wildcard=b"+" in plain or b"#" in plain,
        skips_dollar=plain[:1] in (b"+", b"#"),
    )
