"""A recording's way: uploaded, described, analysed, told of, fetched, deleted."""

from __future__ import annotations

import asyncio
import struct
import time

import httpx
from storage3.exceptions import StorageApiError
from websockets.exceptions import WebSocketException

from soundscape.check.runner import Broken, Unknown
from soundscape.check.session import POLL_S, Visit, data, rows
from soundscape.check.user_data import none_granted
from soundscape.errors import ProjectError

DOORBELL_S = 10.0


async def waveforms_bucket(visit: Visit) -> None:
    """Only the worker writes there: a user is refused, and not for want of a bucket."""
    try:
        await visit.owner.client.storage.from_("waveforms").upload(
            f"{visit.owner.user_id}/check.dat", b"check", {"content-type": "application/octet-stream"}
        )
    except StorageApiError as refused:
        if str(refused.status) != "403" and refused.code != "AccessDenied":
            raise
    else:
        raise Broken("Any user may write into it.")


async def upload(visit: Visit) -> None:
    try:
        await visit.opened.enter_async_context(
            visit.owner.listening(lambda row: visit.statuses.append(row["status"]))
        )
    except (TimeoutError, OSError, ProjectError, WebSocketException) as failed:
        # That is the line "realtime"; the recording's way does not depend on it.
        visit.realtime_failure = str(failed)
    await visit.owner.upload(visit.name, visit.sound, "audio/wav")


async def describe(visit: Visit) -> None:
    visit.described_at = time.monotonic()
    row = await visit.owner.describe(visit.name, "A check")
    visit.row = await visit.current(row["id"])
    if visit.row["status"] == "awaiting_upload":
        raise Broken("The row does not find the object that was uploaded before it.")
    if not await rows(visit.owner.client, "audio_files", "user_id", visit.owner.user_id):
        raise Broken("Its owner does not see it.")


async def worker(visit: Visit) -> None:
    taken = {"analyzing", "ready", "failed", "rejected"}
    await visit.until(taken, "Nobody took the job in {wait_s:.0f} s.")


async def doorbell(visit: Visit) -> None:
    names = await visit.ask(
        "select count(*)::int as kept from vault.decrypted_secrets "
        "where name in ('soundscape_worker_url', 'soundscape_webhook_secret')"
    )
    if names[0]["kept"] < 2:
        raise Unknown("none is deployed: the worker polls", remedy="Set SOUNDSCAPE_WORKER_URL and deploy.")
    deadline = time.monotonic() + DOORBELL_S
    while True:
        since_s = time.monotonic() - visit.described_at + 1
        rows = await visit.ask(
            "select status_code, error_msg, timed_out from net._http_response "  # noqa: S608 - a number
            f"where created > now() - interval '{since_s:.0f} seconds' order by created desc limit 1"
        )
        if rows or time.monotonic() > deadline:
            break
        await asyncio.sleep(POLL_S)
    if not rows:
        raise Broken("The database did not call the worker.")
    status = rows[0]["status_code"]
    if status == 401:
        raise Broken(
            "The worker refuses the signature of the call.",
            remedy="Deploy with the SOUNDSCAPE_WEBHOOK_SECRET that the worker has; compare their clocks.",
        )
    if status != 202:
        said = rows[0]["error_msg"] or f"it answers {status}"
        raise Broken(
            f"The database cannot reach the worker: {said}",
            remedy="Set SOUNDSCAPE_WORKER_URL to an address the database can reach, and deploy.",
        )


async def analysis(visit: Visit) -> None:
    await visit.until({"ready", "failed", "rejected"}, "Still {status} after {wait_s:.0f} s.")
    if visit.row["status"] != "ready":
        raise Broken(f"It ended as {visit.row['status']}: {visit.row['error_code']}")


async def realtime(visit: Visit) -> None:
    if visit.realtime_failure is not None:
        raise Broken(visit.realtime_failure)
    deadline = time.monotonic() + 5
    while "ready" not in visit.statuses:
        if time.monotonic() > deadline:
            raise Broken("The owner was not told that the recording became ready.")
        await asyncio.sleep(POLL_S)


async def notification(visit: Visit) -> None:
    """The owner is told, and nobody else; only the database tells."""
    owner, stranger, table = visit.owner.client, visit.stranger.client, "notifications"
    told = await rows(owner, table, "audio_id", visit.row["id"])
    if not told:
        raise Broken("The owner is not told how the analysis ended.")
    mark = {"read_at": "now"}
    written = {name: told[0][name] for name in ("user_id", "kind", "audio_id", "trace_id")}
    await none_granted(
        table,
        {
            "another user reads it": rows(stranger, table, "audio_id", visit.row["id"]),
            "nobody reads it": rows(await visit.anonymous(), table, "audio_id", visit.row["id"]),
            "another user marks it read": data(stranger.table(table).update(mark).eq("id", told[0]["id"])),
            "another user deletes it": data(stranger.table(table).delete().eq("id", told[0]["id"])),
            "its owner writes one": data(owner.table(table).insert(written)),
        },
    )
    if not await data(owner.table(table).update(mark).eq("id", told[0]["id"])):
        raise Broken("Its owner cannot mark it read.")
    if not await data(owner.table(table).delete().eq("id", told[0]["id"])):
        raise Broken("Its owner cannot delete it.")


async def features(visit: Visit) -> None:
    features = await visit.owner.features(visit.row["id"])
    if features is None:
        raise Broken("The owner does not see what the analysis found.")
    if abs(features["duration_s"] - 1) > 0.01:
        raise Broken(f"A second of sound was measured as {features['duration_s']} s.")
    visit.features = features


async def waveform(visit: Visit) -> None:
    data = await visit.owner.client.storage.from_("waveforms").download(visit.features["waveform_path"])
    if struct.unpack_from("<i", data) != (2,):
        raise Broken("The waveform is not audiowaveform data of version 2.")


async def signed_url(visit: Visit) -> None:
    signed = await visit.owner.client.storage.from_("audio-files").create_signed_url(visit.name, 60)
    url = signed["signedURL"]
    async with httpx.AsyncClient(timeout=15, trust_env=False) as http:
        answer = await http.get(str(url), headers={"range": "bytes=4-13"})
    if answer.status_code != 206 or answer.content != visit.sound[4:14]:
        raise Broken(f"Ten bytes were asked for; {answer.status_code} with {len(answer.content)} came.")


async def delete(visit: Visit) -> None:
    removed = await visit.owner.client.storage.from_("audio-files").remove([visit.name])
    if not removed:
        raise Broken("Its owner cannot remove the file.")
    gone = await data(visit.owner.client.table("audio_files").delete().eq("id", visit.row["id"]))
    if not gone:
        raise Broken("Its owner cannot delete it.")
