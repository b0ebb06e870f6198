"""`leafbox passwd`: a password of the dashboard, set anew by the owner of the box, or a hash for the configuration.

The way back for who forgot theirs: whoever may read the data directory may do it. Passwords are typed or read from a
pipe; they are in no argument list.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from leafbox.app.command_output import DEFAULT_DATA, DataOption, failures_told
from leafbox.app.control_client import ask
from leafbox.app.exit_codes import EXIT_FAILED

PASSWORD_CHARS_MIN = 10
"""Of people of the dashboard, as there."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(passwd)


def passwd(
    name: Annotated[str, typer.Argument(help="Somebody of the dashboard; left out: print a hash.")] = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Set the password of somebody of the dashboard, or print the bcrypt hash to put into the configuration."""
    if sys.stdin.isatty():
        password = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    else:
        password = sys.stdin.readline().rstrip("\n")
    if name:
        _set(name, password, data)
    else:
        _print_hash(password)


def _set(name: str, password: str, data: DataOption) -> None:
    from leafbox.web.passwords import hash_password

    if len(password) < PASSWORD_CHARS_MIN:
        typer.echo(f"leafbox: a password has {PASSWORD_CHARS_MIN} characters or more", err=True)
        raise typer.Exit(EXIT_FAILED)
    with failures_told():
        person = ask(data, "people.change", {"name": name, "password_hash": hash_password(password)})
    typer.echo(f"{person['name']} ({person['role']}) has a new password; their sessions have ended.")


def _print_hash(password: str) -> None:
    from leafbox.security.passwords import hash_password

    try:
        typer.echo(hash_password(password))
    except ValueError as error:
        typer.echo(f"leafbox: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from error
