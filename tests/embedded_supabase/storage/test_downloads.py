"""Reading objects: whole, in part, again, by signature, and while they are overwritten."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from embedded_supabase.storage.signatures import Signatures
from tests.waiting import LIMIT_S

from .conftest import Project, User

BUCKET = "st-private"
BODY = bytes(range(256)) * 4000


@pytest.fixture
async def path(http: httpx.AsyncClient, user: User) -> str:
    """`bucket/key` of a recording of the user."""
    path = f"{BUCKET}/{user.id}/tone.wav"
    headers = user.headers | {"content-type": "audio/wav", "cache-control": "max-age=9"}
    answer = await http.post(f"/object/{path}", content=BODY, headers=headers)
    assert answer.status_code == 200
    return path


async def test_the_whole_object(http: httpx.AsyncClient, user: User, path: str) -> None:
    for prefix in ("/object", "/object/authenticated"):
        answer = await http.get(f"{prefix}/{path}", headers=user.headers)
        assert (answer.status_code, answer.content) == (200, BODY)
        assert answer.headers["content-length"] == str(len(BODY))
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["cache-control"] == "max-age=9"
        assert answer.headers["etag"].startswith('"')
        head = await http.head(f"{prefix}/{path}", headers=user.headers)
        assert (head.status_code, head.content) == (200, b"")
        names = ("content-length", "content-type", "etag", "last-modified")
        assert [head.headers[name] for name in names] == [answer.headers[name] for name in names]


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=1000-", 1000, len(BODY)),
        ("bytes=-5", len(BODY) - 5, len(BODY)),
        (f"bytes=-{len(BODY) * 2}", 0, len(BODY)),
        (f"bytes=5-{len(BODY) * 2}", 5, len(BODY)),
    ],
)
async def test_ranges(
    http: httpx.AsyncClient, user: User, path: str, header: str, start: int, end: int
) -> None:
    answer = await http.get(f"/object/{path}", headers=user.headers | {"range": header})
    assert (answer.status_code, answer.content) == (206, BODY[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(BODY)}"


@pytest.mark.parametrize(
    "header", [f"bytes={len(BODY)}-", "bytes=5-4", "bytes=-0", "bytes=0-1,4-5", "bytes=x", "bytes=-"]
)
async def test_bad_ranges(http: httpx.AsyncClient, user: User, path: str, header: str) -> None:
    answer = await http.get(f"/object/{path}", headers=user.headers | {"range": header})
    assert answer.status_code == 416
    assert (answer.json()["error"], answer.json()["code"]) == ("invalid_range", "InvalidRange")


async def test_unchanged_objects_are_not_sent_again(http: httpx.AsyncClient, user: User, path: str) -> None:
    first = await http.get(f"/object/{path}", headers=user.headers)
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    for header, value, status in [
        ("if-none-match", etag, 304),
        ("if-none-match", f'"other", W/{etag}', 304),
        ("if-none-match", '"other"', 200),
        ("if-modified-since", modified, 304),
        ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ("if-modified-since", "rubbish", 200),
    ]:
        answer = await http.get(f"/object/{path}", headers=user.headers | {header: value})
        assert answer.status_code == status, (header, value)
        assert (answer.content == b"") == (status == 304)
    stale = user.headers | {"range": "bytes=0-1", "if-range": '"older"'}
    assert (await http.get(f"/object/{path}", headers=stale)).status_code == 200


@pytest.mark.parametrize(
    ("query", "disposition"),
    [
        ("", None),
        ("?download", "attachment;"),
        ("?download=a%20b.wav", "attachment; filename=a%20b.wav; filename*=UTF-8''a%20b.wav;"),
        ("?download=%22%0D%0Ax", "attachment; filename=%22%0D%0Ax; filename*=UTF-8''%22%0D%0Ax;"),
    ],
)
async def test_download_as_attachment(
    http: httpx.AsyncClient, user: User, path: str, query: str, disposition: str | None
) -> None:
    answer = await http.get(f"/object/{path}{query}", headers=user.headers)
    assert answer.headers.get("content-disposition") == disposition


async def test_html_is_served_as_text(http: httpx.AsyncClient, user: User) -> None:
    headers = user.headers | {"content-type": "text/html; charset=utf-8"}
    await http.post(f"/object/{BUCKET}/{user.id}/page", content=b"<b>", headers=headers)
    answer = await http.get(f"/object/{BUCKET}/{user.id}/page", headers=user.headers)
    assert answer.headers["content-type"] == "text/plain"


async def test_others_see_nothing(http: httpx.AsyncClient, project: Project, user: User, path: str) -> None:
    for headers in (project.user().headers, project.headers()):
        for prefix in ("/object", "/object/authenticated", "/object/info"):
            answer = await http.get(f"{prefix}/{path}", headers=headers)
            assert answer.status_code == 400
            assert answer.json() == {
                "statusCode": "404", "error": "not_found", "message": "Object not found", "code": "NoSuchKey",
            }  # fmt: skip
        head = await http.head(f"/object/{path}", headers=headers)
        assert (head.status_code, head.content) == (400, b"")
    assert (await http.get(f"/object/public/{path}")).json()["code"] == "NoSuchBucket"
    assert (await http.get(f"/object/{path}")).json()["code"] == "NoSuchBucket"
    assert (await http.get(f"/object/authenticated/{path}")).json()["code"] == "InvalidRequest"


@pytest.mark.parametrize("token", ["x.y.z", "expired"])
async def test_bad_credentials_are_said_where_they_matter(
    http: httpx.AsyncClient, project: Project, user: User, path: str, token: str
) -> None:
    """A session that ran out is not a bucket that is gone; what is public is read with it all the same."""
    bearer = user.token(lives_s=-5) if token == "expired" else token
    headers = project.headers(bearer)
    answer = await http.get(f"/object/{path}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "AccessDenied")
    await http.post("/object/st-public/seen", content=b"x", headers=project.service | {"x-upsert": "true"})
    assert (await http.get("/object/st-public/seen", headers=headers)).content == b"x"


async def test_exists_and_info_of_supabase_py(user: User, path: str) -> None:
    files, name = user.storage.from_(BUCKET), path.partition("/")[2]
    assert await files.exists(name)
    assert not await files.exists(f"{user.id}/no")
    info = await files.info(name)
    assert (info["name"], info["bucket_id"], info["size"]) == (name, BUCKET, len(BODY))


async def test_public_bucket(http: httpx.AsyncClient, project: Project, user: User) -> None:
    await http.post(
        "/object/st-public/logo.png", content=b"logo", headers=project.service | {"x-upsert": "true"}
    )
    for url in ("/object/public/st-public/logo.png", "/object/st-public/logo.png"):
        assert (await http.get(url)).content == b"logo"
    assert (await http.head("/object/public/st-public/logo.png")).status_code == 200
    assert (await http.get("/object/info/public/st-public/logo.png")).json()["size"] == 4
    assert (await http.get("/object/public/st-public/none")).json()["code"] == "NoSuchKey"
    # Everybody reads it, also with a session that no policy mentions.
    assert (await http.get("/object/st-public/logo.png", headers=user.headers)).content == b"logo"
    public = await user.storage.from_("st-public").get_public_url("logo.png")
    assert (await http.get(public)).content == b"logo"


@pytest.mark.parametrize("name", ["plain.wav", "a b (1).wav", "what?.wav", "c+d&e=f.wav"])
async def test_signed_urls(http: httpx.AsyncClient, user: User, name: str) -> None:
    files = user.storage.from_(BUCKET)
    await files.upload(f"{user.id}/{name}", b"signed", {"upsert": "true"})
    signed = await files.create_signed_url(f"{user.id}/{name}", 60, {"download": "x.wav"})
    answer = await http.get(signed["signedURL"] or "")
    assert (answer.status_code, answer.content) == (200, b"signed"), answer.text
    assert "filename=x.wav" in answer.headers["content-disposition"]
    assert "expires" in answer.headers
    assert "cache-control" not in answer.headers


async def test_signatures_that_do_not_hold(
    http: httpx.AsyncClient, project: Project, user: User, path: str
) -> None:
    signatures = Signatures(project.embedded.keys.storage_secret)
    for token, code in [
        (signatures.sign(path, "download", -1), "InvalidJWT"),
        (signatures.sign(f"{path}x", "download", 60), "InvalidSignature"),
        (signatures.sign(path, "upload", 60), "InvalidSignature"),
        (Signatures("another secret of the same length.....").sign(path, "download", 60), "InvalidJWT"),
        ("garbage", "InvalidJWT"),
        ("ü", "InvalidJWT"),
    ]:
        answer = await http.get(f"/object/sign/{path}", params={"token": token})
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (await http.get(f"/object/sign/{path}")).json()["code"] == "InvalidRequest"


async def test_batch_signing(project: Project, http: httpx.AsyncClient, user: User, path: str) -> None:
    name = path.partition("/")[2]
    good, bad = await user.storage.from_(BUCKET).create_signed_urls([name, f"{user.id}/none"], 60)
    assert (await http.get(good["signedURL"] or "")).content == BODY
    assert (good["error"], bad["signedURL"]) == (None, None)
    assert bad["error"] == "Either the object does not exist or you do not have access to it"
    other = await project.user().storage.from_(BUCKET).create_signed_urls([name], 60)
    assert other[0]["signedURL"] is None


async def test_reads_during_overwrites_are_whole(
    http: httpx.AsyncClient, project: Project, user: User
) -> None:
    name, bodies = f"{BUCKET}/{user.id}/churn", [bytes([number]) * 600_000 for number in range(12)]
    headers = user.headers | {"x-upsert": "true"}
    await http.post(f"/object/{name}", content=bodies[0], headers=headers)
    done = asyncio.Event()

    async def read() -> int:
        count = 0
        async with httpx.AsyncClient(base_url=project.url, timeout=LIMIT_S) as reader:
            while not done.is_set():
                answer = await reader.get(f"/object/{name}", headers=user.headers)
                assert answer.status_code == 200, answer.text
                assert answer.content in bodies
                count += 1
        return count

    readers = [asyncio.create_task(read()) for _ in range(3)]
    for body in bodies:
        assert (await http.post(f"/object/{name}", content=body, headers=headers)).status_code == 200
    done.set()
    assert sum(await asyncio.gather(*readers)) > 3


async def test_a_row_without_bytes_is_not_found(
    http: httpx.AsyncClient, project: Project, user: User
) -> None:
    for version in (None, "1", "../../../../etc/passwd", "6e0c2b5e-0000-4000-8000-000000000000"):
        name = f"{user.id}/bare-{str(version)[:1]}"
        project.sql(
            "insert into storage.objects (bucket_id, name, version) values ('st-private', %s, %s)",
            name,
            version,
        )
        answer = await http.get(f"/object/{BUCKET}/{name}", headers=user.headers)
        assert answer.json()["code"] == "NoSuchKey"


@pytest.mark.row("storage.no-transform", by="http")
async def test_what_is_left_out_says_so(http: httpx.AsyncClient, user: User, path: str) -> None:
    answer = await http.get(f"/render/image/authenticated/{path}", headers=user.headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "FeatureNotEnabled")
    wish = {"expiresIn": 60, "transform": {"width": 10}}
    answer = await http.post(f"/object/sign/{path}", json=wish, headers=user.headers)
    assert answer.json()["code"] == "FeatureNotEnabled"
    answer = await http.get("/s3/whatever", headers=user.headers)
    assert (answer.status_code, answer.json()["error"]) == (404, "Not Found")
