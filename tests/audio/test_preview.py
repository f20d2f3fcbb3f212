"""Previews: as long, as loud and as long-lived as the recording; and which recordings need one."""

from __future__ import annotations

import io
import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from signals import FORMATS, Samples, encode, tone, wav

from soundscape.audio.analysis import analyze
from soundscape.audio.decode.audio_file import open_audio
from soundscape.audio.limits import Limits
from soundscape.audio.playback import MAX_LOSSLESS_BYTES
from soundscape.audio.preview import BIT_RATES, choose_rate, encode_preview, make_downmix
from soundscape.audio.record import Record
from soundscape.errors import PolicyRefusal, UnreadableAudio

LOUDNESS_TOLERANCE_LU = 0.1


def measure(data: bytes) -> Record:
    return analyze(io.BytesIO(data), tags=False)


def preview_of(data: bytes, folder: Path) -> bytes:
    preview = encode_preview(io.BytesIO(data), folder)
    return (folder / preview.path).read_bytes()


def decode(data: bytes) -> Samples:
    with open_audio(io.BytesIO(data)) as audio:
        return np.concatenate(list(audio.blocks()), axis=1)


def music(*, seconds: float, sample_rate: int, channels: int) -> Samples:
    """Decaying notes with overtones, other ones in each channel, shape (channels, n)."""
    rng = np.random.default_rng(5)
    n = round(seconds * sample_rate)
    y = np.zeros((channels, n))
    note = np.arange(sample_rate // 2) / sample_rate
    for channel in range(channels):
        for start in range(0, n - len(note), sample_rate // 8):
            pitch_hz = 110 * 2 ** (rng.integers(0, 24) / 12)
            overtones = sum(np.sin(2 * np.pi * pitch_hz * k * note + k) / k for k in range(1, 7))
            y[channel, start : start + len(note)] += overtones * np.exp(-6 * note)
    return (0.5 * y / np.abs(y).max()).astype(np.float32)


# Channels are mixed before the rate is changed: each count and each rate once, and the outermost pairs.
@pytest.mark.parametrize(
    ("channels", "sample_rate"),
    [
        *((2, rate) for rate in (22_050, 44_100, 48_000, 96_000)),
        *((channels, 48_000) for channels in (1, 4, 6)),
        *itertools.product((1, 6), (22_050, 96_000)),
    ],
)
def test_it_is_as_loud_and_as_long_as_the_recording(tmp_path: Path, channels: int, sample_rate: int) -> None:
    data = wav(music(seconds=6, sample_rate=sample_rate, channels=channels), sample_rate, subtype="PCM_24")
    before, after = measure(data), measure(preview_of(data, tmp_path))
    assert before.loudness is not None
    assert after.loudness is not None
    assert after.loudness.integrated_lufs == pytest.approx(
        before.loudness.integrated_lufs, abs=LOUDNESS_TOLERANCE_LU
    )
    assert after.source.duration_s == pytest.approx(before.source.duration_s, abs=1e-3)
    assert after.source.claimed_duration_s == pytest.approx(before.source.duration_s, abs=0.05)
    assert (after.source.codec, after.source.channels) == ("mp3", min(channels, 2))
    assert after.source.sample_rate == choose_rate(sample_rate) <= 48_000
    assert after.source.playable
    assert not after.source.preview


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("level", [0.001, 0.25, 1.0, 1.2])
def test_nothing_is_made_louder_or_softer(tmp_path: Path, channels: int, level: float) -> None:
    y = level * np.sin(2 * np.pi * 997 * np.arange(4 * 44_100) / 44_100) * np.ones((channels, 1))
    after = decode(preview_of(wav(y.astype(np.float32), 44_100, subtype="FLOAT"), tmp_path))
    middle = slice(44_100, 3 * 44_100)
    change_db = 20 * np.log10(np.std(after[:, middle]) / np.std(y[:, middle]))
    assert abs(change_db) < 0.01 if level > 0.01 else abs(change_db) < 0.1


def test_sounds_stay_where_they_are(tmp_path: Path) -> None:
    """The encoder's delay is taken back by players that read the header, as FFmpeg does."""
    y = np.zeros((2, 3 * 44_100), np.float32)
    clicks = [0, 30_000, 60_000, 3 * 44_100 - 400]
    for at in clicks:
        y[:, at : at + 200] = np.hanning(200) * 0.8
    after = decode(preview_of(wav(y, 44_100), tmp_path))
    assert after.shape == y.shape
    for at in clicks:
        window = slice(max(0, at - 1000), at + 1200)
        found = np.correlate(after[0, window], np.hanning(200), "valid").argmax() + window.start
        assert abs(found - at) <= 2


def test_left_stays_left(tmp_path: Path) -> None:
    y = tone(seconds=1, sample_rate=48_000)
    y[1] = 0
    left, right = decode(preview_of(wav(y, 48_000), tmp_path))
    assert np.std(left) > 100 * np.std(right)


@pytest.mark.parametrize("samples", [1, 2, 511, 1152, 5000])
def test_the_shortest_recordings(tmp_path: Path, samples: int) -> None:
    data = wav(tone(seconds=1, sample_rate=44_100)[:, :samples], 44_100)
    after = decode(preview_of(data, tmp_path))
    assert samples <= after.shape[1] <= samples + 64


def test_silence_stays_silence(tmp_path: Path) -> None:
    data = wav(np.zeros((6, 48_000), np.float32), 48_000)
    assert np.abs(decode(preview_of(data, tmp_path))).max() == 0


@pytest.mark.parametrize("channels", [1, 2])
def test_its_bit_rate_is_constant_so_that_players_seek_by_arithmetic(tmp_path: Path, channels: int) -> None:
    quiet_then_loud = np.concatenate(
        [
            np.zeros((channels, 5 * 44_100)),
            0.5 * np.random.default_rng(1).normal(size=(channels, 5 * 44_100)),
        ],
        axis=1,
    ).astype(np.float32)
    data = preview_of(wav(quiet_then_loud, 44_100), tmp_path)
    with av.open(io.BytesIO(data)) as file:
        packets = [packet.size for packet in file.demux() if packet.size]
        rates = {round(size * 8 * 44_100 / 1152 / 8000) for size in packets}
        assert rates == {BIT_RATES[channels] // 8000}
        stream: Any = file.streams.audio[0]
        for wanted_s in (7.5, 2.5):
            file.seek(int(wanted_s / stream.time_base), stream=stream)
            # The first ones lack what earlier frames would have lent them.
            frame = next(itertools.islice(file.decode(stream), 3, None))
            assert frame.time == pytest.approx(wanted_s, abs=0.15)
            is_loud = np.abs(frame.to_ndarray()).max() > 0.01
            assert is_loud == (wanted_s > 5)


@pytest.mark.parametrize(
    ("sample_rate", "expected"),
    [
        (8000, 48_000),
        (11_025, 44_100),
        (32_000, 32_000),
        (88_200, 44_100),
        (192_000, 48_000),
        (50_000, 48_000),
    ],
)
def test_the_rate_is_one_that_players_know(sample_rate: int, expected: int) -> None:
    assert choose_rate(sample_rate) == expected


def test_each_speaker_keeps_its_power_and_its_side() -> None:
    layout = ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")
    gains = make_downmix(8, layout)
    power = dict(zip(layout, (gains**2).sum(axis=0), strict=True))
    expected = dict.fromkeys(layout[4:], 1.41) | {"FL": 1, "FR": 1, "FC": 1, "LFE": 0}
    assert power == pytest.approx(expected)
    assert (gains[1, [0, 4, 6]] == 0).all()
    assert (gains[0, [1, 5, 7]] == 0).all()
    assert (make_downmix(4, None)[0] > 0).tolist() == [True, False, True, False]


def test_what_analysis_refuses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAudio):
        encode_preview(io.BytesIO(b"no sound"), tmp_path)
    with pytest.raises(PolicyRefusal):
        encode_preview(
            io.BytesIO(wav(tone(seconds=3, sample_rate=8000), 8000)),
            tmp_path,
            limits=Limits(max_duration_s=1),
        )


@pytest.mark.parametrize(
    ("kind", "playable"),
    [
        *((kind, True) for kind in ("wav", "wav24", "wavfloat", "flac", "mp3", "opus", "m4a")),
        *((kind, False) for kind in ("aiff", "caf", "webm")),
    ],
)
def test_what_browsers_play(kind: str, playable: bool) -> None:
    assert kind in FORMATS
    source = measure(encode(kind, tone(seconds=3, sample_rate=FORMATS[kind][2]))).source
    assert (source.playable, source.preview) == (playable, not playable)


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("three channels", wav(tone(seconds=1, sample_rate=44_100, channels=3), 44_100)),
        ("too many samples a second", wav(tone(seconds=0.2, sample_rate=384_000), 384_000)),
        ("64-bit samples", wav(tone(seconds=1, sample_rate=44_100), 44_100, subtype="DOUBLE")),
        ("cut off", wav(tone(seconds=3, sample_rate=44_100), 44_100)[:200_000]),
        ("damaged", b""),
        ("pictures beside it", b""),
    ],
    # By the first value alone: the second one is bytes, and dithered anew by each process.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_browser_plays_right(what: str, data: bytes) -> None:
    if what == "damaged":
        whole = bytearray(encode("mp3", tone(seconds=5, sample_rate=44_100)))
        whole[30_000:31_500] = bytes(1500)
        data = bytes(whole)
    elif what == "pictures beside it":
        data = film()
    source = measure(data).source
    assert (source.playable, source.preview) == (False, True)


def film() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        pictures: Any = output.add_stream("mpeg4", rate=Fraction(5))
        pictures.width, pictures.height, pictures.pix_fmt = 32, 32, "yuv420p"
        sound: Any = output.add_stream("aac", rate=44_100, layout="stereo")
        for index in range(10):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            picture.pts = index
            output.mux(pictures.encode(picture))
        output.mux(pictures.encode(None))
        frame = av.AudioFrame.from_ndarray(
            tone(seconds=2, sample_rate=44_100), format="fltp", layout="stereo"
        )
        frame.sample_rate, frame.pts = 44_100, 0
        output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    return file.getvalue()


def test_a_large_lossless_file_has_a_preview_though_browsers_play_it() -> None:
    seconds = MAX_LOSSLESS_BYTES / (2 * 2 * 44_100)
    small, large = [
        measure(wav(np.zeros((2, round(part * seconds * 44_100)), np.float32), 44_100)).source
        for part in (0.99, 1.01)
    ]
    assert (small.playable, small.preview) == (True, False)
    assert (large.playable, large.preview) == (True, True)
