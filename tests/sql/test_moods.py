"""Mixes for a mood: by which rules, for whom, and what must not show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

import soundscape.audio

from .conftest import Database
from .sounds import Row, ask, heard

NAMES = Path(soundscape.audio.__file__).parent / "data" / "audioset_names.txt"

SOUNDS: dict[str, dict[str, Any]] = {
    "calm": {"onset_rate_hz": 0.5, "lufs": -28.0, "centroid_hz": 1200.0, "range_lu": 12.0},
    "focus": {"onset_rate_hz": 2.0, "lufs": -18.0, "centroid_hz": 2000.0, "range_lu": 2.0},
    "energy": {
        "onset_rate_hz": 6.0, "lufs": -10.0, "tempo_bpm": 128.0, "centroid_hz": 5000.0, "range_lu": 12.0,
        "heard": {"Drum machine": 0.8},
    },
    "nature": {
        "onset_rate_hz": 2.0, "lufs": -15.0, "centroid_hz": 5000.0, "range_lu": 12.0,
        "heard": {"Bird vocalization, bird call, bird song": 0.6},
    },
    "night": {
        "onset_rate_hz": 2.9, "lufs": -40.0, "centroid_hz": 1000.0, "range_lu": 12.0,
        "heard": {"Cricket": 0.9},
    },
}  # fmt: skip


def mix(db: Database, mood: str, user: str | None = None, **arguments: Any) -> list[Row]:
    return ask(db, "mood_mix", user, mood=mood, **arguments)


def ids(rows: list[Row]) -> list[str]:
    return [str(row["id"]) for row in rows]


@pytest.mark.parametrize("mood", SOUNDS)
def test_each_mood_finds_what_its_rules_mean_and_says_which(db: Database, alice: str, mood: str) -> None:
    sounds = {name: heard(db, alice, **about) for name, about in SOUNDS.items()}
    # What nothing was measured of is in no mood.
    heard(db, alice, onset_rate_hz=None, lufs=None)
    rows = {str(row["id"]): row for row in mix(db, mood)}
    row = rows[sounds[mood]]
    assert row["score"] >= 0.5
    assert sum(row["points"].values()) == pytest.approx(row["score"], abs=0.005)
    assert row["because"] == sorted(
        (rule for rule, points in row["points"].items() if points >= 0.05),
        key=lambda rule: -row["points"][rule],
    )
    assert max(rows.values(), key=lambda row: row["score"]) == row
    assert set(rows) <= set(sounds.values())


def test_what_speaks_against_a_mood_is_said(db: Database, alice: str) -> None:
    talk = heard(db, alice, **SOUNDS["calm"] | {"heard": {"Speech": 0.05, "Rain": 0.4}})
    (row,) = mix(db, "calm")
    assert str(row["id"]) == talk
    assert row["points"]["unrest"] == pytest.approx(-0.067)
    assert "unrest" not in row["because"]
    heard(db, alice, **SOUNDS["calm"] | {"heard": {"Speech": 0.9}})
    assert ids(mix(db, "calm")) == [talk]


def test_an_uncertain_tag_says_nothing(db: Database, alice: str) -> None:
    weak = {"label": "Speech", "confidence": 0.3, "start_s": 0.0, "end_s": 10.0}
    heard(db, alice, **SOUNDS["calm"], further_tags=[weak])
    (row,) = mix(db, "calm")
    assert "unrest" not in row["points"]


def test_an_uncertain_tempo_says_little(db: Database, alice: str) -> None:
    heard(db, alice, **SOUNDS["energy"] | {"tempo_confidence": 0.1})
    (row,) = mix(db, "energy")
    assert row["points"]["fast"] == pytest.approx(0.05)


def test_a_tag_and_the_end_of_one_move_a_recording_at_once(db: Database, alice: str) -> None:
    audio_id = heard(db, alice, onset_rate_hz=1.0, tags=["Forêt"])
    assert mix(db, "nature") == []
    for tags, expected in ((["FOREST"], [audio_id]), (["city"], [])):
        db.rows("update public.audio_files set tags = %s where id = %s", tags, audio_id)
        assert ids(mix(db, "nature")) == expected


def test_another_analysis_moves_a_recording_at_once(db: Database, alice: str) -> None:
    audio_id = heard(db, alice, **SOUNDS["calm"])
    assert ids(mix(db, "calm")) == [audio_id]
    db.rows(
        "update public.audio_features set onset_rate_hz = 6, integrated_lufs = -9 where audio_id = %s",
        audio_id,
    )
    assert mix(db, "calm") == []


def test_the_owner_s_own_and_nobody_else_s_private_ones(db: Database, alice: str, bob: str) -> None:
    listed = heard(db, alice, **SOUNDS["nature"])
    before = {user: mix(db, "nature", user, seed=3) for user in (None, bob)}
    private = heard(db, alice, public=False, **SOUNDS["nature"])
    hidden = heard(db, alice, **SOUNDS["nature"])
    db.rows("update public.audio_files set hidden_at = now(), hidden_reason = 'r' where id = %s", hidden)
    assert {user: mix(db, "nature", user, seed=3) for user in (None, bob)} == before
    assert sorted(ids(mix(db, "nature", alice))) == sorted([listed, private, hidden])
    db.rows("insert into public.user_roles (user_id, role) values (%s, 'moderator')", bob)
    assert mix(db, "nature", bob, seed=3) == before[bob]
    # Whether it is there or not, somebody else's private recording among what was played says nothing.
    assert mix(db, "nature", None, seed=3, played=[private]) == before[None]


def test_a_recording_that_becomes_private_leaves_the_mix(db: Database, alice: str) -> None:
    audio_id = heard(db, alice, **SOUNDS["nature"])
    for public, expected in ((False, []), (True, [audio_id])):
        db.rows("update public.audio_files set is_public = %s where id = %s", public, audio_id)
        assert ids(mix(db, "nature")) == expected
    db.rows("delete from public.audio_files where id = %s", audio_id)
    assert db.rows("select from soundscape.audio_moods") == []


def test_a_seed_draws_and_what_was_played_does_not_come_again(db: Database, alice: str) -> None:
    sounds = [heard(db, alice, at=(1.0, 0.1 * n), **SOUNDS["night"]) for n in range(8)]
    draws = {seed: ids(mix(db, "night", limit=4, seed=seed)) for seed in range(6)}
    assert len({tuple(draw) for draw in draws.values()}) > 1
    assert ids(mix(db, "night", limit=4, seed=2)) == draws[2]
    rest = ids(mix(db, "night", limit=8, seed=2, played=draws[2]))
    assert sorted(rest + draws[2]) == sorted(sounds)


def test_a_mix_is_varied(db: Database, alice: str) -> None:
    alike = [heard(db, alice, at=(1.0, 0.01 * n), **SOUNDS["night"]) for n in range(6)]
    other = heard(db, alice, at=(0.0, 1.0), **SOUNDS["night"])
    placeless = heard(db, alice, **SOUNDS["night"])
    for seed in range(4):
        drawn = ids(mix(db, "night", limit=3, seed=seed))
        assert len(set(drawn) & set(alike)) == 1
        assert {other, placeless} < set(drawn)


def test_there_is_no_such_mood(db: Database) -> None:
    for mood in ("sad", "", None):
        with pytest.raises(psycopg.Error) as refused:
            ask(db, "mood_mix", mood=mood)
        assert refused.value.sqlstate == "22023"
        assert refused.value.diag.message_hint == "calm, energy, focus, nature, night."


@pytest.mark.parametrize(
    "wrong", [{"limit": -1}, {"limit": 101}, {"limit": None}, {"seed": None}, {"played": None}]
)
def test_arguments_that_mean_nothing_are_refused(db: Database, wrong: Row) -> None:
    with pytest.raises(psycopg.Error) as refused:
        mix(db, "calm", **wrong)
    assert refused.value.sqlstate == "22023"


def test_the_rules_are_whole(db: Database) -> None:
    rules = db.rows("select * from public.mood_rules")
    names = {db.value("select soundscape.fold(%s)", name) for name in NAMES.read_text().splitlines()}
    for mood in SOUNDS:
        full = sum(rule["points"] for rule in rules if rule["mood"] == mood and rule["points"] > 0)
        assert full == pytest.approx(1), mood
    for rule in rules:
        labels = rule["labels"] or []
        assert all(db.value("select soundscape.fold(%s)", label) == label for label in labels), rule
        # Most are names that the analysis gives; the rest are tags that people do.
        assert len(set(labels) & names) >= len(labels) / 2, rule
    assert ask(db, "mood_mix", mood="calm") == []
    with db.acting("anon") as connection:
        told = connection.execute("select count(*) as rules from public.mood_rules").fetchone()
        assert told == {"rules": len(rules)}
