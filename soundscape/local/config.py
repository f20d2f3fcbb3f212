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
        with path.open("rb") as file:
            return cls(tomllib.load(file))

    def get(self, dotted: str, default: Any = None) -> Any:
        """The value at `dotted`, or `default` where the file does not say."""
        value: Any = self.values
        for part in dotted.split("."):
            if not isinstance(value, dict) or part not in value:
                return default
            value = value[part]
        if isinstance(value, str) and (match := _ENV.match(value)):
            return os.environ.get(match[1], default)
        return value
