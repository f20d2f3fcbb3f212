"""The SQL files: `supabase/` beside the package in a checkout, inside the package when installed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from soundscape.project.schema import find_folder

_EXTENSION = re.compile(r'^create extension if not exists "?([\w-]+)"?', re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Migration:
    """One file of `supabase/migrations`: `{version}_{name}.sql`."""

    version: str
    name: str
    sql: str

    @property
    def title(self) -> str:
        """The file's name without its suffix."""
        return f"{self.version}_{self.name}"


def get_folder() -> Path:
    """Return the `supabase` folder. Raises `DeployError` when the installation is incomplete."""
    return find_folder()


def migrations() -> list[Migration]:
    """Read every migration, oldest first."""
    found = []
    for path in sorted((get_folder() / "migrations").glob("*.sql")):
        version, _, name = path.stem.partition("_")
        found.append(Migration(version, name, path.read_text()))
    return found


def policies() -> list[tuple[str, str]]:
    """Read every policy file as `(file name, SQL)`. Each is safe to run again, in any order."""
    return [(path.name, path.read_text()) for path in sorted((get_folder() / "policies").glob("*.sql"))]


def extensions() -> list[str]:
    """Return the extensions that the migrations create."""
    return sorted({name for migration in migrations() for name in _EXTENSION.findall(migration.sql)})


def vocabulary(files: Iterable[Migration] | None = None) -> Callable[[str], bool]:
    """Return a function that tells whether a word or phrase is in these migrations, or in any file."""
    texts = [migration.sql for migration in (migrations() if files is None else files)]
    if files is None:
        texts += [text for _, text in policies()]
    text = "\n".join(texts)
    words = set(re.findall(r"\w+", text))
    return lambda phrase: phrase in words if phrase.isidentifier() else phrase in text


def digest(text: str) -> str:
    """Return the SHA-256 of a file's text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
