"""Verification: the statistics, and the chances they are set against."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from soundscape.audio.fingerprint.agreement import find_heaviest_run
from soundscape.audio.fingerprint.verify import binomial_tail, make_screen, verify

from .sounds import SAMPLE_RATE, drum_loop, faster, fingerprint, melody


@given(st.integers(1, 3000), st.floats(0, 1), st.floats(0.02, 0.98))
def test_the_tail_is_the_binomial_one(n: int, share: float, p: float) -> None:
    k = round(share * n)
    expected = -scipy.stats.binom.logsf(k - 1, n, p) / np.log(10)
    if k <= n * p:
        assert binomial_tail(n, k, p) == 0.0
    elif expected < 290:  # beyond, the library runs out of small numbers
        assert binomial_tail(n, k, p) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_the_heaviest_run_is_the_best_of_all_runs(gain: list[float]) -> None:
    low, high = find_heaviest_run(np.array(gain))
    best = max(sum(gain[i : j + 1]) for i in range(len(gain)) for j in range(i, len(gain)))
    assert sum(gain[low : high + 1]) == pytest.approx(best)


def test_a_recording_against_itself_agrees_entirely() -> None:
    found = fingerprint(melody(0))
    evidence = verify(make_screen(found), found, 0)
    assert evidence is not None
    assert evidence.k == evidence.n
    assert (round(evidence.lag_frames), evidence.tempo) == (0, 1.0)
    assert evidence.lag_tail > 100
    assert evidence.pitch_tail > 100


@pytest.mark.parametrize("lag", [10_000, -10_000])
def test_no_overlap_is_no_evidence(lag: int) -> None:
    found = fingerprint(melody(0))
    assert verify(make_screen(found), found, lag) is None


def test_rhythms_on_one_grid_agree_by_time_but_not_by_pitch() -> None:
    # Beside true evidence, two patterns of one kit look alike at the right lag; wrong pitches tell.
    one, other = fingerprint(drum_loop(1)), fingerprint(melody(1, 12.0))
    foreign = verify(make_screen(one), other, 0)
    same = verify(make_screen(one), one, 0)
    assert foreign is not None
    assert same is not None
    assert foreign.pitch_tail < 5 < same.pitch_tail


@pytest.mark.parametrize("drift", [0.995, 1.005])
def test_a_small_difference_in_speed_is_followed_over_minutes(drift: float) -> None:
    y = melody(2, 90.0)
    stored, played = fingerprint(y), fingerprint(faster(y, drift))
    # The lag is right in the middle only: 0.5 % of 90 s is 0.45 s, 19 frames, over the whole.
    middle = stored.frame_count / 2
    evidence = verify(make_screen(played), stored, round(middle - middle / drift))
    assert evidence is not None
    start_s = evidence.lag_frames * 512 / SAMPLE_RATE
    end_s = (evidence.lag_frames + evidence.tempo * played.frame_count) * 512 / SAMPLE_RATE
    assert start_s == pytest.approx(0.0, abs=0.05)
    assert end_s == pytest.approx(90.0, abs=0.05)
    assert evidence.k / evidence.n > 0.6


def test_the_span_is_the_shared_stretch() -> None:
    ours, theirs = melody(3), melody(4)
    part = slice(6 * SAMPLE_RATE, 14 * SAMPLE_RATE)
    mixed = theirs.copy()
    mixed[part] = ours[part]
    evidence = verify(make_screen(fingerprint(mixed)), fingerprint(ours), 0)
    assert evidence is not None
    first, last = (frame * 512 / SAMPLE_RATE for frame in evidence.span)
    assert first == pytest.approx(6.0, abs=0.5)
    assert last == pytest.approx(14.0, abs=0.5)
