"""Where a recording was made: stored no finer than its owner wants, and found within a radius."""

from __future__ import annotations

import json
import math
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import Database, Row

EARTH_M = 6_371_000.0
PRECISIONS = (1, 10, 100, 1000, 10_000, 100_000)
# Half of it is no number any more: Postgres refuses what would be smaller.
TINIEST = math.ulp(0.0)


def distance_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """By vectors, which needs no haversine."""

    def vector(place: tuple[float, float]) -> tuple[float, float, float]:
        lat, lon = math.radians(place[0]), math.radians(place[1])
        return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)

    u, v = vector(a), vector(b)
    cross = math.hypot(u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0])
    return EARTH_M * math.atan2(cross, sum(p * q for p, q in zip(u, v, strict=True)))


def place(db: Database, owner: str, latitude: float, longitude: float, **columns: Any) -> str:
    audio_id = db.describe(f"{owner}/{db.value('select gen_random_uuid()')}.wav", owner=owner)
    given = {"latitude": latitude, "longitude": longitude, "location_precision_m": 1, **columns}
    names = ", ".join(f"{name} = %s" for name in given)
    db.rows(f"update public.audio_files set {names} where id = %s", *given.values(), audio_id)
    return audio_id


def stored(db: Database, audio_id: str) -> tuple[float, float]:
    row = db.file(audio_id)
    return row["latitude"], row["longitude"]


def nearby(db: Database, user: str, *arguments: Any, **named: Any) -> list[Row]:
    names = "".join(f', "{name}" => %s' for name in named)
    slots = ", ".join(["%s"] * len(arguments))
    with db.acting("authenticated" if user else "anon", user) as session:
        return session.execute(
            f"select id::text, distance_m from public.nearby_audio({slots}{names})",
            (*arguments, *named.values()),
        ).fetchall()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    latitude=st.floats(-90, 90), longitude=st.floats(-180, 180), precision=st.sampled_from(PRECISIONS),
)  # fmt: skip
def test_no_finer_than_the_owner_wants_and_not_much_coarser(
    db: Database, latitude: float, longitude: float, precision: int
) -> None:
    owner = db.sign_up()
    audio_id = place(db, owner, latitude, longitude, location_precision_m=precision)
    found = stored(db, audio_id)
    # Within the cell's half diagonal, and a tenth of a metre for the decimals.
    assert distance_m(found, (latitude, longitude)) <= precision * math.sqrt(0.5) * 1.02 + 0.2
    # Another point of the same cell is stored as the same place.
    again = place(db, owner, *found, location_precision_m=precision)
    assert stored(db, again) == found


def test_neighbours_in_a_cell_cannot_be_told_apart(db: Database, alice: str) -> None:
    first = place(db, alice, 52.516, 13.377, location_precision_m=10_000)
    second = place(db, alice, 52.520, 13.405, location_precision_m=10_000)
    assert stored(db, first) == stored(db, second)


def test_a_kilometre_unless_said_otherwise(db: Database, alice: str) -> None:
    audio_id = db.describe(f"{alice}/a.wav", owner=alice)
    db.rows(
        "update public.audio_files set latitude = 52.516275, longitude = 13.377704 where id = %s", audio_id
    )
    assert 50 < distance_m(stored(db, audio_id), (52.516275, 13.377704)) < 710


def test_coarser_at_once_and_finer_only_with_the_place(db: Database, alice: str) -> None:
    audio_id = place(db, alice, 52.516275, 13.377704, location_precision_m=10)
    update = "update public.audio_files set location_precision_m = %s where id = %s"
    db.rows(update, 100_000, audio_id)
    coarse = stored(db, audio_id)
    assert distance_m(coarse, (52.516275, 13.377704)) > 1000
    with pytest.raises(psycopg.errors.CheckViolation, match="stored to 100000 m only"):
        db.rows(update, 10, audio_id)
    db.rows(
        "update public.audio_files set location_precision_m = 10, latitude = 52.516275, longitude = 13.377704"
        " where id = %s",
        audio_id,
    )
    assert distance_m(stored(db, audio_id), (52.516275, 13.377704)) < 10
    db.rows("update public.audio_files set latitude = null, longitude = null where id = %s", audio_id)
    assert stored(db, audio_id) == (None, None)


@pytest.mark.parametrize(
    "change",
    ["latitude = 91, longitude = 0", "latitude = 0, longitude = 181", "latitude = 1", "longitude = 1",
     "latitude = 'NaN', longitude = 0", "location_precision_m = 5"],
)  # fmt: skip
def test_no_place_at_all(db: Database, alice: str, change: str) -> None:
    audio_id = db.describe(f"{alice}/a.wav", owner=alice)
    with pytest.raises(psycopg.errors.CheckViolation):
        db.rows(f"update public.audio_files set {change} where id = %s", audio_id)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places=st.lists(
        st.one_of(
            st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
            # Beside the date line and the poles.
            st.tuples(st.floats(-1, 1), st.sampled_from([-180.0, -179.9, 179.9, 180.0])),
            st.tuples(st.sampled_from([-90.0, -89.9, 89.9, 90.0]), st.floats(-180, 180)),
        ),
        min_size=2, max_size=6,
    ),
    radius_m=st.floats(1, 1_000_000),
)  # fmt: skip
def test_all_within_the_radius_and_nothing_else(
    db: Database, places: list[tuple[float, float]], radius_m: float
) -> None:
    owner = db.sign_up()
    centre, *others = places
    ids = {place(db, owner, *other): other for other in others}
    found = {row["id"]: row["distance_m"] for row in nearby(db, owner, *centre, radius_m)}
    for audio_id in ids:
        expected_m = distance_m(centre, stored(db, audio_id))
        if audio_id in found:
            assert found[audio_id] == pytest.approx(expected_m, rel=1e-3, abs=0.5)
        # Some millimetres are left to arithmetic.
        if abs(expected_m - radius_m) > max(0.5, 1e-3 * radius_m):
            assert (audio_id in found) is (expected_m < radius_m)


def test_the_nearest_first(db: Database, alice: str, bob: str) -> None:
    far, near, nearest = (
        place(db, alice, 52.5 + north, 13.4, is_public=north < 0.05) for north in (0.05, 0.01, 0.001)
    )
    assert [row["id"] for row in nearby(db, alice, 52.5, 13.4)] == [nearest, near, far]
    assert [row["id"] for row in nearby(db, alice, 52.5, 13.4, 10_000, 2)] == [nearest, near]
    assert [row["id"] for row in nearby(db, bob, 52.5, 13.4)] == [nearest, near]
    assert [row["id"] for row in nearby(db, "", 52.5, 13.4)] == [nearest, near]
    assert nearby(db, "", -52.5, 13.4) == []


@pytest.mark.parametrize(
    "arguments",
    [(91, 0), (0, 181), (None, 0), (math.nan, 0), (0, math.nan), (math.inf, 0), (0, -math.inf),
     (0, 0, 0), (0, 0, 2e6), (0, 0, None), (0, 0, math.nan), (0, 0, math.inf), (0, 0, TINIEST),
     (0, 0, 10, -1), (0, 0, 10, 501)],
)  # fmt: skip
def test_questions_that_are_none(db: Database, alice: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refused:
        nearby(db, alice, *arguments)
    assert refused.value.diag.message_hint


@pytest.mark.parametrize("degrees", [TINIEST, -TINIEST, 1e-300, -1e-162])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_places_a_hair_from_zero(db: Database, alice: str, degrees: float, precision: int) -> None:
    audio_id = place(db, alice, degrees, degrees, location_precision_m=precision)
    assert stored(db, audio_id) == (0, 0)
    for here in ((degrees, degrees), (0, degrees), (degrees, 0)):
        assert [row["id"] for row in nearby(db, alice, *here, 1)] == [audio_id]


def test_the_index_serves_strangers_too(db: Database, alice: str, bob: str) -> None:
    """Row level security lets only leakproof operators into an index."""
    db.rows(
        "insert into public.audio_files"
        " (user_id, title, file_path, is_public, latitude, longitude, location_precision_m)"
        " select %s, 'A', format('public/%%s-%%s', %s::text, n), true,"
        " -90 + n / 100 * 0.9, -180 + n %% 100 * 3.6, 1 from generate_series(0, 19999) as n",
        *(alice, alice),
    )
    db.rows("analyze public.audio_files")
    with db.acting("authenticated", bob) as session:
        # Within a function: EXPLAIN itself is refused.
        session.execute(
            "create function pg_temp.plan() returns json language plpgsql as $$ declare found json; begin"
            " execute 'explain (format json) select f.id from public.audio_files f"
            " where f.latitude between 52.4 and 52.6 and f.longitude between 13.2 and 13.6' into found;"
            " return found; end $$"
        )
        plan = session.execute("select pg_temp.plan() as plan").fetchone()
    assert plan is not None
    assert "audio_files_by_place" in json.dumps(plan["plan"])
    # The grid's points are 0.9 degrees of latitude apart, 100 km, and 3.6 of longitude, 400 km.
    found = nearby(db, bob, 0, 0, 250_000, 500)
    assert [round(row["distance_m"], -4) for row in found] == [0, 100_000, 100_000, 200_000, 200_000]
