"""How commands show numbers, times and errors."""

from __future__ import annotations

import pytest
import typer

from leafbox.app.command_output import count_text, duration_text, failures_told, size_text
from leafbox.app.control_client import BoxUnreachable
from leafbox.app.exit_codes import EXIT_DENIED, EXIT_FAILED, EXIT_UNREACHABLE
from leafbox.protocol.errors import BoxRequestFailed


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB"), (None, "-")]
)
def test_sizes(count: object, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0.4, "0"), (9999, "9999"), (12_345, "12.3k"), (2e6, "2.0M"), (3e9, "3.0G"), (None, "-")]
)
def test_counts(count: object, text: str) -> None:
    assert count_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (65, "1 min 5 s"), (90_061, "1 d 1 h"), (3600, "1 h"), (None, "-")]
)
def test_durations(seconds: object, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BoxRequestFailed("not_found", "there is none", "look again"), EXIT_FAILED),
        (BoxRequestFailed("denied", "no"), EXIT_DENIED),
        (BoxUnreachable("it does not run"), EXIT_UNREACHABLE),
        (BoxUnreachable("another user's", True), EXIT_DENIED),
        (OSError("disk"), EXIT_FAILED),
        (KeyboardInterrupt(), 0),
    ],
)
def test_errors_end_with_their_code(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, failures_told():
        raise error
    assert ended.value.exit_code == code
    assert capsys.readouterr().err == ("" if code == 0 else f"leafbox: {error}\n")
