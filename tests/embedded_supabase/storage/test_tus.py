"""Resumable uploads, request by request; tests/js/storage.mjs drives the real tus-js-client."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from embedded_supabase.storage.tus_store import TusStore
from tests.waiting import LIMIT_S

from .conftest import SIZE_LIMIT, Project, User

BUCKET = "st-private"
OCTETS = {"content-type": "application/offset+octet-stream"}


def metadata(name: str, bucket: str = BUCKET, **more: str) -> dict[str, str]:
    pairs = {
        "bucketName": bucket,
        "objectName": name,
        "contentType": "audio/wav",
        "cacheControl": "60",
    } | more
    coded = (f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())
    return {"tus-resumable": "1.0.0", "upload-metadata": ",".join(coded)}


async def create(http: httpx.AsyncClient, user: User, name: str, length: int, **more: str) -> str:
    answer = await http.post(
        "/upload/resumable", headers=user.headers | metadata(name, **more) | {"upload-length": str(length)}
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["upload-expires"].endswith("GMT")
    return answer.headers["location"]


async def patch(
    http: httpx.AsyncClient, user: User, url: str, offset: int, body: Any, **more: str
) -> httpx.Response:
    headers = user.headers | OCTETS | {"tus-resumable": "1.0.0", "upload-offset": str(offset)} | more
    return await http.patch(url, content=body, headers=headers)


async def test_a_whole_upload(http: httpx.AsyncClient, project: Project, user: User) -> None:
    name = f"{user.id}/a b/whole.wav"
    url = await create(http, user, name, 10, metadata=json.dumps({"title": "Whole"}))
    base, _, coded = url.rpartition("/")
    assert base == f"{project.url}/upload/resumable"
    assert base64.urlsafe_b64decode(coded + "==").decode().startswith(f"{BUCKET}/{name}/")
    first = await patch(http, user, url, 0, b"01234")
    assert (first.status_code, first.headers["upload-offset"]) == (204, "5")
    assert "tus-complete" not in first.headers
    head = await http.head(url, headers=user.headers | {"tus-resumable": "1.0.0"})
    assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("5", "10")
    assert head.headers["cache-control"] == "no-store"
    last = await patch(http, user, url, 5, b"56789")
    assert (last.status_code, last.headers["tus-complete"], last.headers["upload-offset"]) == (204, "1", "10")
    read = await http.get(f"/object/{BUCKET}/{name}", headers=user.headers)
    assert (read.content, read.headers["content-type"]) == (b"0123456789", "audio/wav")
    assert read.headers["cache-control"] == "max-age=60"
    info = (await http.get(f"/object/info/{BUCKET}/{name}", headers=user.headers)).json()
    assert info["metadata"] == {"title": "Whole"}
    # Its URL still tells the client that nothing is missing.
    head = await http.head(url, headers=user.headers | {"tus-resumable": "1.0.0"})
    assert head.headers["upload-offset"] == "10"
    done = await http.delete(url, headers=user.headers | {"tus-resumable": "1.0.0"})
    assert done.status_code == 400
    assert project.sql("select owner_id from storage.objects where name = %s", name) == [(user.id,)]


async def test_an_upload_without_a_type(http: httpx.AsyncClient, user: User) -> None:
    """The bucket takes no such type. The real server asks only for a type that is named."""
    url = await create(http, user, f"{user.id}/untyped", 1, bucket="st-narrow", contentType="")
    assert (await patch(http, user, url, 0, b"x")).headers["tus-complete"] == "1"
    read = await http.get(f"/object/st-narrow/{user.id}/untyped", headers=user.headers)
    assert read.headers["content-type"] == "application/octet-stream"


async def test_creation_with_upload(http: httpx.AsyncClient, user: User) -> None:
    name = f"{user.id}/with"
    headers = user.headers | OCTETS | metadata(name) | {"upload-length": "6"}
    answer = await http.post("/upload/resumable", content=b"abc", headers=headers)
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "3")
    last = await patch(http, user, answer.headers["location"], 3, b"def")
    assert last.headers["tus-complete"] == "1"
    assert (await http.get(f"/object/{BUCKET}/{name}", headers=user.headers)).content == b"abcdef"


async def test_an_empty_upload_is_finished_at_once(http: httpx.AsyncClient, user: User) -> None:
    headers = user.headers | metadata(f"{user.id}/none") | {"upload-length": "0"}
    answer = await http.post("/upload/resumable", headers=headers)
    assert (answer.status_code, answer.headers["tus-complete"]) == (201, "1")
    assert (await http.get(f"/object/{BUCKET}/{user.id}/none", headers=user.headers)).content == b""


async def test_termination(http: httpx.AsyncClient, project: Project, user: User) -> None:
    url = await create(http, user, f"{user.id}/ended", 10)
    await patch(http, user, url, 0, b"x")
    gone = await http.delete(url, headers=user.headers | {"tus-resumable": "1.0.0"})
    assert gone.status_code == 204
    again = await patch(http, user, url, 1, b"x")
    assert (again.status_code, again.text) == (404, "The file for this url was not found\n")


async def test_resume_after_a_broken_connection(project: Project, user: User) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"a" * 1_500_000
        raise RuntimeError("cable pulled")

    async with httpx.AsyncClient(base_url=project.url) as http:
        url = await create(http, user, f"{user.id}/resumed", 2_000_000)
        with pytest.raises(RuntimeError):
            await patch(http, user, url, 0, breaks())
    async with httpx.AsyncClient(base_url=project.url) as http:
        last = None
        # The server may notice only now that the connection is gone, and then write what had arrived.
        async with asyncio.timeout(LIMIT_S):
            while last is None or last.status_code == 409:
                head = await http.head(url, headers=user.headers | {"tus-resumable": "1.0.0"})
                offset = int(head.headers["upload-offset"])
                assert offset <= 1_500_000
                if offset == 0:
                    await asyncio.sleep(0.05)
                    continue
                last = await patch(http, user, url, offset, b"a" * (1_500_000 - offset) + b"b" * 500_000)
        assert last.headers["tus-complete"] == "1"
        read = await http.get(f"/object/{BUCKET}/{user.id}/resumed", headers=user.headers)
        assert read.content == b"a" * 1_500_000 + b"b" * 500_000


async def test_a_stalled_request_keeps_its_upload(
    http: httpx.AsyncClient, project: Project, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another is refused as the protocol has it: tus-js-client tries again after a while."""
    monkeypatch.setattr("embedded_supabase.storage.tus_store.LOCK_TIMEOUT_S", 0.1)
    url = await create(http, user, f"{user.id}/stalled", 8)
    let_go = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield b"1234"
        await let_go.wait()
        yield b"5678"

    async with httpx.AsyncClient(timeout=LIMIT_S) as other:
        stalled = asyncio.create_task(patch(other, user, url, 0, stalls()))
        await asyncio.sleep(0.2)
        head = await http.head(url, headers=user.headers | {"tus-resumable": "1.0.0"})
        assert head.status_code == 200
        assert (await patch(http, user, url, 0, b"abcd")).status_code == 423
        let_go.set()
        assert (await stalled).headers["tus-complete"] == "1"
    read = await http.get(f"/object/{BUCKET}/{user.id}/stalled", headers=user.headers)
    assert read.content == b"12345678"


async def test_parallel_patches_of_one_offset(http: httpx.AsyncClient, user: User) -> None:
    url = await create(http, user, f"{user.id}/parallel", 20)
    answers = await asyncio.gather(*(patch(http, user, url, 0, b"0123456789") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [204, 409, 409, 409, 409]
    assert {answer.text for answer in answers} == {"", "Upload-Offset conflict\n"}


@pytest.mark.row("storage.no-tus-extras", by="http")
@pytest.mark.parametrize(
    ("method", "change", "status", "text"),
    [
        ("POST", {"tus-resumable": None}, 412, "Tus-Resumable Required\n"),
        ("POST", {"tus-resumable": "0.2.2"}, 400, "Invalid tus-resumable\n"),
        ("POST", {"upload-length": None}, 400, "Upload-Length header required\n"),
        ("POST", {"upload-defer-length": "1"}, 400, "Invalid upload-defer-length\n"),
        ("POST", {"upload-concat": "partial"}, 400, "Invalid upload-concat\n"),
        ("PATCH", {"upload-checksum": "sha1 AAAA"}, 400, "Invalid upload-checksum\n"),
        ("POST", {"upload-length": "-1"}, 400, "Invalid upload-length\n"),
        ("POST", {"upload-length": "1e3"}, 400, "Invalid upload-length\n"),
        ("POST", {"upload-length": str(SIZE_LIMIT + 1)}, 413, "Maximum size exceeded\n"),
        ("POST", {"upload-metadata": None}, 400, "Metadata header is required"),
        ("POST", {"upload-metadata": "bucketName !!"}, 400, "Invalid upload-metadata\n"),
        ("POST", {"upload-metadata": "a YQ==,a YQ=="}, 400, "Invalid upload-metadata\n"),
        ("POST", metadata("x/a~b"), 400, "Invalid key: x/a~b"),
        ("POST", metadata("elsewhere/x"), 403, "new row violates row-level security policy"),
        ("POST", metadata("x", "no-such"), 404, "Bucket not found"),
        ("PATCH", {"upload-offset": "3"}, 409, "Upload-Offset conflict\n"),
        ("PATCH", {"upload-offset": None}, 403, "Upload-Offset header required\n"),
        ("PATCH", {"content-type": "audio/wav"}, 400, "Invalid content-type\n"),
        ("PATCH", {"content-type": None}, 403, "Content-Type header required\n"),
        ("PATCH", {"tus-resumable": None}, 412, "Tus-Resumable Required\n"),
    ],
)  # fmt: skip
async def test_refusals(
    http: httpx.AsyncClient, user: User, method: str, change: dict[str, str | None], status: int, text: str
) -> None:
    headers: dict[str, str | None] = {**user.headers, **metadata(f"{user.id}/refused")}
    if method == "PATCH":
        url = await create(http, user, f"{user.id}/refused", 10)
        headers |= OCTETS | {"upload-offset": "0"}
    else:
        url = "/upload/resumable"
        headers |= {"upload-length": "10"}
    sent = {name: value for name, value in (headers | change).items() if value is not None}
    answer = await http.request(method, url, headers=sent, content=b"x" if method == "PATCH" else None)
    assert (answer.status_code, answer.text) == (status, text)
    assert answer.headers["content-type"].startswith("text/plain")


async def test_more_than_was_announced(http: httpx.AsyncClient, user: User) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 11

    url = await create(http, user, f"{user.id}/more", 10)
    for body in (b"x" * 11, chunks()):
        assert (await patch(http, user, url, 0, body)).status_code == 413
    head = await http.head(url, headers=user.headers | {"tus-resumable": "1.0.0"})
    assert head.headers["upload-offset"] == "0"


async def test_limits_of_the_bucket(http: httpx.AsyncClient, user: User) -> None:
    headers = user.headers | {"upload-length": "1001"}
    too_long = await http.post("/upload/resumable", headers=headers | metadata(f"{user.id}/x", "st-narrow"))
    assert too_long.status_code == 413
    wrong = metadata(f"{user.id}/x", "st-narrow", contentType="image/png")
    answer = await http.post("/upload/resumable", headers=headers | wrong | {"upload-length": "10"})
    assert (answer.status_code, answer.text) == (415, "mime type image/png is not supported")


async def test_no_credentials_are_refused_in_json(http: httpx.AsyncClient, user: User) -> None:
    headers = metadata(f"{user.id}/x") | {"upload-length": "1"}
    answer = await http.post("/upload/resumable", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidRequest")


async def test_an_existing_object_needs_upsert_on_every_request(http: httpx.AsyncClient, user: User) -> None:
    name = f"{user.id}/twice"
    await http.post(f"/object/{BUCKET}/{name}", content=b"old", headers=user.headers)
    headers = user.headers | metadata(name) | {"upload-length": "3"}
    assert (await http.post("/upload/resumable", headers=headers)).status_code == 409
    created = await http.post("/upload/resumable", headers=headers | {"x-upsert": "true"})
    url = created.headers["location"]
    assert (await patch(http, user, url, 0, b"new")).status_code == 409
    assert (await patch(http, user, url, 0, b"new", **{"x-upsert": "true"})).status_code == 204
    assert (await http.get(f"/object/{BUCKET}/{name}", headers=user.headers)).content == b"new"


async def test_a_trigger_that_refuses_the_final_write(
    http: httpx.AsyncClient, project: Project, user: User
) -> None:
    before = project.on_disk()
    url = await create(http, user, f"{user.id}/tell-final", 3)
    answer = await patch(http, user, url, 0, b"abc")
    assert answer.status_code == 403
    told = json.loads(answer.text)
    assert (told["operation"], told["uid"], told["owner_id"]) == ("storage.tus.upload.part", None, user.id)
    assert (await patch(http, user, url, 0, b"abc")).status_code == 404
    assert project.on_disk() == before


async def test_another_user_cannot_go_on_with_it(
    http: httpx.AsyncClient, project: Project, user: User
) -> None:
    url = await create(http, user, f"{user.id}/mine", 3)
    answer = await patch(http, project.user(), url, 0, b"abc")
    assert answer.status_code == 403


async def test_a_signed_one_is_refused(http: httpx.AsyncClient, user: User) -> None:
    headers = metadata(f"{user.id}/x") | {"x-signature": "x", "upload-length": "3"}
    refused = await http.post("/upload/resumable/sign", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (400, "FeatureNotEnabled")


async def test_options_tell_what_is_spoken(http: httpx.AsyncClient) -> None:
    answer = await http.options("/upload/resumable")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert set(answer.headers["tus-extension"].split(",")) == {
        "creation", "creation-with-upload", "termination", "expiration",
    }  # fmt: skip


async def test_an_expired_upload_is_gone_and_swept(
    http: httpx.AsyncClient, project: Project, user: User
) -> None:
    url = await create(http, user, f"{user.id}/late", 3)
    store = TusStore(project.folder / "resumable")
    (found,) = [p for p in map(store.find, (f.stem for f in store.folder.glob("*.json")))
                if p and p.candidate.name == f"{user.id}/late"]  # fmt: skip
    found.expires_at = 0
    store.save(found)
    os.utime(store.folder / f"{found.id}.json", (0, 0))
    answer = await patch(http, user, url, 0, b"abc")
    assert (answer.status_code, answer.text) == (410, "The file for this url no longer exists\n")
    assert store.discard_expired() == 1
    assert (await patch(http, user, url, 0, b"abc")).status_code == 404
