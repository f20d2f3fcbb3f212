"""Models find structure that is there, and none that is not. The full size is benchmarks/recommend.py's."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.made_choices import made
from soundscape.cli.app import app
from soundscape.errors import RecommendationError
from soundscape.recommend.evaluation import REFERENCE, evaluate, evaluate_cold
from soundscape.recommend.interactions import Float32, Interactions

Made = tuple[Interactions, Float32]


@pytest.fixture(scope="module")
def taste() -> Made:
    return made(250, 350, 7000, rank=6, features=40)


@pytest.mark.parametrize("kind", ["random", "time"])
def test_models_beat_popularity_and_neighbours(taste: Made, kind: str) -> None:
    found = evaluate(taste[0], kind=kind, seeds=1)  # type: ignore[arg-type]
    worth = {each.name: each for each in found.models}
    assert set(worth) == {"popularity", REFERENCE, "EASE", "ALS"}
    assert worth["ALS"].ndcg_above_reference.low > 0
    assert worth["EASE"].ndcg.low > worth["popularity"].ndcg.high
    assert worth["ALS"].coverage > 2 * worth["popularity"].coverage
    assert worth["ALS"].novelty_bits.mean > worth["popularity"].novelty_bits.mean
    for each in found.models:
        assert each.ndcg.low < each.ndcg.mean < each.ndcg.high < 1


def test_where_there_is_no_taste_nothing_beats_popularity() -> None:
    rng = np.random.default_rng(0)
    popular = 1 / (1 + np.arange(150.0))
    noise = Interactions.from_events(
        (str(user), str(item), 1.0, None)
        for user in range(300)
        for item in rng.choice(150, size=15, replace=False, p=popular / popular.sum())
    )
    worth = {each.name: each.ndcg.mean for each in evaluate(noise, seeds=1).models}
    assert worth["popularity"] >= max(worth["EASE"], worth["ALS"]) - 0.02


def test_features_place_what_nobody_chose_and_shuffled_ones_do_not(taste: Made) -> None:
    interactions, features = taste
    shuffled = np.random.default_rng(0).permutation(features)
    placed = evaluate_cold(interactions, features, seeds=1)
    lost = evaluate_cold(interactions, shuffled, seeds=1)
    assert placed.among_cold_times_random > 1.5
    assert placed.times_random > 2 * lost.times_random
    assert 0.6 < lost.among_cold_times_random < 1.4


def test_too_few_events_are_refused_with_a_remedy() -> None:
    with pytest.raises(RecommendationError, match="Nobody is left"):
        evaluate(Interactions.from_events([("a", "x", 1.0, None)]))


@pytest.fixture(scope="module")
def files(taste: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    interactions, features = taste
    folder = tmp_path_factory.mktemp("recommend")
    with (folder / "events.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item"])
        writer.writerows(
            (interactions.users[user], interactions.items[item])
            for user, item in zip(interactions.user, interactions.item, strict=True)
        )
    with (folder / "features.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item", "embedding"])
        writer.writerows(
            (item, str([round(float(x), 3) for x in row]))
            for item, row in zip(interactions.items, features, strict=True)
        )
    return folder / "events.csv", folder / "features.csv"


def test_the_command_prints_json(files: tuple[Path, Path]) -> None:
    events, features = files
    said = CliRunner().invoke(
        app, ["recommend", "evaluate", str(events), "--features", str(features), "--seeds", "1", "--json"]
    )
    assert said.exit_code == 0, said.output
    found = json.loads(said.stdout)
    assert (found["users"], found["kind"], found["seeds"]) == (250, "random", 1)
    assert [each["name"] for each in found["models"]] == ["popularity", REFERENCE, "EASE", "ALS"]
    assert found["models"][3]["ndcg"]["low"] < found["models"][3]["ndcg"]["mean"]
    assert found["cold"]["times_random"] > 1


def test_the_command_prints_a_table(files: tuple[Path, Path]) -> None:
    said = CliRunner().invoke(
        app, ["recommend", "evaluate", str(files[0]), "--seeds", "1"], env={"COLUMNS": "200"}
    )
    assert said.exit_code == 0, said.output
    for word in ("recall@20", "nDCG@20", "coverage", "novelty", "EASE", "ALS", REFERENCE):
        assert word in said.stdout


def test_the_command_says_what_a_split_by_time_lacks(files: tuple[Path, Path]) -> None:
    said = CliRunner().invoke(app, ["recommend", "evaluate", str(files[0]), "--split", "time"])
    assert isinstance(said.exception, RecommendationError)
    assert "no times" in said.exception.message
