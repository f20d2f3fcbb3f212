"""Every bucket by every route: a wrong type, size or source is refused, and the right ones are taken."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from supabase import AsyncClient

from tests.waiting import LIMIT_S

from .conftest import Target, User, tone

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
RIGHT = {"audio-files": ("audio/wav", b"junk"), "profile-images": ("image/png", PNG)}
WRONG_TYPES = ("text/html", "image/svg+xml", "application/pdf")
MAX_IMAGE_BYTES = 5 << 20
UPLOADS = ("upload", "upsert", "form", "signed", "resumable")
COPIES = ("copy", "copy with a type", "move")


@dataclass(frozen=True)
class Sender:
    """A user's bare requests to Storage. Each method returns the first refusal, or the last answer."""

    http: httpx.Client
    user_id: str

    def upload(self, route: str, bucket: str, name: str, mimetype: str | None, data: bytes) -> httpx.Response:
        path, typed = f"{bucket}/{name}", {} if mimetype is None else {"content-type": mimetype}
        match route:
            case "upload":
                return self.http.post(f"/object/{path}", content=data, headers=typed)
            case "upsert":
                return self.http.post(f"/object/{path}", content=data, headers={**typed, "x-upsert": "true"})
            case "form":
                return self.http.post(f"/object/{path}", files={"": ("x", data, mimetype)})
            case "signed":
                signed = self.http.post(f"/object/upload/sign/{path}", json={})
                if signed.is_error:
                    return signed
                return self.http.put(signed.json()["url"], content=data, headers=typed)
        return self.resume(bucket, name, mimetype, data)

    def resume(self, bucket: str, name: str, mimetype: str | None, data: bytes) -> httpx.Response:
        said = {"bucketName": bucket, "objectName": name} | ({"contentType": mimetype} if mimetype else {})
        coded = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items())
        tus = {"tus-resumable": "1.0.0"}
        created = self.http.post(
            "/upload/resumable",
            headers={**tus, "upload-length": str(len(data)), "upload-metadata": coded},
        )
        if created.is_error:
            return created
        part = {**tus, "upload-offset": "0", "content-type": "application/offset+octet-stream"}
        return self.http.patch(created.headers["location"], content=data, headers=part)

    def carry(
        self, route: str, source: tuple[str, str], to: tuple[str, str], mimetype: str | None = None
    ) -> httpx.Response:
        """Copy or move. "copy with a type" says that the copy is of another type than its source."""
        said: dict[str, Any] = {
            "bucketId": source[0],
            "sourceKey": source[1],
            "destinationBucket": to[0],
            "destinationKey": to[1],
        }
        if route == "copy with a type":
            said |= {"copyMetadata": False, "metadata": {"mimetype": mimetype or RIGHT[to[0]][0]}}
        return self.http.post("/object/move" if route == "move" else "/object/copy", json=said)


@pytest.fixture
async def sender(target: Target, alice: User) -> AsyncIterator[Sender]:
    session = await alice.client.auth.get_session()
    assert session is not None
    headers = {"apikey": target.public_key, "authorization": f"Bearer {session.access_token}"}
    with httpx.Client(base_url=f"{target.url}/storage/v1", headers=headers, timeout=LIMIT_S) as http:
        yield Sender(http, alice.id)


async def names_of(service: AsyncClient, user: User) -> set[tuple[str, str]]:
    """Every object in the user's folders."""
    found = set()
    for bucket in RIGHT:
        listed = await service.storage.from_(bucket).list_v2({"prefix": f"{user.id}/"})
        found |= {(bucket, item.name.removeprefix(f"{user.id}/")) for item in listed.objects}
    return found


def assert_refused(answer: httpx.Response, *cell: str) -> None:
    """A refusal with a reason: Storage's own, or the database's as `AccessDenied`."""
    told = (*cell, answer.status_code, answer.text)
    assert answer.is_client_error, told
    assert answer.text, told
    if answer.headers["content-type"].startswith("application/json"):
        assert answer.json()["code"] in {"AccessDenied", "InvalidMimeType", "EntityTooLarge", "NoSuchKey"}, (
            told
        )
    else:
        assert answer.status_code in (403, 413, 415), told


async def test_types_and_sizes(sender: Sender, service: AsyncClient, alice: User) -> None:
    stored = set()
    for bucket, (mimetype, data) in RIGHT.items():
        for route in UPLOADS:
            name = f"{route}-{secrets.token_hex(4)}"
            answer = sender.upload(route, bucket, f"{alice.id}/{name}", mimetype, data)
            assert answer.is_success, (bucket, route, answer.status_code, answer.text)
            stored.add((bucket, name))
    for route in UPLOADS:
        for mimetype in WRONG_TYPES:
            for bucket in (*RIGHT, "waveforms"):
                answer = sender.upload(route, bucket, f"{alice.id}/wrong", mimetype, b"<script>")
                assert_refused(answer, route, bucket, mimetype)
        answer = sender.upload(route, "waveforms", f"{alice.id}/wrong", "image/png", PNG)
        assert_refused(answer, route, "waveforms")
        answer = sender.upload(route, "profile-images", f"{alice.id}/wrong", "audio/wav", tone())
        assert_refused(answer, route, "audio")
        answer = sender.upload(
            route, "profile-images", f"{alice.id}/wrong", "image/png", bytes(MAX_IMAGE_BYTES + 1)
        )
        assert_refused(answer, route, "size")
    # What names no type is unknown bytes. The bucket of recordings takes those.
    assert_refused(sender.resume("profile-images", f"{alice.id}/wrong", None, PNG), "untyped image")
    assert sender.resume("audio-files", f"{alice.id}/untyped", None, b"junk").is_success
    stored.add(("audio-files", "untyped"))
    assert await names_of(service, alice) == stored


async def test_sources(sender: Sender, service: AsyncClient, alice: User, bob: User) -> None:
    mine = await alice.add(tone(523.0), title="Mine")
    done = await alice.ended(mine["id"])
    features: Any = (
        await alice.client.table("audio_features")
        .select("waveform_path")
        .eq("audio_id", mine["id"])
        .execute()
    ).data
    hidden = await alice.add(tone(587.0), title="Hidden", is_public=True)
    await alice.ended(hidden["id"])
    hidden_names = await alice.names(hidden["id"])
    await (
        service.table("audio_files")
        .update({"hidden_at": "2026-01-01T00:00:00Z", "hidden_reason": "A test."})
        .eq("id", hidden["id"])
        .execute()
    )
    hidden_now, _ = await alice.renamed(hidden["id"], hidden_names)
    theirs = await bob.add(tone(659.0), title="Theirs", is_public=True)
    await bob.ended(theirs["id"])
    face = f"{alice.id}/face.png"
    assert sender.upload("upload", "profile-images", face, "image/png", PNG).is_success
    sources = {
        "audio-files": done["file_path"],
        "profile-images": face,
        "waveforms": features[0]["waveform_path"],
    }
    before = await names_of(service, alice)
    for route in COPIES:
        for bucket, name in sources.items():
            for to in ("audio-files", "profile-images", "waveforms"):
                if to == bucket == "audio-files":
                    continue
                if route == "move" and to == bucket == "profile-images":
                    continue
                answer = sender.carry(route, (bucket, name), (to, f"{alice.id}/stolen"), "image/png")
                assert_refused(answer, route, bucket, to)
        for to in RIGHT:
            answer = sender.carry(route, ("audio-files", hidden_now), (to, f"{alice.id}/stolen"))
            assert_refused(answer, route, "hidden", to)
            answer = sender.carry(route, ("audio-files", theirs["file_path"]), (to, f"{alice.id}/stolen"))
            assert_refused(answer, route, "another's", to)
    for mimetype in WRONG_TYPES:
        answer = sender.carry(
            "copy with a type", ("audio-files", done["file_path"]), ("audio-files", f"{alice.id}/x"), mimetype
        )
        assert_refused(answer, "copy with a type", mimetype)
    # What may be done, can be: otherwise all of this proves nothing.
    for number, route in enumerate(COPIES):
        answer = sender.carry(
            route, ("audio-files", done["file_path"]), ("audio-files", f"{alice.id}/{number}.wav")
        )
        assert answer.is_success, (route, answer.text)
    moved = sender.carry("move", ("profile-images", face), ("profile-images", f"{alice.id}/new.png"))
    assert moved.is_success, moved.text
    former = done["file_path"].removeprefix(f"{alice.id}/")
    assert await names_of(service, alice) == before - {
        ("audio-files", former),
        ("profile-images", "face.png"),
    } | {
        ("audio-files", "0.wav"),
        ("audio-files", "1.wav"),
        ("audio-files", "2.wav"),
        ("profile-images", "new.png"),
    }
