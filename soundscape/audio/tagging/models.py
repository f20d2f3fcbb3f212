"""Optional models: which there are, where they are, and whether their bytes are right.

A model is a file that somebody else trained. None is shipped with the package: `soundscape models pull`
downloads it once into a directory of its own (`SOUNDSCAPE_MODELS_DIR`, or the platform's cache). Every use
checks its SHA-256, so a mirror, a proxy or a half-written disk cannot put other weights in its place.

    ModelError
    ├── ModelMissing          not downloaded yet
    ├── ModelCorrupt          the bytes are not the model
    ├── ModelDownloadFailed   no address delivered the whole file (soundscape.cli.model_download)
    └── ModelRuntimeMissing   the library that runs the model is not installed
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs

from soundscape.errors import ModelError

State = Literal["present", "missing", "corrupt"]


class ModelMissing(ModelError):
    """The model has not been pulled into the models directory."""

    code = "model_missing"


class ModelCorrupt(ModelError):
    """The bytes are not the model: wrong size or wrong SHA-256."""

    code = "model_corrupt"


class ModelRuntimeMissing(ModelError):
    """The library that runs the model is not installed."""

    code = "model_runtime_missing"


@dataclass(frozen=True, slots=True)
class Model:
    """One model this version can use. `urls` are tried in order; the digest decides, not the address."""

    name: str
    filename: str
    urls: tuple[str, ...]
    sha256: str
    size_bytes: int
    licence: str
    purpose: str


YAMNET = Model(
    name="yamnet",
    filename="yamnet.tflite",
    urls=(
        # MediaPipe's own build pins this address to this digest (third_party/external_files.bzl).
        "https://storage.googleapis.com/mediapipe-assets/yamnet_audio_classifier_with_metadata.tflite"
        "?generation=1661875980774466",
        # The same file as TensorFlow's audio classification example fetches it.
        "https://storage.googleapis.com/download.tensorflow.org/models/tflite/task_library/"
        "audio_classification/rpi/lite-model_yamnet_classification_tflite_1.tflite",
    ),
    sha256="10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de",
    size_bytes=4_126_810,
    licence="Apache-2.0",
    purpose="tags (521 AudioSet classes) and the yamnet-128 embedding",
)

REGISTRY: dict[str, Model] = {model.name: model for model in (YAMNET,)}


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What `soundscape models list` shows of one model."""

    model: Model
    path: Path
    state: State


def models_directory() -> Path:
    """Where models live: `SOUNDSCAPE_MODELS_DIR`, or `models` in the platform's cache directory."""
    chosen = os.environ.get("SOUNDSCAPE_MODELS_DIR")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("soundscape") / "models"


def find_model(name: str) -> Model:
    """The registry's entry. Raises `ModelError` (`model_unknown`) for a name it does not know."""
    try:
        return REGISTRY[name]
    except KeyError:
        raise ModelError(
            f"There is no model called {name!r}.",
            code="model_unknown",
            remedy=f"Known: {', '.join(sorted(REGISTRY))}.",
        ) from None


def statuses(*, directory: Path | None = None) -> list[ModelStatus]:
    """Every registered model and whether its file is here and right."""
    found = []
    for model in REGISTRY.values():
        path = (directory or models_directory()) / model.filename
        state: State = "missing"
        if path.is_file():
            state = "present" if digest(path) == model.sha256 else "corrupt"
        found.append(ModelStatus(model, path, state))
    return found


def find(name: str, *, directory: Path | None = None) -> Path:
    """The path of a pulled model, its bytes checked.

    Raises `ModelMissing` or `ModelCorrupt`; both carry the command that fixes it.
    """
    model = find_model(name)
    path = (directory or models_directory()) / model.filename
    if not path.is_file():
        raise ModelMissing(
            f"The model {name} is not installed.", remedy=f"Run `soundscape models pull {name}` once."
        )
    if digest(path) != model.sha256:
        raise ModelCorrupt(
            f"{path.name} is not the model {name}: its SHA-256 differs.",
            remedy=f"Run `soundscape models pull {name}` to replace it.",
        )
    return path


_digests: dict[Path, tuple[tuple[int, int, int], str]] = {}


def digest(path: Path) -> str:
    """SHA-256 of a file in hex, remembered in this process for as long as inode, size and mtime stay."""
    stat = path.stat()
    identity = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    known = _digests.get(path)
    if known is None or known[0] != identity:
        with path.open("rb") as file:
            known = (identity, hashlib.file_digest(file, "sha256").hexdigest())
        _digests[path] = known
    return known[1]
