"""Uploads as both clients make them, and what policies and triggers see of them."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from storage3.utils import StorageException

from .conftest import SIZE_LIMIT, Project, User

BUCKET = "st-private"
FORM = "multipart/form-data; boundary=B"
PART = b"--B\r\nContent-Disposition: form-data; "


async def test_supabase_py_uploads_and_reads_back(project: Project, user: User) -> None:
    files = user.storage.from_(BUCKET)
    answer = await files.upload(
        f"{user.id}/a b.mp3", b"first", {"content-type": "audio/mpeg", "cache-control": "60"}
    )
    assert answer.full_path == f"{BUCKET}/{user.id}/a b.mp3"
    assert await files.download(f"{user.id}/a b.mp3") == b"first"
    (row,) = project.sql(
        "select id, owner::text, owner_id, metadata, user_metadata, path_tokens "
        "from storage.objects where name = %s",
        f"{user.id}/a b.mp3",
    )
    assert row[1:3] == (user.id, user.id)
    metadata = row[3]
    assert metadata.pop("lastModified").endswith("Z")
    assert metadata == {
        "eTag": f'"{hashlib.md5(b"first").hexdigest()}"',
        "size": 5,
        "mimetype": "audio/mpeg",
        "cacheControl": "max-age=60",
        "contentLength": 5,
        "httpStatusCode": 200,
    }
    assert row[4:] == ({}, [user.id, "a b.mp3"])


async def test_a_second_upload_needs_upsert(project: Project, user: User) -> None:
    files, name = user.storage.from_(BUCKET), f"{user.id}/x"
    await files.upload(name, b"old", {"metadata": {"title": "kept?"}})
    first = project.version(BUCKET, name)
    with pytest.raises(StorageException) as refused:
        await files.upload(name, b"new")
    assert refused.value.status == "409"
    await files.upload(name, b"new", {"upsert": "true"})
    assert await files.download(name) == b"new"
    # The bytes of the replaced version are gone, and an overwrite without metadata empties it.
    assert first not in project.on_disk()
    assert project.version(BUCKET, name) in project.on_disk()
    assert project.sql("select user_metadata from storage.objects where name = %s", name) == [({},)]


async def test_update_creates_what_is_absent(user: User) -> None:
    files = user.storage.from_(BUCKET)
    await files.update(f"{user.id}/new", b"made by PUT")
    assert await files.download(f"{user.id}/new") == b"made by PUT"


async def test_raw_upload_with_metadata(http: httpx.AsyncClient, user: User) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 30_000

    encoded = base64.b64encode(json.dumps({"title": "Wald ü"}).encode()).decode()
    path = f"/object/{BUCKET}/{user.id}/raw.wav"
    answer = await http.post(
        path,
        content=chunks(),
        headers=user.headers
        | {"content-type": "audio/wav", "cache-control": "max-age=7", "x-metadata": encoded},
    )
    assert answer.status_code == 200
    assert set(answer.json()) == {"Key", "Id"}
    info = (await http.get(f"/object/info/{BUCKET}/{user.id}/raw.wav", headers=user.headers)).json()
    assert info["size"] == 3_000_000
    assert info["metadata"] == {"title": "Wald ü"}
    assert (info["content_type"], info["cache_control"]) == ("audio/wav", "max-age=7")


@pytest.mark.parametrize(
    "bad", ["%%%", "e30", base64.b64encode(b"[1]").decode(), base64.b64encode(b"{").decode()]
)
async def test_malformed_metadata_is_ignored(http: httpx.AsyncClient, user: User, bad: str) -> None:
    path = f"/object/{BUCKET}/{user.id}/m"
    answer = await http.post(path, content=b"x", headers=user.headers | {"x-metadata": bad})
    assert answer.status_code == 200
    info = await http.get(f"/object/info/{BUCKET}/{user.id}/m", headers=user.headers)
    assert info.json()["metadata"] == {}


async def test_encoded_bytes_are_kept_and_named(http: httpx.AsyncClient, user: User) -> None:
    path, body = f"/object/{BUCKET}/{user.id}/packed", gzip.compress(b"packed")
    headers = user.headers | {"content-encoding": "gzip", "content-type": "text/plain"}
    assert (await http.post(path, content=body, headers=headers)).status_code == 200
    answer = await http.get(path, headers=user.headers)
    assert (answer.headers["content-encoding"], answer.content) == ("gzip", b"packed")


async def test_multipart_of_supabase_js(http: httpx.AsyncClient, user: User) -> None:
    body = (
        b'--B\r\nContent-Disposition: form-data; name="cacheControl"\r\n\r\n3600\r\n'
        b'--B\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"title":"Rain"}\r\n'
        b'--B\r\nContent-Disposition: form-data; name=""; filename="blob"\r\nContent-Type: audio/ogg\r\n\r\n'
        b"\r\n--Almost\r\n\r\n--B--\r\n"
    )
    path = f"{BUCKET}/{user.id}/js"
    answer = await http.post(
        f"/object/{path}",
        content=body,
        headers=user.headers | {"content-type": FORM},
    )
    assert answer.status_code == 200, answer.text
    read = await http.get(f"/object/authenticated/{path}", headers=user.headers)
    assert read.content == b"\r\n--Almost\r\n"
    assert (read.headers["content-type"], read.headers["cache-control"]) == ("audio/ogg", "max-age=3600")
    info = (await http.get(f"/object/info/{path}", headers=user.headers)).json()
    assert info["metadata"] == {"title": "Rain"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"no boundary"),
        (FORM, b""),
        (FORM, b"garbage"),
        (FORM, PART + b'name="a"\r\n\r\n1\r\n--B--\r\n'),
        # Cut off inside the file: what came is not the file.
        (FORM, PART + b'name=""; filename="b"\r\n\r\nhalf'),
    ],
)  # fmt: skip
async def test_multipart_without_a_whole_file(
    http: httpx.AsyncClient, project: Project, user: User, content_type: str, body: bytes
) -> None:
    headers = user.headers | {"content-type": content_type}
    answer = await http.post(f"/object/{BUCKET}/{user.id}/f", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["code"] == "InvalidRequest"
    assert list((project.folder / "incoming").iterdir()) == []
    assert project.version(BUCKET, f"{user.id}/f") is None


@pytest.mark.parametrize(
    ("bucket", "size", "content_type", "code", "status"),
    [
        ("st-narrow", 1000, "audio/wav", None, None),
        ("st-narrow", 1001, "audio/wav", "EntityTooLarge", "413"),
        ("st-narrow", 10, "image/png", "InvalidMimeType", "415"),
        ("st-narrow", 10, "nonsense", "InvalidMimeType", "415"),
        ("st-narrow", 10, "text/plain;charset=UTF-8", None, None),
        ("st-private", SIZE_LIMIT + 1, "audio/wav", "EntityTooLarge", "413"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("multipart", [True, False])
async def test_limits_of_the_bucket(
    http: httpx.AsyncClient, project: Project, user: User, bucket: str, size: int, content_type: str,
    code: str | None, status: str | None, multipart: bool,
) -> None:  # fmt: skip
    path, body = f"/object/{bucket}/{user.id}/limit", b"x" * size
    if multipart:
        answer = await http.post(path, files={"file": ("f", body, content_type)}, headers=user.headers)
    else:
        answer = await http.post(path, content=body, headers=user.headers | {"content-type": content_type})
    assert answer.status_code == (400 if code else 200)
    if code:
        assert (answer.json()["code"], answer.json()["statusCode"]) == (code, status)
        assert project.version(bucket, f"{user.id}/limit") is None
    assert list((project.folder / "incoming").iterdir()) == []


async def test_an_empty_file_is_a_file(user: User) -> None:
    await user.storage.from_(BUCKET).upload(f"{user.id}/empty", b"")
    assert await user.storage.from_(BUCKET).download(f"{user.id}/empty") == b""


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("ünder.wav", "InvalidKey"),
        ("a%00b", "InvalidKey"),
        ("a~b", "InvalidKey"),
        ("a%23b", "InvalidKey"),
        ("%FF", "InvalidKey"),
        ("x" * 1100, "InvalidKey"),
        ("a%3Fb=1&c+d'(e)!*,;:@$.x", None),
    ],
)
async def test_object_keys(http: httpx.AsyncClient, user: User, key: str, code: str | None) -> None:
    answer = await http.post(f"/object/{BUCKET}/{user.id}/{key}", content=b"x", headers=user.headers)
    assert answer.status_code == (400 if code else 200), answer.text
    assert answer.json().get("code") == code


async def test_who_may_write(http: httpx.AsyncClient, project: Project, user: User) -> None:
    other = project.user()
    path = f"/object/{BUCKET}/{user.id}/mine"
    for headers in (other.headers, project.headers()):
        answer = await http.post(path, content=b"x", headers=headers)
        assert answer.status_code == 400
        assert answer.json() == {
            "statusCode": "403",
            "error": "Unauthorized",
            "message": "new row violates row-level security policy",
            "code": "AccessDenied",
        }
    assert (await http.post(path, content=b"x", headers=project.service)).status_code == 200
    assert project.sql("select owner_id from storage.objects where name = %s", f"{user.id}/mine") == [(None,)]


async def test_credentials(http: httpx.AsyncClient, user: User) -> None:
    path, forged = f"/object/{BUCKET}/{user.id}/c", f"{user.token()[:-9]}AAAAAAAAA"
    for headers, code, message in [
        ({}, "InvalidRequest", "headers must have required property 'authorization'"),
        ({"authorization": "Bearer x"}, "AccessDenied", "Invalid Compact JWS"),
        (
            {"authorization": f"Bearer {user.token(lives_s=-5)}"},
            "AccessDenied",
            '"exp" claim timestamp check failed',
        ),
        ({"authorization": f"Bearer {forged}"}, "AccessDenied", "signature verification failed"),
    ]:  # fmt: skip
        answer = await http.post(path, content=b"x", headers=headers)
        assert (answer.status_code, answer.json()["code"], answer.json()["message"]) == (400, code, message)
    bearer_alone = {"authorization": f"Bearer {user.token()}"}
    assert (await http.post(path, content=b"x", headers=bearer_alone)).status_code == 200


async def test_a_plain_upload_needs_insert_only_an_upsert_also_select(
    http: httpx.AsyncClient, user: User
) -> None:
    path = f"/object/{BUCKET}/drop-box/{user.id}"
    upsert = user.headers | {"x-upsert": "true"}
    assert (await http.post(path, content=b"x", headers=upsert)).json()["code"] == "AccessDenied"
    # Only the exact word counts.
    assert (
        await http.post(path, content=b"x", headers=user.headers | {"x-upsert": "TRUE"})
    ).status_code == 200


async def _told(http: httpx.AsyncClient, user: User, name: str, **headers: str) -> dict[str, object]:
    """What the trigger of fixture.sql saw when it refused this upload."""
    answer = await http.post(
        f"/object/{BUCKET}/{user.id}/{name}",
        content=b"12345",
        headers=user.headers | {"content-type": "audio/wav"} | headers,
    )
    assert answer.status_code == 400
    assert (answer.json()["statusCode"], answer.json()["code"]) == ("403", "AccessDenied")
    return dict(json.loads(answer.json()["message"]))


async def test_what_a_trigger_sees_of_the_probe(http: httpx.AsyncClient, user: User) -> None:
    told = await _told(http, user, "tell-probe")
    assert told["metadata"] == {"mimetype": "audio/wav", "contentLength": 5}
    assert (told["op"], told["version"], told["role"]) == ("INSERT", "1", "authenticated")
    assert told["uid"] == told["owner"] == told["owner_id"] == user.id
    assert told["operation"] == "storage.object.upload"
    assert (told["method"], told["path"]) == ("POST", f"/object/{BUCKET}/{user.id}/tell-probe")


async def test_what_a_trigger_sees_of_the_final_write(
    http: httpx.AsyncClient, project: Project, user: User
) -> None:
    before = project.on_disk()
    told = await _told(http, user, "tell-final")
    assert set(told["metadata"]) == {  # type: ignore[call-overload]
        "eTag", "size", "mimetype", "cacheControl", "lastModified", "contentLength", "httpStatusCode",
    }  # fmt: skip
    assert (told["op"], told["role"], told["uid"]) == ("INSERT", "service_role", None)
    assert told["owner"] == told["owner_id"] == user.id
    assert json.loads(str(told["claims"])) == {"role": "service_role"}
    assert project.on_disk() == before, "the refused bytes are gone"
    assert project.version(BUCKET, f"{user.id}/tell-final") is None


async def test_other_errors_of_a_trigger_hide_their_text(
    http: httpx.AsyncClient, project: Project, user: User
) -> None:
    before = project.on_disk()
    path = f"/object/{BUCKET}/{user.id}/break-final"
    answer = await http.post(path, content=b"x", headers=user.headers)
    assert (answer.status_code, answer.json()["statusCode"]) == (500, "500")
    assert "secret" not in answer.text
    assert project.on_disk() == before


async def test_bytes_of_an_undecided_write_wait_for_the_sweep(
    http: httpx.AsyncClient, project: Project, user: User
) -> None:
    """The connection dies in the final write: only the row can tell later whether it committed."""
    before = project.on_disk()
    answer = await http.post(f"/object/{BUCKET}/{user.id}/kill-final", content=b"x", headers=user.headers)
    assert answer.status_code >= 500
    assert project.version(BUCKET, f"{user.id}/kill-final") is None
    (left,) = project.on_disk() - before
    assert await project.sweep() >= 1
    assert left not in project.on_disk()


async def test_missing_bucket(http: httpx.AsyncClient, user: User) -> None:
    answer = await http.post("/object/no-such/x", content=b"x", headers=user.headers)
    assert answer.json()["code"] == "NoSuchBucket"
    answer = await http.post("/object/b%7Cd/x", content=b"x", headers=user.headers)
    assert answer.json()["code"] == "InvalidBucketName"


async def test_simultaneous_first_uploads_of_one_key(
    http: httpx.AsyncClient, project: Project, user: User
) -> None:
    name, bodies = f"{user.id}/race", [bytes([65 + number]) * 50_000 for number in range(8)]
    before = project.on_disk()
    answers = await asyncio.gather(
        *(http.post(f"/object/{BUCKET}/{name}", content=body, headers=user.headers) for body in bodies)
    )
    assert 200 in {answer.status_code for answer in answers}
    assert all(answer.status_code == 200 or answer.json()["statusCode"] == "409" for answer in answers)
    read = await http.get(f"/object/{BUCKET}/{name}", headers=user.headers)
    assert read.content in bodies
    left = project.on_disk() - before
    assert left == {project.version(BUCKET, name)}, "every losing version's bytes are gone"


async def test_a_broken_connection_leaves_nothing(project: Project, user: User) -> None:
    before = project.on_disk()

    async def breaks() -> AsyncIterator[bytes]:
        yield b"x" * 3_000_000
        raise RuntimeError("cable pulled")

    async with httpx.AsyncClient(base_url=project.url) as client:
        with pytest.raises(RuntimeError):
            await client.post(f"/object/{BUCKET}/{user.id}/broken", content=breaks(), headers=user.headers)
    for _ in range(50):
        if not list((project.folder / "incoming").iterdir()):
            break
        await asyncio.sleep(0.05)
    assert list((project.folder / "incoming").iterdir()) == []
    assert project.version(BUCKET, f"{user.id}/broken") is None
    assert project.on_disk() == before


async def test_signed_upload(project: Project, http: httpx.AsyncClient, user: User) -> None:
    files, name = user.storage.from_(BUCKET), f"{user.id}/signed.wav"
    signed = await files.create_signed_upload_url(name)
    answer = await project.client({}).from_(BUCKET).upload_to_signed_url(name, signed["token"], b"by url")
    assert answer.full_path == f"{BUCKET}/{name}"
    assert project.sql("select owner_id from storage.objects where name = %s", name) == [(user.id,)]
    again = await http.put(
        f"/object/upload/sign/{BUCKET}/{name}", params={"token": signed["token"]}, content=b"2"
    )
    assert again.json()["code"] == "KeyAlreadyExists"
    elsewhere = await http.put(
        f"/object/upload/sign/{BUCKET}/{user.id}/other", params={"token": signed["token"]}, content=b"2"
    )
    assert elsewhere.json()["code"] == "InvalidSignature"
    garbage = await http.put(f"/object/upload/sign/{BUCKET}/{name}", params={"token": "x"}, content=b"2")
    assert garbage.json()["code"] == "InvalidJWT"
    # A token for reading is none for writing.
    read = (await files.create_signed_url(name, 60))["signedURL"] or ""
    token = httpx.URL(read).params["token"]
    wrong = await http.put(f"/object/upload/sign/{BUCKET}/{name}", params={"token": token}, content=b"2")
    assert wrong.json()["code"] == "InvalidSignature"
    with pytest.raises(StorageException):
        await project.user().storage.from_(BUCKET).create_signed_upload_url(f"{user.id}/theirs")


async def test_signed_upload_may_upsert_by_its_token(http: httpx.AsyncClient, user: User) -> None:
    path = f"{BUCKET}/{user.id}/up"
    headers = user.headers | {"x-upsert": "true"}
    token = (await http.post(f"/object/upload/sign/{path}", headers=headers)).json()["token"]
    for body in (b"one", b"two"):
        answer = await http.put(f"/object/upload/sign/{path}", params={"token": token}, content=body)
        assert answer.status_code == 200
    assert (await http.get(f"/object/{path}", headers=user.headers)).content == b"two"
