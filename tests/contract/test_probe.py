"""Storage writes twice, once to try the rights and roll back, once for good: one job comes of both."""

from __future__ import annotations

import secrets

import psycopg
import pytest

from soundscape.cli.embedded_project import Project

from .conftest import User, tone


@pytest.mark.embedded_only("the ledger is out of every client's reach")
@pytest.mark.parametrize("title", [None, "Described by its upload"])
async def test_an_upload_makes_one_job(embedded: Project, alice: User, title: str | None) -> None:
    path = f"{alice.id}/{secrets.token_hex(8)}.wav"
    if title is None:
        await alice.client.table("audio_files").insert({"title": "Row first", "file_path": path}).execute()
    metadata = {"metadata": {"title": title}} if title else {}
    await alice.audio.upload(path, tone(1001.0), {"content-type": "audio/wav", **metadata})
    rows = (await alice.client.table("audio_files").select("id").eq("file_path", path).execute()).data
    assert len(rows) == 1
    await alice.ended(rows[0]["id"])
    with psycopg.connect(embedded.db_url) as connection:
        jobs = connection.execute(
            "select count(*) from soundscape.jobs where audio_id = %s", (rows[0]["id"],)
        ).fetchone()
    assert jobs == (1,)
