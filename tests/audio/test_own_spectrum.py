"""The transform of the whole band: the frames that there are, and what one holds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
import scipy.signal

from soundscape.audio.own_spectrum import OVERLAPPING_S, OwnFrames, OwnSpectrum, choose_n_fft

RATE = 8_000
N_FFT = 512
BATCH = 64

Samples = npt.NDArray[np.float32]


class Frames(NamedTuple):
    """All frames of a signal, shape (frames, n_fft / 2 + 1), and the batches that they came in."""

    X: npt.NDArray[np.complex64]
    batches: list[OwnFrames]


def transform(y: Samples, *, overlapping_s: float = OVERLAPPING_S, cut: int = 65_536) -> Frames:
    own = OwnSpectrum(sample_rate=RATE, overlapping_s=overlapping_s)
    batches = [frames for at in range(0, len(y), cut) for frames in own.push(y[at : at + cut])]
    batches += own.finish()
    X = np.concatenate([np.empty((0, N_FFT + 2), np.float32), *(frames.X for frames in batches)])
    return Frames(X.view(np.complex64), batches)


def noise(samples: int) -> Samples:
    return (np.random.default_rng(3).standard_normal(samples) * 0.1).astype(np.float32)


def expected_frames(y: Samples, hop: int) -> npt.NDArray[np.complex128]:
    """Frames whose centres lie within the recording, by scipy in float64."""
    padded = np.pad(y.astype(np.float64), N_FFT // 2)
    window = scipy.signal.get_window("hann", N_FFT)
    starts = range(0, len(padded) - N_FFT + 1, hop)
    frames: npt.NDArray[np.complex128] = scipy.fft.rfft([padded[at : at + N_FFT] * window for at in starts])
    return frames


@pytest.mark.parametrize(
    ("sample_rate", "n_fft"), [(8_000, 512), (22_050, 1024), (44_100, 2048), (48_000, 2048), (192_000, 8192)]
)
def test_frames_last_about_46_ms(sample_rate: int, n_fft: int) -> None:
    assert choose_n_fft(sample_rate) == n_fft


@pytest.mark.parametrize(("overlapping_s", "hop"), [(OVERLAPPING_S, N_FFT // 2), (0, N_FFT)])
@pytest.mark.parametrize("frames", [1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH, 2 * BATCH + 1])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_frames_are_those_of_scipy(overlapping_s: float, hop: int, frames: int, more: int) -> None:
    """Around whole batches, and a sample more or less than fills the last frame."""
    y = noise(max(8 * N_FFT, (frames - 1) * hop) + more)
    if len(y) < 8 * N_FFT:
        hop = N_FFT // 4
    found, expected = transform(y, overlapping_s=overlapping_s).X, expected_frames(y, hop)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("samples", [1, 2, N_FFT // 4, N_FFT, 8 * N_FFT - 1])
@pytest.mark.parametrize("overlapping_s", [OVERLAPPING_S, 0])
def test_a_short_recording_gets_four_frames_where_others_get_one(samples: int, overlapping_s: float) -> None:
    y = noise(samples)
    found = transform(y, overlapping_s=overlapping_s)
    assert len(found.X) == 1 + samples // (N_FFT // 4)
    assert {frames.hop for frames in found.batches} == {N_FFT // 4}
    assert np.abs(found.X - expected_frames(y, N_FFT // 4)).max() < 1e-5


@pytest.mark.parametrize("cut", [7, 3000, 65_536])
@pytest.mark.parametrize("overlapping_frames", [2, BATCH, 2 * BATCH + 2])
def test_frames_stop_overlapping(overlapping_frames: int, cut: int) -> None:
    y = noise(100 * N_FFT)
    found = transform(y, overlapping_s=overlapping_frames * N_FFT / 2 / RATE, cut=cut)
    first = expected_frames(y, N_FFT // 2)[:overlapping_frames]
    then = expected_frames(y, N_FFT)[overlapping_frames // 2 :]
    assert np.abs(found.X - np.concatenate([first, then])).max() < 1e-5
    padded = np.pad(y, N_FFT // 2)
    for frames in found.batches:
        at = frames.first * frames.hop
        assert np.array_equal(frames.y, padded[at : at + len(frames.y)])


def test_nothing_has_no_frames() -> None:
    assert transform(noise(0)).batches == []


@pytest.mark.parametrize("overlapping_s", [OVERLAPPING_S, 0, 1.5])
@pytest.mark.parametrize("samples", [1, 3000, 8 * N_FFT, 65 * N_FFT + 7])
@pytest.mark.parametrize("cut", [7, N_FFT, 5000])
def test_the_division_into_blocks_does_not_matter(overlapping_s: float, samples: int, cut: int) -> None:
    y = noise(samples)
    whole, cut_up = (transform(y, overlapping_s=overlapping_s, cut=length) for length in (samples, cut))
    assert cut_up.X.shape == whole.X.shape
    assert np.abs(cut_up.X - whole.X).max() < 1e-5


@pytest.mark.parametrize("cut", [7, 3000, 65_536])
def test_a_batch_says_which_frames_it_holds_and_of_which_samples(cut: int) -> None:
    y = noise(70 * N_FFT)
    padded = np.pad(y, N_FFT // 2)
    numbers = []
    for frames in transform(y, cut=cut).batches:
        at = frames.first * frames.hop
        assert len(frames.X) <= BATCH
        assert np.array_equal(frames.y, padded[at : at + len(frames.y)])
        assert len(frames.y) == (len(frames.X) - 1) * frames.hop + N_FFT
        numbers += range(frames.first, frames.first + len(frames.X))
    assert numbers == list(range(len(numbers)))
