"""A name that means two objects, `public//x.wav`, is refused by every route that writes an object."""

from __future__ import annotations

import base64
import secrets
from typing import Any

import httpx
from supabase import AsyncClient

from tests.waiting import LIMIT_S

from .conftest import Target, User, tone

STEM = secrets.token_hex(6)
NAMES = (f"public//{STEM}.wav", f"public/./{STEM}.wav", f"public/a/../{STEM}.wav", f"public/{STEM}.wav/")
ROUTES = ("upload", "upsert", "form", "sign", "copy", "move", "resumable")


def send(http: httpx.Client, route: str, name: str, mine: str) -> httpx.Response:
    """Write an object with a name, as literally as HTTP lets us."""
    bucket, audio = "audio-files", {"content-type": "audio/wav"}
    # httpx resolves dot segments, unless the dots are percent-encoded; the server decodes them.
    path = f"{bucket}/{name}".replace("/./", "/%2e/").replace("/../", "/%2e%2e/")
    match route:
        case "upload":
            return http.post(f"/object/{path}", content=b"junk", headers=audio)
        case "upsert":
            return http.post(f"/object/{path}", content=b"junk", headers={**audio, "x-upsert": "true"})
        case "form":
            return http.post(f"/object/{path}", files={"": ("x.wav", b"junk", "audio/wav")})
        case "sign":
            return http.post(f"/object/upload/sign/{path}", json={})
        case "copy" | "move":
            said = {"bucketId": bucket, "sourceKey": mine, "destinationKey": name}
            return http.post(f"/object/{route}", json=said)
    metadata = {"bucketName": bucket, "objectName": name, "contentType": "audio/wav"}
    encoded = ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items()
    )
    headers = {"tus-resumable": "1.0.0", "upload-length": "4", "upload-metadata": encoded}
    return http.post("/upload/resumable", headers=headers)


async def test_junk_under_another_form_of_a_name(
    target: Target, service: AsyncClient, alice: User, bob: User
) -> None:
    """Otherwise the worker would analyse alice's private sound for bob, who owns the other form."""
    secret = f"public/{STEM}.wav"
    await alice.audio.upload(secret, tone(), {"content-type": "audio/wav"})
    mine = f"{bob.id}/mine.wav"
    await bob.audio.upload(mine, b"junk", {"content-type": "audio/wav"})
    session = await bob.client.auth.get_session()
    assert session is not None
    headers = {"apikey": target.public_key, "authorization": f"Bearer {session.access_token}"}
    with httpx.Client(base_url=f"{target.url}/storage/v1", headers=headers, timeout=LIMIT_S) as http:
        for route in ROUTES:
            for name in NAMES:
                answer = send(http, route, name, mine)
                assert answer.is_client_error, (route, name, answer.status_code, answer.text)
    for name in NAMES:
        described = httpx.post(
            f"{target.url}/rest/v1/audio_files", json={"title": "t", "file_path": name}, headers=headers
        )
        assert (described.status_code, described.json()["code"]) == (400, "23514"), name
    rows: Any = (
        await service.table("audio_files").select("file_path").like("file_path", f"%{STEM}%").execute()
    ).data
    assert rows == []
    listed = await service.storage.from_("audio-files").list_v2({"prefix": "public/"})
    assert [item.name for item in listed.objects if STEM in item.name] == [secret]
    await alice.audio.remove([secret])
    await bob.audio.remove([mine])
