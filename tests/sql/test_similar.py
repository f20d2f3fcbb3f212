"""What sounds like what: under whose eyes, by which filter, in what order, and why."""

from __future__ import annotations

import json
import random
from typing import Any

import psycopg
import pytest

from .conftest import Database
from .sounds import SPACE, Row, analysed, ask, heard, place

UNKNOWN = "00000000-0000-4000-8000-0000000000ff"


def similar(db: Database, audio_id: str, user: str | None = None, **arguments: Any) -> list[str]:
    return [str(row["id"]) for row in ask(db, "similar_audio", user, audio_id=audio_id, **arguments)]


def test_the_nearest_come_first(db: Database, alice: str, bob: str) -> None:
    seed = heard(db, alice, at=(1.0, 0.0))
    near, nearer, far = (heard(db, bob, at=at) for at in ((1.0, 0.5), (1.0, 0.1), (1.0, 5.0)))
    assert similar(db, seed) == [nearer, near, far]
    assert similar(db, seed, limit=2) == [nearer, near]
    assert similar(db, seed, limit=0) == []


def test_each_sees_what_each_may(db: Database, alice: str, bob: str) -> None:
    seed = heard(db, alice, at=(1.0,))
    listed = heard(db, alice, at=(1.0, 0.2))
    private = heard(db, alice, at=(1.0, 0.1), public=False)
    hidden = heard(db, alice, at=(1.0, 0.3))
    db.rows("update public.audio_files set hidden_at = now(), hidden_reason = 'r' where id = %s", hidden)
    bobs = heard(db, bob, at=(1.0, 0.4), public=False)
    assert similar(db, seed) == [listed]
    assert similar(db, seed, alice) == [private, listed, hidden]
    assert similar(db, seed, bob) == [listed, bobs]
    db.rows("insert into public.user_roles (user_id, role) values (%s, 'moderator')", bob)
    assert similar(db, seed, bob) == [listed, hidden, bobs]
    assert similar(db, seed, bob, max_duration_s=60) == [listed, hidden, bobs]
    assert similar(db, seed, bob, max_duration_s=5) == []
    assert [str(row["id"]) for row in ask(db, "similar_audio", role="service_role", audio_id=seed)] == [
        private, listed, hidden, bobs,
    ]  # fmt: skip


def test_the_parts_sum_to_the_score(db: Database, alice: str) -> None:
    seed = heard(db, alice, at=(1.0,), tempo_bpm=120, key="C", mode="major", heard={"Rain": 0.8})
    heard(db, alice, at=(1.0, 1.0), tempo_bpm=60, key="A", mode="minor", heard={"Rain": 0.4, "Wind": 0.4})
    heard(db, alice, at=(1.0,), tempo_bpm=120, key="C", mode="major", heard={"Rain": 0.8})
    heard(db, alice, at=(1.0, 5.0), tempo_bpm=85, key="F#", mode="major", heard={"Speech": 1.0})
    twin, relative, stranger = ask(db, "similar_audio", audio_id=seed)
    for row in (twin, relative, stranger):
        assert row["score"] == row["timbre"] + row["rhythm"] + row["tonality"] + row["tags"]
    assert twin["score"] == pytest.approx(1.0, abs=1e-3)
    # Half the tempo is the same beat, and the relative minor has the same notes.
    assert relative["timbre"] == pytest.approx(0.7 / 2**0.5, abs=1e-3)
    assert relative["rhythm"] == pytest.approx(0.1)
    assert relative["tonality"] == pytest.approx(0.1 * 0.9)
    assert relative["tags"] == pytest.approx(0.1 * 0.4 / 1.2)
    assert stranger["timbre"] == pytest.approx(0.7 / 26**0.5, abs=1e-3)
    assert (stranger["tonality"], stranger["tags"]) == (0, 0)
    assert stranger["recording"]


FAR = [(0.0, 1.0), (-1e-8, 1.0), (-1.0,), (1.0, 7.0)]  # cosines with (1, 0, …): 0, just below, -1 and 0.14


@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize("arguments", [{}, {"diversity": 0.5}, {"min_duration_s": 1}])
def test_what_is_not_similar_fills_no_list(db: Database, alice: str, public: bool, arguments: Row) -> None:
    """However short the list is, and however much else two recordings have in common."""
    has: Row = {"tempo_bpm": 120, "key": "C", "mode": "major", "heard": {"Rain": 0.8}, "public": public}
    seed = heard(db, alice, at=(1.0,), **has)
    near = heard(db, alice, at=(1.0, 5.0), **has)
    far = [heard(db, alice, at=at, **has) for at in FAR]
    assert similar(db, seed, alice, **arguments) == [near]
    found = ask(db, "similar_to_embedding", alice, space=SPACE, embedding=place(1.0), **arguments)
    assert [str(row["id"]) for row in found] == [seed, near]
    with db.acting("authenticated", alice) as connection:
        walked = connection.execute("select id from public.radio(%s)", [seed]).fetchall()
    # Only the radio goes on with what is not similar, after all that is.
    assert str(walked[0]["id"]) == near
    assert {str(row["id"]) for row in walked[1:]} == set(far)


def test_diversity_takes_what_is_unlike_what_it_took(db: Database, alice: str) -> None:
    seed = heard(db, alice, at=(1.0,))
    twins = [heard(db, alice, at=(1.0, 0.3 + 0.001 * n)) for n in range(3)]
    other = heard(db, alice, at=(1.0, 0.0, 0.6))
    assert similar(db, seed, limit=2) == twins[:2]
    assert similar(db, seed, limit=2, diversity=0.5) == [twins[0], other]
    assert sorted(similar(db, seed, diversity=1)) == sorted([*twins, other])


@pytest.mark.parametrize("arguments", [{"limit": -1}, {"limit": 501}, {"diversity": 1.5}, {"diversity": -0.1},
                                       {"key": "H"}, {"mode": "dorian"}])  # fmt: skip
def test_arguments_that_mean_nothing_are_refused(db: Database, alice: str, arguments: Row) -> None:
    seed = heard(db, alice, at=(1.0,))
    with pytest.raises(psycopg.Error) as refused:
        similar(db, seed, **arguments)
    assert refused.value.sqlstate == "22023"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"min_tempo_bpm": 100, "max_tempo_bpm": 130}, "fast"),
        ({"max_tempo_bpm": 90}, "slow"),
        ({"key": "bb"}, "fast"),
        ({"key": "A", "mode": "Minor"}, "slow"),
        ({"min_duration_s": 20}, "fast"),
        ({"max_duration_s": 20}, "slow"),
        ({"min_loudness_lufs": -15}, "slow"),
        ({"max_loudness_lufs": -15}, "fast"),
        ({"labels": ["RÁIN"]}, "fast"),
        ({"labels": ["Bird"]}, "slow"),
        ({"labels": ["rain", "night"]}, "fast"),
        ({"labels": ["rain", "bird"]}, ""),
        ({"license": "CC0-1.0"}, "slow"),
        ({"license": "CC0-1.0", "min_tempo_bpm": 100}, ""),
    ],
)
def test_filters(db: Database, alice: str, arguments: Row, expected: str) -> None:
    seed = heard(db, alice, at=(1.0,))
    found = {
        heard(db, alice, at=(1.0, 0.1), tempo_bpm=120, key="A#", mode="major", duration_s=30, lufs=-20,
              tags=["Rain", "Night"], license="CC-BY-4.0"): "fast",
        heard(db, alice, at=(1.0, 0.2), tempo_bpm=80, key="A", mode="minor", duration_s=10, lufs=-12,
              heard={"Bird": 0.5}, license="CC0-1.0"): "slow",
    }  # fmt: skip
    for user in (None, alice):
        assert [found[audio_id] for audio_id in similar(db, seed, user, **arguments)] == [expected] * bool(
            expected
        )


def test_spaces_are_never_compared(db: Database, alice: str) -> None:
    seed = heard(db, alice, at=(1.0,))
    heard(db, alice, at=(1.0,), space="descriptors-128-v4")
    assert similar(db, seed, alice) == []


@pytest.mark.parametrize("public", [True, False])
def test_what_is_not_placed_has_no_neighbours(db: Database, alice: str, public: bool) -> None:
    silent = heard(db, alice, public=public)
    heard(db, alice, at=(1.0,))
    assert similar(db, silent, alice) == []


def test_to_a_place_that_the_caller_brings(db: Database, alice: str) -> None:
    first, second = heard(db, alice, at=(1.0, 0.1)), heard(db, alice, at=(1.0, 1.0))
    heard(db, alice, at=(0.0, 1.0))
    found = ask(db, "similar_to_embedding", space=SPACE, embedding=place(40_000.0, 1.0))
    assert [str(row["id"]) for row in found] == [first, second]
    assert all(row["score"] == row["timbre"] for row in found)
    assert ask(db, "similar_to_embedding", space="elsewhere", embedding=place(1.0)) == []


@pytest.mark.parametrize(
    "embedding",
    [None, [], [1.0] * 127, [1.0] * 129, place(), place(float("nan")), place(float("inf")),
     place(1e300), place(1e-300),     [None, *[1.0] * 127], [[1.0] * 64, [1.0] * 64], [1.0] * 100_000],
)  # fmt: skip
def test_a_place_that_is_none_is_refused(db: Database, embedding: Any) -> None:
    with pytest.raises(psycopg.Error, match="128 finite numbers") as refused:
        ask(db, "similar_to_embedding", space=SPACE, embedding=embedding)
    assert refused.value.sqlstate == "22023"


def test_a_private_recording_is_like_one_that_does_not_exist(db: Database, alice: str, bob: str) -> None:
    private = heard(db, alice, at=(1.0,), public=False)
    told = set()
    for audio_id in (private, UNKNOWN):
        for user in (bob, None):
            with pytest.raises(psycopg.Error) as refused:
                similar(db, audio_id, user)
            told.add(
                (
                    refused.value.sqlstate,
                    str(refused.value).partition("\n")[0],
                    refused.value.diag.message_hint,
                )
            )
    assert told == {("PT404", "There is no such recording.", None)}


def test_neighbours_are_as_if_private_recordings_were_not_there(db: Database, alice: str, bob: str) -> None:
    """Which, how many, in what order, with what score: also where diversity or a filter had to choose."""
    seed = heard(db, alice, at=(1.0,), heard={"Rain": 0.5})
    for n in range(4):
        heard(db, alice, at=(1.0, 0.1 * n), heard={"Rain": 0.2 * n}, title=f"Public {n}")
    private = [heard(db, alice, at=(1.0, 0.1 * n), heard={"Rain": 0.5}, public=False) for n in range(4)]

    def told() -> list[list[Row]]:
        variants: list[Row] = [
            {},
            {"limit": 2},
            {"diversity": 0.7},
            {"labels": ["rain"]},
            {"min_duration_s": 1},
        ]
        return [
            [row | {"recording": None} for row in ask(db, "similar_audio", user, audio_id=seed, **arguments)]
            for user in (None, bob)
            for arguments in variants
        ]

    before = told()
    assert set(private) < set(similar(db, seed, alice))
    db.rows("delete from public.audio_files where id = any(%s::uuid[])", private)
    assert told() == before


def test_freshly_completed_is_found_in_the_same_transaction(db: Database, alice: str) -> None:
    seed = heard(db, alice, at=(1.0,))
    audio_id = db.recording(alice)
    (held,) = db.claim()
    result = analysed(at=(1.0, 0.1), heard={"Bagpipes": 0.9}) | {"waveform": {"path": "w.dat"}}
    with db.connection.transaction():
        db.rows("select public.complete_job(%s, %s, %s)", held.job_id, held.token, json.dumps(result))
        claims = json.dumps({"role": "authenticated", "sub": alice})
        db.rows("set local role authenticated")
        db.rows("select set_config('request.jwt.claims', %s, true)", claims)
        found = db.rows("select id from public.similar_audio(%s)", seed)
        by_word = db.rows("select id from public.search_audio('bagpipes', labels => array['bagpipes'])")
        (counted,) = db.rows("select recordings from public.search_facets('bagpipes') where facet = 'all'")
    assert [str(row["id"]) for row in found] == [str(row["id"]) for row in by_word] == [audio_id]
    assert counted["recordings"] == 1


def test_what_was_heard_stands_with_the_recording(db: Database, alice: str) -> None:
    audio_id = heard(db, alice, at=(1.0,), heard={"Rain": 0.8, "Wind": 0.25}, tags=["Été"])
    file = db.file(audio_id)
    assert file["heard"] == {"Rain": 0.8, "Wind": 0.25}
    assert file["labels"] == ["ete", "rain", "wind"]
    db.rows("delete from public.audio_tags where audio_id = %s and label = 'Wind'", audio_id)
    db.rows("update public.audio_tags set confidence = 0.5 where audio_id = %s", audio_id)
    assert db.file(audio_id)["heard"] == {"Rain": 0.5}
    db.rows("update public.audio_tags set confidence = 0.3 where audio_id = %s", audio_id)
    assert db.file(audio_id)["heard"] == {}
    db.remove(file["file_path"])
    assert db.file(audio_id)["heard"] == {}


def test_as_many_as_asked_for_when_few_are_seen(db: Database, alice: str, bob: str) -> None:
    """Most of what lies nearest belongs to somebody else; the answer is full all the same."""
    chance = random.Random(7)
    for owner, count, public in ((alice, 40, False), (bob, 15, False), (alice, 10, True)):
        for _ in range(count):
            # As near to the seed as to be similar, in any direction beside.
            heard(db, owner, at=[11.0, *(chance.gauss(0, 1) for _ in range(127))], public=public)
    seed = heard(db, bob, at=(1.0,), public=False)
    assert len(similar(db, seed, bob, limit=25)) == 25
    assert len(similar(db, seed, bob, limit=30)) == 25


def test_what_people_call_a_sound_counts_once_however_it_is_written(db: Database, alice: str) -> None:
    seed = heard(db, alice, at=(1.0,), tags=["Été", "rain", "Rain", "RAIN"], heard={})
    twin = heard(db, alice, at=(1.0,), tags=["ete", "RAIN"], heard={})
    half = heard(db, alice, at=(1.0,), tags=["rain", "night"], heard={"Rain": 0.0})
    found = {str(row["id"]): row["tags"] for row in ask(db, "similar_audio", audio_id=seed)}
    assert found == {twin: pytest.approx(0.1), half: pytest.approx(0.1 / 3)}
    # From either side, and as soon as a word changes.
    back = {str(row["id"]): row["tags"] for row in ask(db, "similar_audio", audio_id=half)}
    assert back[seed] == pytest.approx(0.1 / 3)
    db.rows("update public.audio_files set tags = '{}' where id = %s", twin)
    assert {str(row["id"]): row["tags"] for row in ask(db, "similar_audio", audio_id=seed)}[twin] == 0


def test_what_is_compared_follows_what_was_measured(db: Database, alice: str) -> None:
    seed = heard(db, alice, at=(1.0,), tempo_bpm=120, key="C", mode="major")
    other = heard(db, alice, at=(1.0,), tempo_bpm=120, key="C", mode="major")
    (before,) = ask(db, "similar_audio", audio_id=seed)
    assert (before["rhythm"], before["tonality"]) == (pytest.approx(0.1), pytest.approx(0.1))
    db.rows(
        "update public.audio_features set tempo_bpm = 150, key = 'F#', onset_rate_hz = 7 where audio_id = %s",
        other,
    )
    (after,) = ask(db, "similar_audio", audio_id=seed)
    assert (after["rhythm"], after["tonality"]) == (pytest.approx(0), pytest.approx(0))


def test_a_place_without_a_direction_is_refused(db: Database, alice: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        heard(db, alice, at=(0.0,))


PLACES = 900


@pytest.fixture
def crowd(db: Database, alice: str) -> dict[str, list[float]]:
    """Public recordings at random places, every ninth in another space, every third with a tempo."""
    chance = random.Random(11)
    places: dict[str, list[float]] = {}
    for number in range(PLACES):
        # The first number is the same for all: any two have a cosine of about 0.4.
        values = [9.0, *(chance.gauss(0, 1) for _ in range(127))]
        length = sum(value**2 for value in values) ** 0.5
        places[f"10000000-0000-4000-8000-{number:012d}"] = [round(value / length, 3) for value in values]
    ids, texts = list(places), [str(values) for values in places.values()]
    db.rows(
        "insert into public.audio_files (id, user_id, title, file_path, is_public) "
        "select id, %s, 'A sound', 'public/' || id, true from unnest(%s::uuid[]) as id",
        alice, ids,
    )  # fmt: skip
    db.rows(
        "insert into public.audio_features (audio_id, user_id, is_listed, object_version, analysis_version, "
        "duration_s, tempo_bpm, sha256, waveform_path, descriptors) "
        "select id, %s, true, '1', '1', 1, case when place %% 3 = 0 then 120 end, repeat('0', 64), 'w', '{}' "
        "from unnest(%s::uuid[]) with ordinality as i (id, place)",
        alice, ids,
    )  # fmt: skip
    db.rows(
        "insert into public.audio_embeddings (audio_id, space, user_id, is_listed, embedding) "
        "select id, case when place %% 9 = 0 then 'elsewhere' else %s end, %s, true, at::extensions.halfvec "
        "from unnest(%s::uuid[], %s::text[]) with ordinality as p (id, at, place)",
        SPACE, alice, ids, texts,
    )  # fmt: skip
    db.rows("analyze public.audio_embeddings")
    return places


@pytest.mark.parametrize("filtered", [False, True])
def test_the_graph_finds_what_an_exact_comparison_finds(
    db: Database, crowd: dict[str, list[float]], filtered: bool
) -> None:
    """Asked for few enough that the graph's answer is the answer, and not the exact scan behind it."""
    numbers = list(enumerate(crowd, start=1))
    left_out = [audio_id for number, audio_id in numbers if number % 7 == 0]
    here = [
        audio_id
        for number, audio_id in numbers
        if number % 9 and number % 7 and not (filtered and number % 3)
    ]
    right = asked = 0
    # Whoever sees everything asks the graph, however few pass the filter.
    with db.acting("service_role") as connection:
        connection.execute("set local enable_seqscan = off")
        connection.execute("set local enable_bitmapscan = off")
        connection.execute("set local enable_sort = off")
        for seed in here[:40]:
            rows = connection.execute(
                "select audio_id, cosine from soundscape.nearest(%s, %s::extensions.halfvec, 10, "
                "soundscape.audio_filter(%s, null, null, null, null, null, null, null, null, null), "
                "%s::uuid[])",
                (SPACE, str(crowd[seed]), 100 if filtered else None, left_out),
            ).fetchall()
            cosines = [row["cosine"] for row in rows]
            assert len(rows) == 10
            assert cosines == sorted(cosines, reverse=True)
            assert {str(row["audio_id"]) for row in rows} <= set(here)
            exact = sorted(here, key=lambda other: -_cosine(crowd[seed], crowd[other]))[:10]
            right += len({str(row["audio_id"]) for row in rows} & set(exact))
            asked += 10
        (used,) = connection.execute(
            "select pg_stat_get_xact_numscans('public.audio_embeddings_public'::regclass) as scans"
        ).fetchall()
    assert used["scans"] == 40
    assert right / asked >= 0.97


def _cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
