"""One entry of the JetStream error catalogue; the entries themselves are in `error_catalog` (generated)."""

from __future__ import annotations

from dataclasses import dataclass

from leafbox.protocol.errors import RequestRejected


@dataclass(frozen=True, slots=True)
class ApiError:
    """HTTP-like code, JetStream error code and text; `{...}` in the text is filled per refusal (ADR-1)."""

    code: int
    err_code: int
    description: str

    def rejected(self, **fields: object) -> RequestRejected:
        """The exception that carries this entry, its text completed with `fields`."""
        text = self.description
        for name, value in fields.items():
            text = text.replace("{" + name + "}", str(value))
        return RequestRejected(self.code, self.err_code, text)

    def matches(self, error: RequestRejected) -> bool:
        """Whether an exception came from this entry."""
        return error.err_code == self.err_code
