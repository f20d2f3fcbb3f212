"""What the network hears of a sound: the logarithms of 64 mel bands every 10 ms, in steps of 8 bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft

from soundscape.audio.bands import add_up_bands, find_bands
from soundscape.audio.compiled import FASTMATH, compiled
from soundscape.audio.spectrum import cut_frames

FRAME_SAMPLES = 400
HOP_SAMPLES = 160
N_FFT = 512
BANDS = 64

# Their transform and its magnitudes stay within the cache.
_PART_FRAMES = 64

Float32 = npt.NDArray[np.float32]


class FrontEnd:
    """The front end of a network, with the constants of its file. Not for several threads at once.

    Parameters
    ----------
    window
        float32, shape (400,).
    filters
        The weight of each magnitude in each band, float32, shape (64, 257).
    log_offsets
        What is added to each band before its logarithm, float32, shape (64,).
    step, zero
        Of the 8 bits: a level is the logarithm / `step` + `zero`.
    """

    def __init__(
        self,
        *,
        window: Float32,
        filters: Float32,
        log_offsets: Float32,
        step: np.float32,
        zero: np.float32,
    ) -> None:
        self._window = window
        self._bands = find_bands(filters)
        self._scale = log_offsets, step, zero
        # Zeros follow each frame, as long as the transform is.
        self._framed = np.zeros((_PART_FRAMES, N_FFT), dtype=np.float32)

    def measure(self, y: Float32, frames: int) -> npt.NDArray[np.int8]:
        """Measure the levels of so many frames, int8, shape (frames, 64).

        Parameters
        ----------
        y
            Samples at 16 kHz, float32, shape (n,), n >= 400 + (frames - 1) * 160.
        frames
            How many.
        """
        levels = np.empty((frames, BANDS), dtype=np.int8)
        for first in range(0, frames, _PART_FRAMES):
            part = levels[first : first + _PART_FRAMES]
            framed = self._framed[: len(part)]
            cut_frames(y[first * HOP_SAMPLES :], HOP_SAMPLES, self._window, framed)
            # workers=1: a thread pool's hand-over costs more than these transforms, and cores are
            # the caller's.
            X = scipy.fft.rfft(framed, axis=1, workers=1)
            _quantize(X.view(np.float32), *self._bands, *self._scale, part)
        return levels


@compiled(fastmath=FASTMATH)
def _quantize(
    X: Float32,
    weights: Float32,
    offsets: npt.NDArray[np.int64],
    first_bins: npt.NDArray[np.int64],
    log_offsets: Float32,
    step: np.float32,
    zero: np.float32,
    levels: npt.NDArray[np.int8],
) -> None:
    """Write the network's input: logarithms of the bands' magnitudes in steps, int8, shape (frames, 64).

    X: the transform as pairs of real and imaginary parts, shape (frames, 514).
    """
    bins = X.shape[1] // 2
    magnitudes = np.zeros((8, bins), dtype=np.float32)
    bands = np.empty((8, BANDS), dtype=np.float32)
    for first in range(0, len(X), 8):
        ready = min(8, len(X) - first)
        for t in range(ready):
            row, magnitude = X[first + t], magnitudes[t]
            for k in range(bins):
                magnitude[k] = np.sqrt(row[2 * k] * row[2 * k] + row[2 * k + 1] * row[2 * k + 1])
        add_up_bands(magnitudes, weights, offsets, first_bins, bands[:ready])
        for t in range(ready):
            for band in range(BANDS):
                level = np.rint(np.log(bands[t, band] + log_offsets[band]) / step) + zero
                levels[first + t, band] = np.int8(min(max(level, np.float32(-128)), np.float32(127)))
