"""Finding recordings by words and by what was measured: matches, order, pages, counts."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from .conftest import Database
from .sounds import Row, ask, heard


def search(db: Database, query: str | None = None, user: str | None = None, **arguments: Any) -> list[str]:
    """The titles that are found."""
    rows = ask(db, "search_audio", user, query=query, **arguments)
    return [db.file(str(row["id"]))["title"] for row in rows]


def facets(db: Database, query: str | None = None, user: str | None = None, **arguments: Any) -> Row:
    """Counts by facet and value."""
    found: Row = {}
    for row in ask(db, "search_facets", user, query=query, **arguments):
        found.setdefault(row["facet"], {})[row["value"]] = row["recordings"]
    return found


@pytest.fixture
def library(db: Database, alice: str, bob: str) -> str:
    """A few recordings of alice's, one of them private, and one of bob's that is hidden."""
    heard(
        db,
        alice,
        title="Regen im Frühling",
        tags=["weather"],
        heard={"Rain": 0.9},
        duration_s=30,
        tempo_bpm=120,
        key="A",
        mode="minor",
        license="CC0-1.0",
    )
    heard(
        db,
        alice,
        title="Thunder over the river",
        heard={"Rain": 0.3, "Thunder": 0.7},
        duration_s=90,
        tempo_bpm=80,
    )
    heard(
        db,
        alice,
        title="Guitar at night",
        tags=["Folk"],
        duration_s=200,
        tempo_bpm=100,
        key="A",
        mode="minor",
    )
    heard(db, alice, title="Secret thunder", tags=["diary"], public=False, license="CC-BY-NC-4.0")
    hidden = heard(db, bob, title="Hidden thunder", tags=["forbidden"])
    db.rows("update public.audio_files set hidden_at = now(), hidden_reason = 'r' where id = %s", hidden)
    return alice


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("thunder", {"Thunder over the river"}),
        ("THUNDER River", {"Thunder over the river"}),
        ("thu", {"Thunder over the river"}),
        ("fruhling", {"Regen im Frühling"}),
        ("FRÜHLING", {"Regen im Frühling"}),
        ("weather", {"Regen im Frühling"}),
        ("rain", {"Regen im Frühling", "Thunder over the river"}),
        ("rain -thunder", {"Regen im Frühling"}),
        ('"over the river"', {"Thunder over the river"}),
        ('"the over"', set()),
        ("guitar or weather", {"Guitar at night", "Regen im Frühling"}),
        ("guitar weather", set()),
        ("thundr", {"Thunder over the river"}),
        ("guittar nigt", {"Guitar at night"}),
        ("guittar -night", set()),
        ("guittar or weathr", {"Guitar at night", "Regen im Frühling"}),
        ("guittar or weathr -rain", {"Guitar at night"}),
        ("guittar or xylophone", {"Guitar at night"}),
        ("guittar of nigt", {"Guitar at night"}),
        ("guittar xylophone", set()),
        ("guittar weathr", set()),
        ("xylophone -guitar", set()),
        ("xylophone", set()),
        ("thundr 2020", set()),
        ("!!! ' \\ : & |", set()),
        ("' or 1=1 --", set()),
    ],
)
def test_words(db: Database, library: str, query: str, expected: set[str]) -> None:
    assert set(search(db, query)) == expected


NAMES = (
    "night_recording_01.wav",
    "2024-05-01 field trip",
    "AC/DC live",
    "Burial - Archangel",
    "rain",
    "rain thunderstorm",
    "https://example.org/owl.mp3",
    "état-major",
    "雨の音",
    "हिन्दी गीत",
)
WITHIN_NAMES: dict[str, set[str]] = {
    "recording 01": {"night_recording_01.wav"},
    "01": {"night_recording_01.wav", "2024-05-01 field trip"},
    "night_rec": {"night_recording_01.wav"},
    "night_recording_01.wav": {"night_recording_01.wav"},
    "05": {"2024-05-01 field trip"},
    "2024 05": {"2024-05-01 field trip"},
    '"2024-05-01"': {"2024-05-01 field trip"},
    "dc": {"AC/DC live"},
    "ac/dc": {"AC/DC live"},
    "example owl": {"https://example.org/owl.mp3"},
    "Major": {"état-major"},
    "Burial - Archangel": {"Burial - Archangel"},
    "burial -- arch": {"Burial - Archangel"},
    "burial -archangel": set(),
    "rain - thunder": {"rain thunderstorm"},
    'rain -" thunder': {"rain thunderstorm"},
    "rain -thunder": {"rain", "rain thunderstorm"},
    "rain -thunderstorm —": {"rain"},
    'rain -"thunderstorm': {"rain thunderstorm"},
    'rain -""': {"rain", "rain thunderstorm"},
    "field -ac/dc": {"2024-05-01 field trip"},
    "live -ac/dc": set(),
    "live -dc/ac": {"AC/DC live"},
    "trip or owl": {"2024-05-01 field trip", "https://example.org/owl.mp3"},
    "or": {"https://example.org/owl.mp3"},
    "雨": {"雨の音"},
    "音": {"雨の音"},
    "हिन्दी": {"हिन्दी गीत"},
    "गी": {"हिन्दी गीत"},
}


def test_words_within_names(db: Database, alice: str) -> None:
    """Titles as they come: names of files, dates, a dash between artist and title."""
    for title in NAMES:
        heard(db, alice, title=title, heard={})
    assert {query: set(search(db, query)) for query in WITHIN_NAMES} == WITHIN_NAMES


UNSPACED = (
    "随风而逝",
    "风声",
    "雨の音 2024",
    "ﾊﾞｲｵﾘﾝと雨",
    "폭우와천둥소리",
    "เสียงฝนตกหนัก",
    "ສຽງຝົນ",
    "𠮷野家の夜",
    "rain雨mix",
    "guitar",
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("风", {"随风而逝", "风声"}),
        ("随风", {"随风而逝"}),
        ("风而", {"随风而逝"}),
        ("逝", {"随风而逝"}),
        ("声风", set()),
        ("风 随风", {"随风而逝"}),
        ("风 -随风", {"风声"}),
        ("风 -声", {"随风而逝"}),
        ("音", {"雨の音 2024"}),
        ("雨の音", {"雨の音 2024"}),
        ('"雨の音 2024"', {"雨の音 2024"}),
        ("2024 雨", {"雨の音 2024"}),
        ("バイオリン", {"ﾊﾞｲｵﾘﾝと雨"}),
        ("천둥", {"폭우와천둥소리"}),
        ("천둥소", {"폭우와천둥소리"}),
        ("ฝน", {"เสียงฝนตกหนัก"}),
        ("ฝนตก", {"เสียงฝนตกหนัก"}),
        ("เสียง", {"เสียงฝนตกหนัก"}),
        ("ຝົນ", {"ສຽງຝົນ"}),
        ("𠮷", {"𠮷野家の夜"}),
        ("野家", {"𠮷野家の夜"}),
        ("雨", {"雨の音 2024", "ﾊﾞｲｵﾘﾝと雨", "rain雨mix"}),
        ("mix", {"rain雨mix"}),
        ("rain雨", {"rain雨mix"}),
        ("guittar", {"guitar"}),
        ("guittar 雨", {"guitar"}),
        ("guittar or 声", {"风声"}),
    ],
)
def test_any_part_of_a_script_without_blanks_is_found(
    db: Database, alice: str, query: str, expected: set[str]
) -> None:
    for title in UNSPACED:
        heard(db, alice, title=title, heard={})
    assert set(search(db, query)) == expected


@given(text=st.text("随风而逝雨の音천둥ab 1", min_size=1, max_size=40), data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_every_part_of_a_run_is_found(db: Database, text: str, data: Any) -> None:
    """What `in` says of a run of letters, search says of the recording."""
    runs = re.findall("[随风而逝雨の音천둥]+", text)
    assume(runs)
    run = data.draw(st.sampled_from(runs))
    start = data.draw(st.integers(0, len(run) - 1))
    end = data.draw(st.integers(start + 1, len(run)))
    found = db.rows(
        "select soundscape.document_words(%s) @@ (soundscape.parse_query(%s)).exact as found",
        text,
        run[start:end],
    )
    assert found[0]["found"]


FOLD = "'soundscape.fold(text)'::regprocedure"


@pytest.fixture
def unreadable(db: Database) -> Iterator[None]:
    """The first step of reading a query fails."""
    definition = db.value(f"select pg_get_functiondef({FOLD})")
    arguments = db.value(f"select pg_get_function_arguments({FOLD})")
    db.rows(
        f"create or replace function soundscape.fold({arguments}) returns text language plpgsql immutable "
        "parallel safe set search_path = '' as $$ begin raise exception 'It was read.'; end $$"
    )
    with pytest.raises(psycopg.errors.RaiseException, match="It was read"):
        ask(db, "search_audio", query="ab")
    yield
    db.rows(definition)


@pytest.mark.usefixtures("unreadable")
@pytest.mark.parametrize("query", ["ab " * 60_000, '-"' * 100_000, "(" * 300_000, "雨" * 1001], ids=len)
def test_a_long_query_is_refused_before_it_is_read(db: Database, query: str) -> None:
    for function in ("search_audio", "search_facets"):
        with pytest.raises(psycopg.Error, match=f"The query has {len(query)} characters") as refused:
            ask(db, function, query=query)
        assert refused.value.sqlstate == "22023"


@pytest.mark.parametrize("letter", ["雨", "ﷺ", "ß", "x"])
def test_a_word_as_long_as_a_query_is_found(db: Database, letter: str) -> None:
    assert search(db, letter * 1000) == []


@pytest.mark.parametrize("sort", ["tempo", "duration"])
def test_a_sort_does_not_change_what_is_found(db: Database, alice: str, sort: str) -> None:
    """Words that somebody has are not taken for misspelt because those recordings have no tempo."""
    heard(db, alice, title="Train fast", tempo_bpm=120)
    rain = heard(db, alice, title="Rain", tempo_bpm=None)
    db.rows("update public.audio_files set duration = null where id = %s", rain)
    assert search(db, "rain", sort=sort) == []
    assert search(db, "raain", sort=sort) == []
    assert search(db, "traain", sort=sort) == ["Train fast"]


def test_a_filter_makes_no_word_a_misspelt_one(db: Database, alice: str) -> None:
    """That nothing with the word passes the filter is the answer, not another word."""
    heard(db, alice, title="Rain", key="C", mode="major")
    heard(db, alice, title="Train", key="D", mode="major")
    assert search(db, "rain", key="D") == []
    assert facets(db, "rain", key="D") == {"all": {"exactly": 0}}
    # Nobody has this one, with or without the filter.
    assert search(db, "traain", key="D") == ["Train"]
    assert facets(db, "traain", key="D")["all"] == {"exactly": 1}


def test_what_has_no_sound_is_found_by_its_owner_only(db: Database, alice: str, bob: str) -> None:
    """Rows cost nothing; bytes that were refused are no recording."""

    def found(user: str) -> list[bool]:
        counted = facets(db, "zither", user)["all"] == {"exactly": 1}
        return ["Zither" in search(db, "zither", user), counted, "Zither" in search(db, "zithr", user)]

    audio_id = db.describe(f"{alice}/zither.wav", owner=alice, title="Zither")
    db.rows("update public.audio_files set is_public = true where id = %s", audio_id)
    assert (found(alice), found(bob)) == ([True] * 3, [False] * 3)
    db.store(f"{alice}/zither.wav", owner=alice)
    assert (found(alice), found(bob)) == ([True] * 3, [True] * 3)
    (held,) = db.claim()
    db.fail(held, "rejected", code="too_long")
    assert db.file(audio_id)["status"] == "rejected"
    assert (found(alice), found(bob)) == ([True] * 3, [False] * 3)


def test_the_most_alike_comes_first(db: Database, alice: str) -> None:
    for title in ("Guitarist", "Guitar", "Guitars"):
        heard(db, alice, title=title)
    assert search(db, "guittar")[0] == "Guitar"
    assert set(search(db, "guittar")) == {"Guitar", "Guitars", "Guitarist"}


def known(db: Database) -> set[str]:
    return {row["word"] for row in db.rows("select word from soundscape.vocabulary")}


@pytest.mark.parametrize("gone", ["deleted", "retitled", "unlisted", "hidden"])
def test_words_that_nobody_has_any_more_are_forgotten(db: Database, alice: str, gone: str) -> None:
    heard(db, alice, title="Private xylophone", public=False)
    audio_id = heard(db, alice, title="Zither rain", heard={})
    other = heard(db, alice, title="Rain", heard={})
    assert known(db) == {"zither", "rain"}
    change = {
        "deleted": "delete from public.audio_files where id = %s",
        "retitled": "update public.audio_files set title = 'Rain' where id = %s",
        "unlisted": "update public.audio_files set is_public = false where id = %s",
        "hidden": "update public.audio_files set hidden_at = now(), hidden_reason = 'r' where id = %s",
    }[gone]
    db.rows(change, audio_id)
    db.reconcile()
    assert known(db) == {"rain"}
    assert len(search(db, "raim")) == 1 + (gone == "retitled")
    assert db.value("select count(*) from soundscape.former_words") == 0
    db.rows("delete from public.audio_files where id = %s", other)
    db.reconcile()
    assert known(db) == ({"rain"} if gone == "retitled" else set())


WRITTEN = st.text(
    st.one_of(
        st.characters(exclude_characters="\0", exclude_categories=("Cs",)),
        st.sampled_from("\"'-*:&|!<>()\\ "),
    ),
    max_size=40,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=WRITTEN)
def test_any_query_is_answered(db: Database, query: str) -> None:
    """Nothing that can be typed is an error."""
    with db.acting("anon") as connection:
        connection.execute("select * from public.search_audio(%s)", (query,))
        connection.execute("select * from public.search_facets(%s)", (query,))


@pytest.mark.parametrize("confidence", [0.126, 0.34])
def test_an_uncertain_tag_is_delivered_but_not_searched(db: Database, alice: str, confidence: float) -> None:
    """A label of a score of 0.01 over the whole recording is right one time in eight."""
    weak = {"label": "Bagpipes", "confidence": confidence, "start_s": 0.0, "end_s": 10.0}
    audio_id = heard(db, alice, title="Attic", heard={"Thunder": 0.1}, further_tags=[weak])
    (stored,) = db.rows(
        "select label, confidence, start_s, end_s from public.audio_tags "
        "where audio_id = %s and label = 'Bagpipes'", audio_id
    )  # fmt: skip
    assert dict(stored) == weak | {"confidence": pytest.approx(confidence)}
    file = db.file(audio_id)
    assert file["heard"] == {"Thunder": 0.1}
    assert file["labels"] == ["thunder"]
    assert ask(db, "search_audio", query="bagpipes") == []
    assert ask(db, "search_audio", labels=["bagpipes"]) == []
    assert facets(db)["label"] == {"thunder": 1}
    db.rows("update public.audio_tags set confidence = 0.36 where audio_id = %s", audio_id)
    assert [row["id"] for row in ask(db, "search_audio", query="bagpipes")] == [file["id"]]


def test_what_was_written_counts_more_than_what_was_heard(db: Database, alice: str) -> None:
    heard(db, alice, title="One", heard={"Rain": 0.9})
    heard(db, alice, title="Two", tags=["rain"])
    heard(db, alice, title="Rain")
    assert search(db, "rain") == ["Rain", "Two", "One"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"min_tempo_bpm": 90}, {"Regen im Frühling", "Guitar at night"}),
        ({"query": "rain", "max_duration_s": 60}, {"Regen im Frühling"}),
        ({"key": "a", "mode": "minor", "labels": ["FOLK"]}, {"Guitar at night"}),
        ({"license": "CC0-1.0"}, {"Regen im Frühling"}),
        ({"query": "rain", "license": "LAL-1.3"}, set()),
    ],
)
def test_filters(db: Database, library: str, arguments: Row, expected: set[str]) -> None:
    assert set(search(db, **arguments)) == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("newest", ["Guitar at night", "Thunder over the river", "Regen im Frühling"]),
        ("title", ["Guitar at night", "Regen im Frühling", "Thunder over the river"]),
        ("duration", ["Regen im Frühling", "Thunder over the river", "Guitar at night"]),
        ("tempo", ["Thunder over the river", "Guitar at night", "Regen im Frühling"]),
        (None, ["Guitar at night", "Thunder over the river", "Regen im Frühling"]),
    ],
)
def test_sorts(db: Database, library: str, sort: str | None, expected: list[str]) -> None:
    assert search(db, sort=sort) == expected
    paged, after = [], None
    while rows := ask(db, "search_audio", query=None, sort=sort, limit=1, after=after):
        paged += [db.file(str(row["id"]))["title"] for row in rows]
        after = rows[-1]["cursor"]
    assert paged == expected


@pytest.mark.parametrize("sort", ["relevance", "newest", "title", "duration", "tempo"])
@pytest.mark.parametrize("query", ["rain", "raain"], ids=["spelt", "misspelt"])
def test_pages_stay_while_rows_arrive(db: Database, alice: str, sort: str, query: str) -> None:
    """Every row that was there is given once, whatever arrives between the pages."""
    chance = random.Random(11)

    def add(n: int) -> str:
        title = "Rain again" if n % 3 else f"Rain {n % 2}"  # equal keys too
        return heard(db, alice, title=title, duration_s=10.0 + n % 4, tempo_bpm=60 + n % 5)

    there = {add(n) for n in range(9)}
    given: list[str] = []
    after = None
    while rows := ask(db, "search_audio", query=query, sort=sort, limit=2, after=after):
        given += [str(row["id"]) for row in rows]
        after = rows[-1]["cursor"]
        add(chance.randrange(100))
    assert len(given) == len(set(given))
    assert there <= set(given)


@pytest.mark.parametrize("key", ["1e300", "-1e300", "1e-300"])
def test_a_cursor_with_a_tempo_beyond_all_tempos_is_refused(db: Database, key: str) -> None:
    page = {"sort": "tempo", "misspelt": False, "as_of": "2026-01-01", "key": key, "id": str(uuid4())}
    with pytest.raises(psycopg.Error, match="cursor does not belong") as refused:
        ask(
            db,
            "search_audio",
            sort="tempo",
            after=base64.urlsafe_b64encode(json.dumps(page).encode()).decode(),
        )
    assert refused.value.sqlstate == "22023"


def test_a_page_may_end_with_the_longest_title(db: Database, alice: str) -> None:
    """It grows eighteenfold when it is folded."""
    for title in ("\ufdfa" * 200, "\ufdfb" * 200):
        heard(db, alice, title=title)
    (first,) = ask(db, "search_audio", sort="title", limit=1)
    (second,) = ask(db, "search_audio", sort="title", limit=1, after=first["cursor"])
    assert first["id"] != second["id"]


OTHER = base64.urlsafe_b64encode(b'{"sort": "newest", "id": "x"}').decode()


DEEP = base64.urlsafe_b64encode(b"[" * 300_000).decode()


@pytest.mark.parametrize(
    "after", ["", "x", "e30", "bnVsbA", "Ww", "äöü", "A" * 4000, OTHER, DEEP[:20_000], DEEP], ids=len
)
def test_a_cursor_that_is_none_is_refused(db: Database, library: str, after: str) -> None:
    with pytest.raises(psycopg.Error, match="cursor does not belong") as refused:
        ask(db, "search_audio", query=None, after=after)
    assert refused.value.sqlstate == "22023"


@pytest.mark.parametrize(
    "arguments",
    [
        {"sort": "colour"},
        {"limit": -1},
        {"limit": 501},
        {"query": "x" * 1001},
        {"key": "H"},
        {"key": "A" * 1000},
        {"min_tempo_bpm": float("nan")},
        {"max_duration_s": float("nan")},
        {"labels": ["x" * 101]},
        {"labels": ["x"] * 51},
    ],
    ids=str,
)
def test_arguments_that_mean_nothing_are_refused(db: Database, arguments: Row) -> None:
    with pytest.raises(psycopg.Error) as refused:
        ask(db, "search_audio", **arguments)
    assert refused.value.sqlstate == "22023"


def test_facets_count_what_is_found(db: Database, library: str) -> None:
    counts = facets(db)
    assert counts["all"] == {"exactly": 3}
    assert counts["label"] == {"rain": 2, "folk": 1, "silence": 1, "thunder": 1, "weather": 1}
    assert counts["license"] == {"CC0-1.0": 1}
    assert counts["key"] == {"A minor": 2}
    assert counts["tempo_bpm"] == {"60-90": 1, "90-120": 1, "120-150": 1}
    assert counts["duration_s"] == {"10-60": 1, "60-300": 2}
    assert facets(db, "rain", max_tempo_bpm=100)["all"] == {"exactly": 1}
    assert facets(db, "thundr")["all"] == {"exactly": 1}
    assert facets(db, "nothing such")["all"] == {"exactly": 0}


@pytest.fixture
def many(db: Database, alice: str) -> int:
    """2,400 recordings: every one with one word, every hundredth with another, none heard by a worker."""
    with psycopg.connect(db.dsn("supabase_admin"), autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(
            "insert into public.audio_files (user_id, title, file_path, is_public, status, created_at) "
            "select %s, case when n %% 100 = 0 then 'Seldom common ' else 'Common ' end || n, "
            "%s || '/' || n, "
            "true, 'queued', now() - make_interval(secs => n * 7919 %% 2400) from generate_series(1, 2400) n",
            (alice, alice),
        )
        connection.execute("analyze public.audio_files")
    return 2400


@pytest.mark.parametrize(("query", "few"), [("common", False), ("seldom", True)])
def test_the_newest_come_in_order_however_they_are_read(
    db: Database, many: int, query: str, few: bool
) -> None:
    """Few that have a word are sorted; many are read in order until enough have it."""
    assert db.value("select soundscape.are_few(%s::tsquery, 20)", query) is few
    newest = [
        row["title"]
        for row in db.rows(
            "select title from public.audio_files where title ~* %s order by created_at desc, id desc", query
        )
    ]
    found: list[str] = []
    after = None
    while len(found) < 24 and (
        rows := ask(db, "search_audio", query=query, sort="newest", limit=8, after=after)
    ):
        found += [db.file(str(row["id"]))["title"] for row in rows]
        after = rows[-1]["cursor"]
    assert found == newest[:24]
    assert set(search(db, query, limit=500)) <= set(newest[:1000])


def test_pages_of_misspelt_words_stay_while_rows_are_written_anew(db: Database, many: int) -> None:
    """Of very many it is the newest that are ranked, wherever in the table they lie."""
    db.rows("insert into soundscape.vocabulary values ('common')")
    newest = db.rows("select id from public.audio_files order by created_at desc, id desc limit 1000")
    given: list[str] = []
    after = None
    while rows := ask(db, "search_audio", query="commmon", limit=250, after=after):
        given += [str(row["id"]) for row in rows]
        after = rows[-1]["cursor"]
        db.rows(
            "update public.audio_files set license = 'LAL-1.3' where id = any (%s)",
            [row["id"] for row in newest],
        )
    assert len(given) == len(set(given))
    assert set(given) == {str(row["id"]) for row in newest}


def test_of_very_many_the_newest_are_counted(db: Database, many: int) -> None:
    assert facets(db, "common")["all"] == {"at least": 2000}
    assert facets(db, "seldom")["all"] == {"exactly": 24}


def test_a_stranger_learns_nothing_of_what_is_private(db: Database, library: str, bob: str) -> None:
    """Rows, scores, counts, cursors and corrections are as if alice's private recording were not there."""
    queries = ("thunder", "secret", "diary", "secrit", "diarry thunder", "-thunder", None)

    def everything() -> list[Any]:
        told: list[Any] = []
        for user in (None, bob):
            for query in queries:
                rows = ask(db, "search_audio", user, query=query, sort=None)
                told.append([(row["id"], row["score"], _without_time(row["cursor"])) for row in rows])
                told.append(facets(db, query, user))
            for narrow in ({"license": "CC-BY-NC-4.0"}, {"labels": ["diary"]}, {"min_duration_s": 1}):
                told.append([row["id"] for row in ask(db, "search_audio", user, **narrow)])
                told.append(facets(db, None, user, **narrow))
        return told

    before = everything()
    assert search(db, "diary", library) == ["Secret thunder"]
    assert facets(db, "diary", library)["license"] == {"CC-BY-NC-4.0": 1}
    db.rows("delete from public.audio_files where title = 'Secret thunder'")
    assert everything() == before


def test_a_forged_cursor_names_nothing(db: Database, library: str) -> None:
    """A cursor made of a private recording's id is only compared with, never looked up."""
    (private,) = db.rows("select id from public.audio_files where title = 'Secret thunder'")
    answers = []
    for audio_id in (str(private["id"]), "00000000-0000-4000-8000-0000000000ff"):
        page = {"sort": "title", "misspelt": False, "as_of": "2026-01-01", "key": "h", "id": audio_id}
        after = base64.urlsafe_b64encode(json.dumps(page).encode()).decode().rstrip("=")
        answers.append(search(db, sort="title", after=after))
    assert answers[0] == answers[1] == ["Regen im Frühling", "Thunder over the river"]


def test_hidden_recordings_are_found_by_their_owner_only(db: Database, library: str, bob: str) -> None:
    assert search(db, "forbidden", bob) == ["Hidden thunder"]
    moderator = db.sign_up()
    db.rows("insert into public.user_roles (user_id, role) values (%s, 'moderator')", moderator)
    assert search(db, "forbidden", moderator) == search(db, "forbidden") == []


def _without_time(cursor: str) -> Row:
    page: Row = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    return {name: value for name, value in page.items() if name != "as_of"}


def describe(db: Database, owner: str, audio_id: str, caption: str, keywords: tuple[str, ...] = ()) -> None:
    """Write the caption, as its owner does."""
    with db.acting("authenticated", owner) as session:
        session.execute("select public.replace_caption(%s, %s, %s)", (audio_id, caption, list(keywords)))
        session.commit()


def write(db: Database, audio_id: str, caption: str, keywords: tuple[str, ...] = ()) -> None:
    """Write the caption, as a worker does with the model's answer."""
    db.rows("update soundscape.caption_workers set seen_at = now()")
    try:
        db.rows("select soundscape.queue_caption(%s)", audio_id)
        db.rows("update soundscape.caption_jobs set retry_at = '-infinity' where audio_id = %s", audio_id)
        job = db.row("select audio_id::text, token from public.claim_caption()")
        assert job["audio_id"] == audio_id
        db.rows(
            "select public.complete_caption(%s, %s, %s, %s, 'm', 1, 0)",
            audio_id, job["token"], caption, list(keywords),
        )  # fmt: skip
    finally:
        db.rows("update soundscape.caption_workers set seen_at = null")


def test_a_caption_is_found_by_its_sentence_and_keywords(db: Database, library: str, bob: str) -> None:
    audio_id = heard(db, library, title="Attic", description="", heard={"Wind": 0.4})
    assert search(db, "shingles") == []
    write(db, audio_id, "Heavy drops fall on wooden shingles.", ("rooftop", "downpour"))
    for query in ("shingles", "rooftop", "ATTIC rooftop", '"wooden shingles"', "wind downpour", "shing"):
        assert search(db, query) == ["Attic"], query
        assert facets(db, query)["all"] == {"exactly": 1}, query
    assert search(db, "attic -rooftop") == []
    assert search(db, "roofttop") == ["Attic"], "a keyword may be misspelt, as a label may"
    # What the owner changes elsewhere leaves the caption's words.
    db.rows("update public.audio_files set title = 'Loft' where id = %s", audio_id)
    assert (search(db, "loft shingles"), search(db, "attic")) == (["Loft"], [])
    describe(db, library, audio_id, "A quiet evening.", ("crickets",))
    assert (search(db, "shingles"), search(db, "rooftop")) == ([], [])
    assert (search(db, "evening"), search(db, "loft crickets")) == (["Loft"], ["Loft"])
    db.reconcile()
    assert "rooftop" not in known(db)
    assert "crickets" in known(db)


def test_a_title_and_tags_count_more_than_a_caption(db: Database, alice: str) -> None:
    described = heard(db, alice, title="Four")
    describe(db, alice, described, "Zither music.")
    named = heard(db, alice, title="Five")
    describe(db, alice, named, "Music.", ("zither",))
    heard(db, alice, title="Two", tags=["zither"])
    heard(db, alice, title="Zither")
    assert search(db, "zither") == ["Zither", "Two", "Four", "Five"]


def test_other_bytes_are_not_found_by_the_former_caption(db: Database, alice: str) -> None:
    audio_id = heard(db, alice, title="Attic")
    write(db, audio_id, "Heavy drops on shingles.")
    assert search(db, "shingles") == ["Attic"]
    db.rows("select soundscape.queue_caption(%s)", audio_id)
    assert (search(db, "shingles"), search(db, "attic")) == ([], ["Attic"])


@pytest.mark.parametrize("kept", ["private", "hidden"])
def test_a_caption_is_searched_by_whoever_sees_the_recording(
    db: Database, alice: str, bob: str, kept: str
) -> None:
    audio_id = heard(db, alice, title="Attic", public=kept != "private")
    if kept == "hidden":
        db.rows(
            "update public.audio_files set hidden_at = now(), hidden_reason = 'r' where id = %s", audio_id
        )
    describe(db, alice, audio_id, "Heavy drops on shingles.", ("rooftop",))
    assert not known(db) & {"drops", "shingles", "rooftop"}
    for query in ("shingles", "rooftop", "roofttop"):
        assert (search(db, query, alice), search(db, query, bob), search(db, query)) == (["Attic"], [], []), (
            query
        )


def test_search_is_what_the_row_and_its_caption_say_whatever_is_written(db: Database, alice: str) -> None:
    """Each order of changes leaves the same words, and nobody chooses them."""
    audio_id = heard(db, alice, title="Attic", tags=["weather"])
    describe(db, alice, audio_id, "Heavy drops.", ("rooftop",))
    db.rows("update public.audio_files set search = 'forged' where id = %s", audio_id)
    db.rows(
        "update public.audio_files set description = 'On the stairs', tags = '{house}' where id = %s",
        audio_id,
    )
    assert db.value(
        "select f.search = soundscape.search_document(f.title, f.description, f.tags, f.heard)"
        " || soundscape.caption_document('Heavy drops.', '{rooftop}')"
        " from public.audio_files f where id = %s",
        audio_id,
    )


def test_a_word_of_a_caption_is_found_by_the_index(db: Database, many: int) -> None:
    audio_id = db.value("select id from public.audio_files order by id limit 1")
    db.rows(
        "insert into public.audio_captions (audio_id, status, caption, is_by_owner)"
        " values (%s, 'ready', 'Heavy drops on shingles.', true)"
        " on conflict (audio_id) do update"
        " set status = 'ready', caption = excluded.caption, is_by_owner = true",
        audio_id,
    )
    plan = db.rows(
        "explain (format json) select id from public.audio_files where search @@ 'shingles'::tsquery"
    )
    assert "audio_files_by_words" in json.dumps(plan)
    assert len(search(db, "shingles")) == 1
