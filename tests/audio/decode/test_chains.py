"""Streams appended to one another: chained Ogg of every mixture, MP3, transport streams, WebM."""

from __future__ import annotations

import io
import tracemalloc
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soundscape.audio.decode.audio_file import open_audio

from .recordings import decode, flip_bit, split_pages, write

LINK_S = 1.5
LINKS = {
    "opus mono": ("opus", 1, 48_000),
    "opus stereo": ("opus", 2, 48_000),
    "vorbis stereo": ("vorbis", 2, 44_100),
    "vorbis at 22 kHz": ("vorbis", 2, 22_050),
    "vorbis at 48 kHz": ("vorbis", 2, 48_000),
    "flac mono": ("oggflac", 1, 44_100),
    "flac stereo": ("oggflac", 2, 48_000),
}


@cache
def link(name: str) -> bytes:
    kind, channels, sample_rate = LINKS[name]
    return write(kind, seconds=LINK_S, channels=channels, sample_rate=sample_rate)


@given(chain=st.lists(st.sampled_from(sorted(LINKS)), min_size=2, max_size=5))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_link_is_heard(chain: list[str]) -> None:
    audio, y = decode(b"".join(link(name) for name in chain))
    first, _ = decode(link(chain[0]))
    assert (audio.header.sample_rate, audio.header.channels, audio.header.codec) == (
        first.header.sample_rate,
        first.header.channels,
        first.header.codec,
    )
    assert audio.duration_s == pytest.approx(LINK_S * len(chain), abs=0.06 * len(chain))
    rate = audio.header.sample_rate
    for index in range(len(chain)):
        part = y[:, round((index * LINK_S + 0.5) * rate) : round((index * LINK_S + 1) * rate)]
        assert 0.03 < np.sqrt(np.mean(np.square(part))) < 0.2
    assert (audio.truncated, audio.damaged_packets, audio.warnings) == (False, 0, ())


def test_a_dump_of_internet_radio() -> None:
    """Somebody tuned in late, heard two changes of programme, and left."""
    first, last = split_pages(link("vorbis stereo")), split_pages(link("opus mono"))
    dump = b"".join(
        [*first[:3], *first[4:], link("opus stereo"), link("flac mono"), *last[:-1]],
    )
    audio, _ = decode(dump)
    assert 3 * LINK_S < audio.duration_s < 4 * LINK_S
    assert not audio.truncated


def test_a_dump_that_ends_in_a_page_is_truncated() -> None:
    audio, _ = decode(link("opus stereo") + link("vorbis stereo")[:-100])
    assert audio.truncated


def test_a_link_that_cannot_be_decoded_is_damage() -> None:
    pages = split_pages(link("opus mono"))
    broken = b"".join([pages[0], flip_bit(pages[1], 0.5), *pages[2:]])
    audio, _ = decode(link("vorbis stereo") + broken + link("flac stereo"))
    assert audio.duration_s == pytest.approx(2 * LINK_S, abs=LINK_S + 0.1)
    assert audio.damaged_packets > 0


def test_a_chain_of_many_links_takes_no_more_memory() -> None:
    data = link("opus stereo") * 100
    tracemalloc.start()
    try:
        with open_audio(io.BytesIO(data)) as audio:
            for _ in audio.blocks():
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert audio.duration_s == pytest.approx(100 * LINK_S, abs=1.0)
    # The sound is 58 MB of floats.
    assert peak < 8 << 20


@pytest.mark.parametrize("kind", ["mp3", "aac", "ts", "flac"])
def test_files_glued_together_are_heard_whole(kind: str) -> None:
    once, _ = decode(write(kind, seconds=3))
    audio, _ = decode(write(kind, seconds=3) * 3)
    assert audio.duration_s == pytest.approx(3 * once.duration_s, abs=0.2)
    assert (audio.truncated, audio.holes) == (False, ())


def test_mp3s_of_other_rates_and_channels_glued_together() -> None:
    parts = [write("mp3", seconds=2, channels=n, sample_rate=rate) for n, rate in ((1, 44_100), (2, 48_000))]
    audio, _ = decode(b"".join(parts + parts))
    assert audio.duration_s == pytest.approx(8, abs=0.3)
    assert audio.header.channels == 1
