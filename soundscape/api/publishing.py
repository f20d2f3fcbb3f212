"""The routes for players, podcast apps and other sites: stable addresses, feeds, embeds."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from soundscape.api.access import Anyone
from soundscape.api.downloads import SOUNDS, Downloads
from soundscape.api.feeds import Feeds
from soundscape.api.media import PUBLIC_CACHE, Media, Part, Theme
from soundscape.api.oembed import MIN_PX, WIDTH_PX, Embed, Embeds
from soundscape.api.pages import Pages
from soundscape.api.visitor import VisitorRights
from soundscape.settings import Settings

READ = ["GET", "HEAD"]
Extension = Annotated[str, Path(pattern="^[a-z0-9]{1,5}$")]
Pixels = Annotated[int, Query(ge=MIN_PX)]
_REDIRECT: dict[int | str, dict[str, Any]] = {302: {"description": "A redirect to a signed address."}}


def make_router(settings: Settings, rights: VisitorRights, downloads: Downloads) -> APIRouter:
    """Make the router. `rights` reads with the caller's own rights. The app closes it and `downloads`."""
    router = APIRouter()
    pages = Pages(settings)
    media, feeds, embeds = Media(rights), Feeds(rights, pages), Embeds(rights, pages)

    @router.api_route("/audio/{audio_id}/preview.{extension}", methods=READ, include_in_schema=False)
    async def read_preview(
        caller: Anyone, request: Request, audio_id: UUID, extension: Extension
    ) -> Response:
        # Podcast directories want addresses that end in an extension.
        response = await media.redirect(caller, audio_id, "preview", "light")
        return downloads.count(request, response, caller, audio_id)

    @router.get("/audio/{audio_id}/{part}", tags=["recordings"], status_code=302, responses=_REDIRECT)
    async def read_file(
        caller: Anyone, request: Request, audio_id: UUID, part: Part, theme: Theme = "light"
    ) -> Response:
        """Redirect to a file of a recording that you may see; without a token to one of a public recording.

        `preview` plays in every browser. `original` is the file as it was uploaded. `peaks` is the overview,
        as JSON. `waveform` and `spectrogram` are PNG pictures, `thumbnail` is a small WebP picture.
        Requests for a sound are counted as downloads.
        """
        response = await media.redirect(caller, audio_id, part, theme)
        return downloads.count(request, response, caller, audio_id) if part in SOUNDS else response

    @router.head("/audio/{audio_id}/{part}", include_in_schema=False)
    async def read_file_head(caller: Anyone, audio_id: UUID, part: Part, theme: Theme = "light") -> Response:
        return await media.redirect(caller, audio_id, part, theme)

    @router.get("/users/{user_id}/feed.xml", tags=["feeds"])
    async def read_user_feed(_: Anyone, request: Request, user_id: UUID) -> Response:
        """RSS of a user's newest public recordings, with enclosures."""
        return await feeds.of_user(request, user_id)

    @router.get("/playlists/{playlist_id}/feed.xml", tags=["feeds"])
    async def read_playlist_feed(_: Anyone, request: Request, playlist_id: UUID) -> Response:
        """RSS of the public recordings of a public playlist, in its order, with enclosures."""
        return await feeds.of_playlist(request, playlist_id)

    @router.get("/oembed", tags=["recordings"])
    async def describe_embed(
        _: Anyone,
        request: Request,
        response: Response,
        url: str,
        maxwidth: Pixels = WIDTH_PX,
        maxheight: Pixels = WIDTH_PX,
        format: str = "json",
    ) -> Embed:
        """How to embed a public recording, by the address of its page (oEmbed 1.0)."""
        response.headers["Cache-Control"] = PUBLIC_CACHE
        response.headers["Access-Control-Allow-Origin"] = "*"
        return await embeds.describe(request, url, maxwidth, maxheight, format)

    return router
