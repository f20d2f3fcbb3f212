"""Files with wrong bits: the rest is decoded, the damage is counted and told."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import pytest
from signals import RECORDINGS

from soundscape.audio.decode.audio_file import open_audio

from .recordings import decode, decode_plainly, flip_bit, measure_lufs, split_pages, write

SECONDS = 6.0
SHARES = np.linspace(0.04, 0.96, 20)


@cache
def written(kind: str) -> bytes:
    return write(kind, seconds=SECONDS)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("kind", ["flac", "mp3", "aac", "m4a", "opus", "vorbis", "oggflac", "mkaflac"])
def test_one_bit_takes_no_more_than_its_own_piece(kind: str, share: float) -> None:
    whole, _ = decode(written(kind))
    data = flip_bit(written(kind), share, bit=int(share * 1000) % 8)
    audio, y = decode(data)
    # Streams without time stamps lose the packet; the others keep its time.
    assert audio.duration_s == pytest.approx(whole.duration_s, abs=0.06)
    assert not audio.truncated
    lost_s = sum(hole.end_s - hole.start_s for hole in audio.holes)
    plain = decode_plainly(data)
    rate = audio.header.sample_rate
    assert audio.duration_s - lost_s <= plain.shape[1] / rate + 0.06
    assert np.abs(y).max() > 0.2


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("kind", ["flac", "opus", "vorbis", "oggflac"])
def test_what_has_checksums_is_counted_and_told(kind: str, share: float) -> None:
    data = flip_bit(written(kind), share)
    audio, _ = decode(data)
    assert audio.damaged_packets == 1
    assert "damaged" in [warning.code for warning in audio.warnings]


@pytest.mark.parametrize("share", SHARES)
def test_a_damaged_flac_is_as_ffmpeg_plays_it(share: float) -> None:
    data = flip_bit(written("flac"), share)
    audio, y = decode(data)
    plain = decode_plainly(data)
    holes = sum(hole.end_s - hole.start_s for hole in audio.holes)
    assert audio.duration_s - holes == pytest.approx(plain.shape[1] / 44_100, abs=0.01)
    assert measure_lufs(y, 44_100) == pytest.approx(measure_lufs(plain, 44_100), abs=0.2)


def test_a_flac_damaged_in_many_places() -> None:
    data = written("flac")
    for share in SHARES:
        data = flip_bit(data, share)
    audio, _ = decode(data)
    assert audio.duration_s == pytest.approx(SECONDS, abs=0.06)
    assert audio.damaged_packets > 5


@pytest.mark.parametrize("kind", ["opus", "vorbis"])
def test_a_damaged_page_is_a_hole_of_its_length(kind: str) -> None:
    pages = split_pages(written(kind))
    # The last page may hold next to nothing.
    for index in range(2 if kind == "opus" else 3, len(pages) - 1):
        damaged = [*pages[:index], flip_bit(pages[index], 0.9), *pages[index + 1 :]]
        audio, y = decode(b"".join(damaged))
        assert audio.duration_s == pytest.approx(SECONDS, abs=0.06)
        assert len(audio.holes) == 1
        hole = audio.holes[0]
        rate = audio.header.sample_rate
        middle = y[:, round(hole.start_s * rate) + 1000 : round(hole.end_s * rate) - 1000]
        assert np.abs(middle).max() == 0.0


@pytest.mark.parametrize("kind", ["flac", "vorbis"])
def test_blocks_are_whole_across_the_change_of_decoder(kind: str) -> None:
    with open_audio(io.BytesIO(flip_bit(written(kind), 0.5))) as audio:
        lengths = [block.shape[1] for block in audio.blocks(10_000)]
    assert set(lengths[:-1]) == {10_000}
    assert 0 < lengths[-1] <= 10_000


def test_an_undamaged_file_has_no_warning() -> None:
    for kind in ("flac", "mp3", "aac", "m4a", "opus", "vorbis", "oggflac", "mkaflac"):
        audio, _ = decode(written(kind))
        assert (audio.damaged_packets, audio.holes, audio.warnings) == (0, (), ())


@pytest.mark.parametrize(
    "name", sorted(path.name for path in RECORDINGS.glob("*.*") if path.suffix != ".md") or ["none"]
)
def test_shared_recordings_are_as_ffmpeg_decodes_them(name: str) -> None:
    path = RECORDINGS / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    audio, y = decode(path.read_bytes())
    plain = decode_plainly(path.read_bytes())
    rate = audio.header.sample_rate
    assert audio.duration_s == pytest.approx(plain.shape[1] / rate, abs=0.01)
    ours, theirs = measure_lufs(y, rate), measure_lufs(plain, rate)
    assert ours == (None if theirs is None else pytest.approx(theirs, abs=0.1))
    assert audio.warnings == ()
