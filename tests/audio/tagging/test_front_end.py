"""The front end against numpy, with made-up constants."""

from __future__ import annotations

import numpy as np
import pytest

from soundscape.audio.tagging.front_end import BANDS, FRAME_SAMPLES, HOP_SAMPLES, N_FFT, FrontEnd
from tests.audio.signals import Samples

STEP, ZERO = np.float32(0.05), np.float32(20)


def make_filters() -> Samples:
    """Triangles of three to six bins, with a zero within one of them."""
    filters = np.zeros((BANDS, N_FFT // 2 + 1), dtype=np.float32)
    for band in range(BANDS):
        width = 3 + band % 4
        filters[band, 3 * band + 1 : 3 * band + 1 + width] = np.hanning(width + 2)[1:-1]
    filters[7, 23] = 0
    return filters


@pytest.mark.parametrize("frames", [0, 1, 8, 9, 64, 65, 816])
def test_levels_are_the_logarithms_of_the_bands(frames: int) -> None:
    random = np.random.default_rng(frames)
    window = np.hanning(FRAME_SAMPLES + 1)[:-1].astype(np.float32)
    filters, offsets = make_filters(), random.uniform(0.001, 0.01, BANDS).astype(np.float32)
    y = random.standard_normal(FRAME_SAMPLES + HOP_SAMPLES * frames).astype(np.float32)
    y *= np.geomspace(1e-4, 10, y.size, dtype=np.float32)
    front_end = FrontEnd(window=window, filters=filters, log_offsets=offsets, step=STEP, zero=ZERO)
    found = front_end.measure(y, frames)
    cut = np.lib.stride_tricks.sliding_window_view(y, FRAME_SAMPLES)[::HOP_SAMPLES][:frames]
    bands = np.abs(np.fft.rfft(cut * window, n=N_FFT, axis=1)) @ filters.T.astype(np.float64)
    exact = np.clip(np.log(bands + offsets) / STEP + ZERO, -128, 127)
    assert found.shape == (frames, BANDS)
    assert found.dtype == np.int8
    assert (np.abs(found - exact) <= 0.5 + 1e-3).all()
    assert not frames or len(np.unique(found)) > 20
