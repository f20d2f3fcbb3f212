"""Models against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from benchmarks.made_choices import made
from soundscape.errors import RecommendationError
from soundscape.recommend import models
from soundscape.recommend.feature_map import FeatureMap
from soundscape.recommend.models import Als, Ease, ItemNeighbours, Popularity


@pytest.fixture(scope="module")
def choices() -> sparse.csr_matrix:
    return made(60, 40, 600)[0].matrix


def test_popularity_counts_users_and_not_weights() -> None:
    model = Popularity()
    model.fit(sparse.csr_matrix([[9.0, 0, 1], [0, 0, 1]]))
    assert model.scores(sparse.csr_matrix((2, 3))).tolist() == [[1, 0, 2], [1, 0, 2]]


def test_neighbours_are_shrunk_cosines(choices: sparse.csr_matrix) -> None:
    model = ItemNeighbours(neighbours=40, shrinkage=3)
    model.fit(choices)
    x = choices.toarray() > 0
    i, j = 3, 7
    expected = (x[:, i] & x[:, j]).sum() / (np.sqrt(x[:, i].sum() * x[:, j].sum()) + 3)
    assert model.alike[i, j] == pytest.approx(expected)
    assert model.alike.diagonal().max() == 0


def test_of_neighbours_the_nearest_are_kept(choices: sparse.csr_matrix) -> None:
    whole, few = ItemNeighbours(neighbours=40), ItemNeighbours(neighbours=5)
    whole.fit(choices)
    few.fit(choices)
    for item in range(choices.shape[1]):
        kept, all_of_them = few.alike[:, item].toarray().ravel(), whole.alike[:, item].toarray().ravel()
        assert kept[kept > 0].min() >= np.sort(all_of_them)[-5]
        assert (kept > 0).sum() == min(5, (all_of_them > 0).sum())


def test_neighbours_in_parts_are_those_of_the_whole(
    choices: sparse.csr_matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, in_parts = ItemNeighbours(neighbours=5), ItemNeighbours(neighbours=5)
    whole.fit(choices)
    monkeypatch.setattr(models, "SCORES_AT_ONCE", 7 * 40)
    in_parts.fit(choices)
    assert (whole.alike != in_parts.alike).nnz == 0


def test_ease_is_the_best_of_all_weights_without_a_diagonal(choices: sparse.csr_matrix) -> None:
    """B minimises |X - XB|² + λ|B|² with a zero diagonal: ordinary ridge, a column each, says the same."""
    penalty = 7.0
    model = Ease(regularization=penalty)
    model.fit(choices)
    x = (choices.toarray() > 0).astype(float)
    for item in (0, 11, 39):
        others = np.delete(np.arange(x.shape[1]), item)
        design = x[:, others]
        weights = np.linalg.solve(design.T @ design + penalty * np.eye(len(others)), design.T @ x[:, item])
        np.testing.assert_allclose(model.weights[others, item], weights, atol=1e-4)
        assert model.weights[item, item] == 0


def test_ease_refuses_what_it_would_not_fit_in_memory_for() -> None:
    with pytest.raises(RecommendationError, match="at most 5,000 items"):
        Ease().fit(sparse.csr_matrix((3, models.EASE_MAX_ITEMS + 1)))


def test_a_fold_in_is_the_least_of_the_loss(choices: sparse.csr_matrix) -> None:
    """Hu, Koren and Volinsky's loss, eq. 3, has no slope where the fold-in puts a user."""
    model = Als(factors=8, regularization=0.7, alpha=3)
    model.fit(choices)
    row = choices[5]
    person = model.fold_in(row)[0].astype(float)
    weight = row.toarray().ravel()
    confidence = 1 + 3 * np.log2(1 + weight)
    missed = (weight > 0) - model.items @ person
    slope = -2 * model.items.T @ (confidence * missed) + 2 * 0.7 * person
    np.testing.assert_allclose(slope, 0, atol=1e-4)


def test_a_like_moves_what_is_alike_without_another_fit() -> None:
    interactions, _ = made(300, 200, 6000, rank=4)
    model = Als(factors=8, regularization=5, alpha=8)
    model.fit(interactions.matrix)
    norms = np.linalg.norm(model.items, axis=1)
    liked = int(norms.argmax())
    cosine = model.items @ model.items[liked] / np.maximum(norms * norms[liked], 1e-9)
    before = model.scores(sparse.csr_matrix((1, 200)))
    like = sparse.csr_matrix(([1.0], ([0], [liked])), shape=(1, 200), dtype=np.float32)
    after = model.scores(like)
    assert before.max() == before.min() == 0
    nearest = np.argsort(-cosine)[1:11]
    assert after[0, nearest].mean() > 3 * np.abs(after[0]).mean()


def test_keys_of_no_doubt_are_the_fold_in_of_one_choice(choices: sparse.csr_matrix) -> None:
    """Without the part that depends on who asks, eq. 4 of Hu, Koren and Volinsky is linear."""
    model = Als(factors=8, regularization=0.7, alpha=3)
    model.fit(choices)
    gram = model.items.T @ model.items + 0.7 * np.eye(8)
    np.testing.assert_allclose(model.compute_keys(choices, model.items, 0.0), np.linalg.inv(gram), rtol=1e-3)


def test_linear_and_exact_listeners_agree_on_what_suits(choices: sparse.csr_matrix) -> None:
    model = Als(factors=8, regularization=5, alpha=2)
    model.fit(choices)
    trust = models.confidence(choices, alpha=2)
    linear = trust @ (model.items @ model.compute_keys(choices, model.items, 0.5)) @ model.items.T
    exact = model.scores(choices)
    alike = [np.corrcoef(one, other)[0, 1] for one, other in zip(linear, exact, strict=True)]
    assert np.mean(alike) > 0.95


def test_a_skip_pulls_away_and_a_choice_pulls_near() -> None:
    trust = models.confidence(sparse.csr_matrix([[3.0, -2.0, 0.0]]), alpha=2, skip=0.5)
    assert trust.toarray().tolist() == [[5.0, -1.0, 0.0]]


def test_the_same_seed_gives_the_same_factors(choices: sparse.csr_matrix) -> None:
    first, second, other = Als(seed=1), Als(seed=1), Als(seed=2)
    for model in (first, second, other):
        model.fit(choices)
    np.testing.assert_allclose(first.items, second.items, atol=1e-5)
    assert not np.allclose(first.items, other.items, atol=1e-3)


def test_nobody_s_items_have_no_factors() -> None:
    choices = sparse.csr_matrix(np.array([[1.0, 1, 0], [1, 0, 0]], dtype=np.float32))
    model = Als(factors=2, regularization=0.1)
    model.fit(choices)
    assert np.abs(model.items[2]).max() == 0
    assert np.abs(model.items[0]).max() > 0


def test_features_lead_to_the_factors_they_make() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 20)).astype(np.float32)
    factors = (features @ rng.normal(size=(20, 6)) + 2 + 0.1 * rng.normal(size=(500, 6))).astype(np.float32)
    places = FeatureMap()
    chosen = np.r_[np.full(400, 5), np.zeros(100, dtype=int)]
    places.fit(features, np.where(chosen[:, None] > 0, factors, 1e6).astype(np.float32), chosen)
    error = places.factors(features[400:]) - factors[400:]
    assert np.sqrt((error**2).mean()) < 0.12


def test_features_of_noise_lead_to_the_mean() -> None:
    rng = np.random.default_rng(0)
    places = FeatureMap()
    factors = rng.normal(size=(300, 4)).astype(np.float32)
    places.fit(rng.normal(size=(300, 50)).astype(np.float32), factors, np.ones(300, dtype=np.int64))
    guess = places.factors(rng.normal(size=(100, 50)).astype(np.float32))
    assert np.abs(guess - factors.mean(axis=0)).max() < 0.5
