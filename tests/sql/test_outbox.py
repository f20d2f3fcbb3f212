"""The outbox: what is written with an event, how it is bundled, and how a delivery ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from .conftest import Database, Row

HURRY = "update soundscape.delivery_settings set bundle_after = '0', bundle_within = '0'"
PATIENCE = (
    "update soundscape.delivery_settings set"
    " bundle_after = case channel when 'email' then interval '2 minutes' else interval '5 seconds' end,"
    " bundle_within = case channel when 'email' then interval '30 minutes' else interval '30 seconds' end"
)


@pytest.fixture
def outbox(db: Database) -> Iterator[Database]:
    """Nothing waits for more events."""
    db.rows(HURRY)
    yield db
    db.rows(PATIENCE)


def confirm(db: Database, user: str) -> None:
    db.rows("update auth.users set email_confirmed_at = now() where id = %s", user)


def prefer(db: Database, user: str, kind: str, channel: str, *, enabled: bool = True) -> None:
    with db.acting("authenticated", user) as session:
        session.execute(
            "insert into public.notification_preferences (kind, channel, enabled) values (%s, %s, %s)"
            " on conflict (user_id, kind, channel) do update set user_id = excluded.user_id,"
            " kind = excluded.kind, channel = excluded.channel, enabled = excluded.enabled",
            (kind, channel, enabled),
        )
        session.commit()


def subscribe(db: Database, user: str, name: str = "a") -> str:
    with db.acting("authenticated", user) as session:
        found = session.execute(
            "select public.save_push_subscription(%s, %s, %s)",
            (f"https://push.example/{name}", "B" + "A" * 86, "A" * 22),
        ).fetchone()
        session.commit()
    assert found is not None
    return str(found["save_push_subscription"])


def claim(db: Database, *channels: str, lease_s: int = 60) -> Row | None:
    found = db.rows(
        "select * from public.claim_delivery(%s, %s)", list(channels or ("email", "push")), lease_s
    )
    return found[0] if found else None


def must_claim(db: Database, *channels: str) -> Row:
    claimed = claim(db, *channels)
    assert claimed is not None
    return claimed


def complete(db: Database, held: Row) -> None:
    db.rows("select public.complete_delivery(%s, %s)", held["delivery_id"], held["token"])


def fail(db: Database, held: Row, outcome: str, code: str = "c", retry_after_s: int = 0) -> str:
    return str(
        db.value(
            "select public.fail_delivery(%s, %s, %s, %s, 'm', %s)",
            *(held["delivery_id"], held["token"], outcome, code, retry_after_s),
        )
    )


def delivery(db: Database, held: Row) -> Row:
    return db.row("select * from soundscape.deliveries where id = %s", held["delivery_id"])


def count(db: Database, rows: str) -> int:
    return int(db.value(f"select count(*) from {rows}"))


def fail_analysis(db: Database, owner: str) -> str:
    """An event that is told by mail unless the user objects."""
    audio_id = db.recording(owner)
    db.fail(db.claim()[0], "failed", code="not_audio")
    return audio_id


@pytest.fixture
def alice(outbox: Database) -> str:
    user = outbox.sign_up()
    confirm(outbox, user)
    return user


def test_written_with_the_event_or_not_at_all(outbox: Database, alice: str) -> None:
    outbox.recording(alice)
    (held,) = outbox.claim()
    with outbox.connect("postgres") as session:
        session.execute(
            "select public.fail_job(%s, %s, 'failed', 'not_audio', 'm')", (held.job_id, held.token)
        )
        session.rollback()
    assert claim(outbox) is None
    outbox.fail(held, "failed", code="not_audio")
    assert must_claim(outbox)["content"][0]["kind"] == "recording_failed"


def test_a_delivery_ends_once(outbox: Database, alice: str, lease_is_lost: Any) -> None:
    audio_id = fail_analysis(outbox, alice)
    held = must_claim(outbox)
    assert held["content"] == [
        {
            "kind": "recording_failed",
            "count": 1,
            "recordings": [{"id": audio_id, "title": "A sound"}],
        }
    ]
    assert (held["address"], held["locale"], held["channel"]) == (f"{alice}@example.com", "en", "email")
    assert claim(outbox) is None
    complete(outbox, held)
    assert delivery(outbox, held)["state"] == "sent"
    assert delivery(outbox, held)["address"] is None
    lease_is_lost(lambda: complete(outbox, held))
    lease_is_lost(lambda: fail(outbox, held, "later"))
    assert claim(outbox) is None


def test_another_worker_takes_over_with_the_same_id(outbox: Database, alice: str, lease_is_lost: Any) -> None:
    fail_analysis(outbox, alice)
    first = must_claim(outbox)
    outbox.rows("update soundscape.deliveries set retry_at = now()")
    second = must_claim(outbox)
    assert second["delivery_id"] == first["delivery_id"]
    assert second["content"] == first["content"]
    lease_is_lost(lambda: complete(outbox, first))
    complete(outbox, second)


def test_what_ends_every_worker_is_given_up(outbox: Database, alice: str) -> None:
    fail_analysis(outbox, alice)
    held = must_claim(outbox)
    for _ in range(4):
        outbox.rows("update soundscape.deliveries set retry_at = now()")
        must_claim(outbox)
    outbox.rows("update soundscape.deliveries set retry_at = now()")
    assert claim(outbox) is None
    assert (delivery(outbox, held)["state"], delivery(outbox, held)["error_code"]) == ("dead", "worker_lost")


def test_many_events_are_one_mail(outbox: Database, alice: str) -> None:
    prefer(outbox, alice, "recording_ready", "email")
    for _ in range(47):
        outbox.recording(alice)
    while jobs := outbox.claim(8):
        for job in jobs:
            outbox.complete(job)
    held = must_claim(outbox)
    (told,) = held["content"]
    assert (told["kind"], told["count"], len(told["recordings"])) == ("recording_ready", 47, 10)
    assert claim(outbox) is None


def test_a_recording_that_failed_twice_is_counted_once(outbox: Database, alice: str) -> None:
    audio_id = fail_analysis(outbox, alice)
    outbox.store(outbox.file(audio_id)["file_path"], owner=alice)
    outbox.fail(outbox.claim()[0], "failed", code="not_audio")
    assert count(outbox, "soundscape.outbox") == 2
    assert must_claim(outbox)["content"][0]["count"] == 1
    # What is about no recording is counted by events.
    for _ in range(2):
        outbox.rows("select soundscape.notify(%s, 'export_ready', null)", alice)
    assert must_claim(outbox)["content"][0]["count"] == 2


def test_it_waits_for_more_but_not_for_ever(db: Database) -> None:
    alice = db.sign_up()
    confirm(db, alice)
    fail_analysis(db, alice)
    assert claim(db) is None
    db.rows("update soundscape.outbox set created_at = now() - interval '3 minutes'")
    fail_analysis(db, alice)
    assert claim(db) is None
    db.rows(
        "update soundscape.outbox set created_at = now() - interval '31 minutes'"
        " where created_at < now() - interval '1 minute'"
    )
    assert must_claim(db)["content"][0]["count"] == 2


def test_preferences_hold_over_defaults(outbox: Database, alice: str) -> None:
    prefer(outbox, alice, "recording_failed", "email", enabled=False)
    prefer(outbox, alice, "recording_failed", "in_app", enabled=False)
    fail_analysis(outbox, alice)
    assert claim(outbox) is None
    assert count(outbox, "public.notifications") == 0
    with outbox.acting("authenticated", alice) as session:
        rows = session.execute("select * from public.notification_settings()").fetchall()
    settings = {(row["kind"], row["channel"]): row["enabled"] for row in rows}
    assert settings["recording_failed", "email"] is False
    assert settings["recording_failed", "push"] is True
    assert settings["weekly_digest", "email"] is False
    assert ("weekly_digest", "push") not in settings


def test_what_is_switched_off_meanwhile_is_not_sent(outbox: Database, alice: str) -> None:
    fail_analysis(outbox, alice)
    prefer(outbox, alice, "recording_failed", "email", enabled=False)
    assert claim(outbox) is None
    assert count(outbox, "soundscape.outbox") == 0
    assert count(outbox, "soundscape.deliveries") == 0


def test_what_is_switched_off_before_a_retry_is_not_sent(outbox: Database, alice: str) -> None:
    fail_analysis(outbox, alice)
    outbox.rows("select soundscape.notify(%s, 'export_ready', null)", alice)
    held = must_claim(outbox)
    assert [told["kind"] for told in held["content"]] == ["recording_failed", "export_ready"]
    fail(outbox, held, "later")
    for kind in ("recording_failed", "export_ready"):
        outbox.rows("update soundscape.deliveries set retry_at = now()")
        prefer(outbox, alice, kind, "email", enabled=False)
        again = claim(outbox)
        if kind == "recording_failed":
            assert again is not None
            assert [told["kind"] for told in again["content"]] == ["export_ready"]
    assert again is None
    row = delivery(outbox, held)
    assert (row["state"], row["error_code"]) == ("dropped", "switched_off")


def test_the_signed_link_ends_mails_of_these_kinds(outbox: Database, alice: str) -> None:
    outbox.rows("select public.unsubscribe(%s, %s)", alice, ["recording_failed", "no_such_kind"])
    assert outbox.rows("select kind, channel, enabled from public.notification_preferences") == [
        {"kind": "recording_failed", "channel": "email", "enabled": False}
    ]


@pytest.mark.parametrize(
    ("zone", "quiet", "moment", "ends"),
    [
        ("UTC", ("22:00", "07:00"), "2026-05-01 23:00+00", "2026-05-02 07:00+00"),
        ("UTC", ("22:00", "07:00"), "2026-05-01 06:59+00", "2026-05-01 07:00+00"),
        ("UTC", ("22:00", "07:00"), "2026-05-01 07:00+00", None),
        ("UTC", ("22:00", "07:00"), "2026-05-01 21:59+00", None),
        ("UTC", ("09:00", "12:00"), "2026-05-01 09:00+00", "2026-05-01 12:00+00"),
        ("UTC", ("09:00", "09:00"), "2026-05-01 09:00+00", None),
        ("Europe/Berlin", ("22:00", "07:00"), "2026-05-01 20:30+00", "2026-05-02 05:00+00"),
        ("America/New_York", ("22:00", "07:00"), "2026-05-01 20:30+00", None),
        # The clock is put forward at 2 and back at 3.
        ("Europe/Berlin", ("22:00", "07:00"), "2026-03-28 22:00+00", "2026-03-29 05:00+00"),
        ("Europe/Berlin", ("22:00", "02:30"), "2026-03-28 22:00+00", "2026-03-29 01:30+00"),
        ("Europe/Berlin", ("22:00", "07:00"), "2026-10-24 21:00+00", "2026-10-25 06:00+00"),
    ],
)
def test_quiet_hours(db: Database, zone: str, quiet: tuple[str, str], moment: str, ends: str | None) -> None:
    assert db.value(
        "select soundscape.end_of_quiet(%s, %s::time, %s::time, %s::timestamptz)"
        " is not distinct from %s::timestamptz",
        *(zone, *quiet, moment, ends),
    )


def be_quiet(db: Database, user: str) -> None:
    """It is an hour after the beginning and before the end of the user's quiet hours."""
    with db.acting("authenticated", user) as session:
        session.execute(
            "update public.user_preferences set time_zone = 'Asia/Tokyo',"
            " quiet_from = (now() at time zone 'Asia/Tokyo' - interval '1 hour')::time,"
            " quiet_until = (now() at time zone 'Asia/Tokyo' + interval '1 hour')::time"
        )
        session.commit()


def test_mails_wait_for_the_end_of_quiet_hours(outbox: Database, alice: str) -> None:
    be_quiet(outbox, alice)
    fail_analysis(outbox, alice)
    assert claim(outbox) is None
    assert outbox.value("select deliver_at > now() + interval '59 minutes' from soundscape.outbox")
    # In the app it is there at once.
    assert count(outbox, "public.notifications") == 1
    outbox.rows("update public.user_preferences set quiet_from = null, quiet_until = null")
    outbox.rows("update soundscape.outbox set deliver_at = now()")
    must_claim(outbox)


@pytest.mark.parametrize("expires_in", ["1 minute", "3 days"])
def test_a_retry_waits_for_the_end_of_quiet_hours(outbox: Database, alice: str, expires_in: str) -> None:
    fail_analysis(outbox, alice)
    held = must_claim(outbox)
    fail(outbox, held, "later")
    be_quiet(outbox, alice)
    outbox.rows(
        "update soundscape.deliveries set retry_at = now(), expires_at = now() + %s::interval", expires_in
    )
    assert claim(outbox) is None
    assert outbox.value(
        "select state = 'queued' and retry_at > now() + interval '59 minutes' and expires_at > retry_at"
        " from soundscape.deliveries"
    )
    outbox.rows("update public.user_preferences set quiet_from = null, quiet_until = null")
    outbox.rows("update soundscape.deliveries set retry_at = now()")
    assert must_claim(outbox)["delivery_id"] == held["delivery_id"]


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "Europe/Berlin; select", "../etc"])
def test_a_time_zone_is_one_that_postgres_knows(db: Database, alice: str, zone: str) -> None:
    with db.acting("authenticated", alice) as session, pytest.raises(psycopg.errors.CheckViolation):
        session.execute("update public.user_preferences set time_zone = %s", (zone,))


def test_later_and_later(outbox: Database, alice: str) -> None:
    fail_analysis(outbox, alice)
    for failures in range(1, 4):
        held = must_claim(outbox)
        assert held["attempt"] == 1
        assert fail(outbox, held, "later", "smtp_451", retry_after_s=90) == "queued"
        row = delivery(outbox, held)
        assert (row["failures"], row["error_code"]) == (failures, "smtp_451")
        assert outbox.value("select retry_at > now() + interval '80 seconds' from soundscape.deliveries")
        assert claim(outbox) is None
        outbox.rows("update soundscape.deliveries set retry_at = now()")
    outbox.rows("update soundscape.deliveries set expires_at = now()")
    assert claim(outbox) is None
    row = delivery(outbox, held)
    assert (row["state"], row["error_code"]) == ("dead", "smtp_451")


@pytest.mark.parametrize(
    ("channel", "failures", "shortest", "longest"),
    [
        ("email", 1, "1 minute", "2 minutes"),
        ("email", 3, "4 minutes", "8 minutes"),
        ("email", 6, "30 minutes", "1 hour"),
        ("email", 1000, "30 minutes", "1 hour"),
        ("push", 1, "5 seconds", "10 seconds"),
        ("push", 1000, "2.5 minutes", "5 minutes"),
    ],
)
def test_how_long_a_failed_delivery_waits(
    db: Database, channel: str, failures: int, shortest: str, longest: str
) -> None:
    assert db.value(
        "select bool_and(soundscape.retry_wait(%s, %s + 0 * n) between %s::interval and %s::interval)"
        " from generate_series(1, 200) as n",
        *(channel, failures, shortest, longest),
    )


def test_mails_wait_as_long_as_their_settings_say(outbox: Database, alice: str) -> None:
    fail_analysis(outbox, alice)
    held = must_claim(outbox)
    outbox.rows("update soundscape.deliveries set failures = 20")
    fail(outbox, held, "later")
    assert outbox.value("select retry_at > now() + interval '29 minutes' from soundscape.deliveries")


def test_a_worker_that_stops_gives_it_back(outbox: Database, alice: str) -> None:
    fail_analysis(outbox, alice)
    assert fail(outbox, must_claim(outbox), "released") == "queued"
    assert delivery(outbox, must_claim(outbox))["failures"] == 0


def test_dead_letters_are_retried_by_hand(outbox: Database, alice: str) -> None:
    fail_analysis(outbox, alice)
    held = must_claim(outbox)
    assert fail(outbox, held, "refused", "smtp_554") == "dead"
    (listed,) = outbox.rows("select * from public.list_deliveries(array['dead'], code => 'smtp_554')")
    assert (listed["id"], listed["kinds"]) == (held["delivery_id"], ["recording_failed"])
    shown = outbox.value("select public.show_delivery(%s)", held["delivery_id"])
    assert shown["content"][0]["count"] == 1
    assert not {"address", "token"} & shown.keys()
    figures = outbox.value("select public.delivery_stats()")
    assert figures["email"]["failed"] == {"smtp_554": 1}
    assert outbox.rows("select public.retry_deliveries(%s)", [held["delivery_id"]])
    assert must_claim(outbox)["delivery_id"] == held["delivery_id"]
    assert outbox.rows("select public.retry_deliveries(%s)", [held["delivery_id"]]) == []


def test_a_waiting_delivery_is_cancelled_and_a_running_one_is_not(outbox: Database, alice: str) -> None:
    fail_analysis(outbox, alice)
    held = must_claim(outbox)
    cancel = "select public.cancel_deliveries(%s)"
    assert outbox.rows(cancel, [held["delivery_id"]]) == []
    fail(outbox, held, "later")
    assert len(outbox.rows(cancel, [held["delivery_id"]])) == 1
    assert delivery(outbox, held)["error_code"] == "cancelled"


def channel_of(db: Database, user: str, channel: str) -> Row:
    with db.acting("authenticated", user) as session:
        rows = session.execute("select * from public.notification_channels()").fetchall()
    return next(row for row in rows if row["channel"] == channel)


def test_an_address_that_came_back_gets_no_more(outbox: Database, alice: str) -> None:
    outbox.rows("select public.report_channel('email', true)")
    assert channel_of(outbox, alice, "email")["is_on"]
    fail_analysis(outbox, alice)
    assert fail(outbox, must_claim(outbox), "gone", "smtp_550") == "dropped"
    assert channel_of(outbox, alice, "email")["reason"] == "address_ended"
    fail_analysis(outbox, alice)
    assert claim(outbox) is None
    assert {row["error_code"] for row in outbox.rows("select * from soundscape.deliveries")} == {
        "smtp_550",
        "address_ended",
    }
    outbox.rows("update auth.users set email = 'new@example.com' where id = %s", alice)
    fail_analysis(outbox, alice)
    assert must_claim(outbox)["address"] == "new@example.com"
    assert outbox.value("select public.reopen_address(%s)", alice) is True
    assert outbox.value("select public.reopen_address(%s)", alice) is False


def test_nothing_goes_to_an_address_that_is_not_confirmed(outbox: Database) -> None:
    bob = outbox.sign_up()
    fail_analysis(outbox, bob)
    assert claim(outbox) is None
    assert outbox.row("select state, error_code from soundscape.deliveries") == {
        "state": "dropped",
        "error_code": "no_address",
    }


def test_a_push_goes_to_each_browser(outbox: Database, alice: str) -> None:
    fail_analysis(outbox, alice)
    for name in "ab":
        subscribe(outbox, alice, name)
    fail_analysis(outbox, alice)
    first, second = must_claim(outbox, "push"), must_claim(outbox, "push")
    assert {first["endpoint"], second["endpoint"]} == {"https://push.example/a", "https://push.example/b"}
    assert first["delivery_id"] != second["delivery_id"]
    assert first["content"] == second["content"]
    assert [told["count"] for told in first["content"]] == [1], "what was before the subscription is not"
    assert fail(outbox, first, "gone", "push_410") == "dropped"
    complete(outbox, second)
    assert [row["endpoint"] for row in outbox.rows("select endpoint from public.push_subscriptions")] == [
        second["endpoint"]
    ]


def test_a_removed_browser_gets_nothing(outbox: Database, alice: str) -> None:
    subscribe(outbox, alice)
    fail_analysis(outbox, alice)
    held = must_claim(outbox, "push")
    fail(outbox, held, "later")
    with outbox.acting("authenticated", alice) as session:
        session.execute("delete from public.push_subscriptions")
        session.commit()
    outbox.rows("update soundscape.deliveries set retry_at = now()")
    assert claim(outbox, "push") is None
    assert delivery(outbox, held)["error_code"] == "subscription_gone"


def test_a_browser_belongs_to_whoever_used_it_last(outbox: Database, alice: str, bob: str) -> None:
    first = subscribe(outbox, alice)
    assert subscribe(outbox, alice) == first
    assert subscribe(outbox, bob) == first
    assert outbox.value("select user_id::text from public.push_subscriptions") == bob
    with outbox.acting("authenticated", alice) as session, pytest.raises(psycopg.Error) as refused:
        session.execute(
            "select public.save_push_subscription('https://push.example/a', %s, %s)",
            ("B" + "B" * 86, "B" * 22),
        )
    assert refused.value.sqlstate == "42501"


def test_a_push_does_not_go_to_the_next_user_of_the_browser(outbox: Database, alice: str, bob: str) -> None:
    subscribe(outbox, alice)
    fail_analysis(outbox, alice)
    held = must_claim(outbox, "push")
    fail(outbox, held, "later")
    outbox.rows("update soundscape.deliveries set retry_at = now()")
    subscribe(outbox, bob)
    assert claim(outbox, "push") is None
    row = delivery(outbox, held)
    assert (row["state"], row["error_code"]) == ("dropped", "subscription_gone")
    fail_analysis(outbox, bob)
    assert str(must_claim(outbox, "push")["user_id"]) == bob


def test_a_user_has_so_many_browsers(outbox: Database, alice: str) -> None:
    for number in range(20):
        subscribe(outbox, alice, str(number))
    with pytest.raises(psycopg.Error) as refused:
        subscribe(outbox, alice, "one more")
    assert refused.value.sqlstate in ("23514", "PT429")
    with pytest.raises(psycopg.Error) as refused:
        subscribe(outbox, alice, "20")
    assert refused.value.sqlstate == "PT429"


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example/a",
        "https://user@push.example/a",
        "https://push.example",
        "https://PUSH.example/a\n",
        "file:///etc/passwd",
        "https://push.example/" + "a" * 2048,
    ],
)
def test_an_endpoint_is_an_https_address(db: Database, alice: str, endpoint: str) -> None:
    with db.acting("authenticated", alice) as session, pytest.raises(psycopg.errors.CheckViolation):
        session.execute(
            "select public.save_push_subscription(%s, %s, %s)", (endpoint, "B" + "A" * 86, "A" * 22)
        )


def test_channels_say_whether_they_are_on(outbox: Database, alice: str) -> None:
    outbox.rows("update soundscape.channels set is_on = false, reported_at = null")
    assert channel_of(outbox, alice, "push")["reason"] == "no_worker"
    outbox.rows("select public.report_channel('push', false, 'SOUNDSCAPE_VAPID_PRIVATE_KEY')")
    assert channel_of(outbox, alice, "push")["reason"] == "not_configured"
    outbox.rows("select public.report_channel('push', true, null, 'key')")
    assert channel_of(outbox, alice, "push") == {
        "channel": "push",
        "is_on": True,
        "reason": None,
        "public_key": "key",
    }
    # A worker without a key does not switch off what another one delivers.
    outbox.rows("select public.report_channel('push', false)")
    assert channel_of(outbox, alice, "push")["is_on"]
    outbox.rows("update soundscape.channels set reported_at = now() - interval '20 minutes'")
    outbox.rows("select public.report_channel('push', false)")
    assert not channel_of(outbox, alice, "push")["is_on"]


def test_a_closed_account_gets_nothing(outbox: Database, alice: str) -> None:
    fail_analysis(outbox, alice)
    held = must_claim(outbox)
    fail(outbox, held, "later")
    outbox.rows("update soundscape.deliveries set retry_at = now()")
    fail_analysis(outbox, alice)
    outbox.rows("select soundscape.close_account(%s)", alice)
    assert claim(outbox) is None
    assert delivery(outbox, held)["error_code"] == "account_closed"
    outbox.rows("select soundscape.notify(%s, 'quota_nearly_full', null)", alice)
    assert count(outbox, "soundscape.outbox where kind = 'quota_nearly_full'") == 0


def test_two_workers_never_hold_the_same_delivery(outbox: Database) -> None:
    users = [outbox.sign_up() for _ in range(4)]
    for user in users:
        confirm(outbox, user)
        fail_analysis(outbox, user)
    with outbox.connect("postgres") as one, outbox.connect("postgres") as two:
        query = "select user_id::text from public.claim_delivery('{email}')"
        claimed = [session.execute(query).fetchone() for _ in range(2) for session in (one, two)]
        one.commit()
        two.commit()
    found = [row["user_id"] for row in claimed if row]
    assert len(found) == len(set(found))
    while (held := claim(outbox)) is not None:
        found.append(str(held["user_id"]))
    assert sorted(found) == sorted(users)


def test_what_nobody_delivered_in_time_is_given_up(outbox: Database, alice: str) -> None:
    """The channel was switched off: no worker claims, and so none ends it."""
    fail_analysis(outbox, alice)
    held = must_claim(outbox)
    fail(outbox, held, "later", "smtp_451")
    clean = "select soundscape.delete_old_deliveries()"
    outbox.rows("update soundscape.deliveries set retry_at = now()")
    outbox.rows(clean)
    assert delivery(outbox, held)["state"] == "queued"
    outbox.rows("update soundscape.deliveries set expires_at = now()")
    outbox.rows(clean)
    row = delivery(outbox, held)
    assert (row["state"], row["error_code"]) == ("dead", "smtp_451")
    assert row["finished_at"] is not None


def test_a_claim_does_not_read_the_queue_of_another_channel(outbox: Database, alice: str) -> None:
    subscribe(outbox, alice)
    fail_analysis(outbox, alice)
    outbox.rows(
        "insert into soundscape.deliveries (bundle_id, user_id, channel, expires_at, retry_at)"
        " select gen_random_uuid(), %s, 'email', now() + interval '1 day', now() - interval '1 hour'"
        " from generate_series(1, 3000)",
        alice,
    )
    outbox.rows("analyze soundscape.deliveries")
    with outbox.connect("postgres") as session:
        session.execute("select soundscape.bundle_some('{push}')")
        found = session.execute("select channel from public.claim_delivery('{push}')").fetchone()
        read = session.execute(
            "select seq_tup_read + idx_tup_fetch as rows from pg_stat_xact_user_tables"
            " where relid = 'soundscape.deliveries'::regclass"
        ).fetchone()
        session.rollback()
    assert found is not None
    assert read is not None
    assert read["rows"] < 100


def test_old_rows_go(outbox: Database, alice: str) -> None:
    fail_analysis(outbox, alice)
    held = must_claim(outbox)
    complete(outbox, held)
    fail_analysis(outbox, alice)
    clean = "select soundscape.delete_old_deliveries()"
    outbox.rows(clean)
    assert count(outbox, "soundscape.outbox") == 2
    outbox.rows(
        "update soundscape.outbox set created_at = created_at - interval '4 days', deliver_at = created_at"
    )
    outbox.rows("update soundscape.outbox set deliver_at = created_at")
    outbox.rows(clean)
    assert [row["bundle_id"] is None for row in outbox.rows("select * from soundscape.outbox")] == [False]
    outbox.rows("update soundscape.outbox set created_at = created_at - interval '40 days'")
    outbox.rows("update soundscape.deliveries set finished_at = finished_at - interval '40 days'")
    outbox.rows(clean)
    assert (
        outbox.rows("select from soundscape.outbox") == outbox.rows("select from soundscape.deliveries") == []
    )


def test_settings_are_as_deployed(db: Database) -> None:
    """The fixture above puts them back to what a deployment writes."""
    db.rows(PATIENCE)
    rows = db.rows(
        "select channel, bundle_after::text, bundle_within::text from soundscape.delivery_settings"
    )
    assert {row["channel"]: (row["bundle_after"], row["bundle_within"]) for row in rows} == {
        "email": ("00:02:00", "00:30:00"),
        "push": ("00:00:05", "00:00:30"),
    }
