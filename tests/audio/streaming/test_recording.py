"""A stream and a file of the same samples have the same record, whatever pieces the stream came in."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from tag_model import MODEL, needs_model

from soundscape.audio.analysis import analyze
from soundscape.audio.decode.audio_file import BLOCK_LENGTH, open_audio
from soundscape.audio.record import Record
from soundscape.audio.streaming.pcm import PcmFormat, PcmStream
from soundscape.audio.streaming.recording import StreamRecording
from soundscape.errors import UnreadableAudio


def make_sound(frames: int, channels: int, seed: int) -> np.ndarray[Any, Any]:
    """Chords, clicks, noise, an offset and a channel turned over: what the mix to mono depends on."""
    random = np.random.default_rng(seed)
    t = np.arange(frames) / 22_050
    chord = sum(np.sin(2 * np.pi * hz * t) for hz in (220, 277.2, 329.6)) * (0.5 + 0.5 * np.sin(3 * t))
    clicks = (np.arange(frames) % 11_025 < 40) * random.standard_normal(frames)
    sound = np.stack([0.1 * chord + 0.2 * clicks + 0.02 * random.standard_normal(frames)] * channels, axis=1)
    sound[frames // 2 :, channels - 1] *= -0.9
    return (sound + 0.01).astype(np.float32)


def encode(sound: np.ndarray[Any, Any], format: PcmFormat) -> bytes:
    if format.encoding == "s16le":
        return (np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()
    return sound.astype("<f4").tobytes()


def comparable(record: Record) -> dict[str, Any]:
    """All of a record but the time that its stages took."""
    plain = record.as_dict()
    for stage in plain["stages"]:
        del stage["seconds"]
    return plain


def record_stream(data: bytes, format: PcmFormat, cuts: list[int], **named: Any) -> Record:
    stream = PcmStream(format)
    recording = StreamRecording(format.header, **named)
    position = 0
    turn = 0
    while position < len(data):
        size = cuts[turn % len(cuts)]
        recording.push(stream.push(data[position : position + size]))
        position, turn = position + size, turn + 1
    return recording.finish(stream, sha256=stream.sha256)


@given(
    encoding=st.sampled_from(["s16le", "f32le"]),
    rate=st.sampled_from([8_000, 22_050, 44_100, 48_000, 96_000]),
    channels=st.integers(1, 3),
    frames=st.integers(1, 3 * BLOCK_LENGTH),
    cuts=st.lists(st.one_of(st.integers(1, 4096), st.integers(1, 1 << 20)), min_size=1, max_size=8).filter(
        lambda sizes: sum(sizes) / len(sizes) > 64
    ),
    seed=st.integers(0, 100),
)
@settings(max_examples=40)
def test_a_stream_has_the_record_of_a_file(
    encoding: Any, rate: int, channels: int, frames: int, cuts: list[int], seed: int
) -> None:
    format = PcmFormat(encoding, rate, channels)
    data = encode(make_sound(frames, channels, seed), format)
    of_file = analyze(io.BytesIO(format.wave_header() + data), tags=False)
    assert comparable(record_stream(data, format, cuts, tags=False)) == comparable(of_file)


@needs_model
@pytest.mark.parametrize("cut", [333, 1920, 70_001])
def test_tags_pictures_and_files_are_those_of_a_file(tmp_path: Path, cut: int) -> None:
    format = PcmFormat("s16le", 22_050, 2)
    data = encode(make_sound(12 * 22_050, 2, seed=3), format)
    file, stream = tmp_path / "file", tmp_path / "stream"
    of_file = analyze(io.BytesIO(format.wave_header() + data), out_dir=file, models_dir=MODEL.parent)
    of_stream = record_stream(data, format, [cut], tags=True, out_dir=stream, models_dir=MODEL.parent)
    assert of_stream.tags is not None
    assert comparable(of_stream) == comparable(of_file)
    assert {path.name: path.read_bytes() for path in stream.iterdir()} == {
        path.name: path.read_bytes() for path in file.iterdir()
    }


def test_floats_to_be_saved_are_those_that_flac_keeps(tmp_path: Path) -> None:
    format = PcmFormat("f32le", 22_050, 1)
    sound = make_sound(9_000, 1, seed=1)
    sound[:5, 0] = [1.0, -1.0, 1.5, 1e-9, 0.1]
    stream = PcmStream(format, round_to_24_bits=True)
    block = stream.push(sound.astype("<f4").tobytes())
    path = tmp_path / "saved.flac"
    integers = (block.T.astype(np.float64) * 2**31).astype(np.int32)
    soundfile.write(path, integers, 22_050, subtype="PCM_24")
    with path.open("rb") as file, open_audio(file) as audio:
        assert np.array_equal(np.concatenate(list(audio.blocks()), axis=1), block)


@pytest.mark.parametrize(
    ("value", "code"),
    [(np.nan, "non_finite_samples"), (np.inf, "non_finite_samples"), (1e9, "absurd_samples")],
)
def test_what_is_no_sound_is_refused_where_it_arrives(value: float, code: str) -> None:
    stream = PcmStream(PcmFormat("f32le", 48_000, 2))
    stream.push(np.zeros(960, dtype="<f4").tobytes())
    with pytest.raises(UnreadableAudio) as refused:
        stream.push(np.full(960, value, dtype="<f4").tobytes())
    assert refused.value.code == code
