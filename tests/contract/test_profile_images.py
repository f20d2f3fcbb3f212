"""Profile images over HTTP: what only says that it is an image is deleted, and its owner is told why."""

from __future__ import annotations

import io
from typing import Any

import httpx
from PIL import Image
from supabase import AsyncClient

from tests.waiting import LIMIT_S, eventually

from .conftest import Target, User

HTML = b"<!doctype html><script>alert(document.domain)</script>"


def picture(name: str) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 48), 40).convert("RGB").save(file, name)
    return file.getvalue()


async def names(service: AsyncClient, user: User) -> set[str]:
    return {item["name"] for item in await service.storage.from_("profile-images").list(user.id)}


async def notifications(user: User) -> list[dict[str, Any]]:
    rows: Any = (
        await user.client.table("notifications")
        .select("kind, audio_id, error_code, error_message")
        .order("created_at")
        .execute()
    ).data
    return list(rows)


async def test_junk_is_deleted_and_its_owner_is_told(
    target: Target, service: AsyncClient, alice: User
) -> None:
    bucket = alice.client.storage.from_("profile-images")
    # The good ones first: they are looked at in this order.
    good = {f"good.{name.lower()}": name for name in ("PNG", "JPEG", "WEBP", "AVIF")}
    for name, kind in good.items():
        await bucket.upload(f"{alice.id}/{name}", picture(kind), {"content-type": f"image/{kind.lower()}"})
    avatar = f"{alice.id}/page.png"
    await bucket.upload(avatar, HTML, {"content-type": "image/png"})
    mine = alice.client.table("users").update({"avatar_path": avatar}).eq("id", alice.id)
    await mine.execute()
    junk = {"page.png": HTML, "cut.png": picture("PNG")[:-100], "jpeg.png": picture("JPEG")}
    for name in ("cut.png", "jpeg.png"):
        await bucket.upload(f"{alice.id}/{name}", junk[name], {"content-type": "image/png"})

    async def is_clean() -> bool | None:
        return await names(service, alice) == set(good) or None

    assert await eventually(is_clean, "the junk stays")
    told = await notifications(alice)
    assert [(row["kind"], row["audio_id"], row["error_code"]) for row in told] == (
        [("image_refused", None, "image_unreadable")] * len(junk)
    )
    assert all("cannot be decoded as PNG" in row["error_message"] for row in told)
    row: Any = (await service.table("users").select("avatar_path").eq("id", alice.id).execute()).data
    assert row == [{"avatar_path": None}]
    async with httpx.AsyncClient(base_url=f"{target.url}/storage/v1/object/public", timeout=LIMIT_S) as http:
        assert (await http.get(f"/profile-images/{avatar}")).is_error
        assert (await http.get(f"/profile-images/{alice.id}/good.png")).is_success


async def test_an_image_that_is_overwritten_is_looked_at_again(service: AsyncClient, alice: User) -> None:
    bucket = alice.client.storage.from_("profile-images")
    name = f"{alice.id}/face.png"
    for data in (picture("PNG"), HTML):
        await bucket.upload(name, data, {"content-type": "image/png", "upsert": "true"})

    async def is_gone() -> bool | None:
        return not await names(service, alice) or None

    assert await eventually(is_gone, "the junk stays")
    assert [row["error_code"] for row in await notifications(alice)] == ["image_unreadable"]
