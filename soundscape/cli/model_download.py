"""The download of optional models: from their addresses, or from a file brought by hand."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from soundscape.audio.tagging.models import (
    Model,
    ModelCorrupt,
    ModelMissing,
    digest,
    find_model,
    models_directory,
)
from soundscape.errors import ModelError

CHUNK_BYTES = 1 << 16
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 20.0

Progress = Callable[[int, int], None]


class ModelDownloadFailed(ModelError):
    """No address delivered the whole file."""

    code = "model_download_failed"


class ModelHostUnreachable(ModelDownloadFailed):
    """No address could be connected to: this machine is probably offline."""


def get_model_urls(model: Model, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Addresses of a model: below `SOUNDSCAPE_MODELS_URL` if that is set, else the registry's."""
    mirror = environment.get("SOUNDSCAPE_MODELS_URL", "").strip().rstrip("/")
    return (f"{mirror}/{model.filename}",) if mirror else model.urls


def pull_model(
    name: str,
    *,
    source: Path | None = None,
    urls: Iterable[str] | None = None,
    directory: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Install a model and return its path. Does nothing when the right file is installed already.

    The file appears under its name only when it is whole and its SHA-256 is right. Otherwise nothing is left
    behind, and a file that was there before stays as it was.

    Parameters
    ----------
    name
        A name in the registry.
    source
        Copy this file instead of downloading.
    urls
        Addresses to use instead of the registry's, such as a mirror's. They are tried in order.
    directory
        Where models are kept. By default `models_directory()`.
    progress
        Called as `progress(done_bytes, total_bytes)` while bytes arrive.

    Raises
    ------
    ModelCorrupt
        The bytes are not the model.
    ModelDownloadFailed
        No address delivers them.
    ModelMissing
        `source` cannot be read.
    ModelError
        There is no such model (`model_unknown`), or the directory cannot be written (`model_directory`).
    """
    model = find_model(name)
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
    unreachable: set[str] = set()
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    for url in urls:
        host = url.split("?")[0].split("/")[2:3]
        if host and host[0] in unreachable:
            continue
        try:
            with httpx.stream("GET", url, follow_redirects=True, timeout=timeout) as response:
                if response.is_success:
                    return _store(model, target, response.iter_bytes(CHUNK_BYTES), url, progress)
                failures.append(ModelDownloadFailed(f"{url} answered {response.status_code}."))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            unreachable.update(host)
            failures.append(ModelHostUnreachable(f"{url} failed: {error or type(error).__name__}."))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failures.append(ModelDownloadFailed(f"{url} failed: {error or type(error).__name__}."))
        except ModelCorrupt as error:
            failures.append(error)
    kind: type[ModelError] = ModelDownloadFailed
    # Wrong bytes from every address mean that somebody changed the file.
    for special in (ModelCorrupt, ModelHostUnreachable):
        if all(isinstance(failure, special) for failure in failures):
            kind = special
    raise kind(
        " ".join(failure.message for failure in failures),
        remedy=f"Download it by other means and run `soundscape models pull {model.name} --from FILE`.",
    )


def _store(
    model: Model, target: Path, chunks: Iterator[bytes], origin: str, progress: Progress | None
) -> Path:
    """Write chunks beside the target, then rename: readers see the whole file or none."""
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
            remedy="Set SOUNDSCAPE_MODELS_DIR to a directory you can write to.",
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
