"""Which of several tracks is analysed."""

from __future__ import annotations

import pytest

from .recordings import decode, write, write_tracks


@pytest.mark.parametrize("default", [0, 1, 2])
@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("matroska", "libopus"), ("mov", "aac")])
def test_the_default_track_is_analysed_and_said(container: str, codec: str, default: int) -> None:
    audio, _ = decode(write_tracks(container, codec, [1.0, 2.0, 3.0], default))
    assert (audio.header.track, audio.header.tracks) == (default + 1, 3)
    assert audio.duration_s == pytest.approx(default + 1.0, abs=0.06)
    (warning,) = audio.warnings
    assert warning.code == "other_tracks"
    assert f"Number {default + 1}" in warning.message


def test_without_a_default_the_first_track_is_analysed() -> None:
    audio, _ = decode(write_tracks("matroska", "libopus", [1.0, 2.0], -1))
    assert audio.header.track == 1


def test_one_track_is_nothing_to_speak_of() -> None:
    audio, _ = decode(write("m4a", seconds=1))
    assert (audio.header.track, audio.header.tracks, audio.warnings) == (1, 1, ())
