"""RSS feeds of public recordings, with enclosures, for podcast apps and feed readers.

RSS 2.0 (https://www.rssboard.org/rss-specification) with Apple's podcast elements
(https://help.apple.com/itc/podcasts_connect/#/itcb54353390). A feed is read anonymously, whoever asks.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from mimetypes import guess_type
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from feedgenerator import Enclosure, Rss201rev2Feed
from starlette.requests import Request
from starlette.responses import Response

from soundscape.api.media import PUBLIC_CACHE
from soundscape.api.pages import Pages
from soundscape.api.visitor import VisitorRights
from soundscape.errors import RequestRefused

MAX_ITEMS = 200
PREVIEW_TYPE = "audio/mpeg"
_RECORDING = (
    "id,title,description,tags,license,duration,file_path,size_bytes,content_type,playable,preview_path,"
    "preview_size_bytes,created_at,users!audio_files_user_id_fkey(username,display_name)"
)
# What XML 1.0 has no way to write (https://www.w3.org/TR/xml/#charsets).
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_EXTENSION = re.compile(r"\.[a-z0-9]{1,5}")
_ITUNES = "http://www.itunes.com/dtds/podcast-1.0.dtd"
_DUBLIN_CORE = "http://purl.org/dc/elements/1.1/"


class FeedNotFound(RequestRefused):
    """There is no such user or playlist, or the playlist is private: both look the same."""

    code = "feed_not_found"
    status = 404


class PodcastFeed(Rss201rev2Feed):  # type: ignore[misc]
    """RSS 2.0 with the elements that podcast apps show."""

    def rss_attributes(self) -> dict[str, str]:
        """Add Apple's namespace."""
        return {**super().rss_attributes(), "xmlns:itunes": _ITUNES, "xmlns:dc": _DUBLIN_CORE}

    def add_item_elements(self, handler: Any, item: dict[str, Any]) -> None:
        """Add duration and licence."""
        super().add_item_elements(handler, item)
        if item["duration_s"] is not None:
            handler.addQuickElement("itunes:duration", str(round(item["duration_s"])))
        if item["license"]:
            handler.addQuickElement("dc:rights", item["license"])


class Feeds:
    """Feeds of a user's public recordings and of public playlists."""

    def __init__(self, rights: VisitorRights, pages: Pages) -> None:
        self._rights = rights
        self._pages = pages

    async def of_user(self, request: Request, user_id: UUID) -> Response:
        """The newest public recordings of a user. Raises `FeedNotFound` and `ProjectError`."""
        users = await self._rights.read_rows(
            None, "users", select="id,username,display_name,bio", id=f"eq.{user_id}"
        )
        if not users:
            raise _make_not_found()
        recordings = await self._rights.read_rows(
            None,
            "audio_files",
            select=_RECORDING,
            user_id=f"eq.{user_id}",
            status="eq.ready",
            order="created_at.desc",
            limit=str(MAX_ITEMS),
        )
        name = name_of(users[0])
        return self._respond(request, name, users[0]["bio"] or f"Recordings by {name}.", recordings)

    async def of_playlist(self, request: Request, playlist_id: UUID) -> Response:
        """The public recordings of a public playlist, in its order. Raises `FeedNotFound`, `ProjectError`."""
        playlists = await self._rights.read_rows(
            None, "playlists", select="title,description", id=f"eq.{playlist_id}"
        )
        if not playlists:
            raise _make_not_found()
        items = await self._rights.read_rows(
            None,
            "playlist_items",
            select=f"audio_files!inner({_RECORDING})",
            playlist_id=f"eq.{playlist_id}",
            **{"audio_files.status": "eq.ready"},
            order="position",
            limit=str(MAX_ITEMS),
        )
        playlist = playlists[0]
        recordings = [item["audio_files"] for item in items]
        return self._respond(
            request, playlist["title"], playlist["description"] or playlist["title"], recordings
        )

    def _respond(
        self, request: Request, title: str, description: str, recordings: list[dict[str, Any]]
    ) -> Response:
        base = self._pages.find_api(request)
        own_path = request.url.path.rpartition("/api/")[2] or request.url.path.lstrip("/")
        feed = PodcastFeed(
            title=_clean(title),
            link=self._pages.site_url or base,
            description=_clean(description),
            feed_url=f"{base}/{own_path}",
        )
        for recording in recordings:
            enclosure = find_enclosure(recording, base)
            if enclosure is None:
                continue
            feed.add_item(
                title=_clean(recording["title"]),
                link=self._pages.find_recording(request, recording["id"]),
                description=_clean(recording["description"] or ""),
                author_name=_clean(name_of(recording["users"])),
                pubdate=datetime.fromisoformat(recording["created_at"]),
                unique_id=f"urn:uuid:{recording['id']}",
                unique_id_is_permalink=False,
                enclosures=[enclosure],
                categories=[_clean(tag) for tag in recording["tags"]],
                duration_s=recording["duration"],
                license=_clean(recording["license"] or ""),
            )
        body = feed.writeString("utf-8").encode()
        # Without the time at which an empty feed was written.
        etag = f'"{hashlib.sha256(repr((title, description, base, recordings)).encode()).hexdigest()[:32]}"'
        headers = {"Cache-Control": PUBLIC_CACHE, "ETag": etag, "Access-Control-Allow-Origin": "*"}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/rss+xml", headers=headers)


def find_enclosure(recording: dict[str, Any], base: str) -> Enclosure | None:
    """The file of a recording that podcast apps play; None if it has none yet.

    Parameters
    ----------
    recording
        A row with `file_path`, `playable`, `preview_path` and the sizes.
    base
        The address of the API.
    """
    address = f"{base}/audio/{recording['id']}/preview"
    if recording["preview_path"] is not None:
        return Enclosure(f"{address}.mp3", str(recording["preview_size_bytes"] or 0), PREVIEW_TYPE)
    if recording["playable"] is False:
        return None
    # Apple's directory takes only addresses that end in the file's extension.
    suffix = PurePosixPath(recording["file_path"]).suffix.lower()
    extension = suffix if _EXTENSION.fullmatch(suffix) else ""
    stated = recording["content_type"] or ""
    is_media = stated.startswith(("audio/", "video/"))
    media_type = stated if is_media else guess_type(f"x{extension}")[0] or "audio/mpeg"
    return Enclosure(f"{address}{extension}", str(recording["size_bytes"] or 0), media_type)


def name_of(user: dict[str, Any]) -> str:
    """What a user is called on pages."""
    return user["display_name"] or user["username"] or "Anonymous"


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _make_not_found() -> FeedNotFound:
    return FeedNotFound(
        "There is no public feed with this id.",
        remedy="Publish the playlist, or check the id.",
        headers={"Cache-Control": "no-store"},
    )
