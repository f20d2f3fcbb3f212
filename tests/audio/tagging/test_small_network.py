"""The small network: what it hears does not depend on level, blocks or what lies above its bands."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import correlate

from soundscape.audio.spectrum import SAMPLE_RATE, Spectrum
from soundscape.audio.tagging import small_network
from soundscape.audio.tagging.small_network import (
    BANDS,
    DENSE_FRAMES,
    PATCH_FRAMES,
    SPARSE_PATCHES,
    SmallNetwork,
)

Float32 = npt.NDArray[np.float32]


def make_bands(frames: int, seed: int = 3) -> Float32:
    """Levels of 128 bands that change slowly."""
    random = np.random.default_rng(seed)
    steps = random.standard_normal((frames, 128)) * 3
    return (np.cumsum(steps, axis=0) * 0.2 - 30 + steps).astype(np.float32)


def hear(bands: Float32, *, block: int = 50) -> Float32:
    network = SmallNetwork()
    for first in range(0, len(bands), block):
        network.push(bands[first : first + block])
    found = network.result()
    assert found is not None
    return found


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_blocks_do_not_matter(block: int) -> None:
    bands = make_bands(700)
    np.testing.assert_array_equal(hear(bands, block=block), hear(bands))


@pytest.mark.parametrize("gain_db", [-25.0, 10.0])
def test_level_does_not_matter(gain_db: float) -> None:
    bands = make_bands(300)
    np.testing.assert_allclose(hear(bands + np.float32(gain_db)), hear(bands), rtol=1e-3, atol=1e-3)


def test_what_lies_above_its_bands_does_not_matter() -> None:
    bands = make_bands(300)
    other = bands.copy()
    other[:, 2 * BANDS :] = 40
    np.testing.assert_array_equal(hear(other), hear(bands))


@pytest.mark.parametrize("frames", [1, 5, PATCH_FRAMES - 1, PATCH_FRAMES, PATCH_FRAMES + 17, 200])
def test_any_length_is_heard(frames: int) -> None:
    found = hear(make_bands(frames))
    assert found.shape == (small_network.load_weights().size,)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert found.any()


def test_nothing_is_heard_without_a_frame() -> None:
    assert SmallNetwork().result() is None


def test_after_two_minutes_one_patch_in_four_is_heard() -> None:
    start, rest = make_bands(DENSE_FRAMES), make_bands(8 * PATCH_FRAMES, seed=5)
    other = rest.copy()
    first = DENSE_FRAMES // PATCH_FRAMES
    for patch in range(8):
        if (first + patch) % SPARSE_PATCHES:
            other[patch * PATCH_FRAMES : (patch + 1) * PATCH_FRAMES] = make_bands(PATCH_FRAMES, seed=9)
    np.testing.assert_array_equal(hear(np.concatenate([start, other])), hear(np.concatenate([start, rest])))
    assert (hear(np.concatenate([start, rest[::-1]])) != hear(np.concatenate([start, rest]))).any()


@pytest.mark.parametrize("shape", [(64, 56), (7, 4), (8, 7)])
def test_a_convolution_is_that_of_scipy(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    x = random.standard_normal((2, *shape, 3)).astype(np.float32)
    kernel, bias = random.standard_normal((3, 3, 3, 5)).astype(np.float32), np.full(5, 0.1, np.float32)
    found = small_network._convolve(x, kernel, bias)
    height, width = shape
    # An even axis begins at its first element, an odd one half a kernel earlier.
    for channel in range(5):
        whole = sum(
            correlate(np.pad(x[1, :, :, c], 2), kernel[:, :, c, channel], mode="valid") for c in range(3)
        )
        expected = whole[2 - height % 2 :: 2, 2 - width % 2 :: 2][: -(-height // 2), : -(-width // 2)] + 0.1
        np.testing.assert_allclose(found[1, :, :, channel], np.maximum(expected, 0), rtol=1e-4, atol=1e-4)


def test_a_tone_is_not_like_noise() -> None:
    random, t = np.random.default_rng(1), np.arange(SAMPLE_RATE * 3) / SAMPLE_RATE
    sounds = [
        random.standard_normal(t.size) * 0.1,
        random.standard_normal(t.size) * 0.01,
        np.sin(2 * np.pi * 440 * t) * 0.1,
    ]
    heard = []
    for y in sounds:
        network, spectrum = SmallNetwork(), Spectrum()
        for frames in (*spectrum.push(y.astype(np.float32)), *spectrum.finish()):
            network.push(frames.log_mel_db)
        features = network.result()
        assert features is not None
        heard.append(np.sqrt(features) / np.linalg.norm(np.sqrt(features)))
    noise, softer, tone = heard
    assert noise @ softer > 0.95
    assert noise @ tone < noise @ softer - 0.1
