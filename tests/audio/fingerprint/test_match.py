"""Recognition, small and quick: the full table is benchmarks/fingerprint.py's."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from soundscape.audio.fingerprint import (
    Candidate,
    Fingerprint,
    Keys,
    MatchKind,
    MemoryIndex,
    Verdict,
    find_matches,
    make_stored_keys,
)
from soundscape.audio.fingerprint.likeness import MIN_CORRELATION
from soundscape.audio.fingerprint.match import MIN_SCORE

from .sounds import SAMPLE_RATE, Samples, drum_loop, faster, fingerprint, melody, mixed, pink, recoded

MELODIES = 24


@pytest.fixture(scope="module")
def index() -> MemoryIndex:
    index = MemoryIndex()
    for seed in range(MELODIES):
        index.add(f"melody-{seed}", fingerprint(melody(seed)))
    for seed in range(6):
        index.add(f"drums-{seed}", fingerprint(drum_loop(seed)))
    return index


def part(y: Samples, start_s: float, length_s: float) -> Samples:
    return y[int(start_s * SAMPLE_RATE) :][: int(length_s * SAMPLE_RATE)]


def tone(duration_s: float) -> Samples:
    t = np.arange(int(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.5 * np.sin(2 * np.pi * 997.0 * t)).astype(np.float32)


def test_what_agrees_by_accident_is_never_claimed(index: MemoryIndex) -> None:
    """Not even where any probability would do."""
    for seed in (100, 101, 102):
        result = find_matches(fingerprint(melody(seed)), index, threshold=0.0)
        assert all(match.score >= MIN_SCORE for match in result.matches)


def test_a_recording_is_itself(index: MemoryIndex) -> None:
    (match,) = find_matches(fingerprint(melody(3)), index).matches
    assert match.recording_id == "melody-3"
    assert match.kind is MatchKind.SAME_RECORDING
    assert match.speed == 1.0
    assert abs(match.offset_s) < 0.05
    assert match.share_of_query > 0.95
    assert match.share_of_recording > 0.95
    assert match.probability > 0.99


@pytest.mark.parametrize(
    ("container", "codec", "rate", "bit_rate"),
    [
        ("mp3", "libmp3lame", 44_100, 64_000),
        ("ipod", "aac", 44_100, 48_000),
        ("ogg", "libopus", 48_000, 32_000),
        ("wav", "pcm_s16le", 16_000, 256_000),
    ],
)
@pytest.mark.parametrize("seed", [1, 8])
def test_re_encoded_copies(
    index: MemoryIndex, container: str, codec: str, rate: int, bit_rate: int, seed: int
) -> None:
    y = recoded(melody(seed), container, codec, rate, bit_rate)
    (match,) = find_matches(fingerprint(y), index).matches
    assert match.recording_id == f"melody-{seed}"
    assert match.kind is MatchKind.SAME_RECORDING
    assert abs(match.offset_s) < 0.05


@pytest.mark.parametrize("start_s", [0.0, 4.21, 7.3, 14.99])
def test_five_seconds_are_an_excerpt_at_their_offset(index: MemoryIndex, start_s: float) -> None:
    (match,) = find_matches(fingerprint(part(melody(5), start_s, 5.0)), index).matches
    assert match.recording_id == "melody-5"
    assert match.kind is MatchKind.EXCERPT
    assert abs(match.offset_s - start_s) < 0.05
    assert match.span_s[0] == pytest.approx(start_s, abs=0.5)
    assert match.span_s[1] == pytest.approx(start_s + 5.0, abs=0.5)
    assert match.share_of_recording == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("snr_db", [10.0, 5.0, 0.0])
def test_ten_seconds_in_pink_noise(index: MemoryIndex, snr_db: float) -> None:
    for seed in range(4):
        y = part(melody(seed), 3.7, 10.0)
        (match,) = find_matches(fingerprint(mixed(y, pink(y.size, seed), snr_db)), index).matches
        assert match.recording_id == f"melody-{seed}"
        assert abs(match.offset_s - 3.7) < 0.05


@pytest.mark.parametrize("speed", [0.96, 0.97, 0.985, 0.99, 1.005, 1.02, 1.035, 1.04])
def test_speeds(index: MemoryIndex, speed: float) -> None:
    y = faster(part(melody(6), 2.5, 12.0), speed)
    (match,) = find_matches(fingerprint(y), index).matches
    assert match.recording_id == "melody-6"
    assert match.speed == pytest.approx(speed, abs=0.002)
    assert abs(match.offset_s - 2.5) < 0.05


def test_both_recordings_in_a_mixture_are_found(index: MemoryIndex) -> None:
    y = melody(10) + melody(11)
    found = find_matches(fingerprint(y), index)
    assert {match.recording_id for match in found.matches} == {"melody-10", "melody-11"}


def test_a_short_stretch_of_another_recording_is_shared_material(index: MemoryIndex) -> None:
    y = np.concatenate([melody(100, 16.0), part(melody(12), 5.0, 6.0), melody(101, 16.0)])
    (match,) = find_matches(fingerprint(y), index).matches
    assert match.recording_id == "melody-12"
    assert match.kind is MatchKind.SHARED_MATERIAL
    assert match.offset_s == pytest.approx(5.0 - 16.0, abs=0.05)
    assert match.span_s == pytest.approx((5.0, 11.0), abs=0.5)
    assert match.share_of_query == pytest.approx(6 / 38, abs=0.03)
    assert match.share_of_recording == pytest.approx(6 / 20, abs=0.04)


@pytest.mark.parametrize("bed_db", [0.0, 3.0, 6.0, 12.0])
def test_two_melodies_over_one_bed_are_not_the_same_recording(bed_db: float) -> None:
    """They lie over each other from beginning to end, but a part of what sounds is the same."""
    bed = melody(30) * 10 ** (bed_db / 20)
    index = MemoryIndex()
    index.add("other", fingerprint(melody(31) + bed))
    (match,) = find_matches(fingerprint(melody(32) + bed), index).matches
    assert match.kind is MatchKind.SHARED_MATERIAL
    assert match.share_of_query > 0.7
    assert match.level_correlation < MIN_CORRELATION
    assert 0.7 < match.share_of_energy < 0.97


@pytest.mark.parametrize("bed_db", [0.0, 3.0])
def test_a_bed_alone_is_not_what_was_laid_over_it(bed_db: float) -> None:
    bed = melody(30) * 10 ** (bed_db / 20)
    index = MemoryIndex()
    index.add("bed", fingerprint(bed))
    (match,) = find_matches(fingerprint(melody(32) + bed), index).matches
    assert match.kind is MatchKind.SHARED_MATERIAL


def test_a_soft_bed_is_lost() -> None:
    """What lies over it is louder, so levels differ as those of another work do."""
    bed = melody(30) * 10 ** (-3 / 20)
    index = MemoryIndex()
    index.add("bed", fingerprint(bed))
    assert find_matches(fingerprint(melody(32) + bed), index).matches == ()


def test_a_bar_in_common_is_no_match() -> None:
    index = MemoryIndex()
    index.add("other", fingerprint(np.concatenate([melody(33, 8.0), melody(30, 2.5), melody(34, 8.0)])))
    y = np.concatenate([melody(35, 5.0), melody(30, 2.5), melody(36, 5.0)])
    assert find_matches(fingerprint(y), index).matches == ()
    # What is no longer than that is found.
    (match,) = find_matches(fingerprint(melody(30, 2.5)), index).matches
    assert match.kind is MatchKind.EXCERPT


def test_a_long_mix_finds_each_of_its_recordings() -> None:
    index = MemoryIndex()
    for seed in (20, 21, 22):
        index.add(f"melody-{seed}", fingerprint(melody(seed)))
    mix = np.concatenate([melody(20), melody(102, 60.0), melody(21), melody(103, 60.0)])
    matches = {match.recording_id: match for match in find_matches(fingerprint(mix), index).matches}
    assert set(matches) == {"melody-20", "melody-21"}
    assert matches["melody-21"].offset_s == pytest.approx(-80.0, abs=0.05)
    assert all(match.kind is MatchKind.EXCERPT for match in matches.values())


@pytest.mark.parametrize("seed", range(50, 62))
def test_foreign_melodies_match_nothing(index: MemoryIndex, seed: int) -> None:
    assert find_matches(fingerprint(melody(seed)), index).verdict is Verdict.NO_MATCH


@pytest.mark.parametrize("seed", range(6))
def test_two_bars_of_drums_are_found_in_their_place(index: MemoryIndex, seed: int) -> None:
    matches = find_matches(fingerprint(part(drum_loop(seed), 4.0, 6.0)), index).matches
    assert matches[0].recording_id == f"drums-{seed}"
    assert abs(matches[0].offset_s - 4.0) < 0.05


def test_a_loop_is_seen_as_a_loop() -> None:
    bar = part(melody(30), 0.0, 2.0)
    index = MemoryIndex()
    index.add("loop", fingerprint(np.tile(bar, 6)))
    (match,) = find_matches(fingerprint(np.tile(bar, 2)), index).matches
    offsets = np.array([match.offset_s, *match.other_offsets_s])
    assert len(offsets) >= 3
    assert np.abs(offsets / 2.0 - np.rint(offsets / 2.0)).max() < 0.03


@pytest.mark.parametrize("seed", range(6))
def test_reversed_drum_loops_are_other_recordings(index: MemoryIndex, seed: int) -> None:
    assert find_matches(fingerprint(drum_loop(seed)[::-1]), index).verdict is Verdict.NO_MATCH


@pytest.mark.parametrize("seed", range(70, 76))
def test_drums_on_the_same_grid_are_other_recordings(index: MemoryIndex, seed: int) -> None:
    assert find_matches(fingerprint(drum_loop(seed)), index).verdict is Verdict.NO_MATCH


@pytest.mark.parametrize(
    ("y", "what"),
    [
        (np.zeros(5 * SAMPLE_RATE, np.float32), "silence"),
        (np.zeros(1, np.float32), "one sample"),
        (tone(5.0), "a sine"),
        (recoded(tone(5.0), "mp3", "libmp3lame", 44_100, 64_000), "a sine with a codec's noise"),
        (mixed(tone(5.0), pink(5 * SAMPLE_RATE, 0), 60.0) * np.float32(0.001), "a faint sine"),
        (melody(1, 0.6), "half a second"),
    ],
)
def test_too_little_to_tell(index: MemoryIndex, y: Samples, what: str) -> None:
    found = find_matches(fingerprint(y), index)
    assert found.verdict is Verdict.NOT_ENOUGH_CONTENT
    assert found.matches == ()


def test_nothing_is_found_in_an_empty_index() -> None:
    assert find_matches(fingerprint(melody(0)), MemoryIndex()).verdict is Verdict.NO_MATCH


class Rows:
    """Index as a table would give them: (key, recording, frame) rows, grouped and counted."""

    def __init__(self) -> None:
        self.rows: dict[int, list[tuple[str, int]]] = defaultdict(list)
        self.stored: dict[str, bytes] = {}

    def add(self, recording_id: str, made: Fingerprint) -> None:
        keys = make_stored_keys(made)
        for key, frame in zip(keys.values.tolist(), keys.frames.tolist(), strict=True):
            self.rows[key].append((recording_id, frame))
        self.stored[recording_id] = made.to_bytes()

    def find_candidates(self, keys: Keys, limit: int) -> list[Candidate]:
        counts: Counter[tuple[str, int]] = Counter()
        for key, asked in zip(keys.values.tolist(), keys.frames.tolist(), strict=True):
            counts.update((recording, (frame - asked) // 2) for recording, frame in self.rows[key])
        return [
            Candidate(name, 2 * lag + 1, pairs, len(keys), len(self.rows))
            for (name, lag), pairs in counts.most_common(limit)
        ]

    def read_fingerprint(self, recording_id: str) -> Fingerprint:
        return Fingerprint.from_bytes(self.stored[recording_id])


def test_candidates_may_come_from_a_table() -> None:
    rows = Rows()
    for seed in range(8):
        rows.add(f"melody-{seed}", fingerprint(melody(seed)))
    y = part(melody(5), 6.0, 8.0)
    (match,) = find_matches(fingerprint(mixed(y, pink(y.size, 5), 3.0)), rows).matches
    assert match.recording_id == "melody-5"
    assert abs(match.offset_s - 6.0) < 0.05
