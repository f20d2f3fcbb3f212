"""Exports of accounts, as a worker makes them. The SQL behind it: supabase/migrations/*_exports.sql."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from soundscape.project.client import translate_errors
from soundscape.project.functions import Functions

PAGE_ROWS = 500
CONTENT_BUCKETS = ("public", "audio-files", "profile-images")
"""Tables are listed as names in `public`."""
LIVE = ("queued", "running", "ready")
"""What an export is whose objects are kept."""


@dataclass(frozen=True)
class Export:
    """One claimed export, and how far it has come."""

    export_id: str
    user_id: str
    token: str = field(repr=False)
    is_snapshot_stored: bool
    upload_url: str | None
    size_bytes: int | None
    stored_bytes: int
    checksums: list[int]
    """Of the first files."""

    def name(self, ending: str) -> str:
        """The object of this export that ends so: `records` or `plan`."""
        return f"{self.user_id}/{self.export_id}.{ending}"

    def name_zip(self, part: int) -> str:
        """The zip with this number, from 1 on. As `soundscape.export_paths` names it."""
        return self.name("zip") if part == 1 else f"{self.user_id}/{self.export_id}-{part}.zip"


class Exports(Functions):
    """The exports as one worker sees them. Methods raise what `translate_errors` raises, as `LeaseLost`."""

    async def claim(self, *, lease_s: int) -> Export | None:
        """Claim the oldest export; None if there is nothing to do."""
        rows = await self._call("claim_export", lease_s=lease_s)
        with translate_errors("claim_export"):
            return next(
                (Export(**{each.name: row[each.name] for each in fields(Export)}) for row in rows), None
            )

    async def list_contents(self, export: Export) -> list[dict[str, Any]]:
        """List the tables and files. Files have bucket_id, name, version, size_bytes and etag.

        Pages end where one is empty: PostgREST cuts every answer at the project's limit, and says nothing.
        """
        found: list[dict[str, Any]] = []
        for bucket in CONTENT_BUCKETS:
            last: str | None = None
            while True:
                query = self._client.rpc("list_export", _identify(export)).eq("bucket_id", bucket)
                if last is not None:
                    query = query.gt("name", last)
                with translate_errors("list_export"):
                    page: Any = (await query.order("name").limit(PAGE_ROWS).execute()).data
                if not page:
                    break
                found += page
                last = page[-1]["name"]
        return found

    async def read(
        self, export: Export, table: str, after: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Read a page of a table's rows: the first one, or what follows the last row of another page."""
        found: list[dict[str, Any]] = await self._call(
            "read_export", **_identify(export), wanted_table=table, after=after, max_rows=PAGE_ROWS
        )
        return found

    async def save(
        self,
        export: Export,
        *,
        lease_s: int,
        stored_bytes: int = 0,
        size_bytes: int | None = None,
        upload_url: str | None = None,
        first_place: int = 0,
        checksums: Sequence[int] = (),
    ) -> None:
        """Note how far it has come, and extend the lease."""
        await self._call(
            "save_export",
            **_identify(export),
            stored_bytes=stored_bytes,
            size_bytes=size_bytes,
            upload_url=upload_url,
            first_place=first_place,
            checksums=[*checksums],
            lease_s=lease_s,
        )

    async def restart(self, export: Export) -> None:
        """Forget what is stored: it is not what it was."""
        await self._call("restart_export", **_identify(export))

    async def complete(self, export: Export, *, parts: int) -> None:
        """The zips are whole."""
        await self._call("complete_export", **_identify(export), parts=parts)

    async def fail(self, export: Export, *, code: str, message: str, is_final: bool = False) -> None:
        """It could not go on: it is tried again later, unless that is of no use."""
        failure = {"code": code[:64], "message": message[:2000], "is_final": is_final}
        await self._call("fail_export", **_identify(export), **failure)

    async def is_live(self, export: Export) -> bool:
        """Whether the export is still made, or ready; not if it has failed, or is deleted."""
        with translate_errors("exports"):
            query = self._client.table("exports").select("id").eq("id", export.export_id)
            return bool((await query.in_("status", LIVE).execute()).data)


def _identify(export: Export) -> dict[str, str]:
    return {"export": export.export_id, "token": export.token}
