"""Recordings as the worker leaves them, and calls as PostgREST makes them."""

from __future__ import annotations

import secrets
from typing import Any

import psycopg

from .conftest import Database

Row = dict[str, Any]
SPACE = "yamnet-128-v3"


def place(*directions: float) -> list[float]:
    """A vector of 128 values that begins with these."""
    return [*directions, *[0.0] * (128 - len(directions))]


def tag(label: str, share: float) -> Row:
    """A tag that weighs this much in `heard`: certain enough, and up to the end of ten seconds."""
    confidence = max(share, 0.5)
    return {"label": label, "confidence": confidence, "start_s": 10 - 10 * share / confidence, "end_s": 10.0}


def analysed(**given: Any) -> Row:
    """A result of the analysis; `at` is where the embedding points."""
    source = {"duration_s": given.get("duration_s", 10.0), "sample_rate": 44100, "channels": 2}
    embedding = {"space": given.get("space", SPACE), "values": place(*given.get("at", ()))}
    return {
        "analysis_version": "test-1",
        "source": source | {"sha256": given.get("sha256", secrets.token_hex(32))},
        "loudness": {"integrated_lufs": given.get("lufs", -20.0), "range_lu": given.get("range_lu")},
        "spectral": {"centroid_hz": {"mean": given.get("centroid_hz")}},
        "rhythm": {
            "tempo_bpm": given.get("tempo_bpm"),
            "tempo_confidence": given.get("tempo_confidence", 1.0),
            "onset_rate_hz": given.get("onset_rate_hz", 1.0),
        },
        "tonality": {"key": given.get("key"), "mode": given.get("mode"), "confidence": 1.0},
        "tags": [
            *(tag(label, share) for label, share in given.get("heard", {"Silence": 0.1}).items()),
            *given.get("further_tags", []),
        ],
        "embedding": embedding if "at" in given else None,
    }  # fmt: skip


def heard(db: Database, owner: str, *, public: bool = True, **given: Any) -> str:
    """A recording that was analysed, through the worker's own functions; returns its id."""
    audio_id = db.recording(owner)
    db.rows(
        "update public.audio_files set is_public = %s, title = %s, tags = %s, license = %s where id = %s",
        public, given.get("title", "A sound"), given.get("tags", []), given.get("license"), audio_id,
    )  # fmt: skip
    (held,) = db.claim()
    db.complete(held, analysed(**given))
    return audio_id


def ask(
    db: Database, function: str, user: str | None = None, *, role: str = "", **arguments: Any
) -> list[Row]:
    """Call a function of the Data API by name, as PostgREST does."""
    named = psycopg.sql.SQL(", ").join(
        psycopg.sql.SQL("{} => {}").format(psycopg.sql.Identifier(name), psycopg.sql.Placeholder(name))
        for name in arguments
    )
    call = psycopg.sql.SQL("select * from public.{}({})").format(psycopg.sql.Identifier(function), named)
    with db.acting(role or ("authenticated" if user else "anon"), user or "") as connection:
        return connection.execute(call, arguments).fetchall()
