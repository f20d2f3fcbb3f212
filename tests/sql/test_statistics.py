"""Figures of recordings: equal to direct counts for any history, and nobody's listening is told."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.waiting import until

from .conftest import Database, Row

MAX_PLAYS = 10
SOURCES = ("search", "similar", "recommended", "radio", "playlist", "embed")
CONTEXTS = (*SOURCES, "library", "profile", None)
DAILY = ("plays", "listeners", "downloads")
DETAILS = (
    "listened_s",
    *(f"from_{source}" for source in (*SOURCES, "elsewhere")),
    *(f"heard_quarter_{quarter}" for quarter in (1, 2, 3, 4)),
)
DAY_TABLES = (
    "soundscape.day_listeners",
    "soundscape.open_day_details",
    "soundscape.stat_events",
    "public.audio_stats_daily",
    "soundscape.project_days",
)


def roll_up(db: Database, max_events: int = 100_000) -> int:
    return int(db.value("select public.roll_up_stats(%s)", max_events))


def publish(db: Database, owner: str, *, duration_s: float | None = 100.0) -> str:
    audio_id = db.describe(f"{owner}/{uuid4()}.wav", owner=owner)
    db.rows(
        "update public.audio_files set is_public = true, duration = %s where id = %s", duration_s, audio_id
    )
    return audio_id


def listen(
    db: Database,
    user: str,
    audio_id: str,
    *,
    listened_s: float = 30,
    context: str | None = "search",
    days_ago: float = 0,
) -> date:
    """Insert an event. Returns the day on which it counts."""
    with db.connection.transaction():
        row = db.row(
            "insert into public.listening_events (user_id, audio_id, listened_s, context, started_at)"
            " values (%s, %s, %s, %s, now() - make_interval(secs => %s))"
            " returning soundscape.stat_day(started_at) as day",
            user, audio_id, listened_s, context, days_ago * 86400,
        )  # fmt: skip
    day: date = row["day"]
    return day


def age(db: Database, days: int) -> None:
    """Let so many days go by."""
    for table in (*DAY_TABLES, "soundscape.listener_salts"):
        # Two steps: a key may not be taken by its neighbour for a moment.
        db.rows(f"update {table} set day = day - 10000")
        db.rows(f"update {table} set day = day + {10000 - days}")


def totals(db: Database, audio_id: str) -> Row:
    rows = db.rows(
        "select plays, listener_days, likes, downloads from public.audio_stats where audio_id = %s", audio_id
    )
    return rows[0] if rows else dict.fromkeys(("plays", "listener_days", "likes", "downloads"), 0)


def days(db: Database, audio_id: str) -> list[Row]:
    return db.rows("select * from public.audio_stats_daily where audio_id = %s order by day", audio_id)


@pytest.fixture(autouse=True)
def _no_figures(db: Database) -> None:
    for table in (*DAY_TABLES, "soundscape.listener_salts"):
        db.rows(f"delete from {table}")


@pytest.mark.parametrize(
    ("duration_s", "listened_s", "counts"),
    [
        (100, 30, True), (100, 29.5, False), (50, 25, True), (50, 24.5, False), (None, 30, True),
        (None, 29, False), (0.5, 0.25, True), (0.5, 0.2, False), (100, 1000, True), (0, 0, False),
    ],
)  # fmt: skip
def test_what_a_play_is(
    db: Database, alice: str, bob: str, duration_s: float | None, listened_s: float, counts: bool
) -> None:
    audio_id = publish(db, alice, duration_s=duration_s)
    listen(db, bob, audio_id, listened_s=listened_s)
    roll_up(db)
    assert totals(db, audio_id)["plays"] == int(counts)


def test_owners_do_not_count_for_themselves(db: Database, alice: str, bob: str) -> None:
    audio_id = publish(db, alice)
    listen(db, alice, audio_id)
    assert db.value("select public.record_download(%s, %s)", audio_id, alice) is False
    assert db.value("select public.record_download(%s, %s)", audio_id, bob) is True
    roll_up(db)
    assert totals(db, audio_id) == {"plays": 0, "listener_days": 0, "likes": 0, "downloads": 1}


def test_plays_of_one_listener_are_bounded(db: Database, alice: str, bob: str) -> None:
    audio_id = publish(db, alice)
    for _ in range(MAX_PLAYS + 3):
        listen(db, bob, audio_id)
    db.rows(
        "insert into public.listening_events (user_id, audio_id, listened_s)"
        " select %s, %s, 60 from generate_series(1, 20)",
        db.sign_up(), audio_id,
    )  # fmt: skip
    # Erasing the events does not begin the day again.
    db.rows("delete from public.listening_events")
    listen(db, bob, audio_id)
    roll_up(db)
    assert (totals(db, audio_id)["plays"], totals(db, audio_id)["listener_days"]) == (2 * MAX_PLAYS, 2)


@pytest.mark.parametrize(("duration_s", "counted_s"), [(100.0, 100.0), (None, 14400.0)])
def test_a_play_counts_no_more_than_the_recording(
    db: Database, alice: str, duration_s: float | None, counted_s: float
) -> None:
    """No number that a user writes stops the rollup, or fills the figures."""
    audio_id = publish(db, alice, duration_s=duration_s)
    for _ in range(3):
        listen(db, db.sign_up(), audio_id, listened_s=3e38)
    assert roll_up(db) == 3
    age(db, 3)
    roll_up(db)
    (row,) = days(db, audio_id)
    assert (row["plays"], row["listened_s"]) == (3, 3 * counted_s)


def test_listeners_from_before_the_details_do_not_publish_them(db: Database, alice: str, bob: str) -> None:
    """As after the migration that began to count: the day has listeners, and details of one of them only."""
    audio_id = publish(db, alice)
    day = listen(db, bob, audio_id)
    db.rows(
        "insert into public.audio_stats_daily (audio_id, day, user_id, plays, listeners)"
        " values (%s, %s, %s, 2, 2)",
        audio_id, day, alice,
    )  # fmt: skip
    roll_up(db)
    age(db, 3)
    roll_up(db)
    (row,) = days(db, audio_id)
    assert row["listeners"] == 3
    assert {row[name] for name in DETAILS} == {None}


def test_an_account_that_is_being_deleted_waits_for_no_rollup(db: Database, alice: str, bob: str) -> None:
    audio_id, other = publish(db, alice), publish(db, bob)
    listen(db, bob, audio_id)
    listen(db, alice, other)
    deleting = db.connect()
    # As empty_account does: first the account, then what it has.
    db.rows("insert into soundscape.account_deletions (user_id) values (%s)", alice)
    deleting.execute("select from public.users where id = %s for update", (alice,))
    assert roll_up(db) == 2
    deleting.execute("delete from public.audio_files where user_id = %s", (alice,))
    deleting.commit()
    assert (totals(db, audio_id)["plays"], totals(db, other)["plays"]) == (0, 1)


def test_a_download_counts_once_a_day(db: Database, alice: str, bob: str) -> None:
    audio_id = publish(db, alice)
    callers = [bob, bob, "192.0.2.1", "192.0.2.1", "192.0.2.2"]
    counted = [db.value("select public.record_download(%s, %s)", audio_id, caller) for caller in callers]
    assert counted == [True, False, True, False, True]
    assert db.value("select public.record_download(gen_random_uuid(), 'x')") is False
    roll_up(db)
    assert totals(db, audio_id)["downloads"] == 3
    age(db, 1)
    assert db.value("select public.record_download(%s, %s)", audio_id, bob) is True


def test_figures_outlive_what_they_counted(db: Database, alice: str, bob: str) -> None:
    """A figure that fell would tell the owner who had listened."""
    audio_id = publish(db, alice)
    listen(db, bob, audio_id)
    db.rows("delete from public.listening_events where user_id = %s", bob)
    roll_up(db)
    listen(db, bob, audio_id)
    db.rows("delete from auth.users where id = %s", bob)
    roll_up(db)
    assert (totals(db, audio_id)["plays"], totals(db, audio_id)["listener_days"]) == (2, 1)


@pytest.mark.parametrize("listeners", [1, 2, 3, 4])
def test_details_need_enough_listeners_and_a_closed_day(db: Database, alice: str, listeners: int) -> None:
    audio_id = publish(db, alice)
    for number in range(listeners):
        listen(db, db.sign_up(), audio_id, context=SOURCES[number], listened_s=30 + 20 * number)
    for days_passed in (0, 1, 1):
        age(db, days_passed)
        roll_up(db)
        (row,) = days(db, audio_id)
        assert row["listeners"] == listeners
        if days_passed == 0 or sum(row[f"from_{source}"] or 0 for source in SOURCES) == 0:
            assert {row[name] for name in DETAILS} == {None}, "an open day has no details"
    age(db, 1)
    roll_up(db)
    (row,) = days(db, audio_id)
    if listeners < 3:
        assert {row[name] for name in DETAILS} == {None}
    else:
        assert [row[f"from_{source}"] for source in SOURCES] == [1] * listeners + [0] * (6 - listeners)
        assert row["listened_s"] == sum(30 + 20 * number for number in range(listeners))
        assert sum(row[f"heard_quarter_{quarter}"] for quarter in (1, 2, 3, 4)) == listeners
    for table in ("day_listeners", "open_day_details"):
        assert db.value(f"select count(*) from soundscape.{table}") == 0
    # soundscape.close_stat_days leaves a day open for an hour longer.
    first_open = db.value("select soundscape.first_open_day(now() - interval '1 hour')")
    open_days = db.value("select min(day) >= %s from soundscape.listener_salts", first_open)
    assert open_days is True


def test_nothing_is_kept_that_leads_to_a_listener(db: Database, alice: str, bob: str) -> None:
    audio_id = publish(db, alice)
    listen(db, bob, audio_id)
    db.rows("select public.record_download(%s, '192.0.2.77')", audio_id)

    def kept() -> str:
        tables = (*DAY_TABLES, "public.audio_stats", "soundscape.listener_salts")
        return json.dumps([db.rows(f"select to_jsonb(t) from {table} t") for table in tables])

    for _ in range(2):
        assert bob not in kept()
        assert "192.0.2.77" not in kept()
        roll_up(db)
    hashes = {bytes(row["listener"]) for row in db.rows("select listener from soundscape.day_listeners")}
    assert len(hashes) == 2
    # Another recording, and another day, have other hashes.
    other = publish(db, alice)
    listen(db, bob, other)
    listen(db, bob, audio_id, days_ago=1)
    assert db.value("select count(distinct listener) from soundscape.day_listeners") == 4


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_nobody_calls_what_counts(db: Database, alice: str, role: str) -> None:
    for call in (
        "select public.record_download(gen_random_uuid(), 'x')",
        "select public.roll_up_stats()",
        "select public.project_stats()",
        "select * from soundscape.day_listeners",
        "insert into soundscape.stat_events (audio_id, day, plays) values (gen_random_uuid(), now(), 1)",
    ):
        with db.acting(role, alice) as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(call)


@dataclass
class Figures:
    """What a direct count of everything that happened says of one recording."""

    plays: Counter[date] = field(default_factory=Counter)
    heard: dict[tuple[date, str], int] = field(default_factory=lambda: defaultdict(int))
    downloads: Counter[date] = field(default_factory=Counter)
    downloaders: set[tuple[date, str]] = field(default_factory=set)
    likes: set[str] = field(default_factory=set)
    details: dict[date, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def play(self, day: date, user: str, duration_s: float, listened_s: float, context: str | None) -> None:
        if listened_s < min(30, duration_s / 2):
            return
        self.heard[day, user] += 1
        if self.heard[day, user] > MAX_PLAYS:
            return
        self.plays[day] += 1
        source = context if context in SOURCES else "elsewhere"
        listened_s = min(listened_s, duration_s)
        quarter = min(4, max(1, -int(-4 * listened_s // duration_s)))
        self.details[day].update(
            {"listened_s": listened_s, f"from_{source}": 1, f"heard_quarter_{quarter}": 1}
        )

    def download(self, day: date, caller: str) -> None:
        if (day, caller) not in self.downloaders:
            self.downloaders.add((day, caller))
            self.downloads[day] += 1

    def listeners(self, day: date) -> int:
        return sum(1 for heard_on, _ in self.heard if heard_on == day)

    def totals(self) -> Row:
        return {
            "plays": sum(self.plays.values()),
            "listener_days": len(self.heard),
            "likes": len(self.likes),
            "downloads": sum(self.downloads.values()),
        }

    def daily(self) -> dict[date, tuple[int, ...]]:
        return {
            day: (self.plays[day], self.listeners(day), self.downloads[day])
            for day in sorted(set(self.plays) | set(self.downloads))
        }


def kill_while_rolling_up(db: Database) -> None:
    """A session that has added everything, and is ended before it commits."""
    with psycopg.connect(db.dsn()) as victim:
        victim.execute("select public.roll_up_stats()")
        db.rows("select pg_terminate_backend(%s)", victim.info.backend_pid)
        with pytest.raises(psycopg.OperationalError):
            victim.execute("select 1")
    until(lambda: db.value("select soundscape.lock_stats()"), "the ended session to let go")


@pytest.mark.parametrize("seed", range(6))
def test_any_history_in_any_order_equals_a_direct_count(db: Database, alice: str, seed: int) -> None:
    chance = random.Random(seed)
    users = [db.sign_up() for _ in range(5)]
    recordings = {publish(db, alice, duration_s=duration): duration for duration in (4.0, 60.0, 600.0)}
    direct = {audio_id: Figures() for audio_id in recordings}
    actions: list[Callable[[], Any]] = []

    def play() -> None:
        audio_id, user, context = chance.choice([*recordings]), chance.choice(users), chance.choice(CONTEXTS)
        # Quarters and halves of whole seconds: what a real holds exactly.
        listened_s = chance.choice([1, 2, 3, 4, 15, 29.5, 30, 31, 45, 150, 200, 301, 700])
        day = listen(
            db,
            user,
            audio_id,
            listened_s=listened_s,
            context=context,
            days_ago=chance.choice([0, 0, 1, 2, 9]),
        )
        direct[audio_id].play(day, user, recordings[audio_id], listened_s, context)

    def like() -> None:
        audio_id, user = chance.choice([*recordings]), chance.choice(users)
        likes = direct[audio_id].likes
        if user in likes:
            db.rows("delete from public.likes where user_id = %s and audio_id = %s", user, audio_id)
        else:
            db.rows("insert into public.likes (user_id, audio_id) values (%s, %s)", user, audio_id)
        likes.symmetric_difference_update({user})

    def download() -> None:
        audio_id, caller = chance.choice([*recordings]), chance.choice([*users, "192.0.2.1", "2001:db8::1"])
        with db.connection.transaction():
            day = db.value("select (now() at time zone 'UTC')::date")
            db.rows("select public.record_download(%s, %s)", audio_id, caller)
        direct[audio_id].download(day, caller)

    def cut_off() -> None:
        with db.connection.transaction(force_rollback=True):
            roll_up(db, chance.choice([1, 3, 1000]))

    actions += (
        [play] * 20
        + [like] * 3
        + [download] * 4
        + [cut_off]
        + [lambda: roll_up(db, chance.choice([1, 2, 7]))] * 3
    )
    actions.append(
        lambda: db.rows("delete from public.listening_events where user_id = %s", chance.choice(users))
    )
    for step in range(150):
        chance.choice(actions)()
        if step == 75:
            kill_while_rolling_up(db)
    while roll_up(db, chance.choice([1, 5, 50])):
        pass
    for audio_id, figures in direct.items():
        assert totals(db, audio_id) == figures.totals()
        found = {row["day"]: tuple(row[name] for name in DAILY) for row in days(db, audio_id)}
        assert found == figures.daily()
    # All days are closed: what is published is what was counted.
    age(db, 4)
    roll_up(db)
    for audio_id, figures in direct.items():
        for row in days(db, audio_id):
            day = row["day"] + timedelta(days=4)
            told = {name: row[name] for name in DETAILS}
            if figures.listeners(day) < 3:
                assert set(told.values()) == {None}
            else:
                assert told == {name: figures.details[day][name] for name in DETAILS}
    assert roll_up(db) == 0


def test_rollups_at_once_count_once(db: Database, alice: str, bob: str) -> None:
    audio_id = publish(db, alice)
    listen(db, bob, audio_id)
    first = db.connect()
    first.execute("select public.roll_up_stats()")
    assert roll_up(db) == 0, "another has the lock"
    first.commit()
    assert roll_up(db) == 0
    assert totals(db, audio_id)["plays"] == 1


def test_a_recording_that_is_gone_stops_nothing(db: Database, alice: str, bob: str) -> None:
    gone, kept = publish(db, alice), publish(db, alice)
    for audio_id in (gone, kept):
        listen(db, bob, audio_id)
        db.rows("insert into public.likes (user_id, audio_id) values (%s, %s)", bob, audio_id)
    db.rows("delete from public.audio_files where id = %s", gone)
    assert roll_up(db) == 5
    assert (totals(db, gone)["plays"], totals(db, kept)["plays"]) == (0, 1)
    assert db.value("select sum(plays) from soundscape.project_days") == 2


def test_my_audio_stats(db: Database, alice: str, bob: str) -> None:
    first, second = publish(db, alice), publish(db, alice)
    theirs = publish(db, bob)
    for audio_id in (first, first, second):
        listen(db, bob, audio_id)
    day = listen(db, alice, theirs)
    roll_up(db)

    def read(who: str, *more: Any) -> list[tuple[Any, ...]]:
        with db.acting("authenticated", who) as session:
            places = ", ".join(["%s"] * (2 + len(more)))
            rows = session.execute(
                f"select * from public.my_audio_stats({places})".encode(),
                (day - timedelta(days=1), day + timedelta(days=1), *more),
            ).fetchall()
        return [(row["plays"], row["listeners"]) for row in rows]

    assert read(alice) == [(3, 2)]
    assert (read(alice, first), read(alice, second), read(alice, theirs)) == ([(2, 1)], [(1, 1)], [])
    assert (read(bob), read(bob, first)) == ([(1, 1)], [])


def test_the_project_in_figures(db: Database, alice: str, bob: str) -> None:
    audio_id = publish(db, alice)
    listen(db, bob, audio_id)
    db.rows("select public.record_download(%s, '192.0.2.1')", audio_id)
    db.rows("insert into public.likes (user_id, audio_id) values (%s, %s)", bob, audio_id)
    queue = db.value("select public.queue_stats()")["statistics"]
    assert (queue["pending"], queue["oldest_s"] >= 0) == (3, True)
    stats = db.value("select public.project_stats()")
    assert (stats["pending"], stats["plays"], stats["likes"], stats["users"]) == (3, 0, 1, 2)
    assert stats["pending_s"] >= 0
    roll_up(db)
    stats = db.value("select public.project_stats()")
    assert (stats["pending"], stats["plays"], stats["downloads"], stats["listed"]) == (0, 1, 1, 1)
    assert [(d["plays"], d["listeners"], d["downloads"]) for d in stats["days"]] == [(1, 1, 1)]
    assert stats["recordings"] == {"awaiting_upload": 1}


def test_pg_cron_rolls_up(db: Database) -> None:
    found = db.row("select schedule, command from cron.job where jobname = 'soundscape-roll-up-stats'")
    assert found == {"schedule": "*/10 * * * *", "command": "select soundscape.roll_up_stats(1000000)"}
