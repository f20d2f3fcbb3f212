"""Grants, policies and buckets: the files of `supabase/policies`, always applied all together."""

from __future__ import annotations

from collections.abc import Iterable

from soundscape.deploy import record, sources
from soundscape.deploy.catalogue import Difference
from soundscape.deploy.door import PRELUDE, Door, Part


def parts() -> list[Part]:
    """Every file; each may run again over itself."""
    return [Part(f"policies/{name}", text) for name, text in sources.policies()]


def apply(door: Door) -> None:
    """Put every file in force and keep the picture they leave, in one transaction. Raises `SqlFailed`."""
    # PostgREST's schema cache, wherever it is.
    reload = Part("telling the Data API", "notify pgrst, 'reload schema'")
    door.run(PRELUDE, *parts(), record.saving(), reload)


def repair(door: Door, drift: Iterable[Difference]) -> None:
    """Put back every object that SQL can put back, in one transaction. Raises `SqlFailed`."""
    mends = mending(drift)
    if mends:
        door.run(PRELUDE, *mends)


def mending(drift: Iterable[Difference]) -> list[Part]:
    """What `repair` runs."""
    return [Part(f"putting back {d.kind} {d.name}", d.mend) for d in drift if d.mend is not None]
