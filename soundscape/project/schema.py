"""Whether a worker and the project's schema fit. Each knows its newest migration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from postgrest.exceptions import APIError

from soundscape import __version__
from soundscape.errors import DeployError, ProjectError
from soundscape.project.functions import Functions

Fit = Literal["ok", "schema_too_old", "worker_too_old"]

NO_SUCH_FUNCTION = "PGRST202"


def find_folder() -> Path:
    """Return the folder `supabase`: beside the package in a checkout, inside the package when installed.

    Raises `DeployError` when the installation is incomplete.
    """
    package = Path(__file__).resolve().parents[1]
    for candidate in (package.parent / "supabase", package / "deploy" / "supabase"):
        if (candidate / "migrations").is_dir():
            return candidate
    raise DeployError(
        "The folder supabase/ with the migrations is missing.",
        code="sources_missing",
        remedy="Install the package again, or run from a checkout.",
    )


def read_newest_migration() -> str:
    """Return the version of the newest migration in this installation. Raises `DeployError`."""
    return max(path.stem.partition("_")[0] for path in (find_folder() / "migrations").glob("*.sql"))


class Schema(Functions):
    """The project's schema, as a worker asks for it."""

    async def register(self, worker: str, migration: str) -> Fit:
        """Note that this worker runs, and return whether it fits.

        Raises `ProjectUnreachable` or `ProjectError`.
        """
        try:
            fit: Fit = await self._call(
                "register_worker", worker=worker, version=__version__, migration=migration
            )
        except ProjectError as error:
            # Schemas of before 30 November 2026 do not have the function.
            if isinstance(error.__cause__, APIError) and error.__cause__.code == NO_SUCH_FUNCTION:
                return "schema_too_old"
            raise
        return fit
