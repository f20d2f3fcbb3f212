"""`supabase/config.toml`, read as the official CLI reads it. Unknown keys are ignored."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

_ENV = re.compile(r"^env\((\w+)\)$")


class Config:
    """The parsed file.

    Parameters
    ----------
    values : dict
        The tables of the file. A value `env(NAME)` stands for that environment variable.

    Examples
    --------
    >>> Config({"auth": {"enable_signup": False}}).get("auth.enable_signup", True)
    False
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    @classmethod
    def read(cls, path: Path) -> Config:
        """Parse the file at `path`."""
        return cls(tomllib.loads(path.read_text()))

    def get(self, dotted: str, default: Any = None) -> Any:
        """Look a value up.

        Parameters
        ----------
        dotted : str
            The path, as `auth.enable_signup`.
        default : optional
            For a value that neither the file nor the environment has.
        """
        value: Any = self.values
        for part in dotted.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        found = _resolve_env(value)
        return default if found is None else found


def _resolve_env(value: Any) -> Any:
    if isinstance(value, dict):
        values = {name: _resolve_env(each) for name, each in value.items()}
        return {name: each for name, each in values.items() if each is not None}
    match = _ENV.match(value) if isinstance(value, str) else None
    return os.environ.get(match[1]) if match else value
