"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from soundscape.settings import UserSettings

DEFAULT_DATA_DIR = Path(".soundscape")
DataDir = Annotated[Path, typer.Option("--data-dir", help="Directory of the embedded Supabase.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Email = Annotated[
    str | None, typer.Option(help="Sign in with this address. Otherwise with SOUNDSCAPE_EMAIL.")
]


def read_user_settings(email: str | None, *, with_key: bool = True) -> UserSettings:
    """Return the project and how the user signs in. Asks for the password if it is not set.

    Parameters
    ----------
    email
        The address from the command line.
    with_key
        Whether an API key serves.

    Raises
    ------
    SettingsError
        If something is missing.
    """
    from soundscape.errors import SettingsError
    from soundscape.settings import UserSettings

    settings = UserSettings.from_environment()
    if with_key and settings.api_key is not None and email is None:
        return settings
    address = email or settings.email
    if address is None:
        raise SettingsError(
            "It is not known who signs in.",
            code="settings_missing",
            remedy="Set SOUNDSCAPE_API_KEY, or pass --email." if with_key else "Pass --email.",
        )
    password = settings.password or typer.prompt(f"Password of {address}", hide_input=True, err=True)
    return settings.model_copy(update={"api_key": None, "email": address, "password": password})
