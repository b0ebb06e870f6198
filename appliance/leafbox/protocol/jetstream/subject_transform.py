"""Subject transforms of stream configurations: those of `protocol.subject_transform`, in the text of JSON.

An empty destination is no transform. What cannot be built is a `TransformError` with nats-server's text.
"""

from __future__ import annotations

from leafbox.protocol import subject_transform
from leafbox.protocol.subject_transform import InvalidTransform


class TransformError(ValueError):
    """The source or destination cannot be used; the text is nats-server's."""


class SubjectTransform:
    """Maps literal subjects that match `source`. Immutable."""

    __slots__ = ("_transform", "destination", "source")

    def __init__(self, source: str, destination: str) -> None:
        self.source = source or ">"
        self.destination = destination
        try:
            self._transform = subject_transform.SubjectTransform.compile(self.source.encode(), destination.encode())
        except InvalidTransform as invalid:
            raise TransformError(str(invalid)) from None

    def match(self, subject: str) -> str | None:
        """The mapped subject, or None if the subject does not match the source."""
        found = self._transform.match(subject.encode(errors="surrogateescape"))
        return None if found is None else found.decode(errors="replace")

    def apply(self, subject: str) -> str:
        """The mapped subject of one that is known to match."""
        return self._transform.apply(subject.encode(errors="surrogateescape")).decode(errors="replace")


def validate_mapping(source: str, destination: str) -> None:
    """Raises `TransformError` unless a transform can be built; an empty destination is "no transform"."""
    if not destination:
        return
    try:
        # A bad destination is named before a bad source.
        subject_transform.check_destination(destination.encode())
    except InvalidTransform as invalid:
        raise TransformError(str(invalid)) from None
    SubjectTransform(source, destination)
