"""supabase-js and tus-js-client, unmodified, in Node."""

from __future__ import annotations

from typing import Any

import pytest

from tests import node

from .conftest import Project


@pytest.fixture(scope="module")
def seen(project: Project) -> dict[str, Any]:
    """What the script saw, run once for all the questions below."""
    user, other = project.user(), project.user()
    given = {
        "url": project.url.removesuffix("/storage/v1"),
        "key": project.stack.keys.publishable_key,
        "token": user.token(),
        "other": other.token(),
        "user": user.id,
        "bucket": "st-private",
    }
    return {"user": user.id, **node.run("storage.mjs", given)}


def _refusal(status_code: str, code: str) -> dict[str, Any]:
    return {"status": 400, "statusCode": status_code, "code": code}


def test_uploads(seen: dict[str, Any]) -> None:
    assert seen["form"] == {
        "error": None,
        "keys": ["fullPath", "id", "path"],
        "fullPath": f"st-private/{seen['user']}/blob.ogg",
    }
    assert [seen[name] for name in ("raw", "stream", "upsert", "update", "by_permit")] == [None] * 5
    assert seen["duplicate"] == seen["by_permit_again"] == _refusal("409", "KeyAlreadyExists")
    assert seen["denied"] == _refusal("403", "AccessDenied")
    assert seen["invalid"] == _refusal("400", "InvalidKey")


def test_reading(seen: dict[str, Any]) -> None:
    assert (seen["blob"], seen["streamed"], seen["updated"]) == ("from a blob", "streamed bytes", "updated")
    assert seen["hidden"] == _refusal("404", "NoSuchKey")
    assert seen["info"] == {
        "size": 11, "type": "audio/ogg", "cache": "max-age=60", "metadata": {"title": "Grün"},
    }  # fmt: skip
    assert (seen["exists"], seen["exists_not"]) == (True, False)


def test_signed(seen: dict[str, Any]) -> None:
    assert seen["signed"][:2] == [200, "from a blob"]
    assert "filename=my%20file.ogg" in seen["signed"][2]
    assert seen["batch"][0] == [None, True]
    assert seen["batch"][1][0].startswith("Either the object does not exist")
    assert seen["batch_read"] == "from a blob"


def test_list_move_copy_remove(seen: dict[str, Any]) -> None:
    assert seen["listed"] == ["blob.ogg", "permit", "raw.mp3", "stream.mp3"]
    assert seen["list_v2"] == [True, 2]
    assert seen["copy"]["path"] == f"st-private/{seen['user']}/copy.ogg"
    assert seen["move"]["message"] == "Successfully moved"
    assert seen["removed"] == [f"{seen['user']}/moved.ogg"]


def test_resumable(seen: dict[str, Any]) -> None:
    for name in ("tus", "tus_upsert", "tus_with_creation", "tus_deferred", "tus_resumed", "tus_signed"):
        assert seen[name] == "done", name
    assert (seen["tus_duplicate"], seen["tus_denied"]) == (409, 403)
    assert (seen["tus_broken"], seen["tus_resumed_from"]) == ("aborted", 600_000)
    assert seen["tus_whole"]
    assert seen["tus_resumed_whole"]
