"""Stable addresses, feeds and embeds: what each shows, to whom, and for how long."""

from __future__ import annotations

import base64
import io
import json
import secrets
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest
import soundfile

from embedded_supabase.postgres import SUPERUSER
from soundscape.api.feeds import find_enclosure
from soundscape.api.media import REDIRECT_CACHED_S, choose_validity_s
from soundscape.cli.embedded_project import Project
from soundscape.project.visitor import Visitor, sign_up
from tests.waiting import LIMIT_S, eventually

PARTS = ["preview", "original", "peaks", "waveform", "spectrogram", "thumbnail"]
ITUNES = "{http://www.itunes.com/dtds/podcast-1.0.dtd}"


def sound(hz: float, kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    y = 0.2 * np.sin(2 * np.pi * hz * np.arange(22050) / 22050)
    soundfile.write(file, y, 22050, format=kind)
    return file.getvalue()


@dataclass
class Api:
    """The routes as a stranger or a user calls them."""

    project: Project
    http: httpx.AsyncClient

    async def get(self, path: str, user: Visitor | None = None, **options: Any) -> httpx.Response:
        headers = options.pop("headers", {})
        if user is not None:
            session = await user.client.auth.get_session()
            assert session is not None
            headers = headers | {"authorization": f"Bearer {session.access_token}"}
        return await self.http.get(path, headers=headers, **options)

    async def follow(self, path: str, user: Visitor | None = None) -> httpx.Response:
        answer = await self.get(path, user)
        assert answer.status_code == 302, answer.text
        return await self.http.get(answer.headers["location"])


@pytest.fixture
async def api(embedded: Project) -> AsyncIterator[Api]:
    async with httpx.AsyncClient(base_url=f"{embedded.url}/api", timeout=LIMIT_S) as http:
        yield Api(embedded, http)


@pytest.fixture
async def alice(embedded: Project) -> AsyncIterator[Visitor]:
    visitor = await sign_up(embedded.url, embedded.keys.publishable_key, called="alice")
    yield visitor
    await visitor.client.realtime.close()


@pytest.fixture
async def bob(embedded: Project) -> AsyncIterator[Visitor]:
    visitor = await sign_up(embedded.url, embedded.keys.publishable_key, called="bob")
    yield visitor
    await visitor.client.realtime.close()


async def add(user: Visitor, hz: float, *, kind: str = "WAV", **columns: Any) -> str:
    """A recording of the user, once it is ready; its id."""
    name = f"{user.user_id}/{secrets.token_hex(6)}.{kind.lower()}"
    await user.upload(name, sound(hz, kind), f"audio/{kind.lower()}")
    row = await user.describe(name, columns.pop("title", "A sound"), **columns)

    async def is_ready() -> bool:
        rows: Any = (
            await user.client.table("audio_files").select("status").eq("id", row["id"]).execute()
        ).data
        return bool(rows[0]["status"] == "ready")

    await eventually(is_ready, "the analysis does not end")
    return str(row["id"])


async def change(user: Visitor, audio_id: str, **columns: Any) -> None:
    await user.client.table("audio_files").update(columns).eq("id", audio_id).execute()


async def test_a_stranger_gets_every_part_of_a_public_recording(api: Api, alice: Visitor) -> None:
    audio_id = await add(alice, 441.0, is_public=True)
    kinds = {}
    for part in PARTS:
        answer = await api.follow(f"/audio/{audio_id}/{part}")
        assert answer.status_code == 200, part
        kinds[part] = answer.headers["content-type"].partition(";")[0]
    assert kinds == {
        "preview": "audio/wav",
        "original": "audio/wav",
        "peaks": "application/json",
        "waveform": "image/png",
        "spectrogram": "image/png",
        "thumbnail": "image/webp",
    }
    assert (await api.follow(f"/audio/{audio_id}/original")).content == sound(441.0)
    assert json.loads((await api.follow(f"/audio/{audio_id}/peaks")).content)["version"] == 2
    light, dark = [
        (await api.follow(f"/audio/{audio_id}/waveform?theme={theme}")).content for theme in ("light", "dark")
    ]
    assert light != dark


async def test_podcast_apps_ask_by_head_for_ranges_and_with_an_extension(api: Api, alice: Visitor) -> None:
    audio_id = await add(alice, 442.0, is_public=True)
    head = await api.http.head(f"/audio/{audio_id}/preview.wav")
    assert head.status_code == 302
    assert (await api.http.head(f"/audio/{audio_id}/waveform")).status_code == 302
    part = await api.http.get(head.headers["location"], headers={"range": "bytes=4-7"})
    assert (part.status_code, len(part.content)) == (206, 4)


async def test_a_private_recording_is_its_owners(api: Api, alice: Visitor, bob: Visitor) -> None:
    audio_id = await add(alice, 443.0)
    for part in PARTS:
        for stranger in (None, bob):
            refused = await api.get(f"/audio/{audio_id}/{part}", stranger)
            assert (refused.status_code, refused.json()["code"]) == (404, "recording_not_found")
            assert refused.headers["cache-control"] == "no-store"
        assert (await api.follow(f"/audio/{audio_id}/{part}", alice)).status_code == 200
    own = await api.get(f"/audio/{audio_id}/original", alice)
    assert own.headers["cache-control"] == "private, no-store"
    unknown = await api.get(f"/audio/{audio_id[:-4]}0000/original")
    assert unknown.json() == refused.json(), "a private recording looks as one that is not there"


@pytest.mark.parametrize("kind", ["WAV", "AIFF"])
async def test_what_was_public_is_refused_on_every_path(api: Api, alice: Visitor, kind: str) -> None:
    """Addresses that were signed before end too: the worker gives the objects new names."""
    audio_id = await add(alice, 444.0, kind=kind, is_public=True)
    await eventually(lambda: _has_sound(alice, audio_id), "there is no preview")
    stored = {part: await api.get(f"/audio/{audio_id}/{part}") for part in PARTS}
    for answer in stored.values():
        policy = answer.headers["cache-control"]
        assert policy == f"public, max-age={REDIRECT_CACHED_S}"
        token = httpx.URL(answer.headers["location"]).params["token"]
        claims = json.loads(_decode(token.split(".")[1]))
        assert claims["exp"] - claims["iat"] > REDIRECT_CACHED_S, "a redirect that is kept leads somewhere"
    await change(alice, audio_id, is_public=False)
    for part, answer in stored.items():
        assert (await api.get(f"/audio/{audio_id}/{part}")).status_code == 404
        location = answer.headers["location"]

        async def is_refused(location: str = location) -> bool:
            return (await api.http.get(location)).status_code == 400

        await eventually(is_refused, f"the former address of {part} still opens it")
    # Its owner has it as before, under the new names.
    for part in PARTS:
        assert (await api.follow(f"/audio/{audio_id}/{part}", alice)).status_code == 200


async def _has_sound(user: Visitor, audio_id: str) -> bool:
    """Whether browsers can play it. Asked of its row: the routes count requests, and refuse too many."""
    query = user.client.table("audio_files").select("playable, preview_path").eq("id", audio_id)
    rows: Any = (await query.execute()).data
    return bool(rows[0]["playable"] or rows[0]["preview_path"])


@pytest.mark.parametrize(
    ("part", "duration", "expected_s"),
    [("preview", 3600.0, 4500), ("original", None, 900), ("original", 1e9, 6 * 3600), ("peaks", 3600.0, 60)],
)
def test_the_address_of_a_sound_outlasts_it(part: Any, duration: float | None, expected_s: int) -> None:
    assert choose_validity_s({"duration": duration}, part) == expected_s


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def test_a_token_that_is_not_valid_is_refused_even_for_what_is_public(api: Api, alice: Visitor) -> None:
    audio_id = await add(alice, 445.0, is_public=True)
    refused = await api.get(f"/audio/{audio_id}/original", headers={"authorization": "Bearer x.y.z"})
    assert refused.status_code == 401


@pytest.mark.parametrize("path", ["/audio/nothing/original", "/users/x/feed.xml", "/playlists/1/feed.xml"])
async def test_what_is_no_id_is_refused(api: Api, path: str) -> None:
    assert (await api.get(path)).status_code == 422


@pytest.mark.parametrize("part", ["secret", "preview.", "preview.../x", "fingerprint.bin", "waveform.png"])
async def test_no_other_file_has_an_address(api: Api, part: str) -> None:
    assert (await api.get(f"/audio/{'0' * 8}-0000-4000-8000-{'0' * 12}/{part}")).status_code in (404, 422)


def items_of(answer: httpx.Response) -> list[ET.Element]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/rss+xml")
    return ET.fromstring(answer.text).findall("channel/item")


async def test_a_users_feed_has_what_is_public_with_enclosures_that_play(
    api: Api, alice: Visitor, bob: Visitor
) -> None:
    title = 'Night & <rain> "]]>" \x0b\ufffe'
    audio_id = await add(alice, 446.0, is_public=True, title=title, license="CC-BY-4.0", tags=["rain", "a&b"])
    await add(alice, 447.0)
    await add(bob, 448.0, is_public=True)
    answer = await api.get(f"/users/{alice.user_id}/feed.xml")
    (item,) = items_of(answer)
    assert item.findtext("title") == 'Night & <rain> "]]>" \ufffd\ufffd'
    assert item.findtext("guid") == f"urn:uuid:{audio_id}"
    assert [found.text for found in item.findall("category")] == ["rain", "a&b"]
    assert item.findtext("{http://purl.org/dc/elements/1.1/}rights") == "CC-BY-4.0"
    assert item.findtext(f"{ITUNES}duration") == "1"
    enclosure = item.find("enclosure")
    assert enclosure is not None
    assert enclosure.attrib["url"] == f"{api.project.url}/api/audio/{audio_id}/preview.wav"
    redirected = await api.http.get(enclosure.attrib["url"])
    heard = await api.http.get(redirected.headers["location"])
    assert (len(heard.content), heard.headers["content-type"]) == (
        int(enclosure.attrib["length"]),
        enclosure.attrib["type"],
    )
    own_address = ET.fromstring(answer.text).find("channel/{http://www.w3.org/2005/Atom}link")
    assert own_address is not None
    assert own_address.attrib["href"] == f"{api.project.url}/api/users/{alice.user_id}/feed.xml"

    unchanged = await api.get(
        f"/users/{alice.user_id}/feed.xml", headers={"if-none-match": answer.headers["etag"]}
    )
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    await change(alice, audio_id, is_public=False)
    changed = await api.get(
        f"/users/{alice.user_id}/feed.xml", headers={"if-none-match": answer.headers["etag"]}
    )
    assert items_of(changed) == []


async def test_a_playlists_feed_keeps_its_order_and_hides_what_is_private(api: Api, alice: Visitor) -> None:
    first, second = [await add(alice, hz, is_public=True) for hz in (449.0, 450.0)]
    hidden = await add(alice, 451.0)
    playlists: Any = (
        await alice.client.table("playlists").insert({"title": "Night", "is_public": True}).execute()
    ).data
    playlist = playlists[0]["id"]
    for audio_id in (second, hidden, first):
        await (
            alice.client.table("playlist_items")
            .insert({"playlist_id": playlist, "audio_id": audio_id})
            .execute()
        )
    items = items_of(await api.get(f"/playlists/{playlist}/feed.xml"))
    assert [item.findtext("guid") for item in items] == [f"urn:uuid:{second}", f"urn:uuid:{first}"]
    await alice.client.table("playlists").update({"is_public": False}).eq("id", playlist).execute()
    for caller in (None, alice):
        refused = await api.get(f"/playlists/{playlist}/feed.xml", caller)
        assert (refused.status_code, refused.json()["code"]) == (404, "feed_not_found")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"playable": True}, ("preview.flac", "7", "audio/flac")),
        ({"playable": None, "content_type": "text/plain"}, ("preview.flac", "7", "audio/flac")),
        (
            {"playable": True, "file_path": "u/x.FLAC\u00e9", "content_type": None},
            ("preview", "7", "audio/mpeg"),
        ),
        ({"playable": False}, None),
        (
            {"playable": False, "preview_path": "x/preview.mp3", "preview_size_bytes": 9},
            ("preview.mp3", "9", "audio/mpeg"),
        ),
    ],
)
def test_an_enclosure_is_what_plays(columns: dict[str, Any], expected: tuple[str, str, str] | None) -> None:
    row = {
        "id": "i",
        "file_path": "u/x.flac",
        "size_bytes": 7,
        "content_type": "audio/flac",
        "preview_path": None,
        "preview_size_bytes": None,
    }
    found = find_enclosure(row | columns, "https://x/api")
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.url.removeprefix("https://x/api/audio/i/"), found.length, found.mime_type) == expected


async def test_other_sites_embed_a_public_recording(api: Api, alice: Visitor) -> None:
    audio_id = await add(alice, 452.0, is_public=True, title='"><script>')
    page = f"{api.project.url}/api/audio/{audio_id}/preview"
    answer = await api.get("/oembed", params={"url": page, "maxwidth": "320"})
    assert answer.status_code == 200, answer.text
    embed = answer.json()
    assert (embed["version"], embed["type"], embed["title"]) == ("1.0", "rich", '"><script>')
    assert embed["width"] == 320
    assert "<script" not in embed["html"]
    assert page in embed["html"]
    assert (
        await api.follow(embed["thumbnail_url"].removeprefix(f"{api.project.url}/api"))
    ).status_code == 200
    xml = await api.get("/oembed", params={"url": page, "format": "xml"})
    assert (xml.status_code, xml.json()["code"]) == (501, "format_missing")
    await change(alice, audio_id, is_public=False)
    for caller in (None, alice):
        assert (await api.get("/oembed", caller, params={"url": page})).status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.org/recordings/{id}",
        "{base}.elsewhere.org/api/audio/{id}/preview",
        "{base}/api/audio/{id}/preview/more",
        "{base}/{id}",
        "http://[",
        "",
    ],
)
async def test_no_other_address_is_embedded(api: Api, alice: Visitor, url: str) -> None:
    audio_id = await add(alice, 453.0, is_public=True)
    asked = url.replace("{id}", audio_id).replace("{base}", api.project.url)
    assert (await api.get("/oembed", params={"url": asked})).status_code == 404


async def test_requests_for_a_sound_are_counted_as_downloads(api: Api, alice: Visitor, bob: Visitor) -> None:
    audio_id = await add(alice, 451.0, is_public=True)
    secret = api.project.keys.secret_key
    service = {"apikey": secret, "authorization": f"Bearer {secret}"}

    async def count() -> int:
        await api.http.post(f"{api.project.url}/rest/v1/rpc/roll_up_stats", headers=service, json={})
        rows = (
            await api.http.get(
                f"{api.project.url}/rest/v1/audio_stats",
                params={"audio_id": f"eq.{audio_id}"},
                headers={"apikey": api.project.keys.publishable_key},
            )
        ).json()
        return int(rows[0]["downloads"]) if rows else 0

    # None of these is a download, or it is the owner's.
    await api.http.head(f"/audio/{audio_id}/original")
    for part in ("peaks", "waveform", "thumbnail"):
        await api.get(f"/audio/{audio_id}/{part}")
    await api.get(f"/audio/{audio_id}/original", alice)
    # Twice by each: a caller counts once a day.
    for part in ("preview.wav", "original"):
        for user in (None, bob):
            assert (await api.get(f"/audio/{audio_id}/{part}", user)).status_code == 302

    async def are_two() -> bool:
        return await count() == 2

    await eventually(are_two, "the downloads are not counted")
    assert await count() == 2


async def test_a_project_that_does_not_count_stops_no_download(api: Api, alice: Visitor) -> None:
    audio_id = await add(alice, 452.0, is_public=True)
    with psycopg.connect(api.project.supabase.postgres.dsn(SUPERUSER), autocommit=True) as connection:
        connection.execute("revoke execute on function public.record_download from service_role")
        try:
            assert (await api.follow(f"/audio/{audio_id}/original")).status_code == 200
        finally:
            connection.execute("grant execute on function public.record_download to service_role")
