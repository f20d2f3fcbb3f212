"""`supabase/config.toml`, read as the official CLI reads it: unknown keys are left alone."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

_ENV = re.compile(r"^env\((\w+)\)$")


class Config:
    """The parsed file, asked by dotted path: `config.get("auth.enable_signup", True)`.

    A value `env(NAME)` is taken from the environment, as the CLI does.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    @classmethod
    def read(cls, path: Path) -> Config:
        return cls(tomllib.loads(path.read_text()))

    def get(self, dotted: str, default: Any = None) -> Any:
        """The value at `dotted`, or `default` where neither the file nor the environment says."""
        value: Any = self.values
        for part in dotted.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        found = _resolved(value)
        return default if found is None else found


def _resolved(value: Any) -> Any:
    if isinstance(value, dict):
        said = {name: _resolved(each) for name, each in value.items()}
        return {name: each for name, each in said.items() if each is not None}
    match = _ENV.match(value) if isinstance(value, str) else None
    return os.environ.get(match[1]) if match else value
