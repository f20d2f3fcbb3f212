"""The file of the tag model: the shared one, or the one that was pulled on this machine."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from soundscape.audio.tagging.models import models_directory

NAME = "yamnet.tflite"
_FOLDERS = (Path(__file__).resolve().parents[3] / "shared" / "models", models_directory())
MODEL = next((path for folder in _FOLDERS if (path := folder / NAME).exists()), _FOLDERS[0] / NAME)

needs_model = pytest.mark.skipif(
    not MODEL.exists() or find_spec("ai_edge_litert") is None,
    reason="needs the tag model (soundscape models pull yamnet) and soundscape[models]",
)
