"""Metrics against hand counts and other people's code."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import ndcg_score

from soundscape.recommend import metrics


def _of(*rows: set[int], items: int) -> sparse.csr_matrix:
    return sparse.csr_matrix([[float(item in row) for item in range(items)] for row in rows])


def test_lists_are_best_first_and_without_what_is_known() -> None:
    scores = np.array([[5, 4, 3, 2, 1], [1, 2, 3, 4, 5]], dtype=np.float32)
    best = metrics.make_lists(lambda _: scores, _of({0}, {3, 4}, items=5), length=3)
    assert best.tolist() == [[1, 2, 3], [2, 1, 0]]


def test_lists_of_many_users_are_those_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = sparse.random(50, 30, 0.2, random_state=0, format="csr")
    weights = rng.normal(size=(30, 30)).astype(np.float32)
    whole = metrics.make_lists(lambda part: part @ weights, rows)
    monkeypatch.setattr(metrics, "SCORES_AT_ONCE", 7 * 30)
    assert metrics.make_lists(lambda part: part @ weights, rows).tolist() == whole.tolist()


def test_recall_is_of_what_could_be_listed() -> None:
    wanted = _of({0, 1}, {0, 1, 2, 3}, {4}, items=6)
    best = np.array([[0, 5], [1, 3], [0, 1]])
    assert metrics.recall(best, wanted).tolist() == [0.5, 1.0, 0.0]


def test_ndcg_is_scikit_learn_s() -> None:
    rng = np.random.default_rng(1)
    wanted = (rng.random((40, 60)) < 0.15).astype(float)
    wanted[:, 0] = 1
    scores = rng.normal(size=wanted.shape).astype(np.float32)
    best = metrics.make_lists(lambda _: scores, sparse.csr_matrix(wanted.shape))
    found = metrics.ndcg(best, sparse.csr_matrix(wanted))
    assert found.mean() == pytest.approx(ndcg_score(wanted, scores, k=20))
    assert found.std() > 0


def test_random_recall_is_what_random_lists_get() -> None:
    rng = np.random.default_rng(2)
    wanted = _of({0, 1, 2}, set(range(30)), items=200)
    draws = [np.vstack([rng.permutation(200)[:20] for _ in range(2)]) for _ in range(4000)]
    measured = np.mean([metrics.recall(best, wanted) for best in draws], axis=0)
    expected = metrics.random_recall(wanted, np.array([200, 200]))
    np.testing.assert_allclose(measured, expected, rtol=0.06)


def test_coverage_and_novelty() -> None:
    choices = _of({0, 1}, {0}, {0}, {0}, items=4)
    assert metrics.coverage(np.array([[0, 1], [1, 0]]), 4) == 0.5
    # Chosen by all: 0 bits. By one of four: 2. By nobody: as by half of one, 3.
    assert metrics.novelty(np.array([[0, 1], [1, 3]]), choices).tolist() == [1.0, 2.5]


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for trial in range(100):
        found = metrics.bootstrap_interval(rng.exponential(size=200), seed=trial)
        held += found.low <= 1.0 <= found.high
    assert 85 <= held <= 99
