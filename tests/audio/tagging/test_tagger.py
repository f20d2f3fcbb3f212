"""Tags of real sound."""

from __future__ import annotations

import io
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from soundscape.audio.decode.audio_file import open_audio
from soundscape.audio.measurements import Tag
from soundscape.audio.spectrum import MonoSignal
from soundscape.audio.tagging import models, yamnet
from soundscape.audio.tagging.tagger import (
    BATCH_WINDOWS,
    LEVEL_DBFS,
    Tagger,
    TagResult,
    calibrate,
    shrink,
)
from tests.audio import recordings
from tests.audio.tag_model import MODEL, needs_model


def read_16k(name: str) -> yamnet.Float32:
    with open_audio(io.BytesIO(recordings.read(name))) as audio:
        mono = MonoSignal(
            sample_rate=audio.header.sample_rate, channels=audio.header.channels, target_rate=16_000
        )
        blocks = [mono.push(block) for block in audio.blocks()]
        return np.concatenate([*blocks, mono.finish()])


def heard(y: yamnet.Float32, *, block: int | None = None, overlapping_s: float = 600.0) -> TagResult:
    tagger = Tagger(MODEL, overlapping_s=overlapping_s)
    for at in range(0, y.size, block or max(y.size, 1)):
        tagger.push(y[at : at + (block or y.size)])
    return tagger.result()


def span(tags: tuple[Tag, ...], label: str) -> float:
    return sum(tag.end_s - tag.start_s for tag in tags if tag.label == label)


@needs_model
@pytest.mark.parametrize(
    ("name", "label", "share", "foreign"),
    [
        # file, a tag that a listener would give, the least share of it, tags that nobody would
        ("speech_a.ogg", "Speech", 0.95, {"Music", "Animal", "Rain"}),
        ("speech_b_16k.ogg", "Speech", 0.95, {"Music", "Animal", "Rain"}),
        ("vibe_ace.ogg", "Music", 0.95, {"Speech", "Animal", "Rain"}),
        ("lets_go_fishin.ogg", "Music", 0.95, {"Animal", "Rain"}),
        ("hungarian_dance_5.ogg", "Music", 0.8, {"Speech", "Rain"}),
        ("jazz_guitar.flac", "Guitar", 0.8, {"Speech", "Rain"}),
        ("trumpet_F_90bpm.ogg", "Trumpet", 0.65, {"Speech", "Rain"}),
        ("loop_amen.flac", "Music", 0.95, {"Speech", "Rain"}),
        ("birds1.flac", "Bird", 0.9, {"Speech", "Music"}),
        ("robin.ogg", "Bird vocalization, bird call, bird song", 0.75, {"Speech", "Music"}),
        ("rain.ogg", "Rain", 0.55, {"Speech", "Music"}),
        ("applause.wav", "Applause", 0.95, {"Speech", "Rain"}),
        ("snoring.ogg", "Snoring", 0.2, {"Music", "Rain"}),
        ("train.m4a", "Rail transport", 0.4, {"Music", "Animal"}),
        ("car_engine.mp3", "Engine", 0.9, {"Music", "Animal"}),
        ("typing_22k.wav", "Typing", 0.95, {"Music", "Animal"}),
        ("silence.flac", "Silence", 0.95, {"Music", "Speech"}),
    ],
)
def test_recordings_read_true(
    name: str, label: str, share: float, foreign: set[str], shared_audio: Path
) -> None:
    result = heard(read_16k(name))
    assert span(result.tags, label) >= share * result.duration_s
    assert not foreign & {tag.label for tag in result.tags}
    assert yamnet.class_names()[int(result.mean_scores.argmax())] in {tag.label for tag in result.tags}
    assert all(0 <= tag.start_s < tag.end_s <= round(result.duration_s, 3) for tag in result.tags)
    assert all(0 < tag.confidence <= 1 for tag in result.tags)
    assert list(result.tags) == sorted(result.tags, key=lambda tag: (tag.start_s, -tag.confidence, tag.label))


@needs_model
@pytest.mark.parametrize(
    "name", ["jazz_guitar.flac", "speech_a.ogg", "rain.ogg", "birds1.flac", "vibe_ace.ogg", "train.m4a"]
)
def test_a_quiet_recording_is_no_silence(name: str, shared_audio: Path) -> None:
    """40 dB down the first tag is what it was: the level is the recorder's, not the sound's."""
    y = read_16k(name)[: 16_000 * 20]
    loud, quiet = heard(y), heard(y * np.float32(0.01))
    assert int(quiet.mean_scores.argmax()) == int(loud.mean_scores.argmax())
    assert span(quiet.tags, "Silence") <= span(loud.tags, "Silence") + 0.5


@needs_model
def test_a_pause_stays_silence_and_noise_of_a_converter_too() -> None:
    noise = np.random.default_rng(1).standard_normal(16_000 * 4).astype(np.float32)
    assert {tag.label for tag in heard(noise * np.float32(2e-5)).tags} <= {"Silence"}
    y = read_16k("speech_b_16k.ogg")[: 16_000 * 8]
    result = heard(np.concatenate([y, noise * np.float32(1e-4), y]))
    assert span(result.tags, "Silence") >= 2


@needs_model
@pytest.mark.parametrize("start_s", [2.0, 2.2, 2.37])
def test_a_sound_is_placed_where_it_is(start_s: float, shared_audio: Path) -> None:
    """Seconds of speech and of typing in digital silence, at offsets that fall on and between windows."""
    y = np.zeros(16_000 * 20, dtype=np.float32)
    for name, at_s in (("speech_b_16k.ogg", start_s), ("typing_22k.wav", start_s + 9)):
        sound = read_16k(name)[16_000 : 16_000 * 6]
        y[int(at_s * 16_000) :][: sound.size] = sound
    result = heard(y)
    for label, expected_s in (("Speech", start_s), ("Typing", start_s + 9)):
        tags = [tag for tag in result.tags if tag.label == label]
        assert min(tag.start_s for tag in tags) == pytest.approx(expected_s, abs=0.6)
        assert max(tag.end_s for tag in tags) == pytest.approx(expected_s + 5, abs=0.75)
    assert span(result.tags, "Silence") > 5


@needs_model
@pytest.mark.parametrize("block", [1, 997, 7680, 15_600, 65_536, 130_800, 130_801])
def test_blocks_do_not_matter(block: int) -> None:
    y = read_16k("trumpet_F_90bpm.ogg")
    y = np.concatenate([y, y, y])[: 16_000 if block == 1 else None]
    expected, result = heard(y), heard(y, block=block)
    assert result.tags == expected.tags
    np.testing.assert_array_equal(result.mean_embedding, expected.mean_embedding)
    np.testing.assert_array_equal(result.std_embedding, expected.std_embedding)
    np.testing.assert_array_equal(result.mean_scores, expected.mean_scores)


@needs_model
@pytest.mark.parametrize(
    ("samples", "windows"),
    [
        (0, 0),
        (1, 1),
        (15_599, 1),
        (15_600, 1),
        (15_601, 2),  # the rest is padded to a window of its own
        (23_280, 2),
        (23_281, 3),
        (15_600 + 15 * 7_680, 16),  # exactly one batch
        (15_600 + 15 * 7_680 + 1, 17),
        (15_600 + 31 * 7_680, 32),  # exactly two
        (15_600 + 31 * 7_680 + 7_681, 34),
    ],
)
def test_window_count(samples: int, windows: int) -> None:
    y = np.random.default_rng(1).standard_normal(samples).astype(np.float32) * 0.1
    result = heard(y)
    assert result.windows == windows
    assert result.duration_s == samples / 16_000
    assert all(tag.end_s <= result.duration_s + 5e-4 for tag in result.tags)


@needs_model
@pytest.mark.parametrize("block", [997, 65_536, 130_800, 246_000])
def test_blocks_do_not_matter_where_windows_stop_overlapping(block: int) -> None:
    y = read_16k("lets_go_fishin.ogg")
    expected, result = heard(y, overlapping_s=60), heard(y, overlapping_s=60, block=block)
    assert result.tags == expected.tags
    np.testing.assert_array_equal(result.mean_embedding, expected.mean_embedding)
    np.testing.assert_array_equal(result.mean_scores, expected.mean_scores)


@needs_model
@pytest.mark.parametrize("start_s", [20.0, 20.3, 20.6])
def test_a_sound_is_placed_where_windows_do_not_overlap(start_s: float) -> None:
    y = np.zeros(round(40.2 * 16_000), dtype=np.float32)
    sound = read_16k("trumpet_F_90bpm.ogg")[: 5 * 16_000]
    y[round(start_s * 16_000) :][: len(sound)] = sound
    result = heard(y, overlapping_s=10)
    (often,) = (tag for tag in heard(y).tags if tag.label == "Music")
    (seldom,) = (tag for tag in result.tags if tag.label == "Music")
    # A step is half a second.
    assert seldom.start_s == pytest.approx(often.start_s, abs=0.49)
    assert seldom.end_s == pytest.approx(often.end_s, abs=0.49)
    assert all(tag.start_s < tag.end_s <= result.duration_s + 5e-4 for tag in result.tags)


@needs_model
def test_windows_that_do_not_overlap_speak_for_the_same_time() -> None:
    y = np.random.default_rng(1).standard_normal(30 * 16_000).astype(np.float32) * 0.1
    often, seldom = heard(y), heard(y, overlapping_s=0)
    assert abs(often.windows - seldom.windows) <= 1
    np.testing.assert_allclose(seldom.mean_embedding, often.mean_embedding, atol=0.1)
    for seconds in np.arange(28, 30, 0.1):
        windows = heard(y[: round(seconds * 16_000)], overlapping_s=0).windows
        assert windows * yamnet.HOP_S == pytest.approx(seconds, abs=0.5)


@needs_model
def test_statistics_are_those_of_the_windows() -> None:
    y = np.random.default_rng(1).standard_normal(15_600 + 39 * 7_680).astype(np.float32) * 0.1
    first = y[: yamnet.WINDOW_SAMPLES]
    # The loudest window, which is brought to the network's level.
    first *= np.float32(1.2)
    gain = 10 ** (LEVEL_DBFS / 20) / (float(np.dot(first, first)) / first.size) ** 0.5
    scores, embeddings = yamnet.Yamnet(MODEL).predict(y * np.float32(gain))
    result = heard(y)
    np.testing.assert_allclose(result.mean_scores, scores.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(result.mean_embedding, embeddings.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(result.std_embedding, embeddings.std(axis=0), atol=1e-4)


@needs_model
def test_empty_recording() -> None:
    result = heard(np.zeros(0, dtype=np.float32))
    assert result.tags == ()
    assert not result.mean_embedding.any()
    assert not result.mean_scores.any()


def test_stereo_is_refused() -> None:
    with pytest.raises(ValueError, match="mono"):
        Tagger(MODEL).push(np.zeros((2, 100), dtype=np.float32))


def feed(tagger: Tagger, samples: int) -> None:
    tagger.push(np.zeros(samples, dtype=np.float32))
    tagger.result()


@pytest.mark.parametrize(
    "use",
    [
        Tagger.load,
        lambda tagger: feed(tagger, 100),  # by the result of a short recording
        lambda tagger: feed(tagger, 200_000),  # by a push
    ],
)
def test_without_the_model_nothing_is_guessed(use: Callable[[Tagger], None], tmp_path: Path) -> None:
    with pytest.raises((models.ModelMissing, models.ModelRuntimeMissing)):
        use(Tagger(tmp_path / "yamnet.tflite"))


@needs_model
def test_memory_does_not_grow_with_length() -> None:
    """Ten minutes of sound that changes all the time, after one that warmed up."""
    random = np.random.default_rng(2)
    minute = np.concatenate(
        [random.standard_normal(48_000).astype(np.float32) * level for level in (0.3, 0, 0.01, 0, 1)] * 4
    )
    tagger = Tagger(MODEL, limit=10)
    tagger.push(minute)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(9):
        tagger.push(minute)
    result = tagger.result()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 4096
    assert len(result.tags) <= 10
    assert result.dropped_tags > 0


@needs_model
@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.5, 0.9])
def test_a_clip_under_a_window_is_heard_as_itself(seconds: float) -> None:
    """It fills the window by repeating itself: padded with silence, most short clips had no tag."""
    rate = yamnet.SAMPLE_RATE
    time_s = np.arange(round(seconds * rate)) / rate
    y = (0.3 * np.sin(2 * np.pi * 1000 * time_s)).astype(np.float32)
    short, whole = Tagger(MODEL), Tagger(MODEL)
    short.push(y)
    whole.push(np.resize(y, yamnet.WINDOW_SAMPLES))
    found, expected = short.result(), whole.result()
    assert found.windows == 1
    np.testing.assert_array_equal(found.mean_scores, expected.mean_scores)
    assert [tag.label for tag in found.tags] == [tag.label for tag in expected.tags]
    assert [tag.end_s for tag in found.tags] == pytest.approx([seconds] * len(found.tags), abs=1e-3)
    assert found.tags


@needs_model
@pytest.mark.parametrize("seconds", [0.3, 1.5, 6.0])
@pytest.mark.parametrize("name", ["crowd_24bit.wav", "vinyl_hiss.flac", "humpback.ogg", "loop_amen.flac"])
def test_an_uncertain_recording_gets_the_best_names_there_are(
    name: str, seconds: float, shared_audio: Path
) -> None:
    y = read_16k(name)[: round(16_000 * seconds)]
    tags = heard(y).tags
    assert tags
    assert len({tag.label for tag in tags}) <= 5 or min(tag.confidence for tag in tags) > 0.2
    assert all(0 < tag.confidence < 1 for tag in tags)
    assert all(tag.label != "Silence" for tag in tags)


@needs_model
@pytest.mark.parametrize(
    "name", ["piano.mp3", "hungarian_dance_5.ogg", "cinematic_48k.opus", "vibe_ace_128k.mp3"]
)
def test_soft_music_is_no_silence(name: str, shared_audio: Path) -> None:
    """What is called silence lies 40 dB below the loudest by far: a lead-in, not a soft passage."""
    y = read_16k(name)
    tags = heard(y).tags
    assert max(tags, key=lambda tag: tag.confidence * (tag.end_s - tag.start_s)).label == "Music"
    for tag in tags:
        if tag.label == "Silence":
            part = y[round(16_000 * tag.start_s) + 8_000 : round(16_000 * tag.end_s) - 8_000]
            assert np.sqrt(np.mean(np.square(part))) < 1e-4 if part.size else tag.end_s - tag.start_s < 1.5


@needs_model
def test_a_pause_below_the_noise_floor_is_silence(shared_audio: Path) -> None:
    y = np.concatenate([read_16k("speech_a.ogg")[:48_000], np.zeros(48_000, np.float32)])
    (silence,) = [tag for tag in heard(y).tags if tag.label == "Silence"]
    assert silence.start_s == pytest.approx(3.0, abs=0.75)
    assert silence.end_s == pytest.approx(6.0, abs=0.01)


def test_confidence_rises_with_the_score_from_little_to_nearly_sure() -> None:
    confidences = [calibrate(score) for score in np.linspace(0, 1, 101)]
    assert confidences == sorted(confidences)
    assert confidences[0] < 0.2
    assert confidences[-1] > 0.95


@needs_model
def test_a_slip_is_less_certain_than_what_lasts() -> None:
    """The same tone between noises. Its score is nearly the same: without shrinking they differ by 0.01."""
    time_s = np.arange(8 * yamnet.SAMPLE_RATE) / yamnet.SAMPLE_RATE
    tone = (0.3 * np.sin(2 * np.pi * 1000 * time_s)).astype(np.float32)
    noise = np.random.default_rng(1).standard_normal(8 * yamnet.SAMPLE_RATE).astype(np.float32) * np.float32(
        0.1
    )
    brief, long = (
        heard(np.concatenate([noise, tone[: round(seconds * yamnet.SAMPLE_RATE)], noise]))
        for seconds in (1.5, 8)
    )
    label = "Beep, bleep"
    surest = [max(tag.confidence for tag in each.tags if tag.label == label) for each in (brief, long)]
    assert surest[0] < surest[1] - 0.05


@pytest.mark.parametrize(
    ("score", "windows", "mean_score", "shrunk"),
    [
        (0.6, 2, 0.0, 0.3),  # a second in a long recording counts half
        (0.6, 2, 0.2, 0.4),  # less so where the class is heard elsewhere too
        (0.6, 28, 0.0, 0.56),  # what lasts is believed
        (0.6, 1, 0.6, 0.6),  # what is the whole recording too, however short
    ],
)
def test_brief_stretches_are_drawn_towards_the_recording(
    score: float, windows: int, mean_score: float, shrunk: float
) -> None:
    assert shrink(score, windows, mean_score) == pytest.approx(shrunk)


@needs_model
def test_latest_confidences_mean_the_same_as_those_of_the_record() -> None:
    """One batch, heard as it sounds and afterwards: a label that lasts has one confidence."""
    y = read_16k("vibe_ace.ogg")[: yamnet.WINDOW_SAMPLES + (BATCH_WINDOWS - 1) * yamnet.HOP_SAMPLES]
    tagger = Tagger(MODEL)
    tagger.push(y)
    latest = dict(tagger.latest())
    result = tagger.result()
    scores = dict(zip(yamnet.class_names(), result.mean_scores.tolist(), strict=True))
    assert latest
    for label, confidence in latest.items():
        assert confidence == pytest.approx(calibrate(scores[label]), abs=1e-4)
    lasting = {tag.label: tag.confidence for tag in result.tags if tag.end_s - tag.start_s > 7}
    assert "Music" in lasting.keys() & latest.keys()
    assert latest["Music"] == pytest.approx(lasting["Music"], abs=1e-4)
