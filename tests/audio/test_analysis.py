"""The pass as a whole: records that are complete, true, equal each time, and say what they left out."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from signals import Samples, tone, wav

from soundscape.audio.analysis import Progress, analyze
from soundscape.audio.limits import Limits
from soundscape.audio.record import Record
from soundscape.audio.schema import make_schema
from soundscape.audio.stages import STAGES
from soundscape.errors import PolicyRefusal, UnreadableAudio
from tests.audio.tag_model import MODEL, needs_model

RATE = 44_100


def record_of(y: Samples, sample_rate: int = RATE, **options: Any) -> Record:
    return analyze(io.BytesIO(wav(y, sample_rate, subtype="FLOAT")), tags=False, **options)


def without_times(record: Record) -> Record:
    return replace(record, stages=tuple(replace(stage, seconds=0.0) for stage in record.stages))


def conforms(value: Any, shape: dict[str, Any], definitions: dict[str, Any]) -> bool:
    """A JSON Schema check of the few words that `make_schema` uses."""
    if "$ref" in shape:
        return conforms(value, definitions[shape["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in shape:
        return any(conforms(value, choice, definitions) for choice in shape["anyOf"])
    if "enum" in shape:
        return value in shape["enum"]
    if shape["type"] == "array":
        return isinstance(value, list) and all(conforms(item, shape["items"], definitions) for item in value)
    if shape["type"] == "object" and "properties" in shape:
        return (
            isinstance(value, dict)
            and value.keys() == shape["properties"].keys()
            and all(conforms(value[name], part, definitions) for name, part in shape["properties"].items())
        )
    kinds = {"number": (int, float), "integer": int, "string": str, "boolean": bool, "null": type(None)}
    return isinstance(value, kinds.get(shape["type"], dict))


def assert_conforms(record: Record) -> None:
    shape = make_schema()
    plain = json.loads(json.dumps(record.as_dict(), allow_nan=False))
    assert conforms(plain, shape, shape["$defs"])


def test_a_tone(tmp_path: Path) -> None:
    record = record_of(
        tone(seconds=4, sample_rate=RATE, frequency_hz=1000), out_dir=tmp_path / "new" / "place"
    )
    assert_conforms(record)
    assert record.source.duration_s == 4
    assert (record.source.container, record.source.codec, record.source.channels) == ("wav", "pcm_f32", 2)
    assert record.loudness is not None
    assert record.loudness.sample_peak_dbfs == pytest.approx(-12, abs=0.3)
    assert record.spectral is not None
    # Part of the magnitude is the noise up to 22 kHz.
    assert record.spectral.rolloff_hz.median == pytest.approx(1000, abs=150)
    assert record.spectral.rolloff_hz.min == pytest.approx(1000, abs=75)
    assert record.rhythm is not None
    assert record.rhythm.tempo_bpm is None
    assert [stage.name for stage in record.stages] == list(STAGES)
    assert {stage.name for stage in record.stages if stage.status == "skipped"} == {"tags"}
    assert record.waveform is not None
    assert record.pictures is not None
    assert record.fingerprint is not None
    written = {path.name for path in (tmp_path / "new" / "place").iterdir()}
    assert written == {
        *("waveform.dat", "waveform.json", "waveform.png", "waveform_dark.png"),
        *("spectrogram.png", "spectrogram_dark.png", "thumbnail.webp", "fingerprint.bin"),
    }


@pytest.mark.parametrize("sample_rate", [8_000, 44_100])
def test_silence_is_a_recording(tmp_path: Path, sample_rate: int) -> None:
    record = record_of(np.zeros((2, 3 * sample_rate), np.float32), sample_rate, out_dir=tmp_path)
    assert_conforms(record)
    assert record.loudness is not None
    assert record.rhythm is not None
    assert record.tonality is not None
    assert record.loudness.integrated_lufs is None
    assert record.loudness.true_peak_dbtp is None
    assert record.rhythm.tempo_bpm is None
    assert record.tonality.key is None
    assert record.spectral is None
    assert record.embedding is None
    skipped = {stage.name: stage.reason for stage in record.stages if stage.status == "skipped"}
    assert "no sound" in str(skipped["embedding"])
    assert (tmp_path / "waveform.png").exists()


@needs_model
@pytest.mark.parametrize("level_dbfs", [None, -100.0, -86.0])
def test_silence_has_no_place_among_sounds_with_the_model_either(level_dbfs: float | None) -> None:
    """Digital silence, and the noise of a converter."""
    y = np.zeros((1, 3 * 44_100), np.float32)
    if level_dbfs is not None:
        y += 10 ** (level_dbfs / 20) * np.random.default_rng(3).standard_normal(y.shape).astype(np.float32)
    record = analyze(io.BytesIO(wav(y, 44_100, subtype="FLOAT")), models_dir=MODEL.parent)
    assert record.tags is not None
    assert {tag.label for tag in record.tags} <= {"Silence"}
    assert record.embedding is None


@pytest.mark.parametrize("samples", [1, 2, 511, 2048])
@pytest.mark.parametrize("sample_rate", [8_000, 192_000])
def test_the_shortest_recordings(tmp_path: Path, samples: int, sample_rate: int) -> None:
    y = tone(seconds=1, sample_rate=sample_rate, channels=1)[:, 100 : 100 + samples]
    record = record_of(y, sample_rate, out_dir=tmp_path)
    assert_conforms(record)
    assert record.source.duration_s == samples / sample_rate


@pytest.mark.parametrize(
    ("sample_rate", "channels", "refused"),
    [
        (1, 1, True),  # loudness is not defined so low
        (1_000, 2, True),
        (4_000, 1, False),
        (384_000, 2, False),
        (22_050, 64, False),
    ],
)
def test_other_limits_give_records_or_refusals_too(sample_rate: int, channels: int, refused: bool) -> None:
    wide = Limits(max_channels=64, min_sample_rate_hz=1, max_sample_rate_hz=400_000)
    y = tone(seconds=1, sample_rate=sample_rate, channels=channels)
    if not refused:
        assert_conforms(record_of(y, sample_rate, limits=wide))
    else:
        with pytest.raises(PolicyRefusal):
            record_of(y, sample_rate, limits=wide)


def test_the_same_input_gives_the_same_record_and_files(tmp_path: Path) -> None:
    y = tone(seconds=5, sample_rate=RATE) * np.linspace(0, 1, 5 * RATE, dtype=np.float32)
    data = wav(y, RATE, subtype="FLOAT")
    first, second = (analyze(io.BytesIO(data), tags=False, out_dir=tmp_path / place) for place in "ab")
    assert without_times(first) == without_times(second)
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_same_sound_in_another_container(encoded: dict[str, bytes]) -> None:
    records = [analyze(io.BytesIO(encoded[kind]), tags=False) for kind in ("wav", "aiff", "flac", "caf")]
    assert len({record.source.sha256 for record in records}) == 4
    assert len({record.source.pcm_blake3 for record in records}) == 1
    assert len({record.loudness for record in records}) == 1


def test_without_a_model_the_stage_says_what_mends_it(tmp_path: Path) -> None:
    data = wav(tone(seconds=2, sample_rate=RATE), RATE)
    record = analyze(io.BytesIO(data), models_dir=tmp_path)
    assert_conforms(record)
    tags = next(stage for stage in record.stages if stage.name == "tags")
    assert tags.status == "skipped"
    assert "soundscape models pull" in str(tags.reason)
    assert record.tags is None
    assert record.embedding is not None
    assert record.embedding.space.startswith("descriptors-128")
    assert len(record.embedding.values) == 128


@needs_model
def test_with_the_model(shared_audio: Path) -> None:
    record = analyze(shared_audio / "speech_a.ogg", models_dir=MODEL.parent)
    assert_conforms(record)
    assert record.tags is not None
    assert "Speech" in {tag.label for tag in record.tags}
    assert record.embedding is not None
    assert record.embedding.space.startswith("yamnet-128")
    assert record.analysis_version != analyze(shared_audio / "speech_a.ogg", tags=False).analysis_version


def test_without_a_directory_nothing_is_written() -> None:
    record = record_of(tone(seconds=1, sample_rate=RATE))
    skipped = {stage.name: stage.reason for stage in record.stages if stage.status == "skipped"}
    assert skipped.keys() == {"tags", "waveform", "pictures"}
    assert "--out" in str(skipped["waveform"])
    assert record.waveform is None
    assert record.pictures is None
    assert record.fingerprint is not None
    assert record.fingerprint.path is None


def test_a_descriptor_will_do(tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    path.write_bytes(wav(tone(seconds=1, sample_rate=RATE), RATE))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert without_times(analyze(descriptor, tags=False)) == without_times(analyze(path, tags=False))
        os.fstat(descriptor)
    finally:
        os.close(descriptor)


def test_refusals_come_through() -> None:
    with pytest.raises(UnreadableAudio, match="empty"):
        analyze(io.BytesIO(b""))
    with pytest.raises(PolicyRefusal) as caught:
        record_of(tone(seconds=2, sample_rate=RATE), limits=Limits(max_duration_s=1))
    assert caught.value.code == "too_long"


def test_progress_ends_at_the_end() -> None:
    seen: list[Progress] = []
    record_of(tone(seconds=10, sample_rate=RATE), progress=seen.append)
    assert [step.total_s for step in seen] == [10.0] * len(seen)
    assert [step.done_s for step in seen] == sorted(step.done_s for step in seen)
    assert seen[-1].done_s == 10
    assert seen[-1].speed > 0


def test_what_the_file_says_of_itself_is_kept(encoded: dict[str, bytes]) -> None:
    assert analyze(io.BytesIO(encoded["flac"]), tags=False).source.tags["title"] == "A tone"


def test_a_truncated_file_says_so(encoded: dict[str, bytes]) -> None:
    record = analyze(io.BytesIO(encoded["flac"][:100_000]), tags=False)
    assert record.source.truncated
    assert 0.5 < record.source.duration_s < 2
    assert record.source.claimed_duration_s == 2


def noise_in(sample_rate: int, low_hz: float, high_hz: float, *, seconds: float = 2.0) -> Samples:
    """Noise within a band, RMS 0.1, shape (1, n)."""
    count = round(sample_rate * seconds)
    X = np.fft.rfft(np.random.default_rng(8).standard_normal(count))
    frequencies = np.fft.rfftfreq(count, 1 / sample_rate)
    X[(frequencies < low_hz) | (frequencies > high_hz)] = 0
    y = np.fft.irfft(X, count)
    return (0.1 * y / y.std()).astype(np.float32)[np.newaxis]


def cosine(one: Record, other: Record) -> float:
    assert one.embedding is not None
    assert other.embedding is not None
    return float(np.dot(one.embedding.values, other.embedding.values))


def song(seed: int, seconds: float = 8.0) -> Samples:
    """Decaying chords with a little noise, wider on one side: stereo that nobody else has."""
    random = np.random.default_rng(seed)
    count = round(seconds * RATE)
    time_s, y = np.arange(count) / RATE, np.zeros((2, count))
    for at_s in np.arange(0, seconds - 0.4, 60 / random.uniform(80, 160)):
        for note in random.choice(24, 3, replace=False):
            after_s = np.maximum(time_s - at_s, 0)
            sound = (
                np.sin(2 * np.pi * 220 * 2 ** (note / 12) * after_s) * np.exp(-6 * after_s) * (time_s >= at_s)
            )
            y += sound * random.uniform(0.3, 1, size=(2, 1))
    y += random.standard_normal((2, count)) * 0.01
    return (0.2 * y / np.abs(y).max()).astype(np.float32)


@pytest.mark.parametrize("inverted", [0, 1])
def test_an_inverted_copy_matches_and_is_the_nearest(inverted: int) -> None:
    songs = [song(seed) for seed in range(5)]
    records = [record_of(y) for y in songs]
    for number, y in enumerate(songs):
        other = y.copy()
        other[inverted] *= -1
        copy = record_of(other)
        assert copy.source.phase_correlation is not None
        assert copy.source.phase_correlation < -0.5
        assert [warning.code for warning in copy.source.warnings] == ["opposite_phase"]
        assert copy.spectral == records[number].spectral
        assert copy.tonality == records[number].tonality
        assert copy.fingerprint is not None
        assert records[number].fingerprint is not None
        assert copy.fingerprint.peaks == records[number].fingerprint.peaks > 0
        assert int(np.argmax([cosine(copy, each) for each in records])) == number
        assert cosine(copy, records[number]) > 0.999


def test_fingerprints_of_an_inverted_copy_are_equal(tmp_path: Path) -> None:
    y = song(1)
    record_of(y, out_dir=tmp_path / "a")
    record_of(y * np.float32([[1], [-1]]), out_dir=tmp_path / "b")
    one, other = (tmp_path / name / "fingerprint.bin" for name in "ab")
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("sample_rate", "low_hz", "high_hz"),
    [(44_100, 13_000, 15_000), (96_000, 20_000, 30_000), (192_000, 35_000, 60_000)],
)
def test_sound_above_the_shared_spectrum(
    tmp_path: Path, sample_rate: int, low_hz: float, high_hz: float
) -> None:
    """Insects and bats: measured where they are, and null where nothing of them can be heard."""
    record = record_of(noise_in(sample_rate, low_hz, high_hz), sample_rate, out_dir=tmp_path)
    assert_conforms(record)
    spectral = record.spectral
    assert spectral is not None
    assert spectral.band_hz == (0, sample_rate / 2)
    assert spectral.centroid_hz.mean == pytest.approx((low_hz + high_hz) / 2, rel=0.02)
    assert spectral.rms_dbfs.mean == pytest.approx(-20, abs=0.2)
    assert (spectral.flux, spectral.contrast_db, spectral.zero_crossing_rate, spectral.mfcc) == (None,) * 4
    assert (record.rhythm, record.tonality, record.embedding) == (None, None, None)
    assert record.fingerprint is not None
    assert (record.fingerprint.peaks, record.fingerprint.band_hz) == (
        0,
        pytest.approx((64.6, 5501.7), abs=0.1),
    )
    skipped = {stage.name: stage.reason for stage in record.stages if stage.status == "skipped"}
    assert skipped.keys() == {"tags", "rhythm", "tonality", "embedding"}
    assert "9922 Hz" in str(skipped["rhythm"])


@pytest.mark.parametrize(
    ("sample_rate", "sine_hz", "is_inside"),
    [
        *((44_100, 9_800, True), (44_100, 10_000, False), (44_100, 10_500, False), (44_100, 11_000, False)),
        *((8_000, 3_500, True), (8_000, 3_700, False)),
    ],
)
def test_a_window_s_leakage_is_not_described(sample_rate: int, sine_hz: int, *, is_inside: bool) -> None:
    """Of a sine above the narrow band, the band holds nothing but what the window spreads."""
    y = 0.5 * np.sin(2 * np.pi * sine_hz / sample_rate * np.arange(2 * sample_rate))
    record = record_of(y.astype(np.float32)[np.newaxis], sample_rate)
    spectral = record.spectral
    assert spectral is not None
    assert spectral.centroid_hz.median == pytest.approx(sine_hz, rel=0.01)
    for value in (spectral.contrast_db, spectral.mfcc, record.embedding):
        assert (value is not None) == is_inside


def test_background_below_bats_is_not_taken_for_them() -> None:
    bats = noise_in(192_000, 35_000, 60_000)
    hiss = noise_in(192_000, 20, 90_000) * np.float32(10 ** (-45 / 20))
    record = record_of(bats + hiss, 192_000)
    assert record.spectral is not None
    assert record.spectral.centroid_hz.mean == pytest.approx(47_500, rel=0.05)
    assert record.spectral.mfcc is None


def test_an_offset_changes_nothing_but_what_says_so() -> None:
    y = song(3)
    plain, moved = record_of(y), record_of(y + np.float32(0.2))
    assert moved.source.dc_offset == pytest.approx(0.2, abs=1e-3)
    assert [warning.code for warning in moved.source.warnings] == ["dc_offset"]
    assert plain.spectral is not None
    assert moved.spectral is not None
    assert moved.spectral.centroid_hz.mean == pytest.approx(plain.spectral.centroid_hz.mean, rel=0.005)
    assert moved.spectral.rms_dbfs.mean == pytest.approx(plain.spectral.rms_dbfs.mean, abs=0.02)
    # The offset counts in the true peak, as it does in the file.
    assert cosine(plain, moved) > 0.97


@pytest.mark.parametrize("sample_rate", [8_000, 44_100, 192_000])
@pytest.mark.parametrize("samples", [1, 3, 40, 300, 4000])
def test_very_short_clips_are_whole_and_true(tmp_path: Path, samples: int, sample_rate: int) -> None:
    y = (0.5 * np.sin(0.5 * np.arange(samples) + 1.2)).astype(np.float32)[np.newaxis]
    record = record_of(y, sample_rate, out_dir=tmp_path)
    assert_conforms(record)
    assert record.spectral is not None
    assert record.spectral.active_share == 1
    level_dbfs = 10 * np.log10(np.mean(np.square(y, dtype=np.float64)))
    assert record.spectral.rms_dbfs.median == pytest.approx(level_dbfs, abs=1)
    assert record.loudness is not None
    assert record.loudness.sample_peak_dbfs == pytest.approx(20 * np.log10(np.abs(y).max()), abs=1e-4)
