"""The hysteresis, on made-up scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundscape.audio.tagging.segments import Segments

H, M, L = 0.6, 0.2, 0.05  # at `on`, between the two, below `off`


def segments(*, gap_windows: int = 1, minimum_windows: int = 1, limit: int = 100) -> Segments:
    return Segments(on=0.3, off=0.15, gap_windows=gap_windows, minimum_windows=minimum_windows, limit=limit)


@pytest.mark.parametrize(
    ("scores", "gap", "minimum", "expected"),
    [
        ([L, L, L], 1, 1, []),
        ([M, M, M], 1, 1, []),  # never reached `on`
        ([L, H, L, L], 1, 1, [(1, 1)]),
        ([H, H, H], 1, 1, [(0, 2)]),  # open at the end
        ([M, H, M, M, L, L], 1, 1, [(1, 3)]),  # starts at `on`, lasts at `off`
        ([H, L, H], 1, 1, [(0, 2)]),  # bridged
        ([H, L, M, L, L], 1, 1, [(0, 2)]),  # what comes back need not reach `on`
        ([H, L, L, H], 1, 1, [(0, 0), (3, 3)]),  # too long to bridge
        ([H, L, L, H], 2, 1, [(0, 3)]),
        ([H, L, L, H], 0, 1, [(0, 0), (3, 3)]),
        ([H, L, H], 0, 1, [(0, 0), (2, 2)]),
        ([L, H, L, L, H, H, L], 1, 2, [(4, 5)]),  # too short is dropped
        ([L, H, L, H, L, L], 1, 3, [(1, 3)]),  # a bridged gap counts as length
        ([L, H, L], 1, 2, []),  # a gap at the end does not
        ([H], 1, 2, [(0, 0)]),  # but the whole recording is long enough
        ([H, H, L], 1, 4, []),
        ([H, H, H], 1, 4, [(0, 2)]),
        ([0.3, 0.15, 0.1499], 0, 1, [(0, 1)]),  # thresholds are inclusive
        ([], 1, 1, []),
    ],
)
def test_hysteresis(scores: list[float], gap: int, minimum: int, expected: list[tuple[int, int]]) -> None:
    found = segments(gap_windows=gap, minimum_windows=minimum)
    found.push(np.array(scores, dtype=np.float32).reshape(-1, 1))
    spans = sorted((first, last) for _, first, last, _ in found.finish())
    assert spans == expected


def test_confidence_is_the_mean_over_the_stretch_without_its_tail() -> None:
    found = segments()
    found.push(np.array([[0.4], [0.1], [0.7], [0.1], [0.0]], dtype=np.float32))
    ((_, first, last, mean),) = found.finish()
    assert (first, last) == (0, 2)
    assert mean == pytest.approx(0.4)


def test_classes_do_not_mix() -> None:
    found = segments(gap_windows=0)
    found.push(np.array([[H, L, L], [L, H, M], [L, H, H]], dtype=np.float32))
    assert sorted((label, first, last) for label, first, last, _ in found.finish()) == [
        (0, 0, 0),
        (1, 1, 2),
        (2, 2, 2),
    ]


def test_limit_keeps_the_strongest_and_counts_the_rest() -> None:
    found = segments(gap_windows=0, limit=2)
    scores = np.zeros((12, 1), dtype=np.float32)
    scores[[0, 2, 5, 6, 9], 0] = [0.5, 0.4, 0.5, 0.5, 0.9]
    found.push(scores)
    assert sorted(first for _, first, _, _ in found.finish()) == [5, 9]
    assert found.dropped == 2


@pytest.mark.parametrize(("on", "off"), [(0.2, 0.3), (1.1, 0.3), (0.3, 0.0)])
def test_senseless_thresholds(on: float, off: float) -> None:
    with pytest.raises(ValueError, match="thresholds"):
        Segments(on=on, off=off, gap_windows=1, minimum_windows=1, limit=1)


def by_hand(scores: list[float], gap: int, minimum: int) -> list[tuple[int, int]]:
    """The same rule, written with the whole series at hand."""
    spans, at = [], 0
    while at < len(scores):
        if scores[at] < 0.3:
            at += 1
            continue
        last = at
        for ahead in range(at + 1, len(scores)):
            if ahead - last > gap + 1:
                break
            if scores[ahead] >= 0.15:
                last = ahead
        if last - at + 1 >= min(minimum, len(scores)):
            spans.append((at, last))
        # The stretch is given up once the gap is too long; a new one may start right after.
        at = last + gap + 2
    return spans


@given(
    scores=st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.31, 0.9]), max_size=40),
    gap=st.integers(0, 3),
    minimum=st.integers(1, 4),
    cuts=st.lists(st.integers(0, 40), max_size=4),
)
@settings(max_examples=300, deadline=None)
def test_any_series_in_any_pieces(scores: list[float], gap: int, minimum: int, cuts: list[int]) -> None:
    found = segments(gap_windows=gap, minimum_windows=minimum)
    series = np.array(scores, dtype=np.float32).reshape(-1, 1)
    for piece in np.split(series, sorted(min(cut, len(scores)) for cut in cuts)):
        found.push(piece)
    assert sorted((first, last) for _, first, last, _ in found.finish()) == by_hand(scores, gap, minimum)
