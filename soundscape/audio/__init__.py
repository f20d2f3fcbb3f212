"""Sound in, numbers out: a pure library, with no network and nothing of Supabase in it.

    from soundscape.audio import analyze
    record = analyze("take.flac", out_dir=Path("out"))
    record.loudness.integrated_lufs

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from soundscape.audio import code_folder

if TYPE_CHECKING:
    from soundscape.audio.analysis import Progress, analyze
    from soundscape.audio.limits import Limits
    from soundscape.audio.record import Record
    from soundscape.audio.stages import analysis_version

_HOME = {
    "Limits": "limits",
    "Progress": "analysis",
    "Record": "record",
    "analysis_version": "stages",
    "analyze": "analysis",
}

__all__ = ["Limits", "Progress", "Record", "analysis_version", "analyze"]

# Modules below this one import numba.
code_folder.ensure()


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
