"""The Storage rows of `docs/embedded-supabase.md`, through supabase-py, supabase-js and tus-js-client."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from storage3.exceptions import StorageApiError
from supabase import AsyncClient

from tests import node

from .conftest import SignedUp, Target, User

py, js, http, tus = (pytest.mark.row.with_args(by=by) for by in ("py", "js", "http", "tus"))
AUDIO = {"content-type": "audio/mpeg"}
BUCKET = "audio-files"


@pytest.fixture
async def bucket(service: AsyncClient) -> AsyncIterator[str]:
    """A public bucket with limits, gone afterwards."""
    name = f"test-{secrets.token_hex(6)}"
    await service.storage.create_bucket(
        name, options={"public": True, "file_size_limit": 1000, "allowed_mime_types": ["audio/*"]}
    )
    yield name
    listed = await service.storage.from_(name).list()
    if listed:
        await service.storage.from_(name).remove([item["name"] for item in listed])
    await service.storage.delete_bucket(name)


async def refusal(asked: Any) -> tuple[int, str]:
    """The `statusCode` and the `error` of the answer, which supabase-py calls status and code."""
    with pytest.raises(StorageApiError) as refused:
        await asked
    return int(refused.value.status), refused.value.code


@py("storage.buckets")
async def test_buckets(service: AsyncClient, alice: User, bucket: str) -> None:
    made = await service.storage.get_bucket(bucket)
    assert (made.public, made.file_size_limit, made.allowed_mime_types) == (True, 1000, ["audio/*"])
    assert bucket in {each.id for each in await service.storage.list_buckets()}
    await service.storage.update_bucket(bucket, {"public": False})
    assert (await service.storage.get_bucket(bucket)).public is False
    assert (await refusal(service.storage.create_bucket(bucket)))[0] == 409
    assert (await refusal(alice.client.storage.create_bucket(f"{bucket}-2")))[0] == 403
    await service.storage.from_(bucket).upload("a.mp3", b"x", AUDIO)
    assert (await refusal(service.storage.delete_bucket(bucket)))[0] == 409


@py("storage.limits")
async def test_limits_of_a_bucket(service: AsyncClient, bucket: str) -> None:
    files = service.storage.from_(bucket)
    assert await refusal(files.upload("a.mp3", b"x" * 1001, AUDIO)) == (413, "Payload too large")
    wrong = {"content-type": "image/png"}
    assert await refusal(files.upload("a.png", b"x", wrong)) == (415, "invalid_mime_type")


@py("storage.upload")
async def test_uploads(alice: User) -> None:
    # Each is read once: a hosted project's CDN may hold what was read before for a minute.
    path, other = f"{alice.id}/a.mp3", f"{alice.id}/b.mp3"
    stored = await alice.audio.upload(path, b"first", AUDIO)
    assert (stored.path, stored.full_path) == (path, f"{BUCKET}/{path}")
    assert (await refusal(alice.audio.upload(path, b"again", AUDIO)))[0] == 409
    await alice.audio.upload(path, b"upserted", {**AUDIO, "upsert": "true"})
    assert await alice.audio.download(path) == b"upserted"
    await alice.audio.upload(other, b"first", AUDIO)
    await alice.audio.update(other, b"updated", AUDIO)
    assert await alice.audio.download(other) == b"updated"
    await alice.audio.remove([path, other])


@py("storage.permissions")
async def test_who_may(alice: User, bob: User) -> None:
    path = f"{alice.id}/mine.mp3"
    assert await refusal(bob.audio.upload(path, b"x", AUDIO)) == (403, "Unauthorized")
    await alice.audio.upload(path, b"mine", AUDIO)
    assert await refusal(bob.audio.download(path)) == (404, "not_found")
    assert await bob.audio.remove([path]) == []
    assert await alice.audio.download(path) == b"mine"
    await alice.audio.remove([path])


@py("storage.keys")
async def test_keys(alice: User) -> None:
    for name in ("ünder", "a~b", "x" * 1100):
        assert await refusal(alice.audio.upload(f"{alice.id}/{name}", b"x", AUDIO)) == (400, "InvalidKey")


@py("storage.info")
async def test_what_is_known_of_an_object(alice: User) -> None:
    path = f"{alice.id}/info.mp3"
    said = {**AUDIO, "cache-control": "60", "metadata": {"mood": "calm"}}
    await alice.audio.upload(path, b"12345", said)
    info = await alice.audio.info(path)
    assert (info["size"], info["content_type"], info["metadata"]) == (5, "audio/mpeg", {"mood": "calm"})
    assert info["cache_control"] == "max-age=60"
    assert await alice.audio.exists(path)
    assert not await alice.audio.exists(f"{path}-none")
    await alice.audio.remove([path])


@py("storage.public")
async def test_public_reading(service: AsyncClient, alice: User, bucket: str) -> None:
    # Two, since a hosted project's CDN may still hold the one that was read.
    files = service.storage.from_(bucket)
    for name in ("open.mp3", "closed.mp3"):
        await files.upload(name, b"for all", AUDIO)
    async with httpx.AsyncClient() as nobody:
        assert (await nobody.get(await files.get_public_url("open.mp3"))).content == b"for all"
        await service.storage.update_bucket(bucket, {"public": False})
        assert (await nobody.get(await files.get_public_url("closed.mp3"))).status_code == 400


@py("storage.signed")
async def test_signed_urls(alice: User) -> None:
    path = f"{alice.id}/signed it.mp3"
    await alice.audio.upload(path, b"signed", AUDIO)
    one = await alice.audio.create_signed_url(path, 60, {"download": "my name.mp3"})
    many = await alice.audio.create_signed_urls([path, f"{path}-none"], 60)
    async with httpx.AsyncClient() as nobody:
        answer = await nobody.get(one["signedURL"])
        assert answer.content == b"signed"
        assert "filename=my%20name.mp3" in answer.headers["content-disposition"]
        assert (await nobody.get(many[0]["signedURL"])).content == b"signed"
        assert (await nobody.get(one["signedURL"].replace("token=", "token=x"))).status_code == 400
    assert many[1]["error"]
    await alice.audio.remove([path])


@py("storage.signed-upload")
async def test_signed_uploads(alice: User, anonymous: AsyncClient) -> None:
    path = f"{alice.id}/permitted.mp3"
    permit = await alice.audio.create_signed_upload_url(path)
    nobody = anonymous.storage.from_(BUCKET)
    await nobody.upload_to_signed_url(permit["path"], permit["token"], b"by permit", AUDIO)
    assert await alice.audio.download(path) == b"by permit"
    again = nobody.upload_to_signed_url(permit["path"], permit["token"], b"again", AUDIO)
    assert (await refusal(again))[0] == 409
    await alice.audio.remove([path])


@py("storage.list")
async def test_lists(alice: User) -> None:
    paths = [f"{alice.id}/{name}.mp3" for name in ("a", "b", "deep/c")]
    for path in paths:
        await alice.audio.upload(path, b"x", AUDIO)
    by_name = {"sortBy": {"column": "name", "order": "asc"}}
    listed = await alice.audio.list(alice.id, by_name)
    assert [(item["name"], item["id"] is None) for item in listed] == [
        ("a.mp3", False), ("b.mp3", False), ("deep", True),
    ]  # fmt: skip
    assert [item["name"] for item in await alice.audio.list(alice.id, {"search": "b", **by_name})] == [
        "b.mp3"
    ]
    page = await alice.audio.list_v2({"prefix": f"{alice.id}/", "limit": 2})
    assert page.hasNext
    rest = await alice.audio.list_v2({"prefix": f"{alice.id}/", "cursor": str(page.nextCursor)})
    assert len(page.objects) + len(rest.objects) == 3
    await alice.audio.remove(paths)


@py("storage.move-copy-remove")
async def test_move_copy_remove(alice: User) -> None:
    start, copied, moved = (f"{alice.id}/{name}.mp3" for name in ("start", "copied", "moved"))
    await alice.audio.upload(start, b"bytes", AUDIO)
    await alice.audio.copy(start, copied)
    await alice.audio.move(copied, moved)
    assert await alice.audio.download(moved) == b"bytes"
    assert not await alice.audio.exists(copied)
    removed = await alice.audio.remove([start, moved, f"{moved}-none"])
    assert {item["name"] for item in removed} == {start, moved}


@http("storage.download", "storage.one-range")
async def test_downloads_in_part(target: Target, alice: User) -> None:
    path = f"{alice.id}/part.mp3"
    await alice.audio.upload(path, b"0123456789", AUDIO)
    session = await alice.client.auth.get_session()
    assert session is not None
    headers = {"apikey": target.public_key, "authorization": f"Bearer {session.access_token}"}
    url = f"{target.url}/storage/v1/object/authenticated/{BUCKET}/{path}"
    async with httpx.AsyncClient(headers=headers) as http:
        part = await http.get(url, headers={"range": "bytes=2-4"})
        assert (part.status_code, part.content) == (206, b"234")
        assert part.headers["content-range"] == "bytes 2-4/10"
        etag = part.headers["etag"]
        assert (await http.get(url, headers={"if-none-match": etag})).status_code == 304
        assert (await http.head(url)).headers["content-length"] == "10"
        several = await http.get(url, headers={"range": "bytes=0-1,4-5"})
        assert several.status_code == 416
    await alice.audio.remove([path])


@py("storage.download")
async def test_downloads(alice: User) -> None:
    path = f"{alice.id}/whole.mp3"
    await alice.audio.upload(path, b"0123456789", AUDIO)
    assert await alice.audio.download(path) == b"0123456789"
    assert await refusal(alice.audio.download(f"{path}-none")) == (404, "not_found")
    await alice.audio.remove([path])


@py("storage.no-transform")
@pytest.mark.embedded_only("a hosted project may transform images")
async def test_no_transformation(alice: User) -> None:
    asked = alice.audio.create_signed_url(f"{alice.id}/a.mp3", 60, {"transform": {"width": 10}})
    assert await refusal(asked) == (403, "FeatureNotEnabled")


@http("storage.no-other-apis")
@pytest.mark.embedded_only("a hosted project serves them")
@pytest.mark.parametrize("path", ["s3", "iceberg/v1/config", "vector/ListIndexes", "cdn/x"])
def test_no_other_apis(target: Target, path: str) -> None:
    answer = httpx.post(f"{target.url}/storage/v1/{path}", headers={"apikey": target.secret_key})
    assert (answer.status_code, answer.json()["error"]) == (404, "Not Found")


@http("storage.no-other-buckets")
@pytest.mark.embedded_only("a hosted project may have them")
@pytest.mark.parametrize("kind", ["ANALYTICS", "VECTOR"])
def test_no_other_buckets(target: Target, kind: str) -> None:
    headers = {"apikey": target.secret_key, "authorization": f"Bearer {target.secret_key}"}
    said = {"name": f"test-{kind.lower()}", "type": kind}
    answer = httpx.post(f"{target.url}/storage/v1/bucket", json=said, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "FeatureNotEnabled")


# -- supabase-js and tus-js-client, one run of a script for all the questions below -------------------


@pytest.fixture(scope="module")
def seen(target: Target, signed_up: list[SignedUp]) -> dict[str, Any]:
    user, other = signed_up
    given = {
        "url": target.url,
        "key": target.public_key,
        "secret": target.secret_key,
        "token": user.access_token,
        "other": other.access_token,
        "user": user.id,
        "bucket": BUCKET,
        "own": f"test-{secrets.token_hex(6)}",
        # A hosted project empties buckets later, takes deferred lengths and signed resumable uploads.
        "queued": bool(os.environ.get("SUPABASE_URL")),
    }
    return {"user": user.id, **node.run("storage.mjs", given)}


def _refused(status_code: str, code: str) -> dict[str, Any]:
    return {"status": 400, "statusCode": status_code, "code": code}


@js("storage.buckets")
def test_js_buckets(seen: dict[str, Any]) -> None:
    assert seen["bucket_again"]["statusCode"] == "409"
    assert seen["bucket"] == {"public": True, "limit": 1000, "types": ["audio/*"]}
    assert seen["bucket_listed"]
    assert seen["user_makes_bucket"]["statusCode"] == "403"
    assert seen["bucket_full"]["statusCode"] == "409"
    assert seen["bucket_updated"] == {"message": "Successfully updated"}
    assert seen["bucket_emptied"] is None
    assert seen["bucket_deleted"] in ("queued", {"message": "Successfully deleted"})
    assert seen["no_bucket"]["statusCode"] == "404"


@js("storage.limits")
def test_js_limits(seen: dict[str, Any]) -> None:
    assert (seen["too_large"]["statusCode"], seen["wrong_type"]["statusCode"]) == ("413", "415")


@js("storage.upload")
def test_js_uploads(seen: dict[str, Any]) -> None:
    assert seen["form"] == {
        "error": None,
        "keys": ["fullPath", "id", "path"],
        "fullPath": f"{BUCKET}/{seen['user']}/blob.ogg",
    }
    assert [seen[name] for name in ("raw", "stream", "upsert", "update")] == [None] * 4
    assert seen["duplicate"] == _refused("409", "KeyAlreadyExists")
    assert seen["updated"] == "updated"


@js("storage.permissions", "storage.keys")
def test_js_refusals(seen: dict[str, Any]) -> None:
    assert seen["denied"] == _refused("403", "AccessDenied")
    assert seen["hidden"] == _refused("404", "NoSuchKey")
    assert seen["invalid"] == _refused("400", "InvalidKey")


@js("storage.download", "storage.info")
def test_js_reading(seen: dict[str, Any]) -> None:
    assert (seen["blob"], seen["streamed"]) == ("from a blob", "streamed bytes")
    assert seen["info"] == {
        "size": 11, "type": "audio/ogg", "cache": "max-age=60", "metadata": {"title": "Grün"},
    }  # fmt: skip
    assert (seen["exists"], seen["exists_not"]) == (True, False)


@js("storage.public")
def test_js_public(seen: dict[str, Any]) -> None:
    assert (seen["public"], seen["not_public"]) == ("for all", 400)


@js("storage.signed")
def test_js_signed(seen: dict[str, Any]) -> None:
    assert seen["signed"][:2] == [200, "from a blob"]
    assert "filename=my%20file.ogg" in seen["signed"][2]
    assert seen["batch"][0] == [None, True]
    assert seen["batch"][1][0].startswith("Either the object does not exist")
    assert seen["batch_read"] == "from a blob"


@js("storage.signed-upload")
def test_js_signed_upload(seen: dict[str, Any]) -> None:
    assert seen["by_permit"] is None
    assert seen["by_permit_again"] == _refused("409", "KeyAlreadyExists")


@js("storage.list", "storage.move-copy-remove")
def test_js_list_move_copy_remove(seen: dict[str, Any]) -> None:
    assert seen["listed"] == ["blob.ogg", "permit", "raw.mp3", "stream.mp3"]
    assert seen["list_v2"] == [True, 2]
    assert seen["copy"]["path"] == f"{BUCKET}/{seen['user']}/copy.ogg"
    assert seen["move"]["message"] == "Successfully moved"
    assert seen["removed"] == [f"{seen['user']}/moved.ogg"]


@js("storage.no-transform")
@pytest.mark.embedded_only("a hosted project may transform images")
def test_js_no_transformation(seen: dict[str, Any]) -> None:
    assert seen["transform"] == _refused("403", "FeatureNotEnabled")


@tus("storage.tus")
def test_resumable(seen: dict[str, Any]) -> None:
    for name in ("tus", "tus_upsert", "tus_with_creation", "tus_resumed"):
        assert seen[name] == "done", name
    assert (seen["tus_duplicate"], seen["tus_denied"]) == (409, 403)
    assert (seen["tus_broken"], seen["tus_resumed_from"]) == ("aborted", 600_000)
    assert seen["tus_whole"]
    assert seen["tus_resumed_whole"]


@tus("storage.no-tus-extras")
@pytest.mark.embedded_only("a hosted project takes them")
def test_what_resumable_uploads_leave_out(seen: dict[str, Any]) -> None:
    assert (seen["tus_deferred"], seen["tus_signed"]) == (400, 400)
