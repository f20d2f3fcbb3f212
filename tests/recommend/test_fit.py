"""A fit by itself: what it holds back, what it chooses, and what it would not publish."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import sparse

from benchmarks.made_choices import made, serving_weights
from soundscape.errors import RecommendationError
from soundscape.recommend import fit as fitting
from soundscape.recommend import metrics, served_model
from soundscape.recommend.feature_map import MAX_SHARE_OF_LISTS, STRETCHES
from soundscape.recommend.interactions import Float32, Interactions
from soundscape.recommend.models import confidence
from soundscape.recommend.served_model import MIN_CHOICES, NEIGHBOURS, FitSettings, Fitting, ServingWeights

Made = tuple[Interactions, Float32]
WEIGHTS = serving_weights()


@pytest.fixture(scope="module")
def taste() -> Made:
    interactions, features = made(200, 150, 6000, rank=6)
    return interactions, features / np.linalg.norm(features, axis=1, keepdims=True)


def test_held_back_is_a_tenth_the_same_each_time_and_no_block(taste: Made) -> None:
    interactions, _ = taste
    whole = interactions.matrix
    held = fitting.hold_out(interactions, whole)
    assert held.nnz == pytest.approx(0.1 * whole.nnz, rel=0.15)
    # Whatever else is known, the same pairs: here of the first half of the events.
    half = Interactions.from_events(
        (interactions.users[u], interactions.items[i], 1.0, None)
        for u, i in zip(interactions.user[::2], interactions.item[::2], strict=True)
    )
    named = {
        (half.users[u], half.items[i])
        for u, i in zip(*fitting.hold_out(half, half.matrix).nonzero(), strict=True)
    }
    assert named <= {
        (interactions.users[u], interactions.items[i]) for u, i in zip(*held.nonzero(), strict=True)
    }
    # As many of each user's and each item's as chance would have it.
    for axis in (0, 1):
        of_each = np.asarray((held > 0).sum(axis=axis)).ravel()
        expected = 0.1 * np.asarray((whole > 0).sum(axis=axis)).ravel()
        assert np.square(of_each - expected).sum() < 1.3 * (0.9 * expected).sum()


def test_what_is_held_back_is_never_learnt_from(taste: Made) -> None:
    """Without those pairs, the same model: only what it is worth cannot be told."""
    interactions, features = taste
    whole = fitting.fit(interactions, WEIGHTS, content=features)
    held = fitting.hold_out(interactions, interactions.matrix)
    kept = np.asarray(held[interactions.user, interactions.item]).ravel() == 0
    events = (interactions.user[kept], interactions.item[kept], interactions.weight[kept])
    rest = Interactions(interactions.users, interactions.items, *events)
    train = interactions.signed - held
    train.eliminate_zeros()
    assert (train != rest.signed).nnz == 0
    same = Fitting(
        rest.signed, features, whole.model.settings.regularization, whole.model.settings.alpha, 300.0, WEIGHTS
    )
    found = same.make_model(whole.model.settings, whole=True)
    np.testing.assert_allclose(found.places, whole.model.places, atol=1e-4)


def test_as_served_it_beats_the_references(taste: Made) -> None:
    interactions, features = taste
    found = fitting.fit(interactions, WEIGHTS, content=features)
    worth = {name: figures["ndcg"] for name, figures in found.figures["models"].items()}
    assert worth["as served"] > max(worth["item-kNN"], worth["popularity"])
    assert found.reasons == ()
    assert found.model.sounds is not None
    assert 0.5 < found.figures["stretch"] == found.model.sounds.stretch <= 1.5
    assert found.model.neighbours is not None
    assert np.diff(found.model.neighbours.indptr).max() <= NEIGHBOURS


def test_what_few_chose_is_cold_and_has_no_neighbours(taste: Made) -> None:
    interactions, features = taste
    choices = interactions.matrix.copy().tolil()
    choices[:, 7] = 0
    choices[: MIN_CHOICES - 1, 7] = 1
    model = Fitting(choices.tocsr(), features, 50.0, 8.0, 300.0, WEIGHTS).make_model(
        FitSettings(), whole=True
    )
    assert np.flatnonzero(model.cold).tolist() == [7]
    assert model.neighbours is not None
    assert model.neighbours[7].nnz == model.neighbours[:, 7].nnz == 0
    assert np.abs(model.places[7]).max() > 0
    silent = Fitting(choices.tocsr(), None, 50.0, 8.0, 300.0, WEIGHTS).make_model(FitSettings(), whole=True)
    assert np.abs(silent.places[7]).max() == 0


def test_in_a_large_catalogue_neighbours_are_the_nearest(
    taste: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    interactions, _ = taste
    monkeypatch.setattr(served_model, "EASE_MAX_ITEMS", 100)
    model = Fitting(interactions.signed, None, 50.0, 8.0, 300.0, WEIGHTS).make_model(
        FitSettings(), whole=True
    )
    assert model.neighbours is not None
    assert 0 < np.diff(model.neighbours.indptr).max() <= NEIGHBOURS
    together = interactions.matrix.T.astype(bool).astype(float) @ interactions.matrix.astype(bool).astype(
        float
    )
    item = int(np.diff(model.neighbours.indptr).argmax())
    assert (together[item].toarray().ravel()[model.neighbours[item].indices] > 0).all()


def test_skips_take_away_what_is_alike(taste: Made) -> None:
    interactions, _ = taste
    model = Fitting(interactions.signed, None, 50.0, 8.0, 300.0, WEIGHTS).make_model(FitSettings())
    skipped = int(np.abs(model.places).sum(axis=1).argmax())
    skip = sparse.csr_matrix(([-2.0], ([0], [skipped])), shape=(1, 150), dtype=np.float32)
    near = np.argsort(-(model.keys[skipped] @ model.places.T))[:5]
    for strength in (0.0, 1.0):
        listener = confidence(skip, alpha=8.0, skip=strength) @ model.keys
        assert ((listener @ model.places[near].T) < 0).all() == (strength > 0)


def test_the_latest_counts(taste: Made) -> None:
    interactions, _ = taste
    rows = interactions.signed
    recency = interactions.rank_recency(rows)
    assert recency is not None
    assert interactions.time is not None
    person = 7
    at = {
        interactions.items[item]: time
        for user, item, time in zip(interactions.user, interactions.item, interactions.time, strict=True)
        if user == person
    }
    latest = np.argsort(recency[person].data)
    assert recency[person].data[latest].tolist() == list(range(1, len(at) + 1))
    assert [interactions.items[item] for item in recency[person].indices[latest]] == sorted(
        at, key=lambda item: -at[item]
    )
    # At one time, by name.
    names = ("b", "c", "a")
    same = Interactions.from_events([("me", name, 1.0, 5.0) for name in names] + [("me", "c", 1.0, 9.0)])
    found = same.rank_recency(same.signed)
    assert found is not None
    assert found.toarray().tolist() == [[3, 1, 2]]
    assert replace(interactions, time=None).rank_recency(rows) is None


def test_what_was_chosen_long_ago_counts_no_more(taste: Made) -> None:
    """With a cap of five, as if only those five had been chosen; of the neighbours the latest three."""
    interactions, features = taste
    few_choices = replace(WEIGHTS, max_choices=5, max_choices_with_neighbours=3)
    model = Fitting(interactions.signed, features, 50.0, 8.0, 300.0, few_choices).make_model(
        FitSettings(neighbours=0.7)
    )
    rows = interactions.signed[:20]
    recency = interactions.rank_recency(interactions.signed)
    assert recency is not None
    recency = recency[:20]
    few, fewer = (rows.multiply(recency.toarray() <= most).tocsr() for most in (5, 3))
    assert model.neighbours is not None
    expected = served_model._scale_to_one((confidence(few, alpha=8.0) @ model.keys) @ model.places.T, rows)
    expected += 0.7 * served_model._scale_to_one(
        ((fewer > 0).astype(np.float32) @ model.neighbours).toarray(), rows
    )
    assert model.content is not None
    middle = np.asarray(confidence(few, alpha=8.0) @ model.content)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    cosine = middle @ model.content.T
    assert (cosine < served_model.MIN_SIMILARITY).any()
    expected += 0.25 * np.where(cosine < served_model.MIN_SIMILARITY, 0, cosine)
    np.testing.assert_allclose(model.scores(rows, recency), expected, atol=1e-5)
    assert np.abs(model.scores(rows) - expected).max() > 0.1


def test_the_weights_of_the_database_are_those_of_the_scores(taste: Made) -> None:
    """Twice the weight of a source relative to taste is twice its part of the score."""
    interactions, features = taste
    rows = interactions.signed[:20]
    fitted = Fitting(interactions.signed, features, 50.0, 8.0, 300.0, WEIGHTS).make_model(
        FitSettings(neighbours=0.7)
    )

    def score(**weights: float) -> Float32:
        changed = dict(asdict(WEIGHTS), **weights)
        return replace(fitted, weights=ServingWeights.from_row(changed)).scores(rows)

    usual, bare = score(), score(together=0.0, sound=0.0)
    for source in ("together", "sound"):
        part = usual - score(**{source: 0.0})
        assert np.abs(part).max() > 0.1
        np.testing.assert_allclose(score(**{source: 2 * getattr(WEIGHTS, source)}) - usual, part, atol=1e-5)
    np.testing.assert_allclose(score(taste=2 * WEIGHTS.taste) - bare, (usual - bare) / 2, atol=1e-5)


def test_nothing_is_published_that_popularity_beats() -> None:
    worth = {"as served": {"ndcg": 0.2}, "popularity": {"ndcg": 0.21}}
    (reason,) = fitting._find_reasons(worth)
    assert "popularity" in reason
    worth = {"as served": {"ndcg": 0.2}, "popularity": {"ndcg": 0.1}, "in force": {"ndcg": 0.206}}
    assert list(fitting._find_reasons(worth)) == []
    worth["in force"]["ndcg"] = 0.2063
    assert len(list(fitting._find_reasons(worth))) == 1


def test_too_little_is_said_so() -> None:
    with pytest.raises(RecommendationError) as refused:
        fitting.fit(made(10, 10, 60)[0], WEIGHTS)
    assert refused.value.code == "too_few_events"


@pytest.mark.parametrize("share_new", [0.1, 0.3])
def test_what_is_new_takes_its_part_of_the_lists_and_no_more(taste: Made, share_new: float) -> None:
    """As many items as are said to be new are taken from what people chose, and guessed."""
    assert 0 < MAX_SHARE_OF_LISTS < 0.5
    interactions, features = taste
    new = np.random.default_rng(1).permutation(150)[: round(share_new * 150)]
    choices = interactions.matrix.tolil()
    choices[:, new] = 0
    rows = choices.tocsr()
    settings = FitSettings(neighbours=0.0, content=0.0)
    model = Fitting(rows, features, 50.0, 8.0, 300.0, WEIGHTS, share_cold=share_new).make_model(
        settings, whole=True
    )
    assert np.flatnonzero(model.cold).tolist() == sorted(new)
    assert model.sounds is not None

    def share_of_lists() -> float:
        return float(np.isin(metrics.make_lists(model.scores, rows), new).mean())

    # A twentieth for measuring it on other items than these.
    assert 0.15 < share_of_lists() <= MAX_SHARE_OF_LISTS + 0.05
    model.places[new] *= STRETCHES[-1] / model.sounds.stretch
    assert share_of_lists() > MAX_SHARE_OF_LISTS + 0.05
