"""Move, copy, remove, list, buckets, and the sweep."""

from __future__ import annotations

import os
from typing import Any
from uuid import uuid4

import httpx
import pytest
from storage3.utils import StorageException

from embedded_supabase.storage.app import GRACE_S
from embedded_supabase.storage.files import Files

from .conftest import SIZE_LIMIT, Project, User

BUCKET = "st-private"


async def test_move_keeps_what_the_object_is(project: Project, user: User) -> None:
    files, name, target = user.storage.from_(BUCKET), f"{user.id}/from", f"{user.id}/deep/to"
    await files.upload(name, b"moved", {"metadata": {"title": "M"}})
    query = "select id, metadata, user_metadata, version from storage.objects where name = %s"
    (before,) = project.sql(query, name)
    assert await files.move(name, target) == {"message": "Successfully moved"}
    (after,) = project.sql(query, target)
    assert after[:3] == before[:3]
    assert after[3] != before[3]
    assert before[3] not in project.on_disk()
    assert await files.download(target) == b"moved"
    assert not await files.exists(name)


async def test_move_is_refused(http: httpx.AsyncClient, project: Project, user: User) -> None:
    files = user.storage.from_(BUCKET)
    await files.upload(f"{user.id}/one", b"1")
    await files.upload(f"{user.id}/two", b"2")

    async def move(source: str, target: str, headers: dict[str, str] = user.headers) -> Any:
        body = {"bucketId": BUCKET, "sourceKey": source, "destinationKey": target}
        return (await http.post("/object/move", json=body, headers=headers)).json().get("code")

    assert await move(f"{user.id}/one", f"{user.id}/two") == "ResourceAlreadyExists"
    assert await move(f"{user.id}/none", f"{user.id}/x") == "NoSuchKey"
    assert await move(f"{user.id}/one", "elsewhere/x") == "AccessDenied"
    assert await move(f"{user.id}/one", f"{user.id}/a~b") == "InvalidKey"
    assert await move(f"{user.id}/one", f"{user.id}/x", project.user().headers) == "NoSuchKey"
    assert await move(f"{user.id}/one", f"{user.id}/one") is None
    assert await files.download(f"{user.id}/one") == b"1"


async def test_copy(http: httpx.AsyncClient, project: Project, user: User) -> None:
    files, name = user.storage.from_(BUCKET), f"{user.id}/orig"
    await files.upload(name, b"copied", {"content-type": "audio/flac", "metadata": {"title": "C"}})
    body = {"bucketId": BUCKET, "sourceKey": name, "destinationKey": f"{user.id}/twin"}
    answer = (await http.post("/object/copy", json=body, headers=user.headers)).json()
    assert answer["Key"] == f"{BUCKET}/{user.id}/twin"
    assert answer["Id"] == answer["id"]
    assert (answer["owner_id"], answer["user_metadata"]) == (user.id, {"title": "C"})
    again = await http.post("/object/copy", json=body, headers=user.headers)
    assert again.json()["code"] == "KeyAlreadyExists"
    upsert = user.headers | {"x-upsert": "true"}
    answer = (await http.post("/object/copy", json=body, headers=upsert)).json()
    assert (answer["user_metadata"], answer["metadata"]["mimetype"]) == ({"title": "C"}, "audio/flac")
    named = upsert | {"x-metadata": "eyJhIjoxfQ=="}
    answer = (await http.post("/object/copy", json=body, headers=named)).json()
    assert (answer["user_metadata"], answer["metadata"]["mimetype"]) == ({"title": "C"}, "audio/flac")
    fresh = body | {
        "copyMetadata": False,
        "metadata": {"mimetype": "text/html\r\n", "cacheControl": "no-store"},
    }
    answer = (await http.post("/object/copy", json=fresh, headers=named)).json()
    assert (answer["user_metadata"], answer["metadata"]["mimetype"]) == ({"a": 1}, "text/html")
    assert answer["metadata"]["cacheControl"] == "no-store"
    answer = (await http.post("/object/copy", json=body | {"copyMetadata": False}, headers=upsert)).json()
    assert answer["metadata"]["mimetype"] == "audio/flac"
    await files.remove([name])
    assert await files.download(f"{user.id}/twin") == b"copied"
    with pytest.raises(StorageException):
        await project.user().storage.from_(BUCKET).copy(f"{user.id}/twin", f"{user.id}/stolen")


async def test_remove(http: httpx.AsyncClient, project: Project, user: User) -> None:
    files, names = user.storage.from_(BUCKET), [f"{user.id}/r{number}" for number in range(3)]
    for name in names:
        await files.upload(name, b"x")
    versions = {project.version(BUCKET, name) for name in names}
    assert await project.user().storage.from_(BUCKET).remove(names) == []
    removed = await files.remove([*names[:2], f"{user.id}/absent"])
    assert {row["name"] for row in removed} == set(names[:2])
    assert {"id", "user_metadata", "metadata", "bucket_id"} <= set(removed[0])
    # Deleted as the caller, a row at a time, as a trigger sees it.
    told = project.sql("select role, uid::text from public.st_deleted where name = any(%s)", names)
    assert told == [("authenticated", user.id)] * 2
    single = await http.delete(f"/object/{BUCKET}/{names[2]}", headers=user.headers)
    assert single.json() == {"message": "Successfully deleted"}
    assert not versions & project.on_disk()
    single = await http.delete(f"/object/{BUCKET}/{names[2]}", headers=user.headers)
    assert single.json()["code"] == "NoSuchKey"
    empty = await http.request("DELETE", f"/object/{BUCKET}", json={"prefixes": []}, headers=user.headers)
    assert (empty.status_code, empty.json()["code"]) == (400, "InvalidRequest")


def test_rows_are_not_deleted_by_sql(project: Project) -> None:
    with pytest.raises(Exception, match="Use the Storage API"):
        project.sql("delete from storage.objects where bucket_id = 'st-private'")


@pytest.fixture
async def tree(user: User) -> list[str]:
    names = ["B.wav", "a.wav", "f/1.wav", "f/2.wav", "f/g/3.wav", "z.wav"]
    for name in names:
        await user.storage.from_(BUCKET).upload(f"{user.id}/{name}", b"x")
    return names


async def test_list(project: Project, user: User, tree: list[str]) -> None:
    files = user.storage.from_(BUCKET)

    async def names(path: str, **options: Any) -> list[str]:
        return [item["name"] for item in await files.list(path, options)]  # type: ignore[arg-type]

    assert await names(user.id) == ["a.wav", "B.wav", "f", "z.wav"]
    assert await names(f"{user.id}/f/") == ["1.wav", "2.wav", "g"]
    assert await names(user.id, limit=2, offset=1) == ["B.wav", "f"]
    assert await names(user.id, search="Z") == ["z.wav"]
    assert await names(user.id, sortBy={"column": "name", "order": "desc"}) == [
        "z.wav",
        "f",
        "B.wav",
        "a.wav",
    ]
    assert await names(user.id, sortBy={"column": "created_at", "order": "desc"}) == [
        "f",
        "z.wav",
        "a.wav",
        "B.wav",
    ]
    folder = (await files.list(user.id))[2]
    assert folder == {
        "name": "f", "id": None, "updated_at": None, "created_at": None, "last_accessed_at": None,
        "metadata": None,
    }  # fmt: skip
    file = (await files.list(user.id))[0]
    assert file["metadata"]["size"] == 1
    assert file["created_at"].endswith("Z")
    assert await project.user().storage.from_(BUCKET).list(user.id) == []
    assert await user.storage.from_("no-such").list("") == []


async def test_list_v2(user: User, tree: list[str]) -> None:
    files, full = user.storage.from_(BUCKET), [f"{user.id}/{name}" for name in tree]
    flat = await files.list_v2({"prefix": f"{user.id}/"})
    assert [item.name for item in flat.objects] == full
    assert (flat.hasNext, flat.folders, flat.nextCursor) == (False, [], None)
    deep = await files.list_v2({"prefix": f"{user.id}/", "with_delimiter": True})
    assert [item.name for item in deep.objects] == [full[0], full[1], full[5]]
    assert [(item.key, item.name) for item in deep.folders] == [(f"{user.id}/f", f"{user.id}/f/")]
    for sort in ({"column": "name", "order": "desc"}, {"column": "created_at", "order": "asc"}):
        for delimited, count in ((False, 6), (True, 4)):
            seen: list[str] = []
            cursor: dict[str, str] = {}
            for _ in range(10):
                page = await files.list_v2(
                    {
                        "prefix": f"{user.id}/",
                        "limit": 2,
                        "with_delimiter": delimited,
                        "sortBy": sort,
                        **cursor,
                    }  # type: ignore[typeddict-item]
                )
                seen += [item.name for item in (*page.objects, *page.folders)]
                if not page.hasNext:
                    break
                cursor = {"cursor": page.nextCursor or ""}
            assert len(seen) == len(set(seen)) == count


async def test_policies_may_ask_for_the_operation(
    http: httpx.AsyncClient, project: Project, user: User
) -> None:
    await http.post(
        f"/object/{BUCKET}/listed/x", content=b"x", headers=project.service | {"x-upsert": "true"}
    )
    assert [item["name"] for item in await user.storage.from_(BUCKET).list("listed")] == ["x"]
    with pytest.raises(StorageException):
        await user.storage.from_(BUCKET).download("listed/x")


# -- buckets ------------------------------------------------------------------------------------------


async def test_buckets_of_supabase_py(project: Project) -> None:
    client, name = project.client(project.service), f"st-{uuid4()}"
    assert await client.create_bucket(name, options={"public": True, "file_size_limit": 1000}) == {
        "name": name
    }
    with pytest.raises(StorageException) as refused:
        await client.create_bucket(name)
    assert refused.value.status == "409"
    bucket = await client.get_bucket(name)
    assert (bucket.id, bucket.public, bucket.file_size_limit, bucket.type) == (name, True, 1000, "STANDARD")
    await client.update_bucket(name, {"public": False, "allowed_mime_types": ["audio/*"]})
    bucket = await client.get_bucket(name)
    assert (bucket.public, bucket.allowed_mime_types, bucket.file_size_limit) == (False, ["audio/*"], 1000)
    assert name in {item.id for item in await client.list_buckets()}
    for number in range(3):
        await client.from_(name).upload(f"f{number}", b"x", {"content-type": "audio/wav"})
    versions = {project.version(name, f"f{number}") for number in range(3)}
    with pytest.raises(StorageException) as refused:
        await client.delete_bucket(name)
    assert refused.value.code == "ResourceNotEmpty"
    assert (await client.empty_bucket(name))["message"].startswith("Empty bucket has been queued")
    assert not versions & project.on_disk()
    assert (await client.delete_bucket(name)) == {"message": "Successfully deleted"}
    with pytest.raises(StorageException) as refused:
        await client.get_bucket(name)
    assert refused.value.code == "Bucket not found"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "InvalidRequest"),
        ({"name": ""}, "InvalidBucketName"),
        ({"name": "a/b"}, "InvalidBucketName"),
        ({"name": "st-x", "file_size_limit": SIZE_LIMIT + 1}, "EntityTooLarge"),
        ({"name": "st-x", "file_size_limit": "20PB"}, "InvalidRequest"),
        ({"name": "st-x", "file_size_limit": "9" * 400}, "InvalidRequest"),
        ({"name": "st-x", "file_size_limit": int("9" * 400)}, "InvalidRequest"),
        ({"name": "st-x", "file_size_limit": "9" * 15 + "TB"}, "EntityTooLarge"),
        ({"name": "st-x", "allowed_mime_types": ["audio"]}, "InvalidMimeType"),
        ({"name": "st-x", "public": "perhaps"}, "InvalidRequest"),
        ({"name": "st-x", "type": "VECTOR"}, "FeatureNotEnabled"),
        ([], "InvalidRequest"),
    ],
)
async def test_buckets_that_cannot_be(
    http: httpx.AsyncClient, project: Project, body: Any, code: str
) -> None:
    answer = await http.post("/bucket", json=body, headers=project.service)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_size_limits_in_words(http: httpx.AsyncClient, project: Project) -> None:
    name = f"st-{uuid4()}"
    await http.post("/bucket", json={"name": name, "file_size_limit": "1.5MB"}, headers=project.service)
    bucket = (await http.get(f"/bucket/{name}", headers=project.service)).json()
    assert bucket["file_size_limit"] == 1_500_000
    await http.put(f"/bucket/{name}", json={"file_size_limit": None}, headers=project.service)
    assert (await http.get(f"/bucket/{name}", headers=project.service)).json()["file_size_limit"] is None


async def test_users_manage_no_buckets(http: httpx.AsyncClient, project: Project, user: User) -> None:
    headers, name = user.headers, f"st-{uuid4()}"
    await http.post("/bucket", json={"name": name}, headers=project.service)
    created = await http.post("/bucket", json={"name": "st-mine"}, headers=headers)
    assert created.json()["code"] == "AccessDenied"
    assert (await http.get("/bucket", headers=headers)).json() == []
    for method, path in [("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/empty")]:
        answer = await http.request(method, f"/bucket/{name}{path}", json={}, headers=headers)
        assert answer.json()["code"] == "NoSuchBucket", method


async def test_emptying_needs_delete(http: httpx.AsyncClient, project: Project, user: User) -> None:
    project.sql(
        "create policy st_see on storage.buckets for select to authenticated using (id = 'st-public')"
    )
    project.sql(
        "create policy st_read on storage.objects for select to authenticated using (bucket_id = 'st-public')"
    )
    try:
        await http.post(
            "/object/st-public/kept", content=b"x", headers=project.service | {"x-upsert": "true"}
        )
        answer = await http.post("/bucket/st-public/empty", json={}, headers=user.headers)
        assert answer.json()["code"] == "AccessDenied"
        assert (await http.get("/object/public/st-public/kept")).content == b"x"
    finally:
        project.sql("drop policy st_see on storage.buckets")
        project.sql("drop policy st_read on storage.objects")


# -- the sweep ----------------------------------------------------------------------------------------


async def test_the_sweep_removes_bytes_without_a_row(project: Project, user: User) -> None:
    await user.storage.from_(BUCKET).upload(f"{user.id}/stays", b"x")
    files = Files(project.folder, durable=False)
    for age_s in (0, 3600):
        stray = files.incoming / str(uuid4())
        stray.write_bytes(b"a crash came between the bytes and their row")
        version = str(uuid4())
        files.store(stray, version)
        os.utime(files.path(version), (os.stat(files.path(version)).st_mtime - age_s,) * 2)
    assert await project.sweep(grace_s=GRACE_S) == 1
    # What has only just arrived may belong to a transaction that has not committed.
    assert not files.path(version).exists()
    assert len(project.on_disk() - used_versions(project)) == 1
    assert await project.sweep() == 1
    assert project.on_disk() <= used_versions(project)
    assert await user.storage.from_(BUCKET).download(f"{user.id}/stays") == b"x"


def used_versions(project: Project) -> set[str]:
    return {row[0] for row in project.sql("select version from storage.objects where version is not null")}
