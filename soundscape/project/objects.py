"""Objects in the project's buckets: streamed in, stored, removed."""

from __future__ import annotations

from io import FileIO
from typing import BinaryIO

import httpx
from supabase import AsyncClient

from soundscape.errors import PolicyRefusal, ProjectError, ProjectUnreachable
from soundscape.project.client import translated

AUDIO_BUCKET = "audio-files"
WAVEFORM_BUCKET = "waveforms"
SIGNED_FOR_S = 600


class Objects:
    """The project's storage. Methods raise `ProjectUnreachable` or `ProjectError`."""

    def __init__(self, client: AsyncClient, http: httpx.AsyncClient) -> None:
        self._client = client
        self._http = http
        self._signed_prefix = f"{client.storage_url}object/sign/"

    async def fetch(
        self, bucket: str, name: str, into: BinaryIO, *, max_bytes: int, expected_bytes: int | None = None
    ) -> int:
        """Stream an object into an open file and return its size in bytes.

        Raises `PolicyRefusal` beyond `max_bytes`, whatever the headers said, and `ProjectError` beyond
        `expected_bytes`, the size it is known by: then it is another object by now.
        """
        with translated(f"reading {bucket}/{name}"):
            signed = await self._client.storage.from_(bucket).create_signed_url(name, SIGNED_FOR_S)
            url = signed["signedURL"]
            # Joined by the client, which would let an absolute answer lead to another host.
            if url is None or not url.startswith(self._signed_prefix):
                raise ProjectError(
                    f"reading {bucket}/{name}: no URL of this project was signed", code="object_unreadable"
                )
            received = 0
            # As it lies there: what is compressed on the way could be any size.
            headers = {"accept-encoding": "identity"}
            async with self._http.stream("GET", url, headers=headers) as response:
                if response.status_code >= 500 or response.status_code == 429:
                    raise ProjectUnreachable(f"reading {bucket}/{name}: HTTP {response.status_code}")
                if response.status_code != 200:
                    raise ProjectError(
                        f"reading {bucket}/{name}: HTTP {response.status_code}", code="object_unreadable"
                    )
                async for chunk in response.aiter_bytes(1 << 18):
                    received += len(chunk)
                    if received > max_bytes:
                        raise PolicyRefusal(
                            f"The file is larger than {max_bytes / 1e9:.1f} GB.",
                            code="too_large",
                            remedy="Upload a shorter or a compressed version.",
                        )
                    if expected_bytes is not None and received > expected_bytes:
                        raise ProjectError(
                            f"{bucket}/{name} is larger than the {expected_bytes:,} bytes it was known by",
                            code="object_changed",
                        )
                    into.write(chunk)
        return received

    async def store(self, bucket: str, name: str, file: FileIO, *, content_type: str) -> None:
        """Upload an open file, over whatever lay under that name."""
        with translated(f"writing {bucket}/{name}"):
            await self._client.storage.from_(bucket).upload(
                name,
                file,
                {"content-type": content_type, "cache-control": "31536000", "upsert": "true"},
            )

    async def remove(self, bucket: str, names: list[str]) -> None:
        """Delete objects; names that are not there are no error."""
        with translated(f"removing from {bucket}"):
            await self._client.storage.from_(bucket).remove(names)
