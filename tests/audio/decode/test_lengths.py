"""Lengths that were never written, are counted otherwise, or are those of a longer file."""

from __future__ import annotations

import io
import struct
from functools import cache

import numpy as np
import pytest
from signals import wav

from .recordings import ID3_TAG, KINDS, decode, decode_plainly, noise, write

UNSEEKABLE = ["flac", "wav", "w64", "caf", "au", "mp3", "aac", "opus", "vorbis", "oggflac", "webm", "mka"]
UNSEEKABLE += ["mkaflac", "ts", "flv", "wma", "mpg", "avi", "wv", "ac3"]
ONES_32, ONES_64 = 2**32 - 1, 2**64 - 1


@cache
def written(kind: str) -> bytes:
    return write(kind)


@pytest.mark.parametrize("seconds", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("kind", UNSEEKABLE)
def test_a_file_from_a_pipe_is_decoded_to_its_end(kind: str, seconds: float) -> None:
    data = write(kind, seconds=seconds, piped=True)
    audio, _ = decode(data)
    # Some encoders add a frame at the end.
    assert audio.duration_s == pytest.approx(seconds, abs=0.06)
    assert not audio.truncated
    assert audio.holes == ()
    assert audio.warnings == ()


def test_a_fragmented_mp4_is_decoded_to_its_end() -> None:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "1000000"}
    audio, _ = decode(write("m4a", piped=True, options=options))
    assert audio.duration_s == pytest.approx(4.0, abs=0.06)
    assert not audio.truncated


@pytest.mark.parametrize("size", [0, ONES_64])
@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
def test_long_wave_files_without_their_lengths(magic: bytes, size: int) -> None:
    y = noise(4, 44_100)
    data = bytearray(magic + wav(y, 44_100, container="RF64")[4:])
    struct.pack_into("<QQQ", data, data.find(b"ds64") + 8, size, size, size)
    struct.pack_into("<I", data, data.find(b"data") + 4, ONES_32)
    audio, decoded = decode(bytes(data))
    assert np.allclose(decoded, y, atol=1e-4)
    assert (audio.truncated, audio.claimed_duration_s) == (False, None)


def test_a_bw64_file_with_its_length_is_claimed() -> None:
    y = noise(4, 44_100)
    audio, decoded = decode(b"BW64" + wav(y, 44_100, container="RF64")[4:])
    assert np.allclose(decoded, y, atol=1e-4)
    assert audio.claimed_duration_s == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("kind", "marker", "offset", "form"),
    [
        ("w64", b"data\xf3\xac", 16, "<Q"),
        ("aiff", b"SSND", 4, ">I"),
        ("aiff", b"COMM", 10, ">I"),
        ("au", b".snd", 8, ">I"),
        ("wav", b"data", 4, "<I"),
    ],
)
@pytest.mark.parametrize("ones", [False, True])
def test_headers_of_zeros_and_ones(kind: str, marker: bytes, offset: int, form: str, ones: bool) -> None:
    data = bytearray(written(kind))
    size = 2 ** (8 * struct.calcsize(form)) - 1 if ones else 0
    struct.pack_into(form, data, data.find(marker) + offset, size)
    audio, _ = decode(bytes(data))
    assert audio.duration_s == pytest.approx(4.0, abs=0.01)
    assert not audio.truncated


@pytest.mark.parametrize("kind", ["wav", "w64", "aiff", "au", "caf", "flac", "wv", "tta", "avi"])
def test_half_a_file_is_truncated(kind: str) -> None:
    data = written(kind)
    audio, _ = decode(data[: len(data) // 2])
    assert audio.truncated
    assert audio.warnings[0].code == "truncated"


@pytest.mark.parametrize("counts_packets", [False, True])
def test_ima4_counts_packets_or_samples(counts_packets: bool) -> None:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="aiff") as output:
        stream = output.add_stream("adpcm_ima_qt", rate=44_100, layout="mono")
        frame_size = stream.codec_context.frame_size or 64
        y = noise(2, 44_100, channels=1)
        resampler = av.AudioResampler(format="s16p", layout="mono", rate=44_100, frame_size=frame_size)
        frame = av.AudioFrame.from_ndarray(y, format="fltp", layout="mono")
        frame.sample_rate = 44_100
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    data = bytearray(file.getvalue())
    at = data.find(b"COMM") + 10
    packets = -(-2 * 44_100 // 64)
    struct.pack_into(">I", data, at, packets if counts_packets else packets * 64)
    audio, _ = decode(bytes(data))
    assert audio.claimed_duration_s == pytest.approx(2.0, abs=0.01)
    assert not audio.truncated


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "mp3"])
def test_id3_before_another_format_is_stepped_over(kind: str) -> None:
    bare, _ = decode(written(kind))
    tagged, _ = decode(ID3_TAG + written(kind))
    assert tagged.duration_s == pytest.approx(bare.duration_s, abs=0.001)
    assert tagged.header.container == bare.header.container
    assert tagged.header.codec == bare.header.codec


def late_flac() -> tuple[bytes, int]:
    """A FLAC file whose first frame is not the first of its stream, and the number of its first sample."""
    import av

    data = written("flac")
    with av.open(io.BytesIO(data)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
    middle = packets[len(packets) // 2]
    header = data[: data.find(bytes(packets[0]))]
    return header + data[data.find(bytes(middle)) :], int(middle.pts or 0)


def test_a_flac_that_begins_late_is_decoded_from_there() -> None:
    data, first_sample = late_flac()
    audio, decoded = decode(data)
    assert np.array_equal(decoded, decode(written("flac"))[1][:, first_sample:])
    assert audio.claimed_duration_s == pytest.approx(audio.duration_s)
    assert (audio.truncated, audio.holes, audio.damaged_packets) == (False, (), 0)


@pytest.mark.parametrize("kind", KINDS)
def test_undamaged_files_are_as_long_as_ffmpeg_decodes_them(kind: str) -> None:
    audio, _ = decode(written(kind))
    plain = decode_plainly(written(kind))
    assert audio.duration_s == pytest.approx(plain.shape[1] / audio.header.sample_rate, abs=0.01)
