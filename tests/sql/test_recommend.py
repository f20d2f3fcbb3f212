"""What to hear next: for whom, from whom, why, by which model or none; and what must not show."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.waiting import LIMIT_S

from .conftest import Database
from .sounds import SPACE, Row, ask, heard

UNKNOWN = "00000000-0000-4000-8000-0000000000ff"


def recommended(db: Database, user: str | None, *, seed: int = 1, **arguments: Any) -> list[Row]:
    return ask(db, "recommended_audio", user, seed=seed, **arguments)


def ids(rows: list[Row]) -> list[str]:
    return [str(row["id"]) for row in rows]


def like(db: Database, user: str, audio_id: str) -> None:
    db.rows("insert into public.likes (user_id, audio_id) values (%s, %s)", user, audio_id)


def listen(db: Database, user: str, audio_id: str, seconds: float) -> None:
    db.rows(
        "insert into public.listening_events (user_id, audio_id, listened_s) values (%s, %s, %s)",
        user, audio_id, seconds,
    )  # fmt: skip


def keep(db: Database, user: str, audio_id: str) -> None:
    db.rows(
        "with list as (insert into public.playlists (user_id, title) values (%s, 'Kept') returning id) "
        "insert into public.playlist_items (playlist_id, audio_id) select id, %s from list",
        user, audio_id,
    )  # fmt: skip


def factor(value: float) -> str:
    return str([value, 1.0, *[0.0] * 30])


def model(db: Database, factors: dict[str, float], *, popularity: dict[str, float] | None = None) -> int:
    """A model in force that knows one direction, and where on it recordings lie."""
    made = db.value(
        "insert into soundscape.recommendation_models (state, settings) "
        """values ('in_force', '{"alpha": 2, "skip": 1}') returning id"""
    )
    for audio_id, value in factors.items():
        db.rows(
            "insert into soundscape.item_factors "
            "(model_id, audio_id, is_listed, slot, place, key, popularity) "
            "values (%s, %s, true, 0, %s::extensions.vector, %s::extensions.vector, %s)",
            made, audio_id, factor(value), factor(value), (popularity or {}).get(audio_id, 0),
        )  # fmt: skip
    return int(made)


@pytest.fixture(autouse=True)
def no_model_is_left(db: Database) -> Iterator[None]:
    yield
    db.rows("delete from soundscape.recommendation_models")


def ranked(rows: list[Row]) -> list[Row]:
    """Without what was drawn."""
    return [row for row in rows if row["reason"] != "explore"]


def chosen_by_its_score(db: Database, user: str, audio_id: str) -> Row:
    """It in the first answer in which it was not drawn; nine of ten are."""
    return next(
        row
        for seed in range(50)
        for row in ranked(recommended(db, user, seed=seed))
        if str(row["id"]) == audio_id
    )


# -- from what the caller chose ---------------------------------------------------------------------


def test_a_like_moves_what_is_recommended_at_once_and_is_the_reason(
    db: Database, alice: str, bob: str
) -> None:
    rain, shower = heard(db, alice, at=(1.0,), title="Rain"), heard(db, alice, at=(1.0, 0.1))
    song, tune = heard(db, alice, at=(0.0, 0.0, 1.0)), heard(db, alice, at=(0.0, 0.1, 1.0))
    assert {row["reason"] for row in ranked(recommended(db, bob))} == {"fresh"}
    like(db, bob, rain)
    found = {str(row["id"]): row for row in recommended(db, bob, seed=2, limit=3)}
    assert set(found) == {shower, song, tune}
    row = found[shower]
    assert (row["reason"], str(row["because_of"])) == ("liked", rain)
    assert row["because"] == "because you liked “Rain”: similar timbre, pace and tags"
    assert row["timbre"] == pytest.approx(0.7 * 1 / 1.01**0.5, abs=1e-3)
    assert (row["rhythm"], row["tonality"], row["tags"]) == pytest.approx((0.1, 0.05, 0.1))
    like(db, bob, song)
    assert {
        str(row["id"]): str(row["because_of"]) for row in recommended(db, bob, seed=2)
    } == {shower: rain, tune: song}  # fmt: skip


@pytest.mark.parametrize(
    ("has", "other_has", "shared"),
    [
        ({"tempo_bpm": 120}, {"tempo_bpm": 120}, "timbre, tempo and tags"),
        ({"tempo_bpm": 120}, {"tempo_bpm": 85}, "timbre and tags"),
        ({"tempo_bpm": 120}, {}, "timbre and tags"),
        ({}, {"tempo_bpm": 120}, "timbre and tags"),
        ({}, {}, "timbre, pace and tags"),
        ({"onset_rate_hz": 0.0}, {"onset_rate_hz": 0.0}, "timbre and tags"),
        ({"onset_rate_hz": None}, {"onset_rate_hz": None}, "timbre and tags"),
        ({"key": "C", "mode": "major"}, {"key": "A", "mode": "minor"}, "timbre, pace, key and tags"),
        ({"key": "C", "mode": "major"}, {}, "timbre, pace and tags"),
        ({"heard": {}}, {"heard": {}}, "timbre and pace"),
    ],
)
def test_a_reason_names_only_what_both_have(
    db: Database, alice: str, bob: str, has: Row, other_has: Row, shared: str
) -> None:
    rain, shower = (
        heard(db, alice, at=(1.0,), title="Rain", **has),
        heard(db, alice, at=(1.0, 0.1), **other_has),
    )
    like(db, bob, rain)
    row = chosen_by_its_score(db, bob, shower)
    assert row["because"] == f"because you liked “Rain”: similar {shared}"


@pytest.mark.parametrize(
    ("choose", "reason"),
    [
        (like, "liked"),
        (keep, "kept"),
        (lambda db, user, audio_id: listen(db, user, audio_id, 9), "heard"),
        (lambda db, user, audio_id: listen(db, user, audio_id, 0), "opened"),
        (lambda db, user, audio_id: listen(db, user, audio_id, 1), "opened"),
    ],
    ids=["liked", "kept", "heard", "opened", "opened shortly"],
)
def test_whatever_was_chosen_leads_and_is_not_offered_again(
    db: Database, alice: str, bob: str, choose: Any, reason: str
) -> None:
    rain, shower = heard(db, alice, at=(1.0,)), heard(db, alice, at=(1.0, 0.1))
    heard(db, alice, at=(0.0, 0.0, 1.0))
    choose(db, bob, rain)
    rows = recommended(db, bob, seed=2)
    assert rain not in ids(rows)
    first = ranked(rows)[0]
    assert (str(first["id"]), first["reason"], str(first["because_of"])) == (shower, reason, rain)


@pytest.mark.parametrize("at", [(0.0, 1.0), (1.0, 7.0), (-1.0,)])
def test_what_is_not_similar_is_not_offered_for_its_sound(
    db: Database, alice: str, bob: str, at: tuple[float, ...]
) -> None:
    rain, other = heard(db, alice, at=(1.0,)), heard(db, alice, at=at)
    like(db, bob, rain)
    (row,) = recommended(db, bob, seed=2)
    assert (str(row["id"]), row["reason"], row["because_of"]) == (other, "fresh", None)


def test_what_is_like_a_skipped_one_is_pushed_away(db: Database, alice: str, bob: str) -> None:
    rain = heard(db, alice, at=(1.0,))
    near, nearer = heard(db, alice, at=(1.0, 0.5)), heard(db, alice, at=(1.0, 0.0, 0.4))
    skipped = heard(db, alice, at=(1.0, 0.0, 0.6))
    like(db, bob, rain)
    scores = {str(row["id"]): row["score"] for row in recommended(db, bob)}
    assert scores[nearer] > scores[near]
    listen(db, bob, skipped, 1)
    after = {str(row["id"]): row["score"] for row in recommended(db, bob)}
    assert skipped not in after
    assert after[near] > after[nearer]
    assert after[nearer] < scores[nearer] - 0.1


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
    assert [row["because_of"] is not None for row in recommended(db, bob, seed=2)] == [True]
    db.rows("update public.audio_files set is_public = false where id = %s", liked)
    assert [(row["reason"], row["because_of"]) for row in recommended(db, bob, seed=2)] == [("fresh", None)]


def test_what_has_no_place_among_sounds_is_offered_too(db: Database, alice: str, bob: str) -> None:
    rain, shower, silence = heard(db, alice, at=(1.0,)), heard(db, alice, at=(1.0, 0.1)), heard(db, alice)
    like(db, bob, rain)
    assert sorted(ids(recommended(db, bob))) == sorted([shower, silence])


def test_a_copy_of_what_was_chosen_is_not_offered_until_the_claim_is_dismissed(
    db: Database, alice: str, bob: str
) -> None:
    rain, copy = (heard(db, alice, at=(1.0,), sha256="a" * 64) for _ in range(2))
    shower = heard(db, alice, at=(1.0, 0.1))
    like(db, bob, rain)
    assert ids(recommended(db, bob)) == [shower]
    db.rows("update public.audio_matches set moderator_dismissed_at = now()")
    assert sorted(ids(recommended(db, bob))) == sorted([copy, shower])


@pytest.mark.parametrize("labels", [[], ["rain"]], ids=["by sound", "by labels"])
def test_many_copies_take_no_places_of_what_may_be_offered(
    db: Database, alice: str, bob: str, labels: list[str]
) -> None:
    liked = heard(db, alice, at=(1.0,))
    others = {heard(db, alice, tags=["rain"]) for _ in range(12)}
    copies = db.rows(
        "insert into public.audio_files "
        "(user_id, title, file_path, tags, is_public, status, analysis_version) "
        "select %s, 'A copy', 'public/copy-' || n, '{rain}', true, 'ready', 'made' "
        "from generate_series(1, 120) n returning id",
        alice,
    )
    db.rows(
        "insert into public.audio_matches (audio_id, matched_audio_id, kind, confidence) "
        "select copy, %s, 'same_recording', 0.9 from unnest(%s::uuid[]) as copy",
        liked, [row["id"] for row in copies],
    )  # fmt: skip
    like(db, bob, liked)
    assert set(ids(recommended(db, bob, labels=labels))) == others


def test_what_was_heard_very_long_ago_is_not_offered_either(db: Database, alice: str, bob: str) -> None:
    rain, song, new = (heard(db, alice, at=(1.0, 0.1 * n)) for n in range(3))
    listen(db, bob, song, 60)
    db.rows(
        "insert into public.listening_events (user_id, audio_id, listened_s, started_at) "
        "select %s, %s, 60, now() + interval '1 second' from generate_series(1, 1000)",
        bob, rain,
    )  # fmt: skip
    rows = recommended(db, bob, seed=2)
    assert [(str(row["id"]), str(row["because_of"])) for row in rows] == [(new, rain)]


def test_what_is_being_analysed_anew_is_not_offered(db: Database, alice: str, bob: str) -> None:
    rain = heard(db, alice, at=(1.0,), tags=["rain"])
    assert ids(recommended(db, bob, labels=["rain"])) == [rain]
    db.rows("update public.audio_files set status = 'queued' where id = %s", rain)
    assert recommended(db, bob, labels=["rain"]) == []


def test_a_list_is_varied(db: Database, alice: str, bob: str) -> None:
    rain, song = heard(db, alice, at=(1.0,)), heard(db, alice, at=(0.0, 0.0, 1.0))
    for n in range(8):
        heard(db, alice, at=(1.0, 0.01 * n))
    heard(db, alice, at=(0.0, 0.6, 1.0))
    like(db, bob, rain)
    listen(db, bob, song, 5)
    first = ranked(recommended(db, bob, limit=4))[:3]
    assert {str(row["because_of"]) for row in first} == {rain, song}


# -- for whoever is new -----------------------------------------------------------------------------


def test_labels_are_where_a_new_user_begins(db: Database, alice: str, bob: str) -> None:
    for n in range(3):
        heard(db, alice, at=(1.0, 0.1 * n))
    rain = heard(db, alice, at=(0.0, 1.0), tags=["Rain", "night"])
    owl = heard(db, alice, at=(0.0, 0.0, 1.0), heard={"Owl": 0.4})
    both = heard(db, alice, at=(0.0, 0.0, 0.0, 1.0), tags=["RAIN"], heard={"Owl": 0.4})
    rows = ranked(recommended(db, bob, seed=2, labels=["rain", "Owl", " "]))
    assert ids(rows)[0] == both
    assert set(ids(rows[:3])) == {rain, owl, both}
    said = {str(row["id"]): (row["reason"], row["because"]) for row in rows[:3]}
    assert said[rain] == ("label", "because you like to hear rain")
    assert said[owl] == ("label", "because you like to hear owl")
    # Kept in the preferences it is the same; labels given with a call come before them.
    db.rows("update public.user_preferences set favourite_labels = '{Owl,rain}' where user_id = %s", bob)
    assert recommended(db, bob, seed=2) == recommended(db, bob, seed=2, labels=["rain", "Owl"])
    assert {row["reason"] for row in ranked(recommended(db, bob, seed=2, labels=[]))} == {"fresh"}


def test_whoever_is_not_signed_in_has_no_recommendations(db: Database) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        recommended(db, None)


def test_of_nothing_nothing_is_recommended(db: Database, bob: str) -> None:
    assert recommended(db, bob) == []
    assert recommended(db, bob, limit=0) == []


# -- by a model -------------------------------------------------------------------------------------


def test_a_model_says_what_suits_what_was_chosen(db: Database, alice: str, bob: str) -> None:
    liked, other = heard(db, alice, at=(1.0,), title="Rain"), heard(db, alice, at=(0.0, 1.0))
    suits, against = heard(db, alice), heard(db, alice)
    model(db, {liked: 3.0, other: -3.0, suits: 2.0, against: -2.0})
    like(db, bob, liked)
    rows = recommended(db, bob, seed=2)
    assert (str(rows[0]["id"]), rows[0]["reason"], str(rows[0]["because_of"])) == (suits, "taste", liked)
    assert rows[0]["because"].startswith("because it goes with what you choose, such as “Rain”")
    # A like counts in the next call.
    like(db, bob, other)
    db.rows("delete from public.likes where audio_id = %s", liked)
    assert ids(recommended(db, bob, seed=2))[0] == against


def test_a_skip_counts_against_what_a_model_puts_beside_it(db: Database, alice: str, bob: str) -> None:
    liked, skipped = heard(db, alice), heard(db, alice)
    beside_liked, beside_skipped = heard(db, alice), heard(db, alice)
    model(db, {liked: 0.5, skipped: 3.0, beside_liked: 0.0, beside_skipped: 2.0})
    like(db, bob, liked)
    scores = {str(row["id"]): row["score"] for row in recommended(db, bob)}
    assert scores[beside_skipped] > scores[beside_liked]
    for _ in range(3):
        listen(db, bob, skipped, 1)
    scores = {str(row["id"]): row["score"] for row in recommended(db, bob)}
    assert scores[beside_skipped] < scores[beside_liked]


def test_neighbours_of_what_was_chosen_are_a_reason(db: Database, alice: str, bob: str) -> None:
    liked, other = heard(db, alice, title="Rain"), heard(db, alice)
    chosen_too = heard(db, alice)
    made = model(db, {})
    # Places that say nothing: what has neighbours has one.
    db.rows(
        "insert into soundscape.item_factors (model_id, audio_id, is_listed, slot, place, key) "
        "select %s, id, true, 0, array_fill(0, array[32])::extensions.vector, "
        "array_fill(0, array[32])::extensions.vector from unnest(%s::uuid[]) as id",
        made, [liked, other],
    )  # fmt: skip
    for one, neighbour, weight in ((liked, chosen_too, 0.5), (other, liked, 0.9)):
        db.rows(
            "insert into soundscape.item_neighbours values (%s, %s, true, %s, true, %s)",
            made,
            one,
            neighbour,
            weight,
        )
    like(db, bob, liked)
    rows = recommended(db, bob, seed=2)
    assert (str(rows[0]["id"]), rows[0]["reason"], str(rows[0]["because_of"])) == (
        chosen_too,
        "together",
        liked,
    )
    assert rows[0]["because"].startswith("because others who chose “Rain” chose this too")
    assert (str(rows[1]["id"]), rows[1]["reason"]) == (other, "fresh")


def test_whoever_is_new_hears_what_is_popular_by_the_model(db: Database, alice: str, bob: str) -> None:
    first, second, third = (heard(db, alice, at=(1.0, n)) for n in range(3))
    model(db, {first: 1.0, second: 1.0, third: 1.0}, popularity={second: 0.9})
    rows = recommended(db, bob, seed=2)
    assert (str(rows[0]["id"]), rows[0]["reason"], rows[0]["because"]) == (
        second,
        "popular",
        "because many chose it",
    )


def test_a_reason_names_a_choice_or_says_that_there_is_no_single_one(
    db: Database, alice: str, bob: str
) -> None:
    old, suits = heard(db, alice, title="Old"), heard(db, alice)
    model(db, {old: 3.0, suits: 2.0})
    like(db, bob, old)
    db.rows("update public.likes set created_at = now() - interval '1 day'")
    # So many that the old one, which alone the model knows, is drawn for no lead.
    for _ in range(63):
        like(db, bob, heard(db, alice, title="Unknown to the model"))
    row = chosen_by_its_score(db, bob, suits)
    assert (row["reason"], row["because_of"]) == ("taste", None)
    assert row["because"] == "because it goes with what you choose"


def test_what_sounds_like_older_choices_alone_is_not_said_to_have_been_opened(
    db: Database, alice: str, bob: str
) -> None:
    old, suits = heard(db, alice, at=(1.0,), title="Old"), heard(db, alice, at=(1.0, 0.1))
    made = model(db, {old: 3.0})
    db.rows("update soundscape.recommendation_models set space = %s where id = %s", SPACE, made)
    like(db, bob, old)
    db.rows("update public.likes set created_at = now() - interval '1 day'")
    for _ in range(63):
        like(db, bob, heard(db, alice, title="Of no space"))
    row = chosen_by_its_score(db, bob, suits)
    assert (row["reason"], row["because_of"]) == ("taste", None)
    assert row["because"] == "because it goes with what you choose"


@pytest.mark.parametrize("reason", ["liked", "kept", "heard", "opened", "together", "taste"])
def test_no_sentence_quotes_a_title_that_is_not_there(db: Database, reason: str) -> None:
    said = db.value("select soundscape.reason_sentence(%s, null, null, '{}')", reason)
    assert said == "because it goes with what you choose"


def test_a_model_that_is_published_while_somebody_asks_answers_whole(
    db: Database, alice: str, bob: str
) -> None:
    """The answer is that of the model it is logged under."""
    liked, suits = heard(db, alice), heard(db, alice)
    before = model(db, {liked: 3.0, suits: 2.0})
    like(db, bob, liked)
    found: list[Row] = []

    def asking() -> None:
        with db.acting("authenticated", bob) as connection:
            found.extend(connection.execute("select * from public.recommended_audio(1, 2)").fetchall())
            found.extend(connection.execute("select * from public.impressions").fetchall())

    publishing = db.connect()
    # What was chosen cannot be read until the new model is in force.
    publishing.execute("lock table public.likes in access exclusive mode")
    thread = threading.Thread(target=asking)
    thread.start()
    waiting = "select count(*) from pg_locks where not granted and relation = 'public.likes'::regclass"
    while not db.value(waiting):
        time.sleep(0.02)
    publishing.execute("update soundscape.recommendation_models set state = 'retired'")
    after = publishing.execute(
        "insert into soundscape.recommendation_models (state, settings) "
        """values ('in_force', '{"alpha": 2, "skip": 1}') returning id"""
    ).fetchone()
    assert after is not None
    publishing.execute(
        "insert into soundscape.item_factors (model_id, audio_id, is_listed, slot, place, key) "
        "select %s, audio_id, true, 1, place, key from soundscape.item_factors where model_id = %s",
        (after["id"], before),
    )
    publishing.commit()
    thread.join(LIMIT_S)
    answer, impression = found
    assert (str(answer["id"]), impression["model_id"]) == (suits, after["id"])
    # What a model gives the best.
    assert answer["score"] == pytest.approx(0.4)


# -- exploration ------------------------------------------------------------------------------------


def test_one_place_in_ten_is_drawn_and_it_is_said_how_likely(db: Database, alice: str, bob: str) -> None:
    liked = heard(db, alice, at=(1.0,))
    sounds = [heard(db, alice, at=(1.0, 0.02 * n)) for n in range(14)]
    like(db, bob, liked)
    places: Counter[int] = Counter()
    drawn: Counter[str] = Counter()
    with db.acting("authenticated", bob) as connection:
        for seed in range(200):
            connection.execute("select from public.recommended_audio(10, %s)", (seed,))
        rows = connection.execute("select * from public.impressions where propensity is not null").fetchall()
    assert len(rows) == 200
    for row in rows:
        assert row["reason"] == "explore"
        # Fifteen less nine that got their places by their scores less the liked one.
        assert row["propensity"] == pytest.approx(1 / 5)
        places[row["place"]] += 1
        drawn[str(row["audio_id"])] += 1
    assert set(places) == set(range(1, 11))
    assert max(places.values()) < 45
    assert set(drawn) <= set(sounds)
    assert len(drawn) >= 5


def test_in_short_lists_too_one_place_in_ten_is_drawn(db: Database, alice: str, bob: str) -> None:
    for n in range(8):
        heard(db, alice, at=(1.0, 0.02 * n))
    drawn = sum(
        row["reason"] == "explore" for seed in range(100) for row in recommended(db, bob, limit=3, seed=seed)
    )
    assert 10 <= drawn <= 60


def test_a_seed_draws_the_same_and_none_draws_anew(db: Database, alice: str, bob: str) -> None:
    for n in range(12):
        heard(db, alice, at=(1.0, 0.02 * n))
    draws = [ids(recommended(db, bob, limit=6, seed=seed)) for seed in range(6)]
    assert ids(recommended(db, bob, limit=6, seed=3)) == draws[3]
    assert len({tuple(draw) for draw in draws}) > 1
    assert all(len(set(draw)) == 6 for draw in draws)
    anew = {tuple(ids(ask(db, "recommended_audio", bob, limit=6))) for _ in range(6)}
    assert len(anew) > 1
    assert len(recommended(db, bob, limit=100)) == 12
    for seed in (2**63 - 1, -(2**63)):
        assert len(recommended(db, bob, limit=100, seed=seed)) == 12


# -- impressions ------------------------------------------------------------------------------------


def test_every_answer_is_written_down_as_it_was_given(db: Database, alice: str, bob: str) -> None:
    liked = heard(db, alice, at=(1.0,))
    for n in range(12):
        heard(db, alice, at=(1.0, 0.1 * n))
    made = model(db, {liked: 1.0})
    like(db, bob, liked)
    with db.acting("authenticated", bob) as connection:
        rows = connection.execute("select * from public.recommended_audio(5, 3)").fetchall()
        connection.execute("select * from public.recommended_audio(5)")
        connection.execute("select * from public.recommended_audio(0)")
        shown = connection.execute("select * from public.impressions order by place").fetchall()
    assert len(shown) == 10
    first = [row for row in shown if row["seed"] == 3]
    assert [(row["audio_id"], row["reason"]) for row in first] == [(row["id"], row["reason"]) for row in rows]
    assert [row["score"] for row in first] == pytest.approx([row["score"] for row in rows])
    assert {row["model_id"] for row in shown} == {made}
    assert {str(row["user_id"]) for row in shown} == {bob}
    (again,) = {row["seed"] for row in shown} - {3}
    assert 0 <= again < 2**32
    kept = [row["audio_id"] for row in shown if row["seed"] == again]
    assert kept == [row["id"] for row in recommended(db, bob, limit=5, seed=again)]


def test_where_nothing_can_be_written_the_answer_is_the_same(db: Database, alice: str, bob: str) -> None:
    for n in range(5):
        heard(db, alice, at=(1.0, 0.1 * n))
    with db.acting("authenticated", bob) as connection:
        connection.execute("set transaction read only")
        rows = connection.execute("select * from public.recommended_audio(5, 3)").fetchall()
        assert connection.execute("select * from public.impressions").fetchall() == []
    assert rows == recommended(db, bob, limit=5, seed=3)


# -- what must not show -----------------------------------------------------------------------------


def test_what_others_do_in_private_changes_nothing(db: Database, alice: str, bob: str) -> None:
    carol = db.sign_up()
    sounds = [heard(db, alice, at=(1.0, 0.1 * n), tags=["rain"]) for n in range(6)]
    model(db, {sound: float(n) for n, sound in enumerate(sounds)}, popularity={sounds[2]: 0.5})
    like(db, bob, sounds[0])

    def answers() -> list[list[Row]]:
        return [
            *(recommended(db, bob, seed=seed, labels=["rain"]) for seed in range(4)),
            *(ask(db, "radio", bob, audio_id=sounds[0], seed=seed) for seed in range(4)),
            recommended(db, carol, seed=1),
        ]

    before = answers()
    for sound in sounds[2:]:
        for stranger in (alice, db.sign_up()):
            like(db, stranger, sound)
            keep(db, stranger, sound)
            listen(db, stranger, sound, 1)
            listen(db, stranger, sound, 60)
    private = heard(db, alice, at=(1.0, 0.01), tags=["rain"], public=False)
    hidden = heard(db, alice, at=(1.0, 0.02), tags=["rain"])
    db.rows("update public.audio_files set hidden_at = now(), hidden_reason = 'r' where id = %s", hidden)
    like(db, alice, private)
    assert answers() == before
    with db.acting("authenticated", alice) as connection:
        connection.execute("select from public.recommended_audio(5, 3)")
        connection.execute("select set_config('request.jwt.claims', %s, true)", (f'{{"sub": "{bob}"}}',))
        assert connection.execute("select * from public.impressions").fetchall() == []


def test_a_recording_that_became_private_is_as_one_that_was_deleted(
    db: Database, alice: str, bob: str
) -> None:
    sounds = [heard(db, alice, at=(1.0, 0.1 * n)) for n in range(6)]
    made = model(db, {sound: float(n) for n, sound in enumerate(sounds)}, popularity={sounds[5]: 0.5})
    db.rows(
        "insert into soundscape.item_neighbours values (%s, %s, true, %s, true, 1)",
        made,
        sounds[0],
        sounds[5],
    )
    like(db, bob, sounds[0])
    like(db, bob, sounds[5])
    db.rows("update public.audio_files set is_public = false where id = %s", sounds[5])
    private = [recommended(db, bob, seed=seed) for seed in range(4)]
    db.rows("delete from public.audio_files where id = %s", sounds[5])
    assert [recommended(db, bob, seed=seed) for seed in range(4)] == private


# -- radio ------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("limit", [1, 3, 20])
def test_radio_goes_on_from_the_last_one_where_nothing_similar_is_left(
    db: Database, alice: str, limit: int
) -> None:
    start = heard(db, alice, at=(1.0,))
    near = [heard(db, alice, at=(1.0, 0.1 * n)) for n in range(3)]
    # Neither is like the start, and each is the opposite of the other.
    islands = [{heard(db, alice, at=(0.0, side, 0.1 * n)) for n in range(4)} for side in (1.0, -1.0)]
    played: list[str] = []
    while rows := ask(db, "radio", audio_id=start, limit=limit, seed=7, played=played):
        assert rows == ask(db, "radio", audio_id=start, limit=limit, seed=7, played=played)
        assert [row["likeness"] > 0.9 for row in rows] == [str(row["id"]) in near for row in rows]
        played += ids(rows)
    assert set(played[:3]) == set(near)
    first = next(island for island in islands if played[3] in island)
    assert set(played[3:7]) == first
    assert sorted(played) == sorted([*near, *islands[0], *islands[1]])


def test_radio_does_not_end_after_a_thousand(db: Database, alice: str) -> None:
    start, first, second = (heard(db, alice, at=(1.0, 0.1 * n)) for n in range(3))
    # What was played before the latest thousand may come again.
    assert ids(ask(db, "radio", audio_id=start, played=[first, *[second] * 1000])) == [first]
    assert ask(db, "radio", audio_id=start, played=[first, *[second] * 999]) == []


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
