"""What models learn from and where they put recordings, told by the database alone."""

from __future__ import annotations

import json
import threading
from typing import Any

import psycopg
import pytest

from tests.waiting import LIMIT_S, until

from .conftest import Connection, Database
from .sounds import SPACE, heard

ONES = str([1.0] * 32)


def chosen(db: Database, *people: str) -> dict[str, float]:
    return {
        str(row["audio_id"]): row["weight"]
        for row in db.rows("select * from soundscape.choices(%s::uuid[])", list(people))
    }


def listen(db: Database, user: str, audio_id: str, seconds: float, *, completed: bool = False) -> None:
    db.rows(
        "insert into public.listening_events (user_id, audio_id, listened_s, completed) "
        "values (%s, %s, %s, %s)",
        user, audio_id, seconds, completed,
    )  # fmt: skip


def staged(db: Database, *, space: str | None = SPACE) -> tuple[str, int]:
    """A turn, and a model that puts every sound at its own first 32 values plus a half."""
    turn = db.value("select public.begin_fit()")["token"]
    model = {
        "space": space,
        "settings": {"alpha": 2, "skip": 1},
        "figures": {},
        "people": 1,
        "items": 1,
        "events": 1,
    }
    rows = [
        {
            "factor": factor,
            "weights": str([float(at == factor) for at in range(128)]), "intercept": 0.5,
            "key_weights": str([2.0 * (at == factor) for at in range(128)]), "key_intercept": 1,
        }
        for factor in range(32)
    ]  # fmt: skip
    return turn, db.value("select public.stage_model(%s, %s, %s)", turn, json.dumps(model), json.dumps(rows))


def in_force(db: Database) -> int:
    turn, model = staged(db)
    db.rows("select public.publish_model(%s, %s), public.end_fit(%s)", turn, model, turn)
    return model


def place(db: Database, audio_id: str) -> list[dict[str, Any]]:
    return db.rows(
        "select model_id, is_cold, place::text, key::text from soundscape.item_factors where audio_id = %s",
        audio_id,
    )


@pytest.mark.parametrize(
    ("seconds", "completed", "duration_s", "weight"),
    [
        (0.0, False, 100, 0.0),  # opened, and no more is known
        (5.0, False, 100, -1.0),  # a skip
        (19.0, False, 100, -1.0),
        (29.0, False, 100, 0.29),  # short, but a good part of it
        (50.0, False, 100, 0.5),
        (150.0, False, 100, 1.0),
        (3.0, True, 100, 1.0),  # somebody jumped to the end
        (120.0, False, 3600, 0.5),  # two minutes of an hour are no skip
        (600.0, False, 3600, 1.0),
        (36.0, False, None, 0.2),  # of three minutes, where nobody knows
    ],
)  # fmt: skip
def test_what_listening_says(
    db: Database, seconds: float, completed: bool, duration_s: float | None, weight: float
) -> None:
    found = db.value("select soundscape.listen_weight(%s::real, %s, %s)", seconds, completed, duration_s)
    assert found == pytest.approx(weight, abs=1e-6)


def test_likes_playlists_listening_and_skips_add_up(db: Database, alice: str, bob: str) -> None:
    liked, kept, played, skipped, both, often = (heard(db, alice, duration_s=100) for _ in range(6))
    for audio_id in (liked, both):
        db.rows("insert into public.likes (user_id, audio_id) values (%s, %s)", bob, audio_id)
    playlist = db.value("insert into public.playlists (user_id, title) values (%s, 'P') returning id", bob)
    for audio_id in (kept, kept, both):
        db.rows(
            "insert into public.playlist_items (playlist_id, audio_id) values (%s, %s)", playlist, audio_id
        )
    listen(db, bob, played, 60)
    for audio_id in (skipped, liked):
        for _ in range(5):
            listen(db, bob, audio_id, 2)
    for _ in range(9):
        listen(db, bob, often, 100, completed=True)
    assert chosen(db, bob) == pytest.approx(
        {liked: 1, kept: 2, both: 5, played: 0.6, skipped: -3, often: 3}, abs=1e-6
    )


def test_nothing_of_one_s_own_and_nothing_that_is_not_listed(db: Database, alice: str, bob: str) -> None:
    own, private, hidden, listed = (heard(db, alice) for _ in range(4))
    for user in (alice, bob):
        for audio_id in (own, private, hidden, listed):
            db.rows("insert into public.likes (user_id, audio_id) values (%s, %s)", user, audio_id)
    db.rows("update public.audio_files set is_public = false where id = %s", private)
    db.rows("update public.audio_files set hidden_at = now(), hidden_reason = 'r' where id = %s", hidden)
    assert set(chosen(db, alice, bob)) == {own, listed}
    assert chosen(db, alice) == {}
    page = db.value("select public.fit_history()")
    assert set(page["item"]) == {own, listed}
    assert set(page["user"]) == {bob}


def test_nobody_reads_what_others_chose(db: Database, alice: str, bob: str) -> None:
    audio_id = heard(db, alice)
    db.rows("insert into public.likes (user_id, audio_id) values (%s, %s)", bob, audio_id)
    with db.acting("authenticated", alice) as connection:
        assert connection.execute("select * from soundscape.choices(%s::uuid[])", ([bob],)).fetchall() == []
    with db.acting("authenticated", bob) as connection:
        assert (
            len(connection.execute("select * from soundscape.choices(%s::uuid[])", ([bob],)).fetchall()) == 1
        )


def test_a_listener_is_the_sum_of_keys(db: Database, alice: str) -> None:
    model = in_force(db)
    first, second = heard(db, alice, at=(1.0,)), heard(db, alice, at=(0.0, 1.0))
    listener = db.value(
        "select soundscape.listener_vector(%s, %s::uuid[], %s::real[])::text",
        model,
        [first, second],
        [3.0, -1.0],
    )
    # Keys are 2 · sound + 1; 3 has the confidence 1 + 2 · log2(4), a skip -1.
    assert json.loads(listener)[:3] == pytest.approx([5 * 3 - 1, 5 * 1 - 3, 5 - 1])


def test_the_middle_of_what_was_chosen_leaves_skips_out(db: Database, alice: str) -> None:
    model = in_force(db)
    first, second, skipped = (heard(db, alice, at=at) for at in ((1.0,), (0.0, 1.0), (0.0, 0.0, 1.0)))
    (found,) = db.rows(
        "select space, place::text from soundscape.centroid_of_choices(%s, %s::uuid[], %s::real[])",
        model, [first, second, skipped], [3.0, 1.0, -1.0],
    )  # fmt: skip
    # Confidences 1 + 2 · log2(1 + weight): 5 and 3.
    assert json.loads(found["place"])[:3] == pytest.approx([5 / 34**0.5, 3 / 34**0.5, 0], abs=1e-3)
    assert found["space"] == SPACE


def test_a_guess_is_the_map_of_the_sound(db: Database, alice: str) -> None:
    model = in_force(db)
    (found,) = place(db, heard(db, alice, at=(0.5, -0.25)))
    assert (found["model_id"], found["is_cold"]) == (model, True)
    assert json.loads(found["place"])[:3] == pytest.approx([1.0, 0.25, 0.5], abs=1e-3)
    assert json.loads(found["key"])[:3] == pytest.approx([2.0, 0.5, 1.0], abs=1e-3)


@pytest.mark.parametrize("given", [{"at": (1.0,), "public": False}, {"at": (1.0,), "space": "other"}, {}])
def test_no_place_for_what_is_private_of_another_space_or_without_a_sound(
    db: Database, alice: str, given: dict[str, Any]
) -> None:
    in_force(db)
    assert place(db, heard(db, alice, **given)) == []


def test_what_was_learnt_stays_when_a_recording_is_analysed_again(db: Database, alice: str) -> None:
    audio_id = heard(db, alice, at=(1.0,))
    turn, model = staged(db)
    item = {"id": audio_id, "place": ONES, "key": ONES, "popularity": 1, "neighbours": [], "weights": []}
    db.rows("select public.stage_items(%s, %s, %s)", turn, model, json.dumps([item]))
    db.rows("select public.publish_model(%s, %s)", turn, model)
    db.rows("update public.audio_embeddings set embedding = embedding where audio_id = %s", audio_id)
    (found,) = place(db, audio_id)
    assert (found["is_cold"], json.loads(found["place"])) == (False, [1.0] * 32)


def test_publishing_places_what_came_meanwhile(db: Database, alice: str) -> None:
    before = heard(db, alice, at=(1.0,))
    turn, model = staged(db)
    assert db.value("select public.stage_cold(%s, %s)", turn, model) == {"after": before, "placed": 1}
    assert db.value("select public.stage_cold(%s, %s, %s)", turn, model, before)["after"] is None
    meanwhile = heard(db, alice, at=(0.0, 1.0))
    db.rows("select public.publish_model(%s, %s)", turn, model)
    assert [row["model_id"] for row in place(db, meanwhile)] == [model]


def test_a_recording_that_is_being_placed_is_not_missed_by_the_next_model(db: Database, alice: str) -> None:
    """Its transaction knows the old model; publishing waits for it, and gives it a place in the new one."""
    in_force(db)
    audio_id = heard(db, alice, at=(1.0,), public=False)
    turn, model = staged(db)
    analysing, publishing = db.connect(), db.connect()
    analysing.execute("update public.audio_files set is_public = true where id = %s", (audio_id,))

    def publish(connection: Connection) -> None:
        connection.execute("select public.publish_model(%s, %s)", (turn, model))
        connection.commit()

    thread = threading.Thread(target=publish, args=(publishing,))
    thread.start()
    until(db.somebody_waits)
    assert thread.is_alive()
    analysing.commit()
    thread.join(LIMIT_S)
    assert model in {row["model_id"] for row in place(db, audio_id)}


def test_a_model_that_serves_is_not_written_to(db: Database, alice: str) -> None:
    turn, model = staged(db)
    db.rows("select public.publish_model(%s, %s)", turn, model)
    for statement in ("stage_items(%s, %s, '[]')", "stage_cold(%s, %s)", "publish_model(%s, %s)"):
        with pytest.raises(psycopg.Error, match="is not staged"):
            db.rows(f"select public.{statement}", turn, model)


def test_the_two_slots_take_turns(db: Database) -> None:
    for _ in range(3):
        in_force(db)
    slots = [row["slot"] for row in db.rows("select slot from soundscape.recommendation_models order by id")]
    assert slots == [0, 1, 0]


def test_neighbours_go_with_either_recording_and_with_the_model(db: Database, alice: str) -> None:
    sounds = [heard(db, alice, at=(1.0, 0.1 * n)) for n in range(4)]

    def left() -> set[tuple[str, str]]:
        rows = db.rows("select audio_id::text, neighbour_id::text from soundscape.item_neighbours")
        return {(row["audio_id"], row["neighbour_id"]) for row in rows}

    def pairs(*recordings: str) -> set[tuple[str, str]]:
        return {(one, other) for one in recordings for other in recordings if one != other}

    turn, model = staged(db)
    items = [
        {
            "id": one, "place": ONES, "key": ONES, "popularity": 1,
            "neighbours": [other for other in sounds if other != one], "weights": [0.5] * 3,
        }
        for one in sounds
    ]  # fmt: skip
    # In two parts: a neighbour need not have a place yet.
    for part in (items[:2], items[2:]):
        db.rows("select public.stage_items(%s, %s, %s)", turn, model, json.dumps(part))
    db.rows("select public.publish_model(%s, %s)", turn, model)
    assert left() == pairs(*sounds)
    db.rows("update public.audio_files set is_public = false where id = %s", sounds[0])
    assert left() == pairs(*sounds[1:])
    db.rows("delete from public.audio_files where id = %s", sounds[1])
    assert left() == pairs(*sounds[2:])
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        db.rows(
            "insert into soundscape.item_neighbours values (%s, %s, true, %s, true, 1)",
            model, sounds[0], sounds[2],
        )  # fmt: skip
    db.rows("update soundscape.recommendation_models set state = 'retired'")
    assert [db.value("select public.clear_models(%s, 1)", turn) for _ in range(3)] == [1, 1, 0]
    assert left() == set()
    assert db.value("select count(*) from soundscape.item_factors") == 0
