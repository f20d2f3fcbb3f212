"""What the embedded Supabase needs installed beyond the product: the extra `local`."""

from __future__ import annotations

from importlib.util import find_spec

from embedded_supabase.errors import EmbeddedError

MODULES = ("bcrypt", "parsimonious", "pgmq", "psycopg_pool", "websockets")


def check_requirements() -> None:
    """Refuse to start where a module of the extra is missing. `binaries` looks for Postgres itself.

    Raises
    ------
    EmbeddedError
        `not_installed`, with the missing modules and the command that installs them.
    """
    if missing := [name for name in MODULES if find_spec(name) is None]:
        raise EmbeddedError(
            f"The embedded Supabase is not installed. Missing: {', '.join(missing)}.",
            code="not_installed",
            remedy="pip install 'soundscape[local]'",
        )
