"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_DATA_DIR = Path(".soundscape")
DataDir = Annotated[Path, typer.Option("--data-dir", help="Directory of the embedded Supabase.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
