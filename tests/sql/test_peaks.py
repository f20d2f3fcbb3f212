"""`audio_files.peaks`: there with the results, gone with the bytes they describe."""

from __future__ import annotations

import psycopg
import pytest

from .conftest import RESULT, Database

PEAKS = [index % 256 for index in range(200)]
HEARD = RESULT | {"waveform": {"peaks": PEAKS}}


def test_they_come_with_the_results_and_go_with_the_object(db: Database) -> None:
    owner = db.sign_up()
    audio_id = db.recording(owner)
    assert db.file(audio_id)["peaks"] is None
    (held,) = db.claim()
    db.complete(held, HEARD)
    assert db.file(audio_id)["peaks"] == PEAKS
    db.remove(held.object_name)
    assert db.file(audio_id)["peaks"] is None


def test_new_bytes_that_are_refused_take_the_former_peaks_along(db: Database) -> None:
    audio_id = db.recording(db.sign_up())
    (held,) = db.claim()
    db.complete(held, HEARD)
    db.store(held.object_name, owner=db.file(audio_id)["user_id"])
    (newer,) = db.claim()
    db.fail(newer, "failed")
    assert db.file(audio_id)["peaks"] is None


def test_an_older_worker_measures_none(db: Database) -> None:
    audio_id = db.recording(db.sign_up())
    (held,) = db.claim()
    db.complete(held, RESULT)
    assert (db.file(audio_id)["status"], db.file(audio_id)["peaks"]) == ("ready", None)


@pytest.mark.parametrize("peaks", [PEAKS[1:], [*PEAKS[1:], 256], [*PEAKS[1:], -1]])
def test_anything_but_200_bytes_is_refused(db: Database, peaks: list[int]) -> None:
    db.recording(db.sign_up())
    (held,) = db.claim()
    with pytest.raises(psycopg.errors.CheckViolation):
        db.complete(held, RESULT | {"waveform": {"peaks": peaks}})


MAX_LIST_BYTES = 60_000
LISTED = "id, title, status, error_message, duration, is_public, created_at, peaks"
"""As docs/frontend.md and the example ask for it."""


def test_a_list_of_fifty_draws_itself_from_60_kb(db: Database) -> None:
    owner = db.sign_up()
    audio_id = db.recording(owner)
    (held,) = db.claim()
    db.complete(held, RESULT | {"waveform": {"peaks": [255] * 200}})
    db.rows("update public.audio_files set title = %s where id = %s", "t" * 100, audio_id)
    one_bytes = db.value(
        f"select octet_length(row_to_json(f)::text) from (select {LISTED} from public.audio_files) f"
    )
    assert 50 * one_bytes <= MAX_LIST_BYTES
