"""A recording: upload, row, analysis, realtime, notification, download, deletion."""

from __future__ import annotations

import asyncio
import struct
import time

import httpx
from storage3.exceptions import StorageApiError
from websockets.exceptions import WebSocketException

from soundscape.check.capability import CapabilityBroken, CapabilityUnknown
from soundscape.check.session import POLL_S, CheckSession, run_query, select_rows
from soundscape.check.user_data import require_refusals
from soundscape.errors import ProjectError

DOORBELL_S = 10.0


async def check_waveforms_bucket(session: CheckSession) -> None:
    """Only the worker may write there. A user is refused, and not because the bucket is missing."""
    try:
        await session.owner.client.storage.from_("waveforms").upload(
            f"{session.owner.user_id}/check.dat", b"check", {"content-type": "application/octet-stream"}
        )
    except StorageApiError as refused:
        if str(refused.status) != "403" and refused.code != "AccessDenied":
            raise
    else:
        raise CapabilityBroken("Any user may write into it.")


async def upload(session: CheckSession) -> None:
    """Subscribe to the owner's recordings, then upload one."""
    try:
        await session.opened.enter_async_context(
            session.owner.listening(lambda row: session.statuses.append(row["status"]))
        )
    except (TimeoutError, OSError, ProjectError, WebSocketException) as failed:
        # The line "realtime" reports this. The other lines do not depend on it.
        session.realtime_failure = str(failed)
    await session.owner.upload(session.name, session.sound, "audio/wav")


async def describe(session: CheckSession) -> None:
    """Insert the recording's row, and test that its owner sees it."""
    session.described_at = time.monotonic()
    row = await session.owner.describe(session.name, "A check")
    session.row = await session.read_recording(row["id"])
    if session.row["status"] == "awaiting_upload":
        raise CapabilityBroken("The row does not find the object that was uploaded before it.")
    if not await select_rows(session.owner.client, "audio_files", "user_id", session.owner.user_id):
        raise CapabilityBroken("Its owner does not see it.")


async def check_worker(session: CheckSession) -> None:
    """Test that a worker takes the job."""
    taken = {"analyzing", "ready", "failed", "rejected"}
    await session.await_status(taken, "Nobody took the job in {wait_s:.0f} s.")


async def check_doorbell(session: CheckSession) -> None:
    """Test that the database called the worker, and that the worker accepted the signature."""
    names = await session.query(
        "select count(*)::int as kept from vault.decrypted_secrets "
        "where name in ('soundscape_worker_url', 'soundscape_webhook_secret')"
    )
    if names[0]["kept"] < 2:
        raise CapabilityUnknown(
            "none is deployed: the worker polls", remedy="Set SOUNDSCAPE_WORKER_URL and deploy."
        )
    deadline = time.monotonic() + DOORBELL_S
    while True:
        since_s = time.monotonic() - session.described_at + 1
        rows = await session.query(
            "select status_code, error_msg, timed_out from net._http_response "  # noqa: S608 - a number
            f"where created > now() - interval '{since_s:.0f} seconds' order by created desc limit 1"
        )
        if rows or time.monotonic() > deadline:
            break
        await asyncio.sleep(POLL_S)
    if not rows:
        raise CapabilityBroken("The database did not call the worker.")
    status = rows[0]["status_code"]
    if status == 401:
        raise CapabilityBroken(
            "The worker refuses the signature of the call.",
            remedy="Deploy with the SOUNDSCAPE_WEBHOOK_SECRET that the worker has; compare their clocks.",
        )
    if status != 202:
        said = rows[0]["error_msg"] or f"it answers {status}"
        raise CapabilityBroken(
            f"The database cannot reach the worker: {said}",
            remedy="Set SOUNDSCAPE_WORKER_URL to an address the database can reach, and deploy.",
        )


async def check_analysis(session: CheckSession) -> None:
    """Test that the analysis ends with the status `ready`."""
    await session.await_status({"ready", "failed", "rejected"}, "Still {status} after {wait_s:.0f} s.")
    if session.row["status"] != "ready":
        raise CapabilityBroken(f"It ended as {session.row['status']}: {session.row['error_code']}")


async def check_realtime(session: CheckSession) -> None:
    """Test that Realtime told the owner that the recording became ready."""
    if session.realtime_failure is not None:
        raise CapabilityBroken(session.realtime_failure)
    deadline = time.monotonic() + 5
    while "ready" not in session.statuses:
        if time.monotonic() > deadline:
            raise CapabilityBroken("Realtime did not tell the owner that the recording became ready.")
        await asyncio.sleep(POLL_S)


async def check_notification(session: CheckSession) -> None:
    """The owner is notified and nobody else is. Only the database writes notifications."""
    owner, stranger, table = session.owner.client, session.stranger.client, "notifications"
    notes = await select_rows(owner, table, "audio_id", session.row["id"])
    if not notes:
        raise CapabilityBroken("The owner gets no notification of how the analysis ended.")
    mark = {"read_at": "now"}
    written = {name: notes[0][name] for name in ("user_id", "kind", "audio_id", "trace_id")}
    await require_refusals(
        table,
        {
            "another user reads it": select_rows(stranger, table, "audio_id", session.row["id"]),
            "nobody reads it": select_rows(await session.anonymous(), table, "audio_id", session.row["id"]),
            "another user marks it read": run_query(
                stranger.table(table).update(mark).eq("id", notes[0]["id"])
            ),
            "another user deletes it": run_query(stranger.table(table).delete().eq("id", notes[0]["id"])),
            "its owner writes one": run_query(owner.table(table).insert(written)),
        },
    )
    if not await run_query(owner.table(table).update(mark).eq("id", notes[0]["id"])):
        raise CapabilityBroken("Its owner cannot mark it read.")
    if not await run_query(owner.table(table).delete().eq("id", notes[0]["id"])):
        raise CapabilityBroken("Its owner cannot delete it.")


async def check_features(session: CheckSession) -> None:
    """Test that the owner sees what the analysis measured."""
    features = await session.owner.features(session.row["id"])
    if features is None:
        raise CapabilityBroken("The owner does not see what the analysis found.")
    if abs(features["duration_s"] - 1) > 0.01:
        raise CapabilityBroken(f"A second of sound was measured as {features['duration_s']} s.")
    session.features = features


async def check_waveform(session: CheckSession) -> None:
    """Test that the waveform can be downloaded and is in audiowaveform's format."""
    data = await session.owner.client.storage.from_("waveforms").download(session.features["waveform_path"])
    if struct.unpack_from("<i", data) != (2,):
        raise CapabilityBroken("The waveform is not audiowaveform data of version 2.")


async def check_signed_url(session: CheckSession) -> None:
    """Test that a signed URL gives a range of the file's bytes."""
    signed = await session.owner.client.storage.from_("audio-files").create_signed_url(session.name, 60)
    url = signed["signedURL"]
    async with httpx.AsyncClient(timeout=15, trust_env=False) as http:
        answer = await http.get(str(url), headers={"range": "bytes=4-13"})
    if answer.status_code != 206 or answer.content != session.sound[4:14]:
        raise CapabilityBroken(
            f"Ten bytes were asked for; {answer.status_code} with {len(answer.content)} came."
        )


async def delete(session: CheckSession) -> None:
    """Delete the file and the row as their owner."""
    files, name = session.owner.client.storage.from_("audio-files"), ""
    removed: list[dict[str, object]] = []
    # The worker may give the file a new name at this moment.
    while not removed and name != (name := await session.read_name()):
        removed = await files.remove([name])
    if not removed:
        raise CapabilityBroken("Its owner cannot remove the file.")
    gone = await run_query(session.owner.client.table("audio_files").delete().eq("id", session.row["id"]))
    if not gone:
        raise CapabilityBroken("Its owner cannot delete it.")
