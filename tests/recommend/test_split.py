"""Nothing that is asked for was seen before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundscape.errors import RecommendationError
from soundscape.recommend import split
from soundscape.recommend.interactions import Interactions
from soundscape.recommend.split import Kind

events = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("stuvwxyz"), st.just(1.0), st.floats(0, 100)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(events=events, kind=st.sampled_from(["random", "time"]), seed=st.integers(0, 5))
def test_train_and_test_share_no_pair_and_no_item_is_new(
    events: list[tuple[str, str, float, float | None]], kind: Kind, seed: int
) -> None:
    interactions = Interactions.from_events(events)
    try:
        parts = split.split_warm(interactions, kind, seed=seed)
    except RecommendationError:
        return
    train, test = parts.train.toarray() > 0, parts.test.toarray() > 0
    assert not (train & test).any()
    assert not (test & ~train.any(axis=0)).any()
    assert not ((train | test) & ~(interactions.matrix.toarray() > 0)).any()
    assert train[parts.asked].any(axis=1).all()
    assert test[parts.asked].any(axis=1).all()


def test_at_random_a_fifth_of_each_user_is_held_back() -> None:
    whole = Interactions.from_events(
        (user, str(n), 1.0, None) for user, count in (("a", 20), ("b", 4)) for n in range(count)
    )
    train, test = split.split_at_random(whole.matrix, np.random.default_rng(0))
    assert np.diff(test.indptr).tolist() == [4, 0]
    assert (train + test).toarray().tolist() == whole.matrix.toarray().tolist()
    _, other = split.split_at_random(whole.matrix, np.random.default_rng(1))
    assert other.toarray().tolist() != test.toarray().tolist()


def test_by_time_the_latest_are_held_back_unless_known_before() -> None:
    rows = [("a", item, 1.0, float(at)) for at, item in enumerate("uvwxyzuv")]
    rows += [("b", "z", 1.0, 0.0), ("b", "y", 1.0, 9.0)]
    parts = split.split_warm(Interactions.from_events(rows), "time", seed=0)
    # The latest two are a's v, known before, and b's y, which a chose early.
    assert parts.test.toarray().sum() == 1
    assert parts.asked.tolist() == [1]


def test_time_needs_times() -> None:
    with pytest.raises(RecommendationError, match="no times"):
        split.split_warm(Interactions.from_events([("a", "x", 1.0, None)]), "time", seed=0)


def test_cold_items_are_gone_from_train_and_alone_in_test() -> None:
    rng = np.random.default_rng(0)
    whole = Interactions.from_events((str(u), str(i), 1.0, None) for u, i in rng.integers(0, 40, (600, 2)))
    parts = split.split_cold(whole, seed=3)
    assert len(parts.cold) == 4
    assert parts.train[:, parts.cold].nnz == 0
    assert parts.test.nnz == parts.test[:, parts.cold].nnz > 0
    assert (parts.train + parts.test != whole.matrix).nnz == 0
