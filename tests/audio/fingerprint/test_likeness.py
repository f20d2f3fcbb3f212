"""Likeness: copies keep their levels, other sounds with the same peaks do not."""

from __future__ import annotations

import numpy as np
import pytest

from soundscape.audio.fingerprint import MatchKind, MemoryIndex, find_matches
from soundscape.audio.fingerprint.code import FRAME_RATE_HZ
from soundscape.audio.fingerprint.likeness import MIN_CORRELATION, Likeness, measure_likeness
from soundscape.audio.fingerprint.pairing import refine_alignment
from soundscape.audio.fingerprint.verify import make_screen, verify

from .sounds import SAMPLE_RATE, Samples, faster, fingerprint, melody, mixed, pink, recoded


def compare(y: Samples, other: Samples, lag_s: float = 0.0, speed: float = 1.0) -> Likeness:
    found = measure(y, other, lag_s, speed)
    assert found is not None
    return found


def measure(y: Samples, other: Samples, lag_s: float = 0.0, speed: float = 1.0) -> Likeness | None:
    stored = fingerprint(other)
    span = (0, stored.frame_count - 1)
    return measure_likeness(fingerprint(y), stored, span, lag_s * FRAME_RATE_HZ, speed)


def equalised(y: Samples) -> Samples:
    """Bass down and treble up, by up to 12 dB."""
    spectrum = np.fft.rfft(y)
    f = np.fft.rfftfreq(y.size, 1 / SAMPLE_RATE)
    gain_db = np.clip(8.0 * np.log10(np.maximum(f, 1.0) / 1000.0), -12.0, 12.0)
    return np.fft.irfft(spectrum * 10 ** (gain_db / 20), y.size).astype(np.float32)


def test_a_sound_is_like_itself() -> None:
    assert compare(melody(1), melody(1)) == Likeness(pytest.approx(1.0), pytest.approx(1.0))


@pytest.mark.parametrize("start_s", [0.0, 3.1, 3.25, 7.77])
def test_a_part_is_like_the_whole_at_any_offset(start_s: float) -> None:
    y = melody(5)
    found = compare(y[round(start_s * SAMPLE_RATE) :][: 8 * SAMPLE_RATE], y, start_s)
    assert found.correlation > MIN_CORRELATION
    assert found.share_of_energy > 0.9


@pytest.mark.parametrize(
    ("container", "codec", "rate", "bit_rate"),
    [
        ("mp3", "libmp3lame", 44_100, 32_000),
        ("ipod", "aac", 44_100, 32_000),
        ("ogg", "libopus", 48_000, 24_000),
    ],
)
def test_copies_through_codecs_are_alike(container: str, codec: str, rate: int, bit_rate: int) -> None:
    for seed in range(3):
        index = MemoryIndex()
        index.add("itself", fingerprint(melody(seed)))
        (match,) = find_matches(
            fingerprint(recoded(melody(seed), container, codec, rate, bit_rate)), index
        ).matches
        assert match.level_correlation > MIN_CORRELATION


def test_an_equaliser_and_a_gain_are_undone() -> None:
    assert compare(equalised(melody(2)) * np.float32(0.1), melody(2)).correlation > 0.99


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_steady_noise_is_undone(snr_db: float) -> None:
    y = melody(3)
    assert compare(mixed(y, pink(y.size, 1), snr_db), y).correlation > MIN_CORRELATION


@pytest.mark.parametrize("speed", [0.96, 0.985, 1.03])
def test_another_speed_is_undone(speed: float) -> None:
    assert compare(faster(melody(4), speed), melody(4), speed=speed).correlation > MIN_CORRELATION


@pytest.mark.parametrize("bed_db", [-6.0, 0.0, 6.0, 10.0])
def test_sounds_over_one_bed_are_not_alike(bed_db: float) -> None:
    for seed in range(0, 12, 3):
        bed = melody(seed) * 10 ** (bed_db / 20)
        assert compare(melody(seed + 1) + bed, melody(seed + 2) + bed).correlation < MIN_CORRELATION


def test_the_share_of_energy_rises_with_the_bed() -> None:
    shares = [
        compare(melody(1) + bed * melody(0), melody(2) + bed * melody(0)).share_of_energy
        for bed in (0.5, 1.0, 2.0, 4.0, 8.0)
    ]
    assert shares == sorted(shares)
    assert shares[0] < 0.8
    assert shares[-1] > 0.95


def test_a_copy_in_noise_is_the_same_recording() -> None:
    """The peaks of noise are as many as those that both have. The levels tell that it is but noise."""
    index = MemoryIndex()
    index.add("itself", fingerprint(melody(6)))
    (match,) = find_matches(fingerprint(mixed(melody(6), pink(melody(6).size, 2), 5.0)), index).matches
    assert match.kind is MatchKind.SAME_RECORDING


def test_what_surrounds_the_span_does_not_count() -> None:
    """A codec pads an excerpt with silence, where the recording goes on."""
    y = melody(5)
    part = np.concatenate(
        [np.zeros(SAMPLE_RATE, np.float32), y[5 * SAMPLE_RATE : 13 * SAMPLE_RATE], np.zeros(9000)]
    )
    index = MemoryIndex()
    index.add("whole", fingerprint(y))
    (match,) = find_matches(fingerprint(part.astype(np.float32)), index).matches
    assert match.kind is MatchKind.EXCERPT
    assert match.level_correlation > 0.995


def test_what_is_too_short_is_not_compared() -> None:
    assert measure(melody(1, 1.0), melody(2, 1.0)) is None
    silence = np.zeros(5 * SAMPLE_RATE, np.float32)
    assert compare(silence, silence) == Likeness(1, 1)


def test_short_gaps_in_noise_are_no_opposite() -> None:
    """Where noise stops for a moment the levels of both fall."""
    noise = pink(20 * SAMPLE_RATE, 4) * np.float32(0.1)
    gap = noise.copy()
    gap[9 * SAMPLE_RATE : round(10.5 * SAMPLE_RATE)] = 0
    for y, other in ((noise, gap), (gap, noise)):
        found = compare(y, other)
        assert 0 <= found.share_of_energy <= 1
    assert compare(gap, gap).correlation > MIN_CORRELATION


@pytest.mark.parametrize("offset", [0, 100, 256, 400])
def test_the_alignment_is_refined_to_a_fraction_of_a_frame(offset: int) -> None:
    y = melody(7)
    stored, query = fingerprint(y), fingerprint(y[512 * 100 + offset :][: 10 * SAMPLE_RATE])
    evidence = verify(make_screen(query), stored, 99)
    assert evidence is not None
    lag_frames, speed = refine_alignment(query, stored, evidence, 1.0)
    assert lag_frames == pytest.approx(100 + offset / 512, abs=0.15)
    assert speed == pytest.approx(1.0, abs=0.002)
