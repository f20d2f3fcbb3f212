"""`soundscape recommend fit` and `show` against a whole project with a year of use in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from click.testing import Result
from psycopg.rows import dict_row
from structlog.testing import capture_logs
from typer.testing import CliRunner

from benchmarks.made_choices import serving_weights
from soundscape.cli.app import app
from soundscape.cli.embedded_project import Project
from soundscape.errors import RecommendationError
from soundscape.project.functions import call_project
from soundscape.project.recommendations import FitLease, Recommendations
from soundscape.recommend import fit as fitting
from soundscape.recommend import publication
from soundscape.recommend.served_model import MIN_SIMILARITY, ServingWeights
from soundscape.settings import Settings
from soundscape.worker.fitting import choose_pause_s, fit_once
from tests import embedded
from tests.recommend.library import SPACE, fill, named

PEOPLE, ITEMS = 80, 60


class Library:
    """The project's database, and an operator with its secret key."""

    def __init__(self, project: Project) -> None:
        self.project = project

    def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.project.db_url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(query, values or None)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def value(self, query: str, *values: Any) -> Any:
        (row,) = self.sql(query, *values)
        return next(iter(row.values()))

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["recommend", *arguments])

    def fit(self, *arguments: str) -> dict[str, Any]:
        answer = self.run("fit", "--json", *arguments)
        assert answer.exit_code == 0, (answer.output, answer.exception)
        found: dict[str, Any] = json.loads(answer.stdout)
        return found

    def refused(self, *arguments: str) -> RecommendationError:
        answer = self.run("fit", *arguments)
        assert isinstance(answer.exception, RecommendationError), (answer.output, answer.exception)
        return answer.exception

    @property
    def in_force(self) -> int | None:
        rows = self.sql("select id from soundscape.recommendation_models where state = 'in_force'")
        return rows[0]["id"] if rows else None

    def models_with_rows(self) -> set[int]:
        return {
            row["model_id"]
            for row in self.sql(
                "select model_id from soundscape.item_factors union "
                "select model_id from soundscape.item_neighbours union "
                "select model_id from soundscape.factor_maps"
            )
        }


@pytest.fixture(scope="module")
def project(data_dirs: Path) -> Iterator[Project]:
    with embedded.served(data_dirs / "recommending", with_worker=False) as project:
        yield project


@pytest.fixture
def library(project: Project, monkeypatch: pytest.MonkeyPatch) -> Library:
    for name in ("SUPABASE_DB_URL", "SOUNDSCAPE_WEBHOOK_SECRET", "SUPABASE_SERVICE_ROLE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SUPABASE_URL", project.url)
    monkeypatch.setenv("SUPABASE_SECRET_KEY", project.keys.secret_key)
    library = Library(project)
    # With their recordings; else those of a large account go in the background.
    library.sql("delete from public.users")
    library.sql("delete from auth.users")
    library.sql("delete from soundscape.recommendation_models")
    library.sql("update soundscape.fit_lease set token = null, held_until = null, begun_at = null")
    return library


@pytest.fixture
def used(library: Library) -> Library:
    fill(library.project.db_url, people=PEOPLE, items=ITEMS, choices=1500)
    return library


def test_too_few_choices_change_nothing(library: Library) -> None:
    refusal = library.refused()
    assert (refusal.code, library.in_force) == ("too_few_events", None)
    assert refusal.remedy
    assert library.value("select token from soundscape.fit_lease") is None
    assert "No model is in use" in library.run("show").stdout


def test_a_model_is_fitted_measured_published_and_shown(used: Library) -> None:
    found = used.fit()
    assert (found["published"], found["people"]) == (True, PEOPLE)
    worth = {name: figures["ndcg"] for name, figures in found["figures"]["models"].items()}
    assert worth["as served"] > max(worth["popularity"], worth["item-kNN"])
    assert used.in_force == found["model"]
    assert used.value("select count(*) from soundscape.item_factors") == ITEMS
    fans = "select count(*) from soundscape.item_neighbours group by audio_id order by 1 desc limit 1"
    assert 0 < used.value(fans) <= 50
    assert used.fit("--every", "1")["published"] is False
    again = used.fit("--every", "0")
    assert again["figures"]["models"]["in force"] == again["figures"]["models"]["as served"], (
        "what was read back is what was measured"
    )
    assert used.models_with_rows() == {used.in_force}
    assert used.value("select count(distinct slot) from soundscape.item_factors") == 1
    shown = used.run("show")
    assert "nDCG@20" in shown.stdout, shown.exception
    assert [model["state"] for model in json.loads(used.run("show", "--json").stdout)] == [
        "in_force",
        "retired",
    ]


def test_sql_puts_a_listener_where_they_were_measured(used: Library) -> None:
    settings = used.fit()["settings"]
    user = used.value("select user_id from public.likes limit 1")
    (row,) = used.sql(
        "select soundscape.listener_vector(%s, array_agg(audio_id), array_agg(weight))::text as listener, "
        "array_agg(audio_id::text) as items, array_agg(weight) as weights from soundscape.choices(array[%s])",
        used.in_force, user,
    )  # fmt: skip
    keys = {
        str(item["audio_id"]): np.array(json.loads(item["key"]))
        for item in used.sql("select audio_id, key::text as key from soundscape.item_factors")
    }
    expected = sum(
        keys[item] * (1 + settings["alpha"] * np.log2(1 + weight))
        for item, weight in zip(row["items"], row["weights"], strict=True)
    )
    np.testing.assert_allclose(json.loads(row["listener"]), expected, rtol=1e-3, atol=1e-6)


def test_what_is_measured_is_what_is_served_after_very_many_choices(library: Library) -> None:
    """Whoever chose more than counts, and skipped: every score of the answer, from SQL and from the fit."""
    fill(library.project.db_url, people=60, items=420, choices=3000)
    person = named("user", "a diligent one")
    library.sql("insert into auth.users (id, email) values (%s, 'diligent@example.com')", person)
    recordings = [row["audio_id"] for row in library.sql("select audio_id from public.audio_embeddings")]
    # Every fortieth is skipped, of the latest 150 too; forty are left. The later, the higher the number.
    for number, recording in enumerate(recordings[40:]):
        library.sql(
            "insert into public.listening_events (user_id, audio_id, listened_s, started_at) "
            "values (%s, %s, 1, now() - make_interval(hours => %s))"
            if number % 40 == 39
            else "insert into public.likes (user_id, audio_id, created_at) "
            "values (%s, %s, now() - make_interval(hours => %s))",
            person, recording, 1000 - number,
        )  # fmt: skip
    # Two that are left sound just like a skip: one like the latest, one like the ninth latest.
    for left, skipped in ((0, 40 + 359), (1, 40 + 39)):
        library.sql(
            "update public.audio_embeddings e set embedding = s.embedding "
            "from public.audio_embeddings s where s.audio_id = %s and e.audio_id = %s",
            recordings[skipped], recordings[left],
        )  # fmt: skip
    library.fit("--force")
    settings = {"neighbours": 0.7, "content": 0.5, "skip": 1.0}
    library.sql(
        "update soundscape.recommendation_models set settings = settings || %s where state = 'in_force'",
        json.dumps(settings),
    )

    async def measured(project: Recommendations) -> dict[str, float]:
        lease = await project.begin()
        assert isinstance(lease, FitLease)
        interactions = await publication.read_history(project)
        content = await publication._read_embeddings(project, interactions.items, lease.space)
        model = await publication._read_model_in_force(project, lease, interactions.items, content)
        assert model is not None
        signed = interactions.signed
        recency = interactions.rank_recency(signed)
        assert recency is not None
        row = interactions.users.index(person)
        scores = model.scores_with_skips(signed[row], recency[row])[0]
        return dict(zip(interactions.items, scores.tolist(), strict=True))

    expected = call_project(Recommendations, measured)
    popularity = {
        str(row["audio_id"]): row["popularity"]
        for row in library.sql("select audio_id, popularity from soundscape.item_factors")
    }
    with psycopg.connect(library.project.db_url, row_factory=dict_row) as connection:
        connection.execute("select set_config('request.jwt.claims', %s, true)", (f'{{"sub": "{person}"}}',))
        connection.execute("set local role authenticated")
        rows = connection.execute("select id::text, score from public.recommended_audio(100, 1)").fetchall()
        connection.rollback()
    assert len(rows) == 40
    most = max(popularity[row["id"]] for row in rows)
    assert {row["id"]: row["score"] for row in rows} == pytest.approx(
        {row["id"]: 0.4 * expected[row["id"]] + 0.05 * popularity[row["id"]] / most for row in rows}, abs=2e-3
    )


def test_a_worse_model_is_refused_unless_forced(used: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    good = used.fit()["model"]
    monkeypatch.setattr(fitting, "FACTORIZATIONS", ((1e6, 0.1),))
    monkeypatch.setattr(fitting, "STEPS", ())
    monkeypatch.setattr(fitting.FitSettings, "neighbours", 0.0)
    refusal = used.refused()
    assert refusal.code == "model_worse"
    assert "in force" in refusal.message
    assert used.in_force == good
    assert used.models_with_rows() == {good}
    assert (
        used.value("select state from soundscape.recommendation_models order by id desc limit 1") == "refused"
    )
    forced = used.fit("--force")
    assert forced["published"]
    assert forced["reasons"]
    assert used.in_force == forced["model"] != good


def test_a_fit_that_broke_off_leaves_what_served_and_is_cleared(used: Library) -> None:
    served = used.fit()["model"]
    lease = used.value("select public.begin_fit()")["token"]
    staged = used.value(
        "select public.stage_model(%s, %s)",
        lease, json.dumps(dict.fromkeys(("people", "items", "events"), 1) | {"settings": {}, "figures": {}}),
    )  # fmt: skip
    vector = str([0.1] * 32)
    item = {"id": named("item", "0"), "popularity": 0.5, "place": vector, "key": vector}
    used.value(
        "select public.stage_items(%s, %s, %s)",
        lease, staged, json.dumps([item | {"neighbours": [], "weights": []}]),
    )  # fmt: skip
    assert used.in_force == served
    assert used.models_with_rows() == {served, staged}
    assert used.refused().code == "fit_running"
    used.sql("update soundscape.fit_lease set held_until = now()")
    following = used.fit()["model"]
    assert used.in_force == following
    assert used.models_with_rows() == {following}
    with pytest.raises(psycopg.Error, match="Another fit has the lease"):
        used.sql("select public.publish_model(%s, %s)", lease, staged)


def test_private_recordings_are_never_in_a_model(used: Library) -> None:
    used.fit()
    private, hidden, listed = (named("item", str(name)) for name in range(3))
    tables = (
        "select count(*) from soundscape.item_factors where audio_id = any (%s)",
        "select count(*) from soundscape.item_neighbours where %s && array[audio_id, neighbour_id]",
    )

    def counts(*recordings: str) -> tuple[int, int]:
        return used.value(tables[0], list(recordings)), used.value(tables[1], list(recordings))

    assert all(min(counts(recording)) > 0 for recording in (private, hidden, listed))
    used.sql("update public.audio_files set is_public = false where id = %s", private)
    used.sql("update public.audio_files set hidden_at = now(), hidden_reason = 'r' where id = %s", hidden)
    assert counts(private, hidden) == (0, 0)
    assert min(counts(listed)) > 0
    used.fit("--force")
    assert counts(private, hidden) == (0, 0)
    # Public again: a place by its sound, until the next model learns from what was done with it.
    used.sql("update public.audio_files set is_public = true where id = %s", private)
    cold = "select is_cold from soundscape.item_factors where audio_id = %s"
    assert used.sql(cold, private) == [{"is_cold": True}]


def test_the_worker_fits_in_a_child_what_is_due(used: Library, tmp_path: Path) -> None:
    settings = Settings.model_construct(
        supabase_url=used.project.url,
        secret_key=used.project.keys.secret_key,
        recommend_every_h=24,
    )
    with capture_logs() as told:
        assert asyncio.run(fit_once(settings, tmp_path, every_h=24)) == 0
    assert [line["event"] for line in told] == ["a model was published"]
    published = used.in_force
    assert asyncio.run(fit_once(settings, tmp_path, every_h=24)) == 0
    assert used.in_force == published
    used.sql("delete from public.likes")
    used.sql("delete from public.listening_events")
    with capture_logs() as told:
        assert asyncio.run(fit_once(settings, tmp_path, every_h=0)) == 2
    assert "model_worse" in told[0]["reason"]
    assert used.in_force == published
    assert 0 < choose_pause_s(24) <= 3600


def test_a_new_recording_has_a_place_from_the_transaction_that_completes_it(used: Library) -> None:
    used.fit()
    owner, like = named("owner", ""), named("item", "0")
    used.sql(
        "insert into storage.objects (bucket_id, name, owner_id, version, metadata, user_metadata) "
        "values ('audio-files', %s || '/new.wav', %s, 'v', %s, %s)",
        owner, owner, json.dumps({"eTag": "e", "size": 1}), json.dumps({"title": "New"}),
    )  # fmt: skip
    new = used.value(
        "update public.audio_files set is_public = true where file_path = %s || '/new.wav' returning id",
        owner,
    )
    embedding = used.value("select embedding::text from public.audio_embeddings where audio_id = %s", like)
    result = {
        "analysis_version": "1",
        "source": {"duration_s": 1.5, "sample_rate": 44100, "channels": 2, "sha256": "0" * 64},
        "waveform": {"path": "a/b/c/waveform.dat"},
        "embedding": {"space": SPACE, "values": json.loads(embedding)},
    }
    found = "select is_cold, key::text as key from soundscape.item_factors where audio_id = %s"
    with psycopg.connect(used.project.db_url, row_factory=dict_row) as connection:
        (job,) = connection.execute("select job_id, token from public.claim_jobs('w', 1, 60)").fetchall()
        assert connection.execute(found, (new,)).fetchall() == []
        connection.execute(
            "select public.complete_job(%s, %s, %s)", (job["job_id"], job["token"], json.dumps(result))
        )
        (place,) = connection.execute(found, (new,)).fetchall()
        assert place["is_cold"]
        assert np.abs(json.loads(place["key"])).max() > 0
        connection.rollback()
    assert used.sql(found, new) == []


def test_the_floor_of_similarity_is_that_of_the_database(library: Library) -> None:
    assert library.sql("select soundscape.min_similarity() as floor") == [{"floor": MIN_SIMILARITY}]


def test_a_fit_is_given_the_row_of_weights_that_serves(library: Library) -> None:
    async def weights(project: Recommendations) -> ServingWeights:
        lease = await project.begin()
        assert isinstance(lease, FitLease)
        await project.end(lease)
        return ServingWeights.from_row(lease.weights)

    # What tests and benchmarks read from the migration is the row of a new project.
    assert call_project(Recommendations, weights) == serving_weights()
    library.sql("update soundscape.recommendation_weights set skipped = 0.1, max_skips = 2")
    try:
        changed = replace(serving_weights(), skipped=0.1, max_skips=2)
        assert call_project(Recommendations, weights) == changed
    finally:
        library.sql("update soundscape.recommendation_weights set skipped = default, max_skips = default")
