"""Decoding: formats, facts, refusals, and files that lie or are damaged."""

from __future__ import annotations

import io
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signals import FORMATS, Samples, encode, tone, wav

from soundscape.audio.decode import refusals
from soundscape.audio.decode.audio_file import AudioFile, open_audio, open_binary
from soundscape.audio.decode.container import identify
from soundscape.audio.limits import Limits
from soundscape.errors import PolicyRefusal, Refusal, UnreadableAudio

RATE = 44_100
CODES = set(re.findall(r"^\| `(\w+)` \|", refusals.__doc__ or "", re.MULTILINE))
LOSSLESS = {"wav", "wav24", "wavfloat", "aiff", "flac", "caf"}


def decode(
    data: bytes, limits: Limits | None = None, *, block_length: int = 65536
) -> tuple[AudioFile, Samples]:
    with open_audio(io.BytesIO(data), limits) as audio:
        return audio, np.concatenate(list(audio.blocks(block_length)), axis=1)


def patched(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def named(refusal: Refusal) -> None:
    assert refusal.code in CODES
    assert refusal.remedy


def refusal_of(data: bytes, limits: Limits | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        decode(data, limits)
    named(caught.value)
    return caught.value


@pytest.mark.parametrize("kind", [*FORMATS, "ogg"])
def test_every_format_gives_the_tone_back(encoded: dict[str, bytes], kind: str) -> None:
    audio, y = decode(encoded[kind])
    header = audio.header
    rate = FORMATS.get(kind, ("", "", RATE))[2]
    wanted = tone(seconds=2, sample_rate=rate)
    assert (header.sample_rate, header.channels, header.layout) == (rate, 2, ("FL", "FR"))
    assert y.dtype == np.float32
    with open_audio(io.BytesIO(encoded[kind])) as again:
        blocks = list(again.blocks(10_000))
    assert all(block.flags.c_contiguous and block.dtype == np.float32 for block in blocks)
    assert {block.shape for block in blocks[:-1]} == {(2, 10_000)}
    assert audio.duration_s == pytest.approx(2.0, abs=0.05)
    assert not audio.truncated
    assert audio.damaged_packets == 0
    if kind in LOSSLESS:
        assert header.bit_depth is not None
        assert np.abs(y - wanted).max() < 2.0 ** (2 - min(header.bit_depth, 24))
    else:
        # Codecs shift and colour (and LAME scales by 0.95); level and balance stay.
        assert header.bit_depth is None
        levels = 10 * np.log10(np.mean(np.square(y[:, rate // 2 : -rate // 2]), axis=1))
        expected = 10 * np.log10(np.mean(np.square(wanted[:, rate // 2 : -rate // 2]), axis=1))
        assert levels == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "caf"])
def test_titles_are_read(encoded: dict[str, bytes], kind: str) -> None:
    assert decode(encoded[kind])[0].header.tags["title"] == "A tone"


@pytest.mark.parametrize(
    ("subtype", "container", "codec", "bits"),
    [
        ("PCM_U8", "WAV", "pcm_u8", 8),
        ("PCM_32", "WAV", "pcm_s32", 32),
        ("DOUBLE", "WAV", "pcm_f64", 64),
        ("ULAW", "WAV", "pcm_mulaw", 8),
        ("PCM_24", "RF64", "pcm_s24", 24),
        ("PCM_16", "W64", "pcm_s16", 16),
        ("PCM_24", "AIFF", "pcm_s24", 24),
        ("PCM_16", "AU", "pcm_s16", 16),
        ("PCM_24", "FLAC", "flac", 24),
        ("IMA_ADPCM", "WAV", "adpcm_ima_wav", None),
    ],
)
def test_kinds_of_pcm(subtype: str, container: str, codec: str, bits: int | None) -> None:
    y = tone(seconds=0.5, sample_rate=RATE)
    audio, decoded = decode(wav(y, RATE, subtype=subtype, container=container))
    assert (audio.header.codec, audio.header.bit_depth) == (codec, bits)
    assert np.abs(decoded[:, : y.shape[1]] - y).max() < 0.08


@pytest.mark.parametrize("channels", range(1, 9))
def test_channels_keep_their_order(channels: int) -> None:
    y = tone(seconds=0.1, sample_rate=RATE, channels=channels)
    _, decoded = decode(wav(y, RATE))
    assert decoded == pytest.approx(y, abs=1e-4)


def test_channels_without_names_are_the_usual_ones() -> None:
    y = tone(seconds=0.1, sample_rate=RATE, channels=6)
    audio, _ = decode(wav(y, RATE, container="CAF"))
    assert audio.header.layout == ("FL", "FR", "FC", "LFE", "BL", "BR")


@pytest.mark.parametrize("block_length", [1000, 65536, 200_000])
def test_blocks_join_to_the_same_sound(encoded: dict[str, bytes], block_length: int) -> None:
    for kind in ("wav", "mp3"):
        assert np.array_equal(decode(encoded[kind], block_length=block_length)[1], decode(encoded[kind])[1])


def test_a_path_a_descriptor_and_a_file_are_the_same(tmp_path: Path, encoded: dict[str, bytes]) -> None:
    for kind in ("wav", "m4a"):
        path = tmp_path / "misleading name.txt"
        path.write_bytes(encoded[kind])
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.lseek(descriptor, 100, os.SEEK_SET)
            for source in (path, str(path), descriptor, f"/proc/self/fd/{descriptor}"):
                if str(source).startswith("/proc") and not Path("/proc/self/fd").exists():
                    continue
                with open_binary(source) as file, open_audio(file) as audio:
                    joined = np.concatenate(list(audio.blocks()), axis=1)
                assert np.array_equal(joined, decode(encoded[kind])[1])
        finally:
            os.close(descriptor)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_file"),
        (b"\0", "not_audio"),
        (b"just words, renamed to song.mp3\n" * 500, "not_audio"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n" * 20, "not_audio"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n" * 20, "not_audio"),
        (b"\x89PNG\r\n\x1a\n" + bytes(2000), "not_audio"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "decode_failed"),
        (b"fLaC" + bytes(100), "decode_failed"),
        (b"OggS" + bytes(100), "decode_failed"),
        (b"ID3\x04\0\0\0\0\0\x0a" + bytes(10), "decode_failed"),
        (wav(np.zeros((1, 0), np.float32), RATE), "no_samples"),
    ],
)
def test_what_is_no_recording_is_named(data: bytes, code: str) -> None:
    refusal = refusal_of(data)
    assert isinstance(refusal, UnreadableAudio)
    assert refusal.code == code


def test_a_video_without_sound_is_named() -> None:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert refusal_of(file.getvalue()).code == "no_audio_track"


def test_a_video_longer_than_its_sound_is_not_truncated(encoded: dict[str, bytes]) -> None:
    import av

    file = io.BytesIO()
    with av.open(io.BytesIO(encoded["webm"])) as sound, av.open(file, "w", format="webm") as output:
        pictures = output.add_stream("libvpx", rate=1)
        pictures.width = pictures.height = 64
        copied = output.add_stream_from_template(sound.streams.audio[0])
        for _ in range(8):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
            output.mux(pictures.encode(frame))
        for packet in sound.demux(audio=0):
            if packet.dts is not None:
                packet.stream = copied
                output.mux(packet)
        output.mux(pictures.encode(None))
    audio, _ = decode(file.getvalue())
    assert audio.duration_s == pytest.approx(2.0, abs=0.05)
    assert audio.claimed_duration_s == pytest.approx(2.0, abs=0.05)
    assert not audio.truncated


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_samples_are_refused(bad: float) -> None:
    y = tone(seconds=0.5, sample_rate=RATE)
    y[1, 20_000] = bad
    assert refusal_of(wav(y, RATE, subtype="FLOAT")).code == "non_finite_samples"


def test_integers_stored_as_floats_are_refused() -> None:
    y = tone(seconds=0.1, sample_rate=RATE) * 32768
    assert refusal_of(wav(y, RATE, subtype="FLOAT")).code == "absurd_samples"


def test_floats_somewhat_over_full_scale_are_kept() -> None:
    y = tone(seconds=0.1, sample_rate=RATE) * 8
    assert np.array_equal(decode(wav(y, RATE, subtype="FLOAT"))[1], y)


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(max_duration_s=1.9), "too_long"),
        (Limits(max_size_bytes=1000), "too_large"),
        (Limits(max_channels=1), "too_many_channels"),
        (Limits(min_sample_rate_hz=48_001), "sample_rate_out_of_range"),
        (Limits(max_sample_rate_hz=44_000), "sample_rate_out_of_range"),
    ],
)
@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "m4a", "opus"])
def test_limits_hold(encoded: dict[str, bytes], kind: str, limits: Limits, code: str) -> None:
    refusal = refusal_of(encoded[kind], limits)
    assert isinstance(refusal, PolicyRefusal)
    assert refusal.code == code


@pytest.mark.parametrize("sample_rate", [1, 1_000, 7_999, 384_001, 768_000])
def test_rates_out_of_range(sample_rate: int) -> None:
    y = np.zeros((1, 400), np.float32)
    assert refusal_of(wav(y, sample_rate)).code == "sample_rate_out_of_range"


def test_64_channels() -> None:
    assert refusal_of(wav(np.zeros((64, 100), np.float32), RATE)).code == "too_many_channels"


@pytest.mark.parametrize(
    ("claim", "limits", "code"),
    [
        (3_000_000_000, Limits(), "too_large"),
        (1_500_000_000, Limits(max_duration_s=3600), "too_long"),
    ],
)
def test_a_header_that_claims_too_much_is_refused(claim: int, limits: Limits, code: str) -> None:
    data = wav(tone(seconds=1, sample_rate=RATE), RATE)
    assert refusal_of(patched(data, 40, struct.pack("<I", claim)), limits).code == code


@pytest.mark.parametrize(
    ("claim", "truncated"),
    [
        (1_000_000_000, True),  # more than there is, less than is allowed
        (0xFFFF_FFFF, False),  # what ffmpeg writes to a pipe
        (0x7FFF_F000, False),  # what sox writes to a pipe
        (0, False),
    ],
)
def test_a_wave_header_that_claims_more_than_there_is(claim: int, truncated: bool) -> None:
    data = wav(tone(seconds=1, sample_rate=RATE), RATE)
    audio, y = decode(patched(data, 40, struct.pack("<I", claim)))
    assert y.shape == (2, RATE)
    assert audio.truncated is truncated


@pytest.mark.parametrize("kind", ["wav", "wav24", "aiff", "flac", "mp3", "ogg", "opus", "webm"])
def test_a_truncated_file_gives_what_is_there_and_says_so(encoded: dict[str, bytes], kind: str) -> None:
    data = encoded[kind]
    audio, y = decode(data[: len(data) * 6 // 10])
    assert 0.5 < audio.duration_s < 1.5
    assert np.abs(y).max() > 0.2
    assert audio.truncated


def test_a_truncated_m4a_has_no_index_left(encoded: dict[str, bytes]) -> None:
    data = encoded["m4a"]
    assert refusal_of(data[: len(data) * 6 // 10]).code == "decode_failed"


@pytest.mark.parametrize("kind", ["mp3", "flac"])
def test_a_huge_id3_tag_is_stepped_over(encoded: dict[str, bytes], kind: str) -> None:
    length = 20 << 20
    size = bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))
    picture = b"APIC" + struct.pack(">I", length - 10) + b"\0\0" + bytes(length - 10)
    audio, y = decode(b"ID3\x03\0\0" + size + picture + encoded[kind])
    assert audio.duration_s == pytest.approx(2.0, abs=0.1)
    assert np.abs(y).max() > 0.2


@pytest.mark.parametrize(("tags", "followed"), [(3, 3), (1_000_000, 64)])
def test_tags_without_number_are_not_all_followed(tags: int, followed: int) -> None:
    empty_tag = b"ID3\x04\0\0\0\0\0\0"
    assert identify(io.BytesIO(empty_tag * tags + b"\xff\xfb")).id3_bytes == followed * len(empty_tag)


def test_a_tag_without_end_is_cut() -> None:
    import soundfile

    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 1, "PCM_16", format="FLAC") as output:
        output.title = "line one\nline two\x07 " + "x" * 5000
        output.write(np.zeros(RATE))
    title = decode(file.getvalue())[0].header.tags["title"]
    assert title.startswith("line one line two x")
    assert len(title) <= 500


def test_a_change_of_layout_midway_keeps_the_first() -> None:
    mono, stereo = (encode("mp3", tone(seconds=1, sample_rate=RATE, channels=n)) for n in (1, 2))
    audio, y = decode(stereo + mono)
    assert y.shape[0] == 2
    assert audio.duration_s == pytest.approx(2.0, abs=0.15)


@given(
    kind=st.sampled_from([*FORMATS, "ogg"]),
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=6),
    cut=st.none() | st.floats(0, 1),
)
@settings(max_examples=150, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_give_sound_or_a_named_refusal(
    encoded: dict[str, bytes], kind: str, edits: list[tuple[float, bytes]], cut: float | None
) -> None:
    data = bytearray(encoded[kind])
    for place, value in edits:
        # Cubed: most of what can go wrong is in the header.
        at = int(place**3 * (len(data) - 1))
        data[at : at + len(value)] = value
    if cut is not None:
        del data[int(cut * len(data)) :]
    try:
        _, y = decode(bytes(data), Limits(max_duration_s=60))
    except (UnreadableAudio, PolicyRefusal) as refusal:
        named(refusal)
    else:
        assert y.shape[1] > 0
        assert np.isfinite(y).all()


@given(
    data=st.binary(max_size=300), magic=st.sampled_from(["RIFF", "RF64", "FORM", "fLaC", "OggS", "ID3", ""])
)
@settings(max_examples=100, deadline=5000)
def test_noise_behind_a_magic_word_is_refused_by_name(data: bytes, magic: str) -> None:
    try:
        decode(magic.encode() + data, Limits(max_duration_s=60))
    except (UnreadableAudio, PolicyRefusal) as refusal:
        named(refusal)
