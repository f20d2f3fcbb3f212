"""`GET /api/oembed`: how other sites embed a recording (https://oembed.com, version 1.0)."""

from __future__ import annotations

from html import escape
from typing import Literal

from pydantic import BaseModel
from starlette.requests import Request

from soundscape.api.feeds import name_of
from soundscape.api.media import REDIRECT_CACHED_S, RecordingNotFound
from soundscape.api.pages import Pages
from soundscape.api.visitor import VisitorRights
from soundscape.errors import RequestRefused

WIDTH_PX = 600
HEIGHT_PX = 220
MIN_PX = 1
THUMBNAIL_PX = (1600, 320)
"""The picture of the waveform."""


class Embed(BaseModel):
    """The response, of oEmbed's type rich."""

    version: Literal["1.0"] = "1.0"
    type: Literal["rich"] = "rich"
    provider_name: str = "SoundScape"
    provider_url: str
    title: str
    author_name: str
    thumbnail_url: str
    thumbnail_width: int = THUMBNAIL_PX[0]
    thumbnail_height: int = THUMBNAIL_PX[1]
    cache_age: int = REDIRECT_CACHED_S
    width: int
    height: int
    html: str


class FormatMissing(RequestRefused):
    """oEmbed's answer to a format that a provider does not have."""

    code = "format_missing"
    status = 501


class Embeds:
    """Describes public recordings to other sites. It reads anonymously, whoever asks."""

    def __init__(self, rights: VisitorRights, pages: Pages) -> None:
        self._rights = rights
        self._pages = pages

    async def describe(
        self, request: Request, url: str, max_width_px: int, max_height_px: int, wanted_format: str
    ) -> Embed:
        """Describe the recording behind an address.

        Parameters
        ----------
        request
            Says where this API is.
        url
            A page of the frontend, or a stable address of this API.
        max_width_px, max_height_px
            What the other site has room for.
        wanted_format
            `json`; there is no other.

        Raises
        ------
        FormatMissing
            If another format is wanted.
        RecordingNotFound
            If the address is of no public recording.
        ProjectError
            If the project does not answer as it should.
        """
        if wanted_format != "json":
            raise FormatMissing("There is no other format than json.", remedy="Leave out format.")
        audio_id = self._pages.parse_recording(request, url)
        rows = audio_id and await self._rights.read_rows(
            None,
            "audio_files",
            select="id,title,users!audio_files_user_id_fkey(username,display_name)",
            id=f"eq.{audio_id}",
            status="eq.ready",
        )
        if not rows:
            raise RecordingNotFound
        (recording,) = rows
        width_px, height_px = min(WIDTH_PX, max_width_px), min(HEIGHT_PX, max_height_px)
        api = self._pages.find_api(request)
        title = recording["title"]
        if self._pages.site_url is not None:
            html = (
                f'<iframe src="{escape(self._pages.site_url)}/embed/{audio_id}" title="{escape(title)}" '
                f'width="{width_px}" height="{height_px}" frameborder="0" allow="autoplay"></iframe>'
            )
        else:
            html = (
                f'<audio src="{escape(api)}/audio/{audio_id}/preview" title="{escape(title)}" '
                'controls preload="none"></audio>'
            )
        return Embed(
            provider_url=self._pages.site_url or api,
            title=title,
            author_name=name_of(recording["users"]),
            thumbnail_url=f"{api}/audio/{audio_id}/waveform",
            width=width_px,
            height=height_px,
            html=html,
        )
