"""One account cannot fill the database: limits per owner, in the database."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from .conftest import Database

# How a user inserts `count` rows; %(owner)s is the user, %(public)s a public recording of somebody else.
INSERTS = {
    "max_playlists": "insert into public.playlists (title) select 't' from generate_series(1, %(count)s)",
    "max_playlist_items": "insert into public.playlist_items (playlist_id, audio_id)"
    " select p.id, %(public)s::uuid from public.playlists p, generate_series(1, %(count)s)"
    " where p.title = 'Mine'",
    "max_awaiting_upload": "insert into public.audio_files (user_id, title, file_path)"
    " select %(owner)s::uuid, 't', %(owner)s::text || '/' || n || random()"
    " from generate_series(1, %(count)s) as n",
    "max_events_per_hour": "insert into public.listening_events (audio_id, started_at)"
    " select %(public)s::uuid, now() - interval '1 year' from generate_series(1, %(count)s)",
    "max_reports_per_day": "insert into public.reports (audio_id, reason)"
    " select id, 'spam' from public.audio_files where title = 'Theirs' order by id limit %(count)s",
}
LIMITS = tuple(INSERTS)


@pytest.fixture
def public(db: Database, alice: str, bob: str) -> Iterator[str]:
    """Recordings of bob's that alice sees, and a playlist of hers; every limit is three."""
    db.rows("update soundscape.owner_limits set " + ", ".join(f"{name} = 3" for name in LIMITS))
    ids = [db.describe(f"{bob}/{number}", owner=bob, title="Theirs") for number in range(5)]
    db.rows("update public.audio_files set is_public = true")
    db.rows("insert into public.playlists (user_id, title) values (%s, 'Mine')", alice)
    yield ids[0]
    db.rows("update soundscape.owner_limits set " + ", ".join(f"{name} = default" for name in LIMITS))


@pytest.mark.parametrize("limit", LIMITS)
def test_more_than_the_limit_is_refused_at_once_or_one_by_one(
    db: Database, alice: str, public: str, limit: str
) -> None:
    values = {"owner": alice, "public": public}
    held = 1 if limit == "max_playlists" else 0
    with db.acting("authenticated", alice) as session:
        session.execute(INSERTS[limit], values | {"count": 3 - held})  # type: ignore[arg-type]
    with (
        db.acting("authenticated", alice) as session,
        pytest.raises(psycopg.Error, match=r"limit of 3 \w+") as refused,
    ):
        session.execute(INSERTS[limit], values | {"count": 4 - held})  # type: ignore[arg-type]
    assert refused.value.sqlstate == "PT429"
    if limit == "max_reports_per_day":  # one of each recording
        return
    with db.acting("authenticated", alice) as session:
        for _ in range(3 - held):
            session.execute(INSERTS[limit], values | {"count": 1})  # type: ignore[arg-type]
        with pytest.raises(psycopg.Error, match="limit of 3"):
            session.execute(INSERTS[limit], values | {"count": 1})  # type: ignore[arg-type]


def test_the_worker_has_no_limit(db: Database, alice: str, public: str) -> None:
    with db.acting("service_role") as session:
        for limit in ("max_awaiting_upload", "max_playlists"):
            statement = INSERTS[limit].replace(
                "(title) select 't'", "(user_id, title) select %(owner)s::uuid, 't'"
            )
            session.execute(statement, {"owner": alice, "public": public, "count": 9})  # type: ignore[arg-type]
