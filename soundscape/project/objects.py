"""Objects in the project's buckets: fetched, stored, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import FileIO
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import httpx
from storage3.exceptions import StorageApiError
from supabase import AsyncClient

from soundscape.errors import PolicyRefusal, ProjectError, ProjectUnreachable
from soundscape.project.client import translate_errors
from soundscape.project.object_name import ObjectNameRefused, check_object_name

AUDIO_BUCKET = "audio-files"
EXPORT_BUCKET = "exports"
WAVEFORM_BUCKET = "waveforms"
SIGNED_FOR_S = 600
CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class ObjectVersion:
    """Which bytes are meant: a name alone may mean others by now. None: not known."""

    version: str | None = None
    size_bytes: int | None = None
    etag: str | None = None


class Objects:
    """The project's storage. Methods raise `ProjectUnreachable` or `ProjectError`."""

    def __init__(self, client: AsyncClient, http: httpx.AsyncClient) -> None:
        self._client = client
        self._http = http
        self._signed_prefix = f"{client.storage_url}object/sign/"

    async def fetch(
        self,
        bucket: str,
        name: str,
        into: BinaryIO,
        *,
        max_bytes: int,
        expected: ObjectVersion | None = None,
    ) -> int:
        """Stream an object into an open file.

        Parameters
        ----------
        bucket, name
            The object. Its name must be canonical.
        into
            Where its bytes are written.
        max_bytes
            Size limit. It holds for the bytes that arrive, whatever the headers say.
        expected
            What the job says about the object. Nothing beyond the expected size is written.

        Returns
        -------
        int
            The size in bytes.

        Raises
        ------
        ObjectNameRefused
            If the name is not canonical, or Storage does not accept it: it can never be fetched.
        PolicyRefusal
            If the object is larger than `max_bytes`.
        ProjectError
            With code `object_changed`, if the object is not the expected one.
        """
        received = 0
        async for chunk in self.stream(bucket, name, max_bytes=max_bytes, expected=expected):
            into.write(chunk)
            received += len(chunk)
        return received

    async def stream(
        self, bucket: str, name: str, *, max_bytes: int, expected: ObjectVersion | None = None
    ) -> AsyncIterator[bytes]:
        """Yield an object's bytes. Parameters and errors are those of `fetch`."""
        check_object_name(name)
        expected = expected or ObjectVersion()
        with translate_errors(f"reading {bucket}/{name}"):
            try:
                url, _ = await asyncio.gather(
                    self._sign(bucket, name), self._check_version(bucket, name, expected)
                )
            except StorageApiError as error:
                if error.code == "InvalidKey":
                    raise ObjectNameRefused("Storage does not accept it") from error
                raise
            received = 0
            # Not compressed: compressed bytes could unpack to any size.
            headers = {"accept-encoding": "identity"}
            async with self._http.stream("GET", url, headers=headers) as response:
                if response.status_code >= 500 or response.status_code == 429:
                    raise ProjectUnreachable(f"reading {bucket}/{name}: HTTP {response.status_code}")
                if response.status_code != 200:
                    raise ProjectError(
                        f"reading {bucket}/{name}: HTTP {response.status_code}", code="object_unreadable"
                    )
                _compare(bucket, name, "eTag", expected.etag, response.headers.get("etag"))
                async for chunk in response.aiter_bytes(CHUNK_BYTES):
                    received += len(chunk)
                    if received > max_bytes:
                        raise PolicyRefusal(
                            f"The file is larger than {max_bytes / 1e9:.1f} GB.",
                            code="too_large",
                            remedy="Upload a shorter or a compressed version.",
                        )
                    if expected.size_bytes is not None and received > expected.size_bytes:
                        raise _make_changed_error(bucket, name, f"larger than {expected.size_bytes:,} bytes")
                    yield chunk
            _compare(bucket, name, "size", expected.size_bytes, received)

    async def _sign(self, bucket: str, name: str) -> str:
        """A short-lived URL of exactly this object."""
        signed = await self._client.storage.from_(bucket).create_signed_url(name, SIGNED_FOR_S)
        url = signed["signedURL"]
        # Joined by the client, which would accept an absolute URL of another host.
        if url is None or not url.startswith(self._signed_prefix):
            raise ProjectError(
                f"reading {bucket}/{name}: no URL of this project was signed", code="object_unreadable"
            )
        # A client or a proxy may have changed the name on the way.
        path = unquote(urlsplit(url).path, errors="strict")
        if path != f"{urlsplit(self._signed_prefix).path}{bucket}/{name}":
            raise ProjectError(f"reading {bucket}/{name}: another name was signed", code="object_unreadable")
        return url

    async def _check_version(self, bucket: str, name: str, expected: ObjectVersion) -> None:
        """Ask Storage which object has this name now."""
        if expected.version is None:
            return
        found: dict[str, Any] = await self._client.storage.from_(bucket).info(name)
        _compare(bucket, name, "name", name, found["name"])
        _compare(bucket, name, "version", expected.version, found["version"])
        _compare(bucket, name, "size", expected.size_bytes, found["size"])
        _compare(bucket, name, "eTag", expected.etag, found["etag"])

    async def store(self, bucket: str, name: str, file: FileIO, *, content_type: str) -> None:
        """Upload an open file. An object of the same name is replaced."""
        with translate_errors(f"writing {bucket}/{name}"):
            await self._client.storage.from_(bucket).upload(
                name,
                file,
                {"content-type": content_type, "cache-control": "31536000", "upsert": "true"},
            )

    async def move(self, bucket: str, name: str, new_name: str) -> None:
        """Give an object a new name. A name that does not exist is no error: somebody else was faster."""
        with translate_errors(f"moving {bucket}/{name}"):
            try:
                await self._client.storage.from_(bucket).move(name, new_name)
            except StorageApiError as error:
                if error.code != "NoSuchKey":
                    raise

    async def copy(self, bucket: str, name: str, new_name: str) -> None:
        """Copy an object."""
        with translate_errors(f"copying {bucket}/{name}"):
            await self._client.storage.from_(bucket).copy(name, new_name)

    async def remove(self, bucket: str, names: list[str]) -> None:
        """Delete objects. Names that do not exist are no error."""
        with translate_errors(f"deleting from {bucket}"):
            await self._client.storage.from_(bucket).remove(names)


def _compare(bucket: str, name: str, what: str, expected: Any, found: Any) -> None:
    """Raise `object_changed` where something that is expected is not found."""
    if expected is not None and _normalise_etag(expected) != _normalise_etag(found):
        raise _make_changed_error(bucket, name, f"of another {what}")


def _normalise_etag(value: Any) -> Any:
    """An eTag without quotes, and without the mark of weakness that a compressing proxy adds (RFC 9110)."""
    return value.removeprefix("W/").strip('"') if isinstance(value, str) else value


def _make_changed_error(bucket: str, name: str, how: str) -> ProjectError:
    return ProjectError(
        f"{bucket}/{name} is not the object of this job: it is {how}.",
        code="object_changed",
        remedy="Its new version has a job of its own.",
    )
