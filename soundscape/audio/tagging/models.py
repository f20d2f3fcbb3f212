"""Optional models: which there are, fetching them, and being sure they are the right bytes.

A model is a file that somebody else trained. None is shipped with the package: `pull` fetches it once into
a directory of its own (`SOUNDSCAPE_MODELS_DIR`, or the platform's cache) and every use checks its SHA-256,
so a mirror, a proxy or a half-written disk cannot put other weights in its place.

    ModelError
    ├── ModelMissing          not pulled yet
    ├── ModelCorrupt          the bytes are not the model
    ├── ModelDownloadFailed   no source answered with the whole file
    └── ModelRuntimeMissing   the library that runs the model is not installed
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import platformdirs

from soundscape.errors import ModelError

CHUNK_BYTES = 1 << 16
CONNECT_TIMEOUT_S = 15.0
READ_TIMEOUT_S = 60.0

State = Literal["present", "missing", "corrupt"]
Progress = Callable[[int, int], None]


class ModelMissing(ModelError):
    """The model has not been pulled into the models directory."""

    code = "model_missing"


class ModelCorrupt(ModelError):
    """The bytes are not the model: wrong size or wrong SHA-256."""

    code = "model_corrupt"


class ModelDownloadFailed(ModelError):
    """No source delivered the whole file."""

    code = "model_download_failed"


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


def registered(name: str) -> Model:
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

    Raises `ModelMissing` or `ModelCorrupt`; both carry the command that mends it.
    """
    model = registered(name)
    path = (directory or models_directory()) / model.filename
    if not path.is_file():
        raise ModelMissing(
            f"The model {name} is not at {path}.", remedy=f"Run `soundscape models pull {name}` once."
        )
    if digest(path) != model.sha256:
        raise ModelCorrupt(
            f"{path} is not the model {name}: its SHA-256 differs.",
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


def pull(
    name: str,
    *,
    source: Path | None = None,
    urls: Iterable[str] | None = None,
    directory: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Put a model in place and return its path; does nothing when the right file is there already.

    `source` copies a file brought by hand instead of downloading. `urls` replaces the registry's addresses
    (a mirror). `progress(done_bytes, total_bytes)` is called as bytes arrive. The file appears under its
    name only when it is whole and its SHA-256 is right; otherwise nothing is left behind and a file that
    was there before stays as it was.

    Raises `ModelCorrupt` when the bytes are not the model, `ModelDownloadFailed` when no address delivers
    them, `ModelMissing` when `source` cannot be read.
    """
    model = registered(name)
    target = (directory or models_directory()) / model.filename
    if target.is_file() and digest(target) == model.sha256:
        return target
    if source is None:
        return _download(model, target, tuple(urls or model.urls), progress)
    return _store(model, target, _read(source), str(source), progress)


def _read(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise ModelMissing(f"{source} cannot be read: {error.strerror}.") from error


def _download(model: Model, target: Path, urls: tuple[str, ...], progress: Progress | None) -> Path:
    # httpx takes 0.1 s to import, and only a pull needs it.
    import httpx

    failures: list[ModelError] = []
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    for url in urls:
        try:
            with httpx.stream("GET", url, follow_redirects=True, timeout=timeout) as response:
                if response.is_success:
                    return _store(model, target, response.iter_bytes(CHUNK_BYTES), url, progress)
                failures.append(ModelDownloadFailed(f"{url} answered {response.status_code}."))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failures.append(ModelDownloadFailed(f"{url} failed: {error or type(error).__name__}."))
        except ModelCorrupt as error:
            failures.append(error)
    # Wrong bytes from everywhere are another matter than no bytes: somebody changed the file.
    kind = ModelCorrupt if all(isinstance(each, ModelCorrupt) for each in failures) else ModelDownloadFailed
    raise kind(
        " ".join(failure.message for failure in failures),
        remedy=f"Fetch it by other means and run `soundscape models pull {model.name} --from FILE`.",
    )


def _store(
    model: Model, target: Path, chunks: Iterator[bytes], origin: str, progress: Progress | None
) -> Path:
    """Write chunks beside the target, then rename: readers see the whole right file or none."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                _copy(model, file, chunks, origin, progress)
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes files private to their owner; a models directory may be shared by a service.
            Path(part).chmod(0o644)
            Path(part).replace(target)
        finally:
            with suppress(FileNotFoundError):
                Path(part).unlink()
    except OSError as error:
        raise ModelError(
            f"{target.parent} cannot be written: {error.strerror}.",
            code="model_directory",
            remedy="Set SOUNDSCAPE_MODELS_DIR to a directory that can be written.",
        ) from error
    return target


def _copy(
    model: Model, file: BinaryIO, chunks: Iterator[bytes], origin: str, progress: Progress | None
) -> None:
    sha256, done_bytes = hashlib.sha256(), 0
    for chunk in chunks:
        done_bytes += len(chunk)
        if done_bytes > model.size_bytes:
            break
        sha256.update(chunk)
        file.write(chunk)
        if progress:
            progress(done_bytes, model.size_bytes)
    if done_bytes != model.size_bytes:
        got = f"more than {model.size_bytes}" if done_bytes > model.size_bytes else str(done_bytes)
        raise ModelCorrupt(
            f"{origin} is not the model {model.name}: it has {got} bytes, not {model.size_bytes}."
        )
    if sha256.hexdigest() != model.sha256:
        raise ModelCorrupt(f"{origin} is not the model {model.name}: its SHA-256 is {sha256.hexdigest()}.")
