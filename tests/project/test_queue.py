"""Jobs through the Data API: claimed, held and ended by a worker that knows a URL and a key."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from soundscape.cli.embedded_project import Project
from soundscape.errors import LeaseLost, PolicyRefusal, ProjectError, UnreadableAudio
from soundscape.project.client import connect
from soundscape.project.queue import Queue

from .conftest import WorkerClients

RESULT = {
    "analysis_version": "test-1",
    "source": {"duration_s": 2.0, "sample_rate": 8000, "channels": 1, "sha256": "0" * 64},
}


@pytest.fixture(autouse=True)
def nothing_left_to_claim(clients: WorkerClients) -> None:
    clients.sql("delete from auth.users")
    clients.sql("delete from pgmq.q_soundscape_uploads")
    clients.sql("delete from soundscape.deletions")


async def test_from_claim_to_completion(clients: WorkerClients) -> None:
    audio_id, name = await clients.recording(b"0123456789")
    (job,) = await clients.queue.claim(5, lease_s=30)
    assert (job.audio_id, job.object_name, job.size_bytes, job.attempt) == (audio_id, name, 10, 1)
    assert job.content_type == "audio/wav"
    assert await clients.queue.claim(5, lease_s=30) == []
    await clients.queue.extend(job, lease_s=60)
    prefix = f"{audio_id}/test-1/{job.object_version}/"
    await clients.queue.complete(job, RESULT | {"waveform": {"path": f"{prefix}waveform.dat"}})
    row = clients.sql("select * from public.audio_files where id = %s", audio_id)[0]
    assert (row["status"], row["duration"], row["sample_rate"], row["channels"]) == ("ready", 2.0, 8000, 1)
    for again in (
        clients.queue.complete(job, RESULT),
        clients.queue.extend(job, lease_s=60),
        clients.queue.report_progress(job, stage="analyzing", share=0.5),
        clients.queue.refuse(job, UnreadableAudio("late")),
        clients.queue.put_back(job, fault="crashed", code="late", message="late"),
    ):
        with pytest.raises(LeaseLost):
            await again


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (UnreadableAudio("No audio.", code="not_audio", remedy="Upload audio."), "failed"),
        (PolicyRefusal("Too long.", code="too_long", remedy="Shorten it."), "rejected"),
    ],
)
async def test_a_refusal_reaches_the_owner(
    clients: WorkerClients, refusal: UnreadableAudio | PolicyRefusal, status: str
) -> None:
    audio_id, _ = await clients.recording()
    (job,) = await clients.queue.claim(1, lease_s=30)
    await clients.queue.refuse(job, refusal)
    row = clients.sql("select * from public.audio_files where id = %s", audio_id)[0]
    assert (row["status"], row["error_code"]) == (status, refusal.code)
    assert row["error_message"] == f"{refusal.message} {refusal.remedy}"


@pytest.mark.parametrize(
    "text", ["a \x00 in it", "\ud800", "naïve ✓ 𝄞", "'; drop table jobs; --", "x" * 9000]
)
async def test_any_reason_can_be_told(clients: WorkerClients, text: str) -> None:
    """What a decoder says of a stranger's file may be anything."""
    audio_id, _ = await clients.recording()
    (job,) = await clients.queue.claim(1, lease_s=30)
    await clients.queue.refuse(job, UnreadableAudio(text, code="odd"))
    row = clients.sql("select * from public.audio_files where id = %s", audio_id)[0]
    assert (row["status"], row["error_code"]) == ("failed", "odd")
    assert row["error_message"][:3] == text.replace("\x00", "").replace("\ud800", "?")[:3]


async def test_put_back_until_it_is_dead(clients: WorkerClients) -> None:
    await clients.recording()
    endings = []
    for _ in range(5):
        clients.sql("update pgmq.q_soundscape_uploads set vt = now()")
        (job,) = await clients.queue.claim(1, lease_s=30)
        endings.append(await clients.queue.put_back(job, fault="crashed", code="flaky", message="no"))
    assert endings == ["queued"] * 4 + ["dead"]


async def test_results_that_do_not_fit_are_no_lost_lease(clients: WorkerClients) -> None:
    await clients.recording()
    (job,) = await clients.queue.claim(1, lease_s=30)
    with pytest.raises(ProjectError) as refused:
        await clients.queue.complete(job, {"analysis_version": "x", "source": {"duration_s": "no number"}})
    assert not isinstance(refused.value, LeaseLost)
    await clients.queue.extend(job, lease_s=30)


async def test_a_made_up_token(clients: WorkerClients) -> None:
    await clients.recording()
    (job,) = await clients.queue.claim(1, lease_s=30)
    with pytest.raises(LeaseLost):
        await clients.queue.extend(replace(job, token="1.1"), lease_s=30)


async def test_many_workers_share(clients: WorkerClients) -> None:
    for _ in range(12):
        await clients.recording()
    shares = await asyncio.gather(*(clients.queue.claim(3, lease_s=30) for _ in range(6)))
    claimed = [job.job_id for share in shares for job in share]
    assert len(claimed) == len(set(claimed)) == 12


async def test_removals_are_asked_for_until_forgotten(clients: WorkerClients) -> None:
    _, name = await clients.recording()
    clients.sql("delete from public.audio_files where file_path = %s", name)
    assert ("audio-files", [name]) in await clients.queue.list_deletions()
    await clients.objects.remove("audio-files", [name])
    await clients.queue.confirm_deletions("audio-files", [name])
    assert await clients.queue.list_deletions() == []
    assert clients.sql("select 1 from soundscape.deletions where name = %s", name) == []


async def test_reconcile_says_what_it_repaired(clients: WorkerClients) -> None:
    await clients.queue.reconcile()
    assert set((await clients.queue.reconcile()).values()) == {0}


@pytest.mark.parametrize("key", ["publishable_key", "anon_jwt"])
async def test_a_public_key_is_no_workers(quiet: Project, key: str) -> None:
    async with connect(quiet.url, getattr(quiet.keys, key)) as (client, _):
        with pytest.raises(ProjectError) as refused:
            await Queue(client, worker="stranger").claim(1, lease_s=30)
    assert refused.value.remedy
