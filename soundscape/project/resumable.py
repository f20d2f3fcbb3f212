"""Resumable uploads to Storage (https://tus.io/protocols/resumable-upload, version 1.0.0)."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from soundscape.errors import ProjectError
from soundscape.project.client import translate_errors
from soundscape.project.retries import raise_if_passing

CHUNK_BYTES = 6 << 20
"""Supabase takes chunks of exactly this size:
https://supabase.com/docs/guides/storage/uploads/resumable-uploads."""
TUS = {"tus-resumable": "1.0.0"}


class UploadRefused(ProjectError):
    """Storage does not take this file. Trying again changes nothing."""

    code = "upload_refused"


class ResumableUploads:
    """Resumable uploads to one bucket.

    Parameters
    ----------
    http
        For the requests.
    storage_url
        The project's `/storage/v1`.
    bucket
        The bucket.
    headers
        Called for each request: who uploads.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        storage_url: str,
        bucket: str,
        headers: Callable[[], Awaitable[dict[str, str]]],
    ) -> None:
        self.storage_url = storage_url
        self._http = http
        self._bucket = bucket
        self._headers = headers

    async def store(
        self, name: str, data: bytes, content_type: str, metadata: Mapping[str, Any] | None = None
    ) -> bool:
        """Upload in one request, with metadata of the user's own. False if an object of this name is there.

        Raises
        ------
        UploadRefused, ProjectUnreachable
            If Storage does not take it, or does not answer.
        """
        url = f"{self.storage_url}/object/{self._bucket}/{name}"
        headers = {"content-type": content_type}
        if metadata:
            headers["x-metadata"] = base64.b64encode(json.dumps(metadata).encode()).decode()
        answer = await self._send("POST", url, headers, data)
        if answer.is_error and not _is_taken(answer):
            raise _refusal(answer)
        return answer.is_success

    async def begin(
        self,
        name: str,
        size_bytes: int,
        content_type: str,
        *,
        replaces: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Begin an upload and return its address; None if an object of this name is there already.

        `metadata` is the user's own.

        Raises
        ------
        UploadRefused, ProjectUnreachable
            If Storage does not take it, or does not answer.
        """
        fields = {"bucketName": self._bucket, "objectName": name, "contentType": content_type}
        fields["cacheControl"] = "3600"
        if metadata:
            fields["metadata"] = json.dumps(metadata)
        encoded = ",".join(
            f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in fields.items()
        )
        headers = {"upload-length": str(size_bytes), "upload-metadata": encoded}
        headers["x-upsert"] = "true" if replaces else "false"
        url = f"{self.storage_url}/upload/resumable"
        answer = await self._send("POST", url, headers | TUS)
        if _is_taken(answer):
            return None
        if answer.is_error:
            raise _refusal(answer)
        return str(httpx.URL(url).join(answer.headers["location"]))

    async def read_offset(self, address: str) -> int | None:
        """Return how many bytes are stored; None if the upload is gone. Raises `ProjectUnreachable`."""
        answer = await self._send("HEAD", address, TUS)
        return None if answer.is_error else int(answer.headers["upload-offset"])

    async def append(self, address: str, offset: int, data: bytes, *, replaces: bool = False) -> int:
        """Append a chunk and return how many bytes are stored now.

        Raises
        ------
        UploadRefused, ProjectUnreachable
            If Storage does not take it, or does not answer.
        """
        headers = {"upload-offset": str(offset), "content-type": "application/offset+octet-stream"}
        # Storage asks for it with every chunk.
        headers["x-upsert"] = "true" if replaces else "false"
        answer = await self._send("PATCH", address, headers | TUS, data)
        if answer.status_code == 409:
            # The response to an earlier attempt was lost: its bytes are stored.
            stored = await self.read_offset(address)
            if stored is not None and stored > offset:
                return stored
        if answer.is_error:
            raise _refusal(answer)
        return int(answer.headers["upload-offset"])

    async def _send(
        self, method: str, url: str, headers: dict[str, str], data: bytes | None = None
    ) -> httpx.Response:
        with translate_errors(f"uploading: {method}"):
            answer = await self._http.request(
                method, url, content=data, headers=headers | await self._headers()
            )
        raise_if_passing(answer, "Storage")
        return answer


def _is_taken(answer: httpx.Response) -> bool:
    """Whether an object lies under the name. Storage says so in the body (400), TUS by the status."""
    if answer.status_code == 409:
        return True
    return answer.status_code == 400 and '"409"' in answer.text.replace(" ", "")


def _refusal(answer: httpx.Response) -> UploadRefused:
    try:
        refusal = answer.json()
        message = str(refusal.get("message") or refusal)
    except (ValueError, AttributeError):
        message = answer.text.strip()[:200]
    return UploadRefused(
        f"Storage refuses the file: {message or answer.status_code}.",
        code="upload_too_large" if answer.status_code == 413 else None,
        remedy="See accepted_uploads() for types and sizes, and docs/scripts.md for the scopes of API keys.",
    )
