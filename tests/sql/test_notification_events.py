"""Which event tells whom. Nobody learns of what they may not see, nor who did it."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Database, Row


def kinds(db: Database, user: str) -> list[tuple[str, str | None]]:
    """What a user is told in the app, and of which recording."""
    with db.acting("authenticated", user) as session:
        rows = session.execute(
            "select kind, audio_id from public.notifications"
            " where kind <> 'recording_ready' order by created_at"
        ).fetchall()
    return [(row["kind"], str(row["audio_id"]) if row["audio_id"] else None) for row in rows]


def act(db: Database, user: str, query: str, *values: Any) -> list[Row]:
    with db.acting("authenticated", user) as session:
        cursor = session.execute(query.encode(), values)
        found = cursor.fetchall() if cursor.description else []
        session.commit()
    return found


def publish(db: Database, audio_id: str, *, is_public: bool = True) -> None:
    db.rows("update public.audio_files set is_public = %s where id = %s", is_public, audio_id)


@pytest.fixture
def recording(db: Database, alice: str) -> str:
    audio_id = db.recording(alice)
    db.complete(db.claim()[0])
    publish(db, audio_id)
    return audio_id


def test_a_like(db: Database, alice: str, bob: str, recording: str) -> None:
    act(db, bob, "insert into public.likes (audio_id) values (%s)", recording)
    assert kinds(db, alice) == [("recording_liked", recording)]
    # Liking, and liking again, is told once a day.
    act(db, bob, "delete from public.likes")
    act(db, bob, "insert into public.likes (audio_id) values (%s)", recording)
    assert kinds(db, alice) == [("recording_liked", recording)]
    with db.acting("authenticated", alice) as session:
        (row,) = session.execute(
            "select * from public.notifications where kind = 'recording_liked'"
        ).fetchall()
    assert bob not in str(row)


def test_ones_own_like_is_no_news(db: Database, alice: str, recording: str) -> None:
    act(db, alice, "insert into public.likes (audio_id) values (%s)", recording)
    assert kinds(db, alice) == []


def playlist(db: Database, user: str, *, is_public: bool) -> str:
    (row,) = act(
        db,
        user,
        "insert into public.playlists (title, is_public) values ('t', %s) returning id",
        is_public,
    )
    return str(row["id"])


def add(db: Database, user: str, playlist_id: str, audio_id: str) -> None:
    act(
        db,
        user,
        "insert into public.playlist_items (playlist_id, audio_id) values (%s, %s)",
        playlist_id,
        audio_id,
    )


def test_a_public_playlist(db: Database, alice: str, bob: str, recording: str) -> None:
    add(db, bob, playlist(db, bob, is_public=True), recording)
    assert kinds(db, alice) == [("recording_collected", recording)]


def test_a_private_playlist_until_it_is_published(db: Database, alice: str, bob: str, recording: str) -> None:
    private = playlist(db, bob, is_public=False)
    add(db, bob, private, recording)
    add(db, alice, playlist(db, alice, is_public=True), recording)
    assert kinds(db, alice) == []
    act(db, bob, "update public.playlists set is_public = true where id = %s", private)
    assert kinds(db, alice) == [("recording_collected", recording)]


def match(db: Database, first: str, second: str, *, dismissed: bool = False) -> None:
    db.rows(
        "insert into public.audio_matches"
        " (audio_id, matched_audio_id, kind, confidence, moderator_dismissed_at)"
        " values (%s, %s, 'identical', 1, case when %s then now() end)",
        *(first, second, dismissed),
    )


@pytest.mark.parametrize(
    ("is_first_public", "is_second_public", "told"),
    [
        (True, True, {"alice", "bob"}),
        # Bob may not learn that Alice has it.
        (False, True, {"alice"}),
        (True, False, {"bob"}),
        (False, False, set()),
    ],
)
def test_a_match(
    db: Database, alice: str, bob: str, is_first_public: bool, is_second_public: bool, told: set[str]
) -> None:
    hers, his = db.recording(alice), db.recording(bob)
    publish(db, hers, is_public=is_first_public)
    publish(db, his, is_public=is_second_public)
    match(db, hers, his)
    assert kinds(db, alice) == ([("recording_matched", hers)] if "alice" in told else [])
    assert kinds(db, bob) == ([("recording_matched", his)] if "bob" in told else [])


def test_a_match_is_told_when_the_other_is_published(db: Database, alice: str, bob: str) -> None:
    hers, his = db.recording(alice), db.recording(bob)
    match(db, hers, his)
    publish(db, hers)
    assert kinds(db, alice) == []
    assert kinds(db, bob) == [("recording_matched", his)]


def test_a_dismissed_match_and_ones_own_copy_are_no_news(db: Database, alice: str, bob: str) -> None:
    hers, copy, his = db.recording(alice), db.recording(alice), db.recording(bob)
    for audio_id in (hers, copy, his):
        publish(db, audio_id)
    match(db, hers, copy)
    match(db, hers, his, dismissed=True)
    publish(db, his, is_public=False)
    publish(db, his)
    assert kinds(db, alice) == kinds(db, bob) == []


def test_moderation_tells_both_sides(db: Database, alice: str, bob: str, recording: str) -> None:
    moderator = db.sign_up()
    db.rows("insert into public.user_roles (user_id, role) values (%s, 'moderator')", moderator)
    (report,) = act(
        db,
        bob,
        "insert into public.reports (audio_id, reason) values (%s, 'spam') returning id",
        recording,
    )
    act(db, moderator, "select public.resolve_report(%s, 'hidden', 'Private words.')", report["id"])
    assert kinds(db, alice) == [("recording_hidden", recording)]
    assert kinds(db, bob) == [("report_resolved", recording)]
    act(db, moderator, "select public.restore_recording(%s)", recording)
    assert kinds(db, alice)[1:] == [("recording_restored", recording)]
    db.rows("update soundscape.outbox set bundle_id = user_id")
    for user in (alice, bob):
        content = str(db.value("select soundscape.delivery_content(%s, %s)", user, user))
        assert "Private words" not in content
        # The title is Alice's.
        assert ("A sound" in content) == (user == alice)


def test_an_export(db: Database, alice: str) -> None:
    act(db, alice, "select public.export_my_data()")
    db.rows("update public.exports set status = 'running'")
    assert kinds(db, alice) == []
    held = db.row("select * from public.claim_export()")
    db.rows("select public.complete_export(%s, %s)", held["export_id"], held["token"])
    assert kinds(db, alice) == [("export_ready", None)]
    act(db, alice, "select public.export_my_data()")
    held = db.row("select * from public.claim_export()")
    db.rows(
        "select public.fail_export(%s, %s, 'too_large', 'It is too large.', true)",
        *(held["export_id"], held["token"]),
    )
    assert kinds(db, alice)[1:] == [("export_failed", None)]


def test_the_quota(db: Database, alice: str) -> None:
    db.rows("update soundscape.owner_limits set max_stored_bytes = 3300")
    try:
        for _ in range(2):
            db.recording(alice)
        assert kinds(db, alice) == []
        db.recording(alice)
        assert kinds(db, alice) == [("quota_nearly_full", None)]
        db.remove(db.file(db.recording(db.sign_up()))["file_path"])
        db.rows("delete from soundscape.stored_objects")
        for _ in range(3):
            db.recording(alice)
        assert kinds(db, alice) == [("quota_nearly_full", None)]
    finally:
        db.rows("update soundscape.owner_limits set max_stored_bytes = default")


def test_a_username_that_changes_at_the_same_time_loses_nothing(
    db: Database, alice: str, bob: str, recording: str
) -> None:
    """The change locks the row that a notification refers to."""
    with db.connect("postgres") as session:
        session.execute("update public.users set username = 'alice' where id = %s", (alice,))
        other = db.connect("postgres", autocommit=True)
        other.execute("set statement_timeout = '100ms'")
        with pytest.raises(Exception, match="statement timeout"):
            other.execute("insert into public.likes (user_id, audio_id) values (%s, %s)", (bob, recording))
        session.commit()
    act(db, bob, "insert into public.likes (audio_id) values (%s)", recording)
    assert kinds(db, alice) == [("recording_liked", recording)]


@pytest.mark.parametrize(
    ("zone", "moment", "due"),
    [
        ("UTC", "2026-06-03 12:00+00", "2026-06-01 08:00+00"),
        ("Asia/Tokyo", "2026-06-01 12:00+00", "2026-05-31 23:00+00"),
        ("America/Los_Angeles", "2026-06-01 03:00+00", "2026-05-25 15:00+00"),
    ],
)
def test_when_a_digest_is_due(db: Database, zone: str, moment: str, due: str) -> None:
    assert db.value("select soundscape.digest_time(%s, %s::timestamptz) = %s::timestamptz", zone, moment, due)


@pytest.fixture
def monday(db: Database) -> Any:
    """The digest of this week was due an hour ago, everywhere."""
    (row,) = db.rows("select pg_get_functiondef('soundscape.digest_time'::regproc) as text")
    db.rows(
        "create or replace function soundscape.digest_time(zone text, moment timestamptz) returns timestamptz"
        " language sql immutable set search_path = '' return moment - interval '1 hour'"
    )
    yield
    db.rows(row["text"].replace("%", "%%"))


def test_the_digest(db: Database, alice: str, bob: str, recording: str, monday: None) -> None:
    queue = "select soundscape.queue_digests()"
    assert db.value(queue) == 0, "nobody asked for one"
    for user in (alice, bob):
        act(
            db,
            user,
            "insert into public.notification_preferences (kind, channel, enabled)"
            " values ('weekly_digest', 'email', true)",
        )
    act(db, bob, "insert into public.likes (audio_id) values (%s)", recording)
    assert db.value(queue) == 0, "it is news of the week that begins"
    db.rows("update soundscape.first_ready set ready_at = ready_at - interval '2 hours'")
    db.rows("update public.likes set created_at = created_at - interval '2 hours'")
    db.rows("delete from soundscape.digests")
    assert db.value(queue) == 1, "nothing happened to Bob"
    assert db.value(queue) == 0, "once a week"
    queued_at = db.value("select created_at from soundscape.outbox where kind = 'weekly_digest'")
    assert db.value("select soundscape.digest(%s, %s)", alice, queued_at) == {
        "ready": 1,
        "likes": 1,
        "collected": 0,
        "liked": [{"id": recording, "title": "A sound", "likes": 1}],
    }
    pass_a_week(db)
    db.rows("update soundscape.first_ready set ready_at = ready_at + interval '7 days'")
    assert db.value(queue) == 1


@pytest.mark.parametrize(
    ("zone", "begins", "ends"),
    [
        ("UTC", "2026-05-25 08:00+00", "2026-06-01 08:00+00"),
        ("Asia/Tokyo", "2026-05-24 23:00+00", "2026-05-31 23:00+00"),
        # The clock is put forward in this week.
        ("Europe/Berlin", "2026-03-23 07:00+00", "2026-03-30 06:00+00"),
    ],
)
def test_each_event_is_in_the_digest_of_one_week(
    db: Database, alice: str, bob: str, recording: str, zone: str, begins: str, ends: str
) -> None:
    db.rows("update public.user_preferences set time_zone = %s where user_id = %s", zone, alice)
    act(db, bob, "insert into public.likes (audio_id) values (%s)", recording)
    add(db, bob, playlist(db, bob, is_public=True), recording)

    def happen(moment: str) -> None:
        db.rows("update soundscape.first_ready set ready_at = %s::timestamptz", moment)
        db.rows("update public.likes set created_at = %s::timestamptz", moment)
        db.rows("update public.playlist_items set added_at = %s::timestamptz", moment)

    def counts(moment: str) -> set[int]:
        told = db.value("select soundscape.digest(%s, %s::timestamptz)", alice, moment)
        return {told["ready"], told["likes"], told["collected"]}

    # However late it is queued on its day.
    for queued in (ends, f"{ends[:10]} 23:30+00"):
        for moment, number in ((begins, 1), (ends, 0)):
            happen(moment)
            assert counts(queued) == {number}, (queued, moment)
    for moment, number in ((begins, 0), (ends, 1)):
        db.rows("update public.likes set created_at = %s::timestamptz - interval '1 microsecond'", moment)
        assert db.value("select soundscape.digest(%s, %s::timestamptz)", alice, ends)["likes"] == number


def test_a_recording_is_in_the_digest_of_the_week_in_which_it_is_ready(
    db: Database, alice: str, monday: None
) -> None:
    """Uploaded before a digest and ready after it; analysed anew it is in no other."""
    act(
        db,
        alice,
        "insert into public.notification_preferences (kind, channel, enabled)"
        " values ('weekly_digest', 'email', true)",
    )
    audio_id = db.recording(alice)
    db.rows(
        "update public.audio_files set created_at = created_at - interval '3 days' where id = %s", audio_id
    )
    counts = [ready_in_digest(db, alice)]
    for _ in range(2):
        (held,) = [job for job in db.claim(20) if job.audio_id == audio_id]
        db.complete(held)
        pass_a_week(db)
        counts.append(ready_in_digest(db, alice))
        db.rows("select public.reanalyze('test-2')")
    assert counts == [None, 1, None]


def ready_in_digest(db: Database, user: str) -> int | None:
    """How many recordings are ready, says the digest that is queued now; None if there is none."""
    db.rows("delete from soundscape.outbox where kind = 'weekly_digest'")
    if not db.value("select soundscape.queue_digests()"):
        return None
    queued_at = db.value("select created_at from soundscape.outbox where kind = 'weekly_digest'")
    return int(db.value("select soundscape.digest(%s, %s)", user, queued_at)["ready"])


def pass_a_week(db: Database) -> None:
    db.rows("update soundscape.first_ready set ready_at = ready_at - interval '7 days'")
    for column in ("queued_at", "begins", "ends"):
        db.rows(f"update soundscape.digests set {column} = {column} - interval '7 days'")


def test_digests_leave_no_gap_and_count_nothing_twice(db: Database, alice: str, recording: str) -> None:
    """Whatever the zone, and where a Monday was missed: each begins where the one before ended."""
    zones = ["UTC", "Asia/Tokyo", "America/Los_Angeles", "UTC", "Europe/Berlin"]
    # The fourth Monday is missed.
    moments = [f"2026-{day} 20:00+00" for day in ("06-01", "06-08", "06-15", "06-29", "07-06")]
    weeks = []
    for zone, moment in zip(zones, moments, strict=True):
        db.rows("update public.user_preferences set time_zone = %s where user_id = %s", zone, alice)
        week = db.row("select * from soundscape.digest_week(%s, %s::timestamptz)", alice, moment)
        db.rows(
            "insert into soundscape.digests (user_id, queued_at, begins, ends) values (%s, %s, %s, %s)"
            " on conflict (user_id) do update"
            " set queued_at = excluded.queued_at, begins = excluded.begins, ends = excluded.ends",
            alice, moment, week["begins"], week["ends"],
        )  # fmt: skip
        weeks.append(week)
        # Rendered later, it tells of the same week.
        for edge, number in ((week["begins"], 1), (week["ends"], 0)):
            db.rows("update soundscape.first_ready set ready_at = %s", edge)
            assert db.value("select soundscape.digest(%s, %s::timestamptz)", alice, moment)["ready"] == number
    assert [week["begins"] for week in weeks[1:]] == [week["ends"] for week in weeks[:-1]]
    # After two missed Mondays or more, it tells of the latest two weeks, and what was before is in none.
    for moment in ("2026-07-27 20:00+00", "2026-12-01 12:00+00"):
        late = db.row("select * from soundscape.digest_week(%s, %s::timestamptz)", alice, moment)
        assert (late["ends"] - late["begins"]).days == 14
        assert late["begins"] > weeks[-1]["ends"]
