"""Addresses that people see: of the frontend's pages and of this API."""

from __future__ import annotations

import re
from urllib.parse import urlsplit
from uuid import UUID

from starlette.requests import Request

from soundscape.settings import Settings

# The pages of a recording in the frontend, and its stable addresses here.
_RECORDING = re.compile(
    r"/(?:recordings|embed|api/audio)/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:/[a-z0-9.]*)?"
)


class Pages:
    """Builds and reads the addresses of recordings."""

    def __init__(self, settings: Settings) -> None:
        self.site_url = settings.site_url and settings.site_url.rstrip("/")
        self._public_url = settings.public_url and settings.public_url.rstrip("/")

    def find_api(self, request: Request) -> str:
        """The address of this API, without a slash at the end."""
        return f"{self._public_url or str(request.base_url).rstrip('/')}/api"

    def find_recording(self, request: Request, audio_id: str) -> str:
        """The page of a recording; without a frontend its sound."""
        if self.site_url is not None:
            return f"{self.site_url}/recordings/{audio_id}"
        return f"{self.find_api(request)}/audio/{audio_id}/preview"

    def parse_recording(self, request: Request, url: str) -> UUID | None:
        """The recording that an address is about; None if it is no address of the frontend or this API."""
        try:
            asked = urlsplit(url)
            own = [urlsplit(base) for base in (self.site_url, self.find_api(request)) if base is not None]
        except ValueError:
            return None
        found = _RECORDING.search(asked.path)
        if found is None or found.end() != len(asked.path):
            return None
        is_own = any((asked.scheme, asked.netloc) == (base.scheme, base.netloc) for base in own)
        return UUID(found[1]) if is_own else None
