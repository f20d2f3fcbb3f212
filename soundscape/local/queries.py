"""SQL in files: `-- name: x` begins each statement."""

from __future__ import annotations

from pathlib import Path


def read_queries(path: Path) -> dict[str, str]:
    """The statements of a file by name."""
    parts = path.read_text().split("-- name: ")[1:]
    return {name: text for name, _, text in (part.partition("\n") for part in parts)}
