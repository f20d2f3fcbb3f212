"""What a check tries, one method a capability, in the order in which users would."""

from __future__ import annotations

import asyncio
import io
import secrets
import struct
import time
import wave
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from email.utils import parsedate_to_datetime
from math import pi, sin
from typing import Any

import httpx
from postgrest.exceptions import APIError
from storage3.exceptions import StorageApiError
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from soundscape.deploy import functions, sources
from soundscape.deploy.check import Broken, Capability, Unknown
from soundscape.deploy.door import Part
from soundscape.deploy.target import Target
from soundscape.errors import ProjectError, SettingsError
from soundscape.project.visitor import Visitor, sign_up

TOLERATED_SKEW_S = 60.0
POLL_S = 0.1
DOORBELL_S = 10.0
SAMPLE_RATE = 22_050
# A single transparent pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c4890000000d49444154789c6360000002"
    "0000050001e221bc330000000049454e44ae426082".replace(" ", "")
)


class Visit:
    """Two throw-away users and one short recording in somebody's project."""

    def __init__(self, target: Target, *, wait_s: float, clock: Callable[[], float]) -> None:
        if target.url is None or target.public_key is None:
            raise SettingsError(
                "SUPABASE_URL and the project's public key are not both set.",
                code="settings_missing",
                remedy="Copy them from the project's settings; .env.example explains each.",
            )
        self.target = target
        self.url = target.url
        self.key = target.public_key
        self._wait_s = wait_s
        self._clock = clock
        self._opened = AsyncExitStack()
        self._visitors: list[Visitor] = []
        self._nobody: AsyncClient | None = None
        self._statuses: list[str] = []
        self._realtime_failure: str | None = None
        self.row: dict[str, Any] = {}
        self.features: dict[str, Any] = {}
        self.sound = _tone()

    def capabilities(self) -> list[Capability]:
        """Everything but the clean-up, in order; each names what it needs."""
        address = "Check SUPABASE_URL; restore the project if it is paused."
        clock = "Set this machine's clock: signatures and tokens carry times."
        key = "Copy the key from the project's settings (API keys)."
        confirm = "Turn off Confirm email in the project's Auth settings, or deploy: a trigger may fail."
        worker = "Start the worker with this project's URL and secret key; its log says what it lacks."
        leak = "Somebody gets what they should not. Run soundscape deploy --repair now."
        return [
            Capability("project", (), self._project, address),
            Capability("clocks", ("project",), self._clocks, clock),
            Capability("public key", ("project",), self._public_key, key),
            Capability("secret key", ("project",), self._secret_key, key),
            Capability("extensions", ("project",), self._extensions),
            Capability("sign up", ("public key",), self._sign_up, confirm),
            Capability("sign in", ("sign up",), self._sign_in),
            Capability("profile", ("sign in",), self._profile),
            Capability("profile image", ("sign in",), self._profile_image),
            Capability("waveforms bucket", ("sign in",), self._waveforms_bucket),
            Capability("upload", ("sign in", "extensions"), self._upload),
            Capability("describe", ("upload", "profile"), self._describe),
            Capability("worker", ("describe",), self._worker, worker),
            Capability("doorbell", ("worker",), self._doorbell),
            Capability("analysis", ("worker", "waveforms bucket"), self._analysis, worker),
            Capability("realtime", ("analysis",), self._realtime),
            Capability("features", ("analysis",), self._features),
            Capability("waveform", ("features",), self._waveform),
            Capability("signed URL", ("describe",), self._signed_url),
            Capability("private", ("features",), self._private, leak),
            Capability("publish", ("private", "waveform", "signed URL"), self._publish),
            Capability("functions", ("features",), self._functions),
            Capability("worker's functions", ("sign in",), self._closed, leak),
            Capability("delete", ("describe",), self._delete),
        ]

    def clean_up(self) -> Capability:
        """Always last, whatever came before."""
        return Capability(
            "clean-up", ("secret key",), self._clean_up, "Delete the users check-…@example.com by hand."
        )

    @property
    def owner(self) -> Visitor:
        return self._visitors[0]

    @property
    def stranger(self) -> Visitor:
        return self._visitors[1]

    # -- the project and its keys -----------------------------------------------------------------

    async def _get(self, path: str, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url, timeout=15, trust_env=False) as http:
            return await http.get(path, headers=headers)

    async def _project(self) -> None:
        answer = await self._get("/auth/v1/health", apikey=self.key)
        if answer.status_code >= 500 or answer.status_code == 404:
            raise Broken(f"{self.url} answers {answer.status_code}")

    async def _clocks(self) -> None:
        answer = await self._get("/auth/v1/health", apikey=self.key)
        told = parsedate_to_datetime(answer.headers["date"]).timestamp()
        skew_s = self._clock() - told
        if abs(skew_s) > TOLERATED_SKEW_S:
            raise Broken(f"This machine's clock is {skew_s:+.0f} s off the project's.")

    async def _public_key(self) -> None:
        answer = await self._get("/rest/v1/users?select=id&limit=0", apikey=self.key)
        if answer.status_code == 401 and _code(answer) != "42501":
            raise Broken(f"The project refuses it: {_message(answer)}")

    async def _secret_key(self) -> None:
        key = self.target.secret_key
        if key is None:
            raise Unknown("SUPABASE_SECRET_KEY is not set", remedy="It is needed to delete the two users.")
        answer = await self._get("/auth/v1/admin/users?per_page=1", apikey=key, authorization=f"Bearer {key}")
        if answer.status_code != 200:
            raise Broken(f"The project refuses it: {_message(answer)}")

    async def _extensions(self) -> None:
        rows = await self._ask(
            "select jsonb_agg(extname) as installed from pg_extension",
        )
        missing = [name for name in sources.extensions() if name not in rows[0]["installed"]]
        if missing:
            raise Broken(f"missing: {', '.join(missing)}")

    async def _ask(self, query: str) -> list[dict[str, Any]]:
        if not self.target.has_door:
            raise Unknown(
                "needs the database",
                remedy="Set SUPABASE_DB_URL, or SUPABASE_ACCESS_TOKEN and the reference.",
            )

        def ask() -> list[dict[str, Any]]:
            with self.target.open() as (door, _):
                return door.run(Part("asking the database", query))

        return await asyncio.to_thread(ask)

    # -- people -----------------------------------------------------------------------------------

    async def _sign_up(self) -> None:
        for called in ("check-owner", "check-stranger"):
            self._visitors.append(await sign_up(self.url, self.key, called=called))

    async def _sign_in(self) -> None:
        for visitor in self._visitors:
            await visitor.client.auth.sign_out()
            answer = await visitor.client.auth.sign_in_with_password(
                {"email": visitor.email, "password": visitor.password}
            )
            if answer.session is None:
                raise Broken("no session came back")
            await visitor.client.realtime.set_auth(answer.session.access_token)

    async def _profile(self) -> None:
        rows = await _rows(self.owner.client, "users", "id", self.owner.user_id)
        if not rows:
            raise Broken("No row in users was made with the account.")
        changed = (
            await self.owner.client.table("users")
            .update({"display_name": "A check"})
            .eq("id", self.owner.user_id)
            .execute()
        ).data
        if not changed:
            raise Broken("Its owner cannot change it.")

    async def _profile_image(self) -> None:
        bucket = self.owner.client.storage.from_("profile-images")
        name = f"{self.owner.user_id}/check.png"
        await bucket.upload(name, PNG, {"content-type": "image/png"})
        answer = await self._get(f"/storage/v1/object/public/profile-images/{name}")
        removed = await bucket.remove([name])
        if answer.content != PNG:
            raise Broken(f"Nobody else can see it: {answer.status_code} {_message(answer)}")
        if not removed:
            raise Broken("Its owner cannot remove it.")

    async def _waveforms_bucket(self) -> None:
        """Only the worker writes there: a user is refused, and not for want of a bucket."""
        try:
            await self.owner.client.storage.from_("waveforms").upload(
                f"{self.owner.user_id}/check.dat", b"check", {"content-type": "application/octet-stream"}
            )
        except StorageApiError as refused:
            if str(refused.status) != "403" and refused.code != "AccessDenied":
                raise
        else:
            raise Broken("Any user may write into it.")

    # -- a recording ------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return f"{self.owner.user_id}/check.wav"

    async def _upload(self) -> None:
        try:
            await self._opened.enter_async_context(
                self.owner.listening(lambda row: self._statuses.append(row["status"]))
            )
        except (TimeoutError, OSError, ProjectError) as failed:
            self._realtime_failure = str(failed)
        await self.owner.upload(self.name, self.sound, "audio/wav")

    async def _describe(self) -> None:
        self._described_at = time.monotonic()
        row = await self.owner.describe(self.name, "A check")
        self.row = await self._current(row["id"])
        if self.row["status"] == "awaiting_upload":
            raise Broken("The row does not find the object that was uploaded before it.")
        if not await _rows(self.owner.client, "audio_files", "user_id", self.owner.user_id):
            raise Broken("Its owner does not see it.")

    async def _current(self, audio_id: str) -> dict[str, Any]:
        rows = await _rows(self.owner.client, "audio_files", "id", audio_id)
        if not rows:
            raise Broken("Its owner does not see it.")
        return rows[0]

    async def _until(self, statuses: set[str], otherwise: str) -> None:
        deadline = time.monotonic() + self._wait_s
        while self.row["status"] not in statuses:
            if time.monotonic() > deadline:
                raise Broken(otherwise.format(status=self.row["status"], wait_s=self._wait_s))
            await asyncio.sleep(POLL_S)
            self.row = await self._current(self.row["id"])

    async def _worker(self) -> None:
        taken = {"analyzing", "ready", "failed", "rejected"}
        await self._until(taken, "Nobody took the job in {wait_s:.0f} s.")

    async def _doorbell(self) -> None:
        names = await self._ask(
            "select count(*)::int as kept from vault.decrypted_secrets "
            "where name in ('soundscape_worker_url', 'soundscape_webhook_secret')"
        )
        if names[0]["kept"] < 2:
            raise Unknown(
                "none is deployed: the worker polls", remedy="Set SOUNDSCAPE_WORKER_URL and deploy."
            )
        deadline = time.monotonic() + DOORBELL_S
        while True:
            since_s = time.monotonic() - self._described_at + 1
            rows = await self._ask(
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

    async def _analysis(self) -> None:
        await self._until({"ready", "failed", "rejected"}, "Still {status} after {wait_s:.0f} s.")
        if self.row["status"] != "ready":
            raise Broken(f"It ended as {self.row['status']}: {self.row['error_code']}")

    async def _realtime(self) -> None:
        if self._realtime_failure is not None:
            raise Broken(self._realtime_failure)
        deadline = time.monotonic() + 5
        while "ready" not in self._statuses:
            if time.monotonic() > deadline:
                raise Broken("The owner was not told that the recording became ready.")
            await asyncio.sleep(POLL_S)

    async def _features(self) -> None:
        features = await self.owner.features(self.row["id"])
        if features is None:
            raise Broken("The owner does not see what the analysis found.")
        if abs(features["duration_s"] - 1) > 0.01:
            raise Broken(f"A second of sound was measured as {features['duration_s']} s.")
        self.features = features

    async def _waveform(self) -> None:
        data = await self.owner.client.storage.from_("waveforms").download(self.features["waveform_path"])
        if struct.unpack_from("<i", data) != (2,):
            raise Broken("The waveform is not audiowaveform data of version 2.")

    async def _signed_url(self) -> None:
        signed = await self.owner.client.storage.from_("audio-files").create_signed_url(self.name, 60)
        url = signed["signedURL"]
        async with httpx.AsyncClient(timeout=15, trust_env=False) as http:
            answer = await http.get(str(url), headers={"range": "bytes=4-13"})
        if answer.status_code != 206 or answer.content != self.sound[4:14]:
            raise Broken(f"Ten bytes were asked for; {answer.status_code} with {len(answer.content)} came.")

    # -- who sees it ------------------------------------------------------------------------------

    async def _anonymous(self) -> AsyncClient:
        if self._nobody is None:
            self._nobody = await acreate_client(
                self.url, self.key, AsyncClientOptions(auto_refresh_token=False)
            )
        return self._nobody

    async def _sights(self, client: AsyncClient) -> dict[str, bool]:
        """What of the recording this client gets to see."""
        audio, waveforms = client.storage.from_("audio-files"), client.storage.from_("waveforms")
        attempts: dict[str, Awaitable[Any]] = {
            "row": _rows(client, "audio_files", "id", self.row["id"]),
            "features": _rows(client, "audio_features", "audio_id", self.row["id"]),
            "file": audio.download(self.name),
            "signed URL": audio.create_signed_url(self.name, 60),
            "waveform": waveforms.download(self.features["waveform_path"]),
        }
        return {what: await _is_granted(attempt) for what, attempt in attempts.items()}

    async def _private(self) -> None:
        for who, client in (("another user", self.stranger.client), ("nobody", await self._anonymous())):
            seen = [what for what, granted in (await self._sights(client)).items() if granted]
            table = client.table("audio_files")
            writes: dict[str, Awaitable[Any]] = {
                "rename it": _data(table.update({"title": "Mine"}).eq("id", self.row["id"])),
                "delete it": _data(client.table("audio_files").delete().eq("id", self.row["id"])),
            }
            seen += [what for what, attempt in writes.items() if await _is_granted(attempt)]
            if seen:
                raise Broken(f"A private recording: {who} gets {', '.join(seen)}.")

    async def _publish(self) -> None:
        audiences = (("another user", self.stranger.client), ("nobody", await self._anonymous()))
        await self._make(is_public=True)
        for who, client in audiences:
            hidden = [what for what, granted in (await self._sights(client)).items() if not granted]
            if hidden:
                raise Broken(f"A public recording: {who} does not get {', '.join(hidden)}.")
        await self._make(is_public=False)
        for who, client in audiences:
            left = [what for what, granted in (await self._sights(client)).items() if granted]
            if left:
                raise Broken(f"Private again: {who} still gets {', '.join(left)}.")

    async def _make(self, **columns: Any) -> None:
        changed = await _data(self.owner.client.table("audio_files").update(columns).eq("id", self.row["id"]))
        if not changed:
            raise Broken("Its owner cannot change it.")

    # -- functions --------------------------------------------------------------------------------

    async def _functions(self) -> None:
        broken = [said async for said in functions.tried(self.owner.client, self.row["id"])]
        if broken:
            raise Broken("; ".join(broken))

    async def _closed(self) -> None:
        reached = []
        for who, client in (("a user", self.owner.client), ("nobody", await self._anonymous())):
            for name, arguments in functions.WORKER.items():
                try:
                    await client.rpc(name, arguments).execute()
                except APIError as refused:
                    if refused.code in ("42501", "PGRST202"):
                        continue
                reached.append(f"{name} by {who}")
        if reached:
            raise Broken(f"open: {', '.join(reached)}")

    # -- the end ----------------------------------------------------------------------------------

    async def _delete(self) -> None:
        removed = await self.owner.client.storage.from_("audio-files").remove([self.name])
        if not removed:
            raise Broken("Its owner cannot remove the file.")
        gone = await _data(self.owner.client.table("audio_files").delete().eq("id", self.row["id"]))
        if not gone:
            raise Broken("Its owner cannot delete it.")

    async def close(self) -> None:
        """Leave realtime."""
        await self._opened.aclose()
        for visitor in self._visitors:
            await visitor.client.realtime.close()

    async def _clean_up(self) -> None:
        left = list(self._visitors)
        if not left:
            return
        if self.target.secret_key is None:
            raise Unknown(f"{len(left)} users are left", remedy="Set SUPABASE_SECRET_KEY: it deletes them.")
        admin = await acreate_client(
            self.url, self.target.secret_key, AsyncClientOptions(auto_refresh_token=False)
        )
        for visitor in left:
            for row in await _rows(admin, "audio_files", "user_id", visitor.user_id):
                await admin.storage.from_("audio-files").remove([row["file_path"]])
            await admin.storage.from_("audio-files").remove([f"{visitor.user_id}/check.wav"])
            await admin.auth.admin.delete_user(visitor.user_id)


async def _rows(client: AsyncClient, table: str, column: str, value: str) -> list[dict[str, Any]]:
    return await _data(client.table(table).select("*").eq(column, value))


async def _data(query: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await query.execute()).data
    return rows


async def _is_granted(attempt: Awaitable[Any]) -> bool:
    """Whether anything came back. Only the project's own refusals count as one."""
    try:
        return bool(await attempt)
    except (APIError, StorageApiError):
        return False


def _code(answer: httpx.Response) -> str | None:
    try:
        return str(answer.json().get("code"))
    except (ValueError, AttributeError):
        return None


def _message(answer: httpx.Response) -> str:
    try:
        body = answer.json()
        return str(body.get("message") or body.get("msg") or body)
    except (ValueError, AttributeError):
        return f"{answer.status_code} {answer.text[:200]}".strip()


def _tone() -> bytes:
    """A second of a sine, at a pitch no other check has: its file is nobody's copy."""
    frequency_hz = 300 + secrets.randbelow(1_000_000) / 1000
    samples = (round(16_000 * sin(2 * pi * frequency_hz * n / SAMPLE_RATE)) for n in range(SAMPLE_RATE))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes(struct.pack(f"<{SAMPLE_RATE}h", *samples))
    return file.getvalue()
