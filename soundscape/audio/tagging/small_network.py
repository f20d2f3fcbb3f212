"""A small network that listens to the mel bands, for machines without the model.

It was taught by YAMNet: it says of a second and a half what YAMNet would say of it, as far as 0.23 million
weights can. Only what its last hidden layer makes of a sound is used, as a part of the embedding.

A patch is 64 frames of the shared spectrum (1.49 s) in 56 bands: the lowest 112 of the 128 mel bands, in
pairs. They end at 7.2 kHz, which every file of 16 kHz and more has. So the network does not hear in what
format a sound came. Levels are in decibels below the patch's loudest cell, so it does not hear how loud it
was recorded either.

Four convolutions of 3 by 3, each halving both axes; mean and maximum over what is left of time; a hidden
layer. Of a recording: the mean over its patches of the square root of that layer, patches weighted by the
fourth root of their loudest power. benchmarks/fit_network.py fits the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from soundscape.audio.spectrum import HOP_LENGTH, MELS, SAMPLE_RATE

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

PATCH_FRAMES = 64
BANDS = 56
"""Pairs of mel bands."""
MIN_DB = -70.0
"""Below a patch's loudest cell: what is softer counts as that."""
SILENCE_DB = -200.0
"""What follows a sound that is shorter than a patch."""
MAX_LEFT_FRAMES = 16
"""A rest of at most so many frames at the end has no patch of its own."""
DENSE_FRAMES = 2 * 60 * SAMPLE_RATE // HOP_LENGTH // PATCH_FRAMES * PATCH_FRAMES
"""After two minutes, one patch in four is heard."""
SPARSE_PATCHES = 4
_BATCH = 16


@dataclass(frozen=True)
class Weights:
    """The layers: `convolutions` of shapes (3, 3, in, out) and (out,), `hidden` of (in, out) and (out,)."""

    convolutions: tuple[tuple[Float32, Float32], ...]
    hidden: tuple[Float32, Float32]

    @property
    def size(self) -> int:
        """How many numbers the hidden layer has."""
        return len(self.hidden[1])


@cache
def load_weights() -> Weights:
    """Load the committed weights."""
    file = resources.files("soundscape.audio").joinpath("data/small_network.npz")
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
        arrays = {name: stored[name].astype(np.float32) for name in stored.files}
    layers = sum(name.startswith("kernel") for name in arrays)
    return Weights(
        tuple((arrays[f"kernel_{n}"], arrays[f"bias_{n}"]) for n in range(layers)),
        (arrays["hidden"], arrays["hidden_bias"]),
    )


def pair_bands(log_mel_db: Float32) -> Float32:
    """Make the bands of a patch of those of the spectrum: (frames, 128) to (frames, 56), dB."""
    bands: Float32 = (log_mel_db[:, : 2 * BANDS : 2] + log_mel_db[:, 1 : 2 * BANDS : 2]) * np.float32(0.5)
    return bands


def scale(patches: Float32) -> tuple[Float32, Float32]:
    """Bring patches, (n, 64, 56) in dB, to -1 to 1; return them and their loudest levels, (n,)."""
    loudest_db = patches.max(axis=(1, 2))
    relative_db = np.maximum(patches - loudest_db[:, np.newaxis, np.newaxis], np.float32(MIN_DB))
    return relative_db * np.float32(-2 / MIN_DB) + 1, loudest_db


def run(weights: Weights, patches: Float32) -> Float32:
    """What the hidden layer makes of scaled patches: (n, 64, 56) to (n, hidden), not negative."""
    x = patches[..., np.newaxis]
    for kernel, bias in weights.convolutions:
        x = _convolve(x, kernel, bias)
    pooled = np.concatenate([x.mean(axis=1), x.max(axis=1)], axis=-1).reshape(len(x), -1)
    hidden: Float32 = np.maximum(pooled @ weights.hidden[0] + weights.hidden[1], 0)
    return hidden


class SmallNetwork:
    """The network at work on one recording: `push` mel bands, then ask for `result`."""

    def __init__(self) -> None:
        self._weights = load_weights()
        self._frames = 0
        self._rest = np.empty((0, MELS), dtype=np.float32)
        self._latest = self._rest
        self._patches: list[Float32] = []
        self._sum: Float64 = np.zeros(self._weights.size)
        self._weight_sum = 0.0

    def push(self, log_mel_db: Float32) -> None:
        """Take the bands of the frames that follow, dB, shape (frames, 128)."""
        self._rest = np.concatenate([self._rest, log_mel_db]) if len(self._rest) else log_mel_db
        while len(self._rest) >= PATCH_FRAMES:
            patch, self._rest = self._rest[:PATCH_FRAMES], self._rest[PATCH_FRAMES:]
            is_dense = self._frames < DENSE_FRAMES
            if is_dense or self._frames // PATCH_FRAMES % SPARSE_PATCHES == 0:
                self._listen(patch)
            self._frames += PATCH_FRAMES
            self._latest = patch

    def result(self) -> Float32 | None:
        """The recording's features, float32, shape (hidden,), not negative; None without a frame.

        Call it once, at the end. They are the square of the mean over patches of the hidden layer's square
        root.
        """
        if self._frames == 0 and len(self._rest):
            missing = PATCH_FRAMES - len(self._rest)
            self._listen(np.pad(self._rest, ((0, missing), (0, 0)), constant_values=SILENCE_DB))
        elif len(self._rest) > MAX_LEFT_FRAMES:
            self._listen(np.concatenate([self._latest, self._rest])[-PATCH_FRAMES:])
        self._run_batch()
        if not self._weight_sum:
            return None
        return np.square(self._sum / self._weight_sum).astype(np.float32)

    def _listen(self, patch: Float32) -> None:
        self._patches.append(pair_bands(patch))
        if len(self._patches) == _BATCH:
            self._run_batch()

    def _run_batch(self) -> None:
        if not self._patches:
            return
        patches, loudest_db = scale(np.stack(self._patches))
        self._patches = []
        weights = 10 ** (loudest_db.astype(np.float64) / 40)
        self._sum += weights @ np.sqrt(run(self._weights, patches))
        self._weight_sum += float(weights.sum())


def _convolve(x: Float32, kernel: Float32, bias: Float32) -> Float32:
    """Convolve (n, height, width, in) by (3, 3, in, out), at every second place, and cut off at 0."""
    n, height, width, _ = x.shape
    padded = np.pad(x, ((0, 0), _padding(height), _padding(width), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2]
    columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, kernel[..., 0].size)
    y = columns @ kernel.reshape(columns.shape[1], -1)
    y += bias
    positive: Float32 = np.maximum(y, 0, out=y)
    return positive.reshape(n, -(-height // 2), -(-width // 2), -1)


def _padding(size: int) -> tuple[int, int]:
    """What makes room for a kernel at every second place: before and behind."""
    return size % 2, 1
