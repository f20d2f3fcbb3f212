"""What to hear next: from whom, for whom, why, and what must not show."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from .conftest import Database
from .sounds import Row, ask, heard

UNKNOWN = "00000000-0000-4000-8000-0000000000ff"


def recommended(db: Database, user: str | None, **arguments: Any) -> list[Row]:
    return ask(db, "recommended_audio", user, **arguments)


def ids(rows: list[Row]) -> list[str]:
    return [str(row["id"]) for row in rows]


def like(db: Database, user: str, audio_id: str) -> None:
    db.rows("insert into public.likes (user_id, audio_id) values (%s, %s)", user, audio_id)


def listen(db: Database, user: str, audio_id: str, seconds: float) -> None:
    db.rows(
        "insert into public.listening_events (user_id, audio_id, listened_s) values (%s, %s, %s)",
        user, audio_id, seconds,
    )  # fmt: skip


def test_a_like_moves_what_is_recommended_at_once_and_is_the_reason(
    db: Database, alice: str, bob: str
) -> None:
    rain, shower = heard(db, alice, at=(1.0,)), heard(db, alice, at=(1.0, 0.1))
    song, tune = heard(db, alice, at=(0.0, 0.0, 1.0)), heard(db, alice, at=(0.0, 0.1, 1.0))
    assert {row["reason"] for row in recommended(db, bob)} == {"fresh"}
    like(db, bob, rain)
    first, *rest = recommended(db, bob)
    assert (str(first["id"]), first["reason"], str(first["because_of"])) == (shower, "liked", rain)
    assert rain not in ids(rest)
    like(db, bob, song)
    assert {(str(row["id"]), str(row["because_of"])) for row in recommended(db, bob, limit=2)} == {
        (shower, rain), (tune, song),
    }  # fmt: skip


def test_what_was_heard_counts_and_a_skip_does_not(db: Database, alice: str, bob: str) -> None:
    rain, shower = heard(db, alice, at=(1.0,)), heard(db, alice, at=(1.0, 0.1))
    song, tune = heard(db, alice, at=(0.0, 0.0, 1.0)), heard(db, alice, at=(0.0, 0.1, 1.0))
    listen(db, bob, song, 2)
    listen(db, bob, rain, 45)
    found = {str(row["id"]): row for row in recommended(db, bob)}
    assert set(found) == {shower, tune}
    assert (found[shower]["reason"], str(found[shower]["because_of"])) == ("heard", rain)
    assert found[tune]["because_of"] != song


def test_nothing_of_one_s_own_and_nothing_private_or_hidden(db: Database, alice: str, bob: str) -> None:
    liked, listed = heard(db, alice, at=(1.0,)), heard(db, alice, at=(1.0, 0.3))
    heard(db, alice, at=(1.0, 0.1), public=False)
    hidden = heard(db, alice, at=(1.0, 0.2))
    db.rows("update public.audio_files set hidden_at = now(), hidden_reason = 'r' where id = %s", hidden)
    heard(db, bob, at=(1.0, 0.1))
    heard(db, bob, at=(1.0, 0.1), public=False)
    like(db, bob, liked)
    assert ids(recommended(db, bob)) == [listed]
    db.rows("insert into public.user_roles (user_id, role) values (%s, 'moderator')", bob)
    assert ids(recommended(db, bob)) == [listed]


def test_a_liked_recording_that_became_private_is_no_reason(db: Database, alice: str, bob: str) -> None:
    liked = heard(db, alice, at=(1.0,))
    heard(db, alice, at=(1.0, 0.1))
    like(db, bob, liked)
    assert [row["reason"] for row in recommended(db, bob)] == ["liked"]
    db.rows("update public.audio_files set is_public = false where id = %s", liked)
    assert [(row["reason"], row["because_of"]) for row in recommended(db, bob)] == [("fresh", None)]


def test_what_others_like_changes_nothing(db: Database, alice: str, bob: str) -> None:
    sounds = [heard(db, alice, at=(1.0, 0.1 * n)) for n in range(6)]
    like(db, bob, sounds[0])
    before = recommended(db, bob)
    for sound in sounds[2:]:
        like(db, alice, sound)
        listen(db, alice, sound, 60)
    assert recommended(db, bob) == before


def test_whoever_is_not_signed_in_has_no_recommendations(db: Database) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        recommended(db, None)


def test_every_tenth_is_new_and_a_seed_draws_which(db: Database, alice: str, bob: str) -> None:
    liked = heard(db, alice, at=(1.0,))
    for n in range(10):
        heard(db, alice, at=(1.0, 0.01 * n))
    unlike = [heard(db, alice, at=(-1.0, 0.01 * n)) for n in range(6)]
    like(db, bob, liked)
    draws = [ids(recommended(db, bob, limit=10, seed=seed)) for seed in range(8)]
    for draw in draws:
        assert len(set(draw)) == 10
        assert [place for place, one in enumerate(draw, 1) if one in unlike] == [10]
    assert len({draw[9] for draw in draws}) > 1
    assert ids(recommended(db, bob, limit=10, seed=3)) == draws[3]
    assert len(recommended(db, bob, limit=100)) == 16


def test_radio_goes_on_without_coming_back(db: Database, alice: str) -> None:
    start = heard(db, alice, at=(1.0,))
    sounds = [heard(db, alice, at=(1.0, 0.1 * n, 0.3 * (n % 3))) for n in range(12)]
    played: list[str] = []
    while found := ids(ask(db, "radio", audio_id=start, limit=5, seed=7, played=played)):
        played += found
    assert sorted(played) == sorted(sounds)
    assert ids(ask(db, "radio", audio_id=start, limit=5, seed=7)) == played[:5]
    others = {tuple(ids(ask(db, "radio", audio_id=start, limit=5, seed=seed))) for seed in range(6)}
    assert len(others) > 1


def test_radio_stays_near_where_it_is(db: Database, alice: str) -> None:
    start = heard(db, alice, at=(1.0,))
    near = [heard(db, alice, at=(1.0, 0.05 * n)) for n in range(5)]
    for n in range(5):
        heard(db, alice, at=(-1.0, 0.05 * n))
    rows = ask(db, "radio", audio_id=start, limit=5)
    assert sorted(ids(rows)) == sorted(near)
    assert all(row["likeness"] > 0.9 for row in rows)


def test_radio_plays_what_each_may_hear(db: Database, alice: str, bob: str) -> None:
    start, private = heard(db, alice, at=(1.0,)), heard(db, alice, at=(1.0, 0.1), public=False)
    listed = heard(db, alice, at=(1.0, 0.2))
    assert ids(ask(db, "radio", bob, audio_id=start)) == [listed]
    assert sorted(ids(ask(db, "radio", alice, audio_id=start))) == sorted([private, listed])
    # Somebody else's private recording among what was played says nothing.
    assert ask(db, "radio", bob, audio_id=start, played=[private]) == ask(
        db, "radio", bob, audio_id=start, played=[UNKNOWN]
    )
    for absent in (private, UNKNOWN):
        with pytest.raises(psycopg.Error) as refused:
            ask(db, "radio", bob, audio_id=absent)
        assert refused.value.sqlstate == "PT404"


def test_radio_from_silence_is_silent(db: Database, alice: str) -> None:
    heard(db, alice, at=(1.0,))
    assert ask(db, "radio", audio_id=heard(db, alice)) == []


@pytest.mark.parametrize("limit", [-1, 101, None])
@pytest.mark.parametrize("function", ["radio", "recommended_audio"])
def test_limits_that_mean_nothing_are_refused(
    db: Database, alice: str, function: str, limit: int | None
) -> None:
    about = {"audio_id": heard(db, alice, at=(1.0,))} if function == "radio" else {}
    with pytest.raises(psycopg.Error) as refused:
        ask(db, function, alice, limit=limit, **about)
    assert refused.value.sqlstate == "22023"
