"""Duplicates and snippets are found: by the worker, on the embedded Supabase."""

from __future__ import annotations

import asyncio
import io
import math
from contextlib import AsyncExitStack
from typing import Any, cast

import av
import httpx
import numpy as np
import psycopg
import pytest
import soundfile
from supabase import AsyncClient

from soundscape.api.identify import MAX_BYTES, MAX_WAITING_PER_CALLER
from soundscape.audio.fingerprint import score
from soundscape.cli.embedded_project import Project
from soundscape.project.client import connect
from soundscape.project.fingerprint_index import FingerprintIndex
from soundscape.project.objects import Objects
from soundscape.project.visitor import Visitor, signed_up_visitor
from soundscape.worker.duplicates import find_claims, index_older_recordings
from tests.audio.fingerprint.sounds import SAMPLE_RATE, Samples, faster, melody
from tests.waiting import LIMIT_S

READY_WITHIN_S = 60.0


def wav(y: Samples) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, y, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def mp3(y: Samples, bit_rate: int = 64_000) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="mono", bit_rate=bit_rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(y[np.newaxis]), format="fltp", layout="mono")
        frame.rate = SAMPLE_RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()


def part(y: Samples, start_s: float, length_s: float) -> Samples:
    return y[int(start_s * SAMPLE_RATE) :][: int(length_s * SAMPLE_RATE)]


async def added(visitor: Visitor, data: bytes, *, title: str, public: bool = False) -> str:
    """Upload a recording and wait for its analysis; returns its id."""
    name = f"{visitor.user_id}/{title}"
    kind = "audio/mpeg" if title.endswith("mp3") else "audio/wav"
    made = await visitor.describe(name, title, is_public=public)
    await visitor.upload(name, data, kind)
    async with asyncio.timeout(READY_WITHIN_S):
        while True:
            row = await one(visitor.client, "audio_files", made["id"])
            if row["status"] not in ("awaiting_upload", "queued", "analyzing"):
                break
            await asyncio.sleep(0.1)
    assert row["status"] == "ready", row
    return str(made["id"])


async def one(client: AsyncClient, table: str, audio_id: str) -> dict[str, Any]:
    rows = (await client.table(table).select("*").eq("id", audio_id).execute()).data
    return cast("dict[str, Any]", rows[0])


async def claims(visitor: Visitor) -> list[dict[str, Any]]:
    rows = (await visitor.client.table("audio_matches").select("*").order("created_at").execute()).data
    return cast("list[dict[str, Any]]", rows)


def test_an_owner_is_told_what_was_there_before(embedded: Project) -> None:
    async def scenario() -> None:
        async with (
            signed_up_visitor(embedded.url, embedded.keys.publishable_key, called="first") as first,
            signed_up_visitor(embedded.url, embedded.keys.publishable_key, called="second") as second,
        ):
            y = melody(401, 24.0)
            whole = await added(first, wav(y), title="whole.wav", public=True)
            copy = await added(second, mp3(y), title="copy.mp3")
            excerpt = await added(second, mp3(part(y, 9.0, 10.0)), title="excerpt.mp3")
            await added(second, wav(melody(402)), title="another.wav")
            found = {(claim["audio_id"], claim["matched_audio_id"]): claim for claim in await claims(second)}
            assert {pair: claim["kind"] for pair, claim in found.items()} == {
                (copy, whole): "same_recording",
                (excerpt, whole): "contains",
                (excerpt, copy): "contains",
            }
            assert abs(found[excerpt, whole]["evidence"]["offset_s"] - 9.0) < 0.1
            assert all(claim["confidence"] >= 0.7 for claim in found.values())
            assert await claims(first) == []
            await second.client.rpc("dismiss_match", {"match": found[copy, whole]["id"]}).execute()
            dismissed = [claim["id"] for claim in await claims(second) if claim["owner_dismissed_at"]]
            assert dismissed == [found[copy, whole]["id"]]

    asyncio.run(scenario())


def test_what_a_claim_says_does_not_depend_on_what_is_private(
    embedded: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody reads the probability of a claim about two public recordings."""

    async def scenario() -> None:
        async with (
            signed_up_visitor(embedded.url, embedded.keys.publishable_key, called="first") as first,
            signed_up_visitor(embedded.url, embedded.keys.publishable_key, called="second") as second,
            connect(embedded.url, embedded.keys.secret_key) as (client, _),
        ):
            y = melody(441, 24.0)
            whole = await added(first, wav(y), title="whole.wav", public=True)
            copy = await added(second, mp3(y), title="copy.mp3", public=True)
            with psycopg.connect(embedded.db_url, autocommit=True) as connection:
                listed = connection.execute(
                    "select sum(key_count) from soundscape.fingerprints where is_listed"
                ).fetchone()
            assert listed is not None
            # So few keys, and a match so uncertain, that every further one would be seen in it.
            monkeypatch.setattr(score, "AMONG_KEYS", 1)
            monkeypatch.setattr(score, "FITTED", score.Logistic(math.log(int(listed[0])) + 2.0, (0, 0, 0, 0)))
            index = FingerprintIndex(client)
            fingerprint = (await index.read_fingerprints([copy]))[copy]

            async def told() -> dict[str, float]:
                made = await find_claims(index, fingerprint, copy)
                return {match["audio_id"]: match["probability"] for match in made["matches"]}

            before = await told()
            assert 0.7 < before[whole] < 0.95
            await added(first, wav(melody(442)), title="private.wav")
            await added(second, wav(melody(443)), title="private.wav")
            assert await told() == before
            # Or everybody would see their claim in other tests.
            for visitor in (first, second):
                await visitor.client.table("audio_files").delete().eq("user_id", visitor.user_id).execute()

    asyncio.run(scenario())


def test_what_was_analysed_before_is_indexed(embedded: Project) -> None:
    async def scenario() -> None:
        async with (
            signed_up_visitor(embedded.url, embedded.keys.publishable_key, called="owner") as owner,
            connect(embedded.url, embedded.keys.secret_key) as (client, http),
        ):
            y = melody(421, 24.0)
            first = await added(owner, wav(y), title="first.wav")
            second = await added(owner, mp3(y), title="second.mp3")
            with psycopg.connect(embedded.db_url, autocommit=True) as connection:
                connection.execute("delete from soundscape.fingerprints")
                connection.execute("delete from public.audio_matches")
            indexed = await index_older_recordings(FingerprintIndex(client), Objects(client, http))
            assert indexed >= 2
            kinds = {
                frozenset((claim["audio_id"], claim["matched_audio_id"])): claim["kind"]
                for claim in await claims(owner)
            }
            assert kinds == {frozenset((first, second)): "same_recording"}
            assert await index_older_recordings(FingerprintIndex(client), Objects(client, http)) == 0

    asyncio.run(scenario())


async def asked(visitor: Visitor, url: str, data: bytes, *, form: bool = False) -> httpx.Response:
    """Identify a snippet as a frontend does."""
    session = await visitor.client.auth.get_session()
    assert session is not None
    headers = {"authorization": f"Bearer {session.access_token}"}
    async with httpx.AsyncClient(timeout=LIMIT_S) as http:
        if form:
            return await http.post(f"{url}/api/identify", headers=headers, files={"file": ("s.mp3", data)})
        return await http.post(f"{url}/api/identify", headers=headers, content=data)


def test_a_snippet_is_identified_among_what_its_asker_sees(embedded: Project) -> None:
    async def scenario() -> None:
        async with (
            signed_up_visitor(embedded.url, embedded.keys.publishable_key, called="owner") as owner,
            signed_up_visitor(embedded.url, embedded.keys.publishable_key, called="asker") as asker,
        ):
            y = melody(411, 24.0)
            whole = await added(owner, wav(y), title="song.wav")
            snippet = mp3(part(y, 6.0, 10.0))

            mine = (await asked(owner, embedded.url, snippet)).json()
            assert (mine["answer"], mine["threshold"]) == ("match", 0.7)
            assert [found["audio_id"] for found in mine["matches"]] == [whole]
            best = mine["matches"][0]
            assert (best["title"], best["user_id"], best["kind"]) == ("song.wav", owner.user_id, "contains")
            assert abs(best["offset_s"] - 6.0) < 0.1
            assert best["probability"] >= 0.7

            # What is private is answered as what is not there at all.
            private = (await asked(asker, embedded.url, snippet)).json()
            foreign = (await asked(asker, embedded.url, mp3(part(melody(412), 3.0, 10.0)))).json()
            assert private == foreign | {"heard_s": private["heard_s"]}
            assert (foreign["answer"], foreign["matches"]) == ("no_match", [])

            await owner.client.table("audio_files").update({"is_public": True}).eq("id", whole).execute()
            public = (await asked(asker, embedded.url, snippet, form=True)).json()
            assert [found["audio_id"] for found in public["matches"]] == [whole]

            faster_than_it_was = (
                await asked(asker, embedded.url, wav(faster(part(y, 4.0, 12.0), 1.03)))
            ).json()
            assert abs(faster_than_it_was["matches"][0]["speed"] - 1.03) < 0.003

            long = (await asked(asker, embedded.url, mp3(np.tile(melody(413), 3)))).json()
            assert abs(long["heard_s"] - 30.0) < 0.01
            little = (await asked(asker, embedded.url, wav(np.zeros(5 * SAMPLE_RATE, np.float32)))).json()
            assert (little["answer"], little["matches"]) == ("not_enough_content", [])

            await owner.client.table("audio_files").delete().eq("id", whole).execute()
            assert (await asked(asker, embedded.url, snippet)).json()["answer"] == "no_match"

    asyncio.run(scenario())


def test_a_form_that_cannot_be_read(embedded: Project) -> None:
    async def scenario() -> list[tuple[int, str]]:
        async with signed_up_visitor(embedded.url, embedded.keys.publishable_key, called="asker") as asker:
            session = await asker.client.auth.get_session()
            assert session is not None
            named = b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n\xff\r\n--x--\r\n'
            async with httpx.AsyncClient(base_url=embedded.url) as http:
                answers = [
                    await http.post(
                        "/api/identify",
                        content=content,
                        headers={
                            "authorization": f"Bearer {session.access_token}",
                            "content-type": f"multipart/form-data{parameters}",
                        },
                    )
                    for parameters, content in [
                        ("", named),
                        ("; boundary=", named),
                        ("; boundary=y", named),
                        ("; boundary=x; charset=undefined", named),
                        ("; boundary=x; charset=no such one", named),
                        ("; boundary=x; charset=utf-16", named),
                        ("; boundary=x", named[:40]),
                    ]
                ]
        return [(answer.status_code, answer.json()["code"]) for answer in answers]

    assert {*asyncio.run(scenario())} <= {(400, "form_invalid"), (422, "snippet_missing")}


def test_silent_clients_keep_nobody_out(embedded: Project) -> None:
    """Eight of them, of four accounts, hold no slot: others are answered, and so are their own accounts."""

    async def hold(token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = embedded.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /api/identify HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n"
        writer.write(f"{head}content-length: 100000\r\n\r\n".encode() + bytes(1000))
        await writer.drain()
        return reader, writer

    async def token_of(visitor: Visitor) -> str:
        session = await visitor.client.auth.get_session()
        assert session is not None
        return str(session.access_token)

    async def scenario() -> tuple[list[int], list[bytes]]:
        async with AsyncExitStack() as opened:
            visitors = [
                await opened.enter_async_context(
                    signed_up_visitor(embedded.url, embedded.keys.publishable_key, called=f"silent-{n}")
                )
                for n in range(5)
            ]
            held = [await hold(await token_of(visitor)) for visitor in visitors[:4] for _ in range(2)]
            await asyncio.sleep(0.5)
            answers = [
                (await asked(visitor, embedded.url, wav(melody(431)))).status_code for visitor in visitors
            ]
            async with asyncio.timeout(60):
                refusals = [await reader.read() for reader, _ in held]
            for _, writer in held:
                writer.close()
            return answers, refusals

    answers, refusals = asyncio.run(scenario())
    assert answers == [200] * 5
    assert all(refusal.startswith(b"HTTP/1.1 408") for refusal in refusals)


def test_what_is_no_snippet_is_refused_by_name(embedded: Project) -> None:
    async def scenario() -> list[tuple[int, str]]:
        async with signed_up_visitor(embedded.url, embedded.keys.publishable_key, called="asker") as asker:
            answers = [
                await asked(asker, embedded.url, b""),
                await asked(asker, embedded.url, b"no sound at all" * 100),
                await asked(asker, embedded.url, b"no sound at all" * 100, form=True),
                await asked(asker, embedded.url, bytes(MAX_BYTES + 1)),
                await asked(asker, embedded.url, bytes(MAX_BYTES + 1), form=True),
            ]
            together = await asyncio.gather(
                # So many that the last one arrives while the first ones wait, however slowly they are read.
                *(asked(asker, embedded.url, wav(melody(431))) for _ in range(5 * MAX_WAITING_PER_CALLER))
            )
            answers.append(max(together, key=lambda answer: answer.status_code))
        async with httpx.AsyncClient() as http:
            answers.append(await http.post(f"{embedded.url}/api/identify", content=b"sound"))
            session = {"authorization": f"Bearer {embedded.keys.anon_jwt}"}
            answers.append(await http.post(f"{embedded.url}/api/identify", content=b"sound", headers=session))
        return [(answer.status_code, answer.json()["code"]) for answer in answers]

    told = asyncio.run(scenario())
    unreadable = told[1]
    assert unreadable[0] == 422
    assert told == [
        (422, "snippet_missing"),
        unreadable,
        unreadable,
        (413, "body_too_large"),
        (413, "body_too_large"),
        (429, "too_many_requests"),
        (401, "not_signed_in"),
        (401, "token_invalid"),
    ]
