"""Time stamps: holes are silence, and a stream that was joined late begins where it begins."""

from __future__ import annotations

import numpy as np
import pytest

from soundscape.audio.decode.timeline import Timeline

from .recordings import Span, decode, flip_bit, split_pages, write

TIMED = ["webm", "mka", "mkaflac", "m4a", "opus", "oggflac"]
BROADCAST = ["ts", "mpg", "flv"]
HOLES = {
    "in the middle": [(0.0, 2.0), (4.0, 6.0)],
    "near the end": [(0.0, 4.5), (5.5, 6.0)],
    "twice": [(0.0, 1.0), (2.0, 3.0), (4.5, 6.0)],
}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}


def check_holes(data: bytes, spans: list[Span]) -> None:
    audio, y = decode(data)
    rate = audio.header.sample_rate
    assert audio.duration_s == pytest.approx(spans[-1][1], abs=0.2)
    edges = [0.0, *(time_s for span in spans for time_s in span)]
    wanted = [
        (start_s, end_s) for start_s, end_s in zip(edges[::2], edges[1::2], strict=False) if end_s > start_s
    ]
    # The encoders hold a frame or two back. A page of Ogg has one time stamp, and FFmpeg's are a second long.
    tolerance_s = 1.1 if audio.header.container == "ogg" else 0.25
    found = [(hole.start_s, hole.end_s) for hole in audio.holes]
    assert np.array(found) == pytest.approx(np.array(wanted), abs=tolerance_s)
    assert np.diff(found) == pytest.approx(np.diff(wanted), abs=0.2)
    is_hole = np.zeros(y.shape[1], dtype=bool)
    for start_s, end_s in found:
        is_hole[round(start_s * rate) + 2 : round(end_s * rate) - 2] = True
    assert np.abs(y[:, is_hole]).max() == 0.0
    seconds = np.square(y[0, : rate * 6]).copy()
    assert np.sqrt(seconds[~is_hole[: len(seconds)]].mean()) > 0.05
    assert not audio.truncated
    assert [warning.code for warning in audio.warnings] == ["holes"]


@pytest.mark.parametrize("hole", HOLES)
@pytest.mark.parametrize("kind", [*TIMED, *BROADCAST])
def test_holes_are_silence(kind: str, hole: str) -> None:
    check_holes(write(kind, seconds=6, spans=HOLES[hole]), HOLES[hole])


@pytest.mark.parametrize("hole", HOLES)
def test_holes_in_a_fragmented_mp4(hole: str) -> None:
    check_holes(write("m4a", seconds=6, spans=HOLES[hole], options=FRAGMENTS), HOLES[hole])


@pytest.mark.parametrize("kind", TIMED)
def test_a_hole_at_the_beginning(kind: str) -> None:
    spans = [(2.0, 6.0)]
    check_holes(write(kind, seconds=6, spans=spans), spans)


@pytest.mark.parametrize("kind", ["webm", "mka", "m4a", "ts", "flv"])
def test_a_track_that_begins_after_the_pictures(kind: str) -> None:
    spans = [(2.0, 6.0)]
    check_holes(write(kind, seconds=6, spans=spans, video_s=6.0), spans)


def test_a_live_recording_without_its_length() -> None:
    spans = [(0.0, 1.5), (3.0, 6.0)]
    check_holes(write("webm", seconds=6, spans=spans, piped=True), spans)


@pytest.mark.parametrize("kind", ["opus", "oggflac", "vorbis"])
def test_ogg_joined_in_the_middle_is_not_truncated(kind: str) -> None:
    pages = split_pages(write(kind, seconds=8))
    # The granule position of a page of headers is 0.
    headers = next(index for index, page in enumerate(pages) if page[6:14] != bytes(8))
    late = headers + (len(pages) - headers) // 2
    audio, _ = decode(b"".join(pages[:headers] + pages[late:]))
    assert 2.5 < audio.duration_s < 5.5
    assert (audio.truncated, audio.holes, audio.warnings) == (False, (), ())
    if kind != "oggflac":
        # FFmpeg does not tell where a FLAC stream in Ogg was joined.
        assert audio.claimed_duration_s == pytest.approx(audio.duration_s, abs=0.06)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.501, 0.7])
@pytest.mark.parametrize("kind", ["mp3", "aac", "ts", "ac3"])
def test_a_stream_joined_anywhere_is_not_truncated(kind: str, share: float) -> None:
    data = write(kind, seconds=8)
    audio, _ = decode(data[int(len(data) * share) :])
    assert audio.duration_s == pytest.approx(8 * (1 - share), abs=0.3)
    assert (audio.truncated, audio.holes) == (False, ())


def test_an_mp3_joined_after_its_header_is_not_truncated() -> None:
    data = write("mp3", seconds=8)
    xing = max(data.find(b"Xing"), data.find(b"Info"))
    assert xing > 0
    first = data.rfind(b"\xff\xfb", 0, xing)
    second = data.find(b"\xff\xfb", xing)
    joined = data[first:second] + data[len(data) // 2 :]
    audio, _ = decode(joined)
    assert audio.duration_s == pytest.approx(4.0, abs=0.1)
    assert not audio.truncated
    whole, _ = decode(data)
    assert whole.claimed_duration_s == pytest.approx(8.0, abs=0.1)


def test_a_first_page_that_is_damaged_is_a_hole_and_no_late_beginning() -> None:
    pages = split_pages(write("opus", seconds=6))
    pages[2] = flip_bit(pages[2], 0.5)
    audio, _ = decode(b"".join(pages))
    assert audio.duration_s == pytest.approx(6.0, abs=0.03)
    assert audio.holes[0].start_s == 0.0


class TestTimeline:
    def test_rounded_time_stamps_are_no_holes(self) -> None:
        timeline = Timeline(first_s=0.0)
        generator = np.random.default_rng(1)
        placed = [timeline.place(i * 0.02 + generator.uniform(-0.02, 0.02), 0.02) for i in range(10_000)]
        assert sum(placed) == 0.0
        assert timeline.holes == []

    def test_after_damage_the_time_stamp_is_taken_at_its_word(self) -> None:
        timeline = Timeline(first_s=10.0)
        timeline.place(10.0, 0.02)
        assert timeline.place(10.04, 0.02, after_damage=True) == pytest.approx(0.02)

    def test_a_clock_that_is_set_back_goes_on(self) -> None:
        timeline = Timeline(first_s=0.0)
        timeline.place(0.0, 5.0)
        assert timeline.place(0.0, 5.0) == 0.0
        assert timeline.place(5.0, 5.0) == 0.0
        assert timeline.place(12.0, 5.0) == pytest.approx(2.0)
        assert timeline.position_s == pytest.approx(22.0)

    @pytest.mark.parametrize(("jump_s", "missing_s"), [(9.0, 9.0), (11.0, 0.0)])
    def test_a_long_jump_of_a_broadcast_is_a_new_clock(self, jump_s: float, missing_s: float) -> None:
        timeline = Timeline(first_s=0.0, is_broadcast=True)
        timeline.place(0.0, 1.0)
        assert timeline.place(1.0 + jump_s, 1.0) == pytest.approx(missing_s)

    def test_a_time_stamp_beyond_the_end_is_damage(self) -> None:
        timeline = Timeline(first_s=0.0, end_s=60.0)
        timeline.place(0.0, 1.0)
        assert timeline.place(131.0, 1.0) == 0.0

    def test_where_the_start_is_not_known_the_first_jump_sets_the_clock(self) -> None:
        timeline = Timeline(first_s=0.0, is_start_known=False)
        timeline.place(0.0, 0.5)
        assert timeline.place(6.0, 0.5) == 0.0
        assert timeline.place(8.5, 0.5) == pytest.approx(2.0)

    def test_the_list_of_holes_has_an_end(self) -> None:
        timeline = Timeline(first_s=0.0)
        for index in range(5000):
            timeline.place(float(index), 0.5)
        assert len(timeline.holes) == 1000
        assert timeline.position_s == pytest.approx(4999.5)
