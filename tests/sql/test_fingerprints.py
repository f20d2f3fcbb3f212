"""The index of fingerprints and the claims that follow from it, in SQL."""

from __future__ import annotations

import base64
import threading
from typing import Any
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from psycopg.types.json import Jsonb

from soundscape.audio.fingerprint import VERSION, Fingerprint, Keys, make_query_keys, make_stored_keys
from soundscape.audio.fingerprint.levels import LEVEL_BANDS, LEVEL_FRAMES, count_rows
from soundscape.project.fingerprint_index import make_entry
from tests.waiting import LIMIT_S, until

from .conftest import RESULT, Database, Row
from .library import count_buffers


def heard(seed: int, seconds: float = 20.0) -> Fingerprint:
    """A fingerprint nothing else is like: some twenty peaks a second."""
    rng = np.random.default_rng(seed)
    frames = np.sort(rng.integers(0, int(seconds * 43), int(seconds * 20))).astype(np.int32)
    pitches = rng.integers(70, 1800, len(frames)).astype(np.uint16)
    frame_count = int(seconds * 43) + 1
    return Fingerprint(
        frame_count,
        frames,
        pitches,
        rng.integers(0, 6, len(frames)).astype(np.uint8),
        rng.integers(0, 256, (count_rows(frame_count), LEVEL_BANDS)).astype(np.uint8),
    )


def excerpt(whole: Fingerprint, first: int, last: int) -> Fingerprint:
    inside = (whole.frames >= first) & (whole.frames < last)
    levels = whole.levels[first // LEVEL_FRAMES :][: count_rows(last - first)]
    return Fingerprint(
        last - first, whole.frames[inside] - first, whole.pitches[inside], whole.ranks[inside], levels
    )


def result(seed: int, **more: Any) -> Row:
    """An analysis of other bytes for every seed."""
    source = RESULT["source"] | {"sha256": f"{seed:064x}", "pcm_blake3": f"{seed:064x}"}
    return RESULT | {"source": source, "index": make_entry(heard(seed))} | more


def ready(db: Database, owner: str, analysis: Row, *, public: bool = False) -> str:
    audio_id = db.recording(owner)
    (held,) = db.claim()
    db.complete(held, analysis)
    if public:
        db.rows("update public.audio_files set is_public = true where id = %s", audio_id)
    return audio_id


def again(db: Database, audio_id: str, analysis: Row) -> None:
    """The same bytes once more, as a backfill does it."""
    db.rows("select soundscape.enqueue(%s, %s)", audio_id, db.file(audio_id)["object_version"])
    (held,) = db.claim(10)
    db.complete(held, analysis)


def candidates(
    db: Database,
    keys: Keys,
    *,
    viewer: str | None = None,
    everybody: bool = False,
    besides: str | None = None,
) -> list[tuple[str, int, int]]:
    rows = db.rows(
        f"select * from public.fingerprint_candidates(%s, %s, {VERSION}, 64, %s, %s, %s)",
        keys.values.tolist(),
        keys.frames.tolist(),
        viewer,
        everybody,
        besides,
    )
    return [(str(row["audio_id"]), row["lag_frames"], row["pairs"]) for row in rows]


def postings(db: Database) -> int:
    return listed_postings(db) + unlisted_postings(db)


def listed_postings(db: Database) -> int:
    return int(db.value("select count(*) from soundscape.postings"))


def unlisted_postings(db: Database) -> int:
    return int(db.value("select count(*) from soundscape.unlisted_postings"))


def claims(db: Database, user_id: str) -> list[Row]:
    with db.acting("authenticated", user_id) as connection:
        return connection.execute("select * from public.audio_matches order by id").fetchall()


def found_by_sound(audio_id: str, kind: str = "same_recording", probability: float = 0.9) -> Row:
    return {"audio_id": audio_id, "kind": kind, "probability": probability, "evidence": {"offset_s": 1.5}}


# -- the index ------------------------------------------------------------------------------------


def test_a_recording_is_found_at_its_offset(db: Database, alice: str) -> None:
    ids = [ready(db, alice, result(seed)) for seed in range(4)]
    assert postings(db) == sum(len(set(zip(*_columns(seed), strict=True))) for seed in range(4))
    best = candidates(db, make_query_keys(excerpt(heard(2), 301, 601)), everybody=True)[0]
    assert best[0] == ids[2]
    assert abs(best[1] - 301) <= 2
    assert best[2] > 50


def _columns(seed: int) -> tuple[list[int], list[int]]:
    keys = make_stored_keys(heard(seed))
    return keys.values.tolist(), keys.frames.tolist()


def test_every_key_there_can_be_is_held(db: Database, alice: str) -> None:
    edges = {
        "version": 1,
        "peaks": "",
        "keys": [0, 2**21 - 1, 2**21, 2**22 - 1],
        "frames": [0, 1, 2, 2**20 - 1],
    }
    audio_id = ready(db, alice, result(1) | {"index": edges})
    for key, frame in zip(edges["keys"], edges["frames"], strict=True):  # type: ignore[call-overload]
        # Twice, since one key alone is no candidate.
        row = db.row(
            "select * from public.fingerprint_candidates(%s, %s, 1, 9, null, true)",
            [key, key],
            [frame, frame],
        )
        assert (str(row["audio_id"]), row["lag_frames"]) == (audio_id, 1)


@pytest.mark.parametrize("hours", [7, 100, 10_000])
def test_the_end_of_a_long_recording_is_found(db: Database, alice: str, hours: int) -> None:
    frame = hours * 3600 * 43
    index = {"version": 1, "peaks": "", "keys": [5, 6], "frames": [frame, frame + 9]}
    audio_id = ready(db, alice, result(1) | {"index": index})
    row = db.row("select * from public.fingerprint_candidates('{5, 6}', '{0, 9}', 1, 9, null, true)")
    assert (str(row["audio_id"]), row["lag_frames"], row["pairs"]) == (audio_id, frame // 2 * 2 + 1, 2)


@pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1])
def test_only_one_version_compares_with_itself(db: Database, alice: str, version: int) -> None:
    ready(db, alice, result(1) | {"index": make_entry(heard(1)) | {"version": version}})
    assert candidates(db, make_stored_keys(heard(1)), everybody=True) == []


NUMBERS = "alter sequence soundscape.fingerprint_numbers minvalue {0} maxvalue {1} start {0} restart"


@pytest.mark.parametrize("first", [-(2**31), -2, 4_194_302, 2**31 - 4])
def test_numbers_have_32_bits_and_the_last_is_refused(db: Database, alice: str, first: int) -> None:
    db.rows(NUMBERS.format(first, first + 3))
    try:
        ids = [ready(db, alice, result(seed)) for seed in range(4)]
        used = {row["number"] for row in db.rows("select number from soundscape.fingerprints")}
        assert used == set(range(first, first + 4))
        for seed, audio_id in enumerate(ids):
            assert candidates(db, make_stored_keys(heard(seed)), everybody=True)[0][0] == audio_id
            assert candidates(db, make_stored_keys(heard(seed)), viewer=alice)[0][0] == audio_id
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="No number is free"):
            ready(db, alice, result(9))
        # A number that is free again is found.
        db.rows("delete from public.audio_files where id = %s", ids[2])
        assert db.value("select soundscape.next_fingerprint_number()") == first + 2
    finally:
        db.rows(NUMBERS.format(-(2**31), 2**31 - 1))
        db.rows("select setval('soundscape.fingerprint_numbers', 0)")


def test_the_same_fingerprint_again_is_not_written_again(db: Database, alice: str) -> None:
    audio_id = ready(db, alice, result(1))
    number = db.value("select number from soundscape.fingerprints")
    again(db, audio_id, result(1))
    assert db.value("select number from soundscape.fingerprints") == number
    again(db, audio_id, result(1) | {"index": make_entry(heard(7))})
    assert candidates(db, make_stored_keys(heard(1)), everybody=True) == []
    assert candidates(db, make_stored_keys(heard(7)), everybody=True)[0][0] == audio_id


@pytest.mark.parametrize("gone", ["recording", "user", "object", "bytes"])
def test_deletion_forgets(db: Database, alice: str, bob: str, gone: str) -> None:
    audio_id, kept = ready(db, alice, result(1)), ready(db, bob, result(2))
    before = postings(db)
    name = db.file(audio_id)["file_path"]
    if gone == "recording":
        db.rows("delete from public.audio_files where id = %s", audio_id)
    elif gone == "user":
        db.rows("delete from auth.users where id = %s", alice)
    elif gone == "object":
        db.remove(name)
    else:
        db.store(name, owner=alice)
    assert candidates(db, make_stored_keys(heard(1)), everybody=True) == []
    assert 0 < postings(db) < before
    assert db.rows("select * from public.stored_fingerprints(%s::uuid[])", [audio_id]) == []
    assert candidates(db, make_stored_keys(heard(2)), everybody=True)[0][0] == kept


def test_a_moved_recording_is_not_forgotten(db: Database, alice: str) -> None:
    audio_id = ready(db, alice, result(1))
    etag = db.file(audio_id)["object_etag"]
    version = db.store(db.file(audio_id)["file_path"], owner=alice, etag=etag)
    assert candidates(db, make_stored_keys(heard(1)), everybody=True)[0][0] == audio_id
    # Else the worker would fetch it from Storage and match it again.
    assert db.value("select object_version from soundscape.fingerprints") == version


def test_stored_fingerprints_come_back(db: Database, alice: str) -> None:
    audio_id = ready(db, alice, result(1))
    row = db.row("select * from public.stored_fingerprints(%s::uuid[])", [audio_id, str(uuid4())])
    assert Fingerprint.from_bytes(base64.b64decode(row["peaks"])) == heard(1)


def test_candidates_are_those_that_the_viewer_sees(db: Database, alice: str, bob: str) -> None:
    moderator = db.sign_up()
    db.rows("insert into public.user_roles (user_id, role) values (%s, 'moderator')", moderator)
    audio_id = ready(db, alice, result(1))
    keys = make_stored_keys(heard(1))

    def seen_by(*viewers: str) -> list[bool]:
        return [candidates(db, keys, viewer=viewer) != [] for viewer in viewers]

    assert seen_by(alice, bob, moderator) == [True, False, False]
    nobody = f"select * from public.fingerprint_candidates(%s, %s, {VERSION})"
    assert db.rows(nobody, *map(list, _columns(1))) == []
    db.rows("update public.audio_files set is_public = true where id = %s", audio_id)
    assert seen_by(alice, bob, moderator) == [True, True, True]
    db.rows("update public.audio_files set hidden_at = now(), hidden_reason = 'r' where id = %s", audio_id)
    assert seen_by(alice, bob, moderator) == [True, False, True]
    assert candidates(db, keys, everybody=True, besides=audio_id) == []


def copies(db: Database, owner: str, audio_id: str, count: int, *, public: bool = False) -> None:
    """That many recordings with the fingerprint of one."""
    db.rows(
        "with made as (insert into public.audio_files (user_id, title, file_path, is_public) "
        "select %s, 'A copy', %s || '/copy-' || n, %s from generate_series(1, %s) n returning id), "
        "written as (insert into soundscape.fingerprints "
        "(audio_id, number, user_id, is_listed, object_version, version, peaks, keys, frames) "
        "select m.id, soundscape.next_fingerprint_number(), %s, %s, '1', version, peaks, keys, frames "
        "from made m, soundscape.fingerprints f where f.audio_id = %s returning number) "
        "select count(*) from written",
        owner, owner, public, count, owner, public, audio_id,
    )  # fmt: skip


@pytest.mark.parametrize("first_come", ["the copies", "the public one"])
def test_private_copies_do_not_crowd_out_what_one_sees(
    db: Database, alice: str, bob: str, first_come: str
) -> None:
    """More of them than places of one key are looked at."""
    keys = make_stored_keys(heard(1))
    public = ready(db, bob, result(1), public=True)
    copies(db, alice, public, 310)
    if first_come == "the copies":
        db.rows("delete from public.audio_files where id = %s", public)
        public = ready(db, bob, result(1), public=True)
    carol = db.sign_up()
    for viewer in (bob, carol):
        assert {found for found, _, _ in candidates(db, keys, viewer=viewer)} == {public}
    # Of somebody's own, what they see is asked for without naming them.
    mine = ready(db, carol, result(2) | {"index": make_entry(heard(1))})
    assert {found for found, _, _ in candidates(db, keys, besides=mine)} == {public}


def test_no_recording_is_too_new_to_be_found(db: Database, alice: str) -> None:
    """Of what many hold alike each keeps its share of the places, however late it came."""
    first = ready(db, alice, result(1))
    copies(db, alice, first, 450)
    last = ready(db, alice, result(1))
    rows = db.rows(
        f"select audio_id, pairs from public.fingerprint_candidates(%s, %s, {VERSION}, 256, null, true)",
        *map(list, _columns(1)),
    )
    pairs = [row["pairs"] for row in rows]
    assert len({row["audio_id"] for row in rows}) == 256
    assert min(pairs) > 0.5 * max(pairs)
    db.rows(
        "delete from public.audio_files where user_id = %s and id <> %s and title = 'A copy'", alice, first
    )
    assert {found for found, _, _ in candidates(db, make_stored_keys(heard(1)), everybody=True)} == {
        first,
        last,
    }


def test_ones_own_among_what_everybody_has_keeps_its_share(db: Database, alice: str, bob: str) -> None:
    # Without the numbers that other tests have used, which nobody has any more.
    db.rows("select setval('soundscape.fingerprint_numbers', 0, false)")
    first = ready(db, alice, result(1), public=True)
    copies(db, alice, first, 450, public=True)
    mine = ready(db, bob, result(1))
    rows = db.rows(
        f"select audio_id, pairs from public.fingerprint_candidates(%s, %s, {VERSION}, 256, %s)",
        *map(list, _columns(1)),
        bob,
    )
    pairs = {str(row["audio_id"]): row["pairs"] for row in rows}
    # Of one that is asked among 452 alike, some 300 in 452 of its keys.
    assert pairs[mine] > 0.5 * len(make_stored_keys(heard(1)))
    assert max(pairs.values()) < 2 * pairs[mine]


def pages_read(db: Database, keys: Keys, viewer: str, *, by_index: bool = False) -> int:
    """Of the database, in or out of memory, by one question."""
    asked = keys.values.tolist(), keys.frames.tolist(), viewer
    question = f"select * from public.fingerprint_candidates(%s, %s, {VERSION}, 64, %s)"
    return count_buffers(db, question, *asked, by_index=by_index)


def test_what_others_keep_private_is_not_read(db: Database, alice: str, bob: str) -> None:
    """Nor is it paid for: who waits the longer for it would know of it."""
    keys = make_stored_keys(heard(1))
    ready(db, bob, result(1), public=True)
    private = ready(db, alice, result(1))
    carol = db.sign_up()
    ready(db, carol, result(2))
    # Of what other tests have deleted.
    db.rows("vacuum soundscape.postings, soundscape.unlisted_postings, soundscape.fingerprints")
    before = pages_read(db, keys, carol, by_index=True)
    copies(db, alice, private, 400)
    # A larger index may have a level more.
    assert pages_read(db, keys, carol, by_index=True) < 1.6 * before
    assert pages_read(db, keys, alice) > 10 * before


def test_a_question_costs_the_same_among_more_recordings(db: Database, alice: str, bob: str) -> None:
    """At equal postings: the others have other keys."""
    keys = make_stored_keys(heard(1))
    ready(db, alice, result(1), public=True)
    mine = ready(db, bob, result(2) | {"index": make_entry(heard(1))})

    def read() -> tuple[int, int]:
        claim = f"select * from soundscape.fingerprint_candidates(%s, %s, {VERSION}, 64, null, true, %s)"
        asked = keys.values.tolist(), keys.frames.tolist()
        db.rows("vacuum (analyze) soundscape.fingerprints")
        return count_buffers(db, claim, *asked, mine), pages_read(db, keys, bob)

    def add(count: int, *, public: bool) -> None:
        # The triggers are off: they would make the recordings' own postings.
        with psycopg.connect(db.dsn("supabase_admin"), autocommit=True) as admin:
            admin.execute("set session_replication_role = replica")
            admin.execute(
                "with made as (insert into public.audio_files (user_id, title, file_path, is_public) "
                "select %s, 'Other', %s || gen_random_uuid(), %s from generate_series(1, %s) returning id) "
                "insert into soundscape.fingerprints (audio_id, number, user_id, is_listed, object_version, "
                "version, peaks, keys, frames, compared_within) "
                "select id, soundscape.next_fingerprint_number(), %s, %s, '1', %s, '', '{}', '{}', '[1,2)' "
                "from made",
                (alice, f"{alice}/", public, count, alice, public, VERSION),
            )

    add(500, public=True)
    add(500, public=False)
    few = read()
    add(5000, public=True)
    add(5000, public=False)
    many = read()
    assert many[0] < 1.2 * few[0]
    assert many[1] < 1.2 * few[1]


def test_the_size_of_the_index_is_kept_by_sums(db: Database, alice: str, bob: str) -> None:
    first, second = ready(db, alice, result(1)), ready(db, bob, result(2), public=True)

    def measure() -> tuple[int, int, int]:
        size = f"select soundscape.index_size({VERSION}, %s::uuid)"
        return db.value(size, None), db.value(size, alice), db.value(size, bob)

    held = [len(make_stored_keys(heard(seed))) for seed in (1, 2)]
    for _ in range(2):
        assert measure() == (held[1], held[0], 0)
        db.reconcile()
        assert db.value("select count(*) from soundscape.index_size_changes") == 0
    db.rows(LISTED, True, first)
    db.rows(LISTED, False, second)
    assert measure() == (held[0], 0, held[1])
    db.rows("delete from public.audio_files")
    assert measure() == (0, 0, 0)
    db.reconcile()
    assert db.rows("select * from soundscape.index_sizes") == []


def test_what_waits_to_be_compared_does_not_slow_a_completion(db: Database, alice: str) -> None:
    def wait(count: int) -> int:
        """Read what one more completion reads, while so many wait."""
        db.rows(
            "with made as (insert into public.audio_files (user_id, title, file_path) "
            "select %s, 'A copy', %s || gen_random_uuid() from generate_series(1, %s) returning id) "
            "select count(*) from made", alice, f"{alice}/", count,
        )  # fmt: skip
        # Each in a transaction of its own, after a snapshot of its own.
        rows = (
            "select id from public.audio_files f "
            "where not exists (select from soundscape.fingerprints p where p.audio_id = f.id)"
        )
        write = (
            "insert into soundscape.fingerprints (audio_id, number, user_id, is_listed, object_version, "
            "version, peaks, keys, frames, compared_in) values (%s, soundscape.next_fingerprint_number(), "
            "%s, false, '1', %s, '', '{}', '{}', pg_current_snapshot())"
        )
        for row in db.rows(rows):
            db.rows(write, row["id"], alice, VERSION)
        db.rows("analyze soundscape.fingerprints")
        return count_buffers(db, "select * from soundscape.pending_comparisons(1)", by_index=True)

    few = wait(50)
    many = wait(1000)
    assert many < 2 * few


LISTED = "update public.audio_files set is_public = %s where id = %s"
HIDDEN = "update public.audio_files set hidden_at = %s, hidden_reason = %s where id = %s"


def test_postings_change_places_with_what_everybody_sees(db: Database, alice: str) -> None:
    audio_id, other = ready(db, alice, result(1)), ready(db, alice, result(2), public=True)
    held = [len(set(zip(*_columns(seed), strict=True))) for seed in (1, 2)]
    private, public = (held[1], held[0]), (sum(held), 0)

    def places() -> tuple[int, int]:
        assert {found for found, _, _ in candidates(db, make_stored_keys(heard(1)), viewer=alice)} == {
            audio_id
        }
        return listed_postings(db), unlisted_postings(db)

    assert places() == private
    for statement, values, expected in (
        (LISTED, (True,), public),
        (HIDDEN, ("2026-01-01", "Spam"), private),
        (LISTED, (False,), private),
        (HIDDEN, (None, None), private),
        (LISTED, (True,), public),
        (LISTED, (False,), private),
    ):
        with db.connection.transaction():
            db.rows(statement, *values, audio_id)
            assert places() == expected
        assert places() == expected
    again(db, audio_id, result(1) | {"index": make_entry(heard(7))})
    db.rows("update public.audio_files set is_public = false where id = %s", other)
    assert listed_postings(db) == 0
    db.rows("delete from public.audio_files")
    assert postings(db) == 0


def test_a_change_that_is_taken_back_moves_no_postings(db: Database, alice: str) -> None:
    audio_id = ready(db, alice, result(1))
    before = unlisted_postings(db)
    with db.connection.transaction(force_rollback=True):
        db.rows(LISTED, True, audio_id)
        assert listed_postings(db) == before
    assert (listed_postings(db), unlisted_postings(db)) == (0, before)


def test_candidates_say_among_how_many_keys(db: Database, alice: str, bob: str) -> None:
    for owner, seed in ((alice, 1), (alice, 2), (bob, 3)):
        ready(db, owner, result(seed))
    held = {seed: len(make_stored_keys(heard(seed))) for seed in (1, 2, 3)}
    ask = f"select distinct among from public.fingerprint_candidates(%s, %s, {VERSION}, 9, %s, %s)"
    keys = [*map(list, _columns(1))]
    assert db.value(ask, *keys, alice, False) == held[1] + held[2]
    assert db.value(ask, *keys, None, True) == sum(held.values())


@pytest.mark.parametrize("everybody", [False, True])
def test_a_claim_does_not_tell_how_much_is_private(
    db: Database, alice: str, bob: str, everybody: bool
) -> None:
    """Everybody reads what is claimed of two public recordings; its odds are by the number of keys."""
    first = ready(db, alice, result(1), public=True)
    ready(db, bob, result(2) | {"index": make_entry(heard(1))}, public=True)
    third = ready(db, bob, result(3), public=True)
    ask = f"select distinct among from public.fingerprint_candidates(%s, %s, {VERSION}, 9, null, %s, %s)"

    def among() -> int:
        return int(db.value(ask, *map(list, _columns(1)), everybody, first))

    listed = len(make_stored_keys(heard(1))) + len(make_stored_keys(heard(3)))
    assert among() == listed
    ready(db, alice, result(4))
    ready(db, bob, result(5))
    assert among() == listed
    db.rows(LISTED, False, third)
    assert among() == len(make_stored_keys(heard(1)))


# -- backfill -------------------------------------------------------------------------------------


def test_recordings_analysed_before_are_listed_and_indexed(db: Database, alice: str) -> None:
    before = {"fingerprint": {"version": 1, "path": "x/fingerprint.bin"}}
    plain = {key: value for key, value in result(1).items() if key != "index"} | before
    first, second = sorted((ready(db, alice, plain), ready(db, alice, plain)))
    ready(db, alice, result(3) | before)
    listed = db.rows("select * from public.unindexed_recordings(1)")
    assert [str(row["audio_id"]) for row in listed] == [first, second]
    assert listed[0]["path"] == "x/fingerprint.bin"
    assert [
        str(r["audio_id"]) for r in db.rows("select * from public.unindexed_recordings(1, 9, %s)", first)
    ] == [second]
    found = Jsonb({"index": make_entry(heard(1)), "matches": []})
    index = "select public.index_recording(%s, %s, %s)"
    assert db.value(index, first, "of other bytes", found) is False
    assert db.value(index, first, listed[0]["object_version"], found) is True
    assert [str(row["audio_id"]) for row in db.rows("select * from public.unindexed_recordings(1)")] == [
        second
    ]
    assert candidates(db, make_stored_keys(heard(1)), everybody=True)[0][0] == first


# -- claims ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "evidence"),
    [
        ({}, {"sha256": f"{1:064x}", "pcm_blake3": f"{1:064x}", "offset_s": 0}),
        ({"sha256": "a" * 64}, {"pcm_blake3": f"{1:064x}", "offset_s": 0}),
        ({"sha256": "a" * 64, "sample_rate": 8000}, None),
        ({"sha256": "a" * 64, "pcm_blake3": "b" * 64}, None),
    ],
    ids=["bytes", "samples", "another rate", "neither"],
)
def test_copies_are_claimed_with_their_completion(
    db: Database, alice: str, source: Row, evidence: Row | None
) -> None:
    first = ready(db, alice, result(1))
    second = ready(db, alice, result(1) | {"source": result(1)["source"] | source})
    found = claims(db, alice)
    assert len(found) == (evidence is not None)
    for claim in found:
        assert (str(claim["audio_id"]), str(claim["matched_audio_id"])) == (second, first)
        assert (claim["kind"], claim["confidence"], claim["evidence"]) == ("identical", 1, evidence)


def test_copies_that_an_earlier_analysis_found_are_still_claimed(db: Database, alice: str) -> None:
    """Earlier results hold the SHA-256 of the samples, later ones their BLAKE3."""
    earlier = [result(seed) for seed in (1, 2)]
    for analysis in earlier:
        del analysis["source"]["pcm_blake3"]
        analysis["source"]["pcm_sha256"] = "c" * 64
    ready(db, alice, earlier[0])
    ready(db, alice, earlier[1])
    ready(db, alice, result(3))
    assert [(c["kind"], c["evidence"]) for c in claims(db, alice)] == [
        ("identical", {"pcm_sha256": "c" * 64, "offset_s": 0})
    ]


def test_what_the_worker_verified_is_claimed_once_a_pair(db: Database, alice: str) -> None:
    first = ready(db, alice, result(1))
    second = ready(db, alice, result(2, matches=[found_by_sound(first, "contains", 0.75)]))
    third = ready(db, alice, result(3, matches=[found_by_sound(second), found_by_sound(str(uuid4()))]))
    again(db, first, result(1, matches=[found_by_sound(second, "same_recording", 0.5)]))
    pairs = {
        (str(c["audio_id"]), str(c["matched_audio_id"])): (c["kind"], c["confidence"])
        for c in claims(db, alice)
    }
    assert pairs == {
        (first, second): ("same_recording", 0.5),
        (third, second): ("same_recording", pytest.approx(0.9)),
    }
    assert (
        db.value(
            "select bool_or(descriptors ? 'index' or descriptors ? 'matches') from public.audio_features"
        )
        is False
    )


def test_a_claim_about_a_private_recording_is_nobody_elses(db: Database, alice: str, bob: str) -> None:
    moderator = db.sign_up()
    db.rows("insert into public.user_roles (user_id, role) values (%s, 'moderator')", moderator)
    ready(db, alice, result(1))
    copy = ready(db, bob, result(1), public=True)
    assert (claims(db, alice) != [], claims(db, bob)) == (True, [])
    (claim,) = claims(db, moderator)
    with db.acting("authenticated", bob) as connection, pytest.raises(psycopg.Error) as unseen:
        connection.execute("select public.dismiss_match(%s)", (claim["id"],))
    with db.acting("authenticated", bob) as connection, pytest.raises(psycopg.Error) as absent:
        connection.execute("select public.dismiss_match(%s)", (nobodys := uuid4(),))
    told = [str(error.value.diag.message_primary) for error in (unseen, absent)]
    assert told[0].replace(str(claim["id"]), "") == told[1].replace(str(nobodys), "")
    assert db.file(copy)["status"] == "ready"


def dismiss(db: Database, user_id: str, claim: Row, dismissed: bool = True) -> None:
    with db.acting("authenticated", user_id) as connection:
        connection.execute("select public.dismiss_match(%s, %s)", (claim["id"], dismissed))
        connection.commit()


def sides(claim: Row) -> tuple[bool, bool, bool]:
    """Whether it is dismissed for the owner of the one, for the owner of the other, for everybody."""
    return (
        claim["owner_dismissed_at"] is not None,
        claim["matched_owner_dismissed_at"] is not None,
        claim["dismissed_at"] is not None,
    )


@pytest.mark.parametrize(
    ("who", "swapped", "expected"),
    [
        (["alice"], False, (False, True, False)),
        (["alice"], True, (True, False, False)),
        (["bob"], False, (True, False, False)),
        (["alice", "bob"], False, (True, True, True)),
        (["moderator"], False, (False, False, True)),
    ],
)
def test_dismissed_stays_dismissed(
    db: Database, alice: str, bob: str, who: list[str], swapped: bool, expected: tuple[bool, bool, bool]
) -> None:
    """An owner speaks for their own side: who copied something cannot take the claim from the other."""
    stranger, moderator = db.sign_up(), db.sign_up()
    db.rows("insert into public.user_roles (user_id, role) values (%s, 'moderator')", moderator)
    first = ready(db, alice, result(1), public=True)
    second = ready(db, bob, result(2, matches=[found_by_sound(first)]), public=True)
    (claim,) = claims(db, stranger)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        dismiss(db, stranger, claim)
    for name in who:
        dismiss(db, {"alice": alice, "bob": bob, "moderator": moderator}[name], claim)
    again(db, second, result(2, matches=[found_by_sound(first)]))
    if swapped:
        again(db, first, result(1, matches=[found_by_sound(second)]))
    (after,) = claims(db, stranger)
    assert (after["id"], sides(after)) == (claim["id"], expected)


def test_a_dismissal_is_taken_back(db: Database, alice: str, bob: str) -> None:
    moderator = db.sign_up()
    db.rows("insert into public.user_roles (user_id, role) values (%s, 'moderator')", moderator)
    first = ready(db, alice, result(1), public=True)
    ready(db, bob, result(1), public=True)
    (claim,) = claims(db, alice)
    assert str(claim["matched_audio_id"]) == first
    dismiss(db, bob, claim)
    dismiss(db, bob, claim, dismissed=False)
    assert sides(claims(db, alice)[0]) == (False, False, False)
    for user_id in (alice, bob):
        dismiss(db, user_id, claim)
    assert sides(claims(db, alice)[0]) == (True, True, True)
    dismiss(db, moderator, claim, dismissed=False)
    assert sides(claims(db, alice)[0]) == (False, False, False)
    dismiss(db, moderator, claim)
    dismiss(db, alice, claim, dismissed=False)
    assert sides(claims(db, alice)[0]) == (False, False, True)


def test_a_claim_does_not_tell_which_moderator_dismissed_it(db: Database, alice: str) -> None:
    moderator = db.sign_up()
    db.rows("insert into public.user_roles (user_id, role) values (%s, 'moderator')", moderator)
    for _ in range(2):
        ready(db, alice, result(1), public=True)
    dismiss(db, moderator, claims(db, alice)[0])
    with db.acting("anon") as connection:
        told = str(connection.execute("select * from public.audio_matches").fetchall())
    assert "moderator_dismissed_at" in told
    assert moderator not in told


def test_the_same_bytes_uploaded_another_way_keep_what_was_dismissed(
    db: Database, alice: str, bob: str
) -> None:
    first = ready(db, alice, result(1), public=True)
    second = ready(db, bob, result(2, matches=[found_by_sound(first)]), public=True)
    (before,) = claims(db, alice)
    dismiss(db, alice, before)
    db.store(db.file(second)["file_path"], owner=bob, etag='"in-parts-2"')
    (held,) = db.claim()
    db.complete(held, result(2, matches=[found_by_sound(first)]))
    (after,) = claims(db, alice)
    assert (after["id"], sides(after)) == (before["id"], (False, True, False))


@pytest.mark.parametrize("by_hash", [False, True])
@pytest.mark.parametrize("whose", ["alice", "bob", "both"])
@pytest.mark.parametrize("meanwhile", ["nothing", "other bytes", "bytes that fail"])
def test_bytes_that_come_back_are_as_dismissed_as_they_were(
    db: Database, alice: str, bob: str, whose: str, meanwhile: str, by_hash: bool
) -> None:
    """Neither side undoes the other's word, or a moderator's, by taking its object away for a while."""
    heard_of = {}
    first = ready(db, alice, result(1), public=True)
    heard_of[first] = result(1)
    heard_of["second"] = result(1) if by_hash else result(2, matches=[found_by_sound(first)])
    second = ready(db, bob, heard_of["second"], public=True)
    heard_of[second] = heard_of.pop("second")
    # Whichever is heard last claims it; the sides are to be the right ones either way.
    if not by_hash:
        heard_of[first] = result(1, matches=[found_by_sound(second)])
    (before,) = claims(db, alice)
    dismiss(db, alice, before)
    db.rows("update public.audio_matches set moderator_dismissed_at = now()")
    (dismissed,) = claims(db, alice)
    gone = {"alice": [first], "bob": [second], "both": [first, second]}[whose]
    owners = {first: alice, second: bob}
    files = {audio_id: db.file(audio_id) for audio_id in gone}
    for audio_id in gone:
        db.remove(files[audio_id]["file_path"])
    assert claims(db, alice) == []
    for n, audio_id in enumerate(gone if meanwhile != "nothing" else []):
        db.store(files[audio_id]["file_path"], owner=owners[audio_id])
        (held,) = db.claim()
        if meanwhile == "other bytes":
            db.complete(held, result(5 + n, matches=[]))
        else:
            db.fail(held, "failed")
    assert claims(db, alice) == []
    for audio_id in gone:
        db.store(files[audio_id]["file_path"], owner=owners[audio_id], etag=files[audio_id]["object_etag"])
        (held,) = db.claim()
        db.complete(held, heard_of[audio_id])
    (after,) = claims(db, alice)
    assert (after["id"], after["created_at"], after["dismissed_at"]) == (
        dismissed["id"],
        dismissed["created_at"],
        dismissed["dismissed_at"],
    )
    alices = "owner_dismissed_at" if str(after["audio_id"]) == first else "matched_owner_dismissed_at"
    bobs = "matched_owner_dismissed_at" if alices == "owner_dismissed_at" else "owner_dismissed_at"
    assert (after[alices], after[bobs]) == (dismissed["matched_owner_dismissed_at"], None)
    assert db.rows("select * from soundscape.former_dismissals") == []


def test_what_was_said_of_bytes_is_not_said_of_others(db: Database, alice: str, bob: str) -> None:
    first = ready(db, alice, result(1), public=True)
    second = ready(db, bob, result(2, matches=[found_by_sound(first)]), public=True)
    dismiss(db, alice, claims(db, alice)[0])
    db.remove(db.file(second)["file_path"])
    db.store(db.file(second)["file_path"], owner=bob)
    (held,) = db.claim()
    db.complete(held, result(5, matches=[found_by_sound(first)]))
    (other,) = claims(db, alice)
    assert sides(other) == (False, False, False)
    # With either recording goes what was said of it.
    db.rows("delete from public.audio_files where id = %s", first)
    assert db.rows("select * from soundscape.former_dismissals") == []


def test_bytes_that_are_gone_are_no_copy(db: Database, alice: str, bob: str) -> None:
    first = ready(db, alice, result(1), public=True)
    db.store(db.file(first)["file_path"], owner=alice)
    second = db.recording(bob)
    held = next(held for held in db.claim(2) if held.audio_id == second)
    db.complete(held, result(1))
    assert claims(db, bob) == []


@pytest.mark.parametrize("dismissed", [False, True])
def test_what_a_later_analysis_does_not_find_is_no_longer_claimed(
    db: Database, alice: str, bob: str, dismissed: bool
) -> None:
    first = ready(db, alice, result(1), public=True)
    second = ready(db, bob, result(2, matches=[found_by_sound(first)]), public=True)
    third = ready(db, bob, result(3, matches=[found_by_sound(second)]), public=True)
    claim = next(claim for claim in claims(db, alice) if str(claim["matched_audio_id"]) == first)
    if dismissed:
        dismiss(db, alice, claim)
    without = {key: value for key, value in result(2).items() if key != "matches"}
    again(db, second, without)
    assert len(claims(db, alice)) == 2, "nothing was looked for"
    again(db, second, result(2, matches=[]))
    left = {(str(claim["audio_id"]), str(claim["matched_audio_id"])) for claim in claims(db, alice)}
    assert left == {(third, second)} | ({(second, first)} if dismissed else set())


def test_other_bytes_take_their_claims_with_them(db: Database, alice: str) -> None:
    first = ready(db, alice, result(1))
    second = ready(db, alice, result(2, matches=[found_by_sound(first)]))
    db.store(db.file(second)["file_path"], owner=alice)
    (held,) = db.claim()
    db.complete(held, result(5))
    assert claims(db, alice) == []


def test_two_that_complete_at_once_and_claim_each_other_do_not_wait_for_each_other(
    db: Database, alice: str
) -> None:
    first, second = ready(db, alice, result(1)), ready(db, alice, result(2))
    for audio_id in (first, second):
        db.rows("select soundscape.enqueue(%s, %s)", audio_id, db.file(audio_id)["object_version"])
    held = {held.audio_id: held for held in db.claim(10)}
    one, two = db.connect(), db.connect()
    for connection, audio_id in ((one, first), (two, second)):
        connection.execute(
            "select soundscape.lock_held_job(%s, %s)", (held[audio_id].job_id, held[audio_id].token)
        )
    claim = (
        "insert into public.audio_matches (audio_id, matched_audio_id, kind, confidence) "
        "values (%s, %s, 'identical', 1)"
    )
    two.execute("set statement_timeout = '60s'")
    one.execute("set statement_timeout = '60s'")
    one.execute(claim, (first, second))
    one.commit()
    with pytest.raises(psycopg.errors.UniqueViolation):
        two.execute(claim, (second, first))


# -- at one moment --------------------------------------------------------------------------------


def two_at_once(db: Database, alice: str, analyses: tuple[Row, Row]) -> tuple[str, str]:
    """Two recordings whose completions overlap: each is written before the other commits."""
    ids = [db.recording(alice), db.recording(alice)]
    held = {held.audio_id: held for held in db.claim(2)}
    sessions = [db.connect(), db.connect()]
    finished: list[Any] = []

    def complete(session: Any, audio_id: str, analysis: Row) -> None:
        whole = analysis | {"waveform": {"path": held[audio_id].picture}}
        session.execute("set statement_timeout = '60s'")
        session.execute(
            "select public.complete_job(%s, %s, %s)",
            (held[audio_id].job_id, held[audio_id].token, Jsonb(whole)),
        )
        finished.append(audio_id)

    complete(sessions[0], ids[0], analyses[0])
    other = threading.Thread(target=complete, args=(sessions[1], ids[1], analyses[1]))
    other.start()
    # The first one is still open: the second one has run into it, or has passed it by.
    until(lambda: db.somebody_waits() or not other.is_alive())
    sessions[0].commit()
    other.join(LIMIT_S)
    sessions[1].commit()
    assert finished == ids
    return ids[0], ids[1]


@pytest.mark.parametrize("shared", ["sha256", "pcm_blake3"])
def test_two_copies_that_complete_at_once_know_of_each_other(db: Database, alice: str, shared: str) -> None:
    analyses = (result(1), result(2))
    analyses[1]["source"] = analyses[1]["source"] | {shared: analyses[0]["source"][shared]}
    first, second = two_at_once(db, alice, analyses)
    (claim,) = claims(db, alice)
    assert {str(claim["audio_id"]), str(claim["matched_audio_id"])} == {first, second}
    assert set(claim["evidence"]) == {shared, "offset_s"}


def test_two_sounds_that_complete_at_once_are_compared_afterwards(db: Database, alice: str) -> None:
    before = ready(db, alice, result(9))
    moment = db.value("select public.index_snapshot()")
    first, second = two_at_once(db, alice, (asked_in(result(1), moment), asked_in(result(2), moment)))
    rows = db.rows("select * from public.pending_comparisons()")
    waiting = {str(row["audio_id"]): [str(other) for other in row["others"]] for row in rows}
    assert waiting == {first: [second], second: [first]}
    # One that arrives between the question and its answer was in no comparison yet.
    third = ready(db, alice, asked_in(result(3), moment))
    for audio_id, others in waiting.items():
        claim = Jsonb([found_by_sound(others[0])])
        db.rows("select public.complete_comparison(%s, %s::uuid[], %s)", audio_id, others, claim)
    (claimed,) = claims(db, alice)
    assert {str(claimed["audio_id"]), str(claimed["matched_audio_id"])} == {first, second}
    left = {str(r["audio_id"]): set(map(str, r["others"])) for r in db.rows(
        "select * from public.pending_comparisons()"
    )}  # fmt: skip
    assert left == {first: {second, third}, second: {first, third}, third: {first, second}}
    for audio_id, others in left.items():
        db.rows("select public.complete_comparison(%s, %s::uuid[], '[]')", audio_id, list(map(str, others)))
    assert db.rows("select * from public.pending_comparisons()") == []
    # Whoever asks now sees them all, and is alone.
    ready(db, alice, asked_in(result(4), db.value("select public.index_snapshot()")))
    assert db.rows("select * from public.pending_comparisons()") == []
    assert db.value("select count(*) from soundscape.fingerprints where compared_in is not null") == 0
    assert before not in left


def settled(db: Database, probability: float) -> None:
    """What the worker does: each of those that wait is claimed to match each of the others by its sound."""
    for row in db.rows("select * from public.pending_comparisons()"):
        found = Jsonb([found_by_sound(str(other), probability=probability) for other in row["others"]])
        db.rows(
            "select public.complete_comparison(%s, %s::uuid[], %s)", row["audio_id"], row["others"], found
        )
    assert db.rows("select * from public.pending_comparisons()") == []


def test_two_copies_that_complete_at_once_stay_identical(db: Database, alice: str) -> None:
    """Their sounds are compared afterwards, which says less than their hashes did."""
    analysis = asked_in(result(1), db.value("select public.index_snapshot()"))
    first, second = two_at_once(db, alice, (analysis, analysis))
    (before,) = claims(db, alice)
    assert (before["kind"], set(before["evidence"])) == ("identical", {"sha256", "pcm_blake3", "offset_s"})
    settled(db, 0.99)
    (after,) = claims(db, alice)
    same = ("id", "kind", "confidence", "evidence")
    assert [after[name] for name in same] == [before[name] for name in same]
    # Nor does it go with an analysis that finds it by nothing but its hashes.
    for audio_id in (first, second):
        again(db, audio_id, result(1, matches=[]))
        assert [claims(db, alice)[0][name] for name in same] == [before[name] for name in same]


def test_of_more_copies_than_are_claimed_by_hash_none_becomes_less_than_identical(
    db: Database, alice: str
) -> None:
    """Each claims fifty others; one that is beyond them may have claimed it itself."""
    ids = [ready(db, alice, result(1)) for _ in range(53)]
    pair = {ids[0], ids[52]}
    (kind,) = [
        c["kind"] for c in claims(db, alice) if {str(c["audio_id"]), str(c["matched_audio_id"])} == pair
    ]
    assert kind == "identical"
    again(db, ids[0], result(1, matches=[found_by_sound(other) for other in ids[1:]]))
    assert {claim["kind"] for claim in claims(db, alice)} == {"identical"}


def test_what_is_gone_once_it_is_compared_is_not_claimed(db: Database, alice: str) -> None:
    moment = db.value("select public.index_snapshot()")
    first, second = two_at_once(db, alice, (asked_in(result(1), moment), asked_in(result(2), moment)))
    db.rows("select * from public.pending_comparisons()")
    db.store(db.file(first)["file_path"], owner=alice)
    db.rows(
        "select public.complete_comparison(%s, %s::uuid[], %s)",
        first,
        [second],
        Jsonb([found_by_sound(second)]),
    )
    db.rows("delete from public.audio_files where id = %s", first)
    db.rows(
        "select public.complete_comparison(%s, %s::uuid[], %s)",
        first,
        [second],
        Jsonb([found_by_sound(second)]),
    )
    assert claims(db, alice) == []


def asked_in(analysis: Row, moment: str) -> Row:
    return analysis | {"index": analysis["index"] | {"compared_in": moment}}
