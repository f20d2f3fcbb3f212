"""What browsers play as it is, and what needs a preview.

A browser plays a file when it knows container and codec, finds the right length in the header, and meets no
damage. The table is what Chrome, Firefox and Safari have in common (docs/decisions/previews.md).
"""

from __future__ import annotations

from soundscape.audio.origin import Origin

PLAYABLE_CODECS = {
    "wav": {"pcm_u8", "pcm_s16", "pcm_s24", "pcm_f32"},
    "mp3": {"mp3"},
    "flac": {"flac"},
    "m4a": {"aac"},
    "mp4": {"aac"},
    "ogg": {"vorbis", "opus"},
}
MAX_CHANNELS = 2
"""Browsers mix more channels down, each in its own way."""
MIN_SAMPLE_RATE = 8_000
MAX_SAMPLE_RATE = 192_000
MAX_LOSSLESS_BYTES = 16 << 20
"""A larger lossless file is too slow to load for many listeners, though browsers play it."""
# Encoders round lengths to their frames.
_LENGTH_TOLERANCE_S = 0.1
_LENGTH_TOLERANCE = 0.001


def is_playable(audio: Origin) -> bool:
    """Whether Chrome, Firefox and Safari play a recording as it is, with the right length.

    Parameters
    ----------
    audio
        The recording, after its last block.
    """
    header, claimed_s = audio.header, audio.claimed_duration_s
    return (
        header.codec in PLAYABLE_CODECS.get(header.container, ())
        and not header.has_video
        and header.channels <= MAX_CHANNELS
        and MIN_SAMPLE_RATE <= header.sample_rate <= MAX_SAMPLE_RATE
        and audio.damaged_packets == 0
        and claimed_s is not None
        and abs(claimed_s - audio.duration_s) <= _LENGTH_TOLERANCE_S + _LENGTH_TOLERANCE * claimed_s
    )


def wants_preview(audio: Origin, *, playable: bool) -> bool:
    """Whether a preview is made: browsers do not play the original, or it is lossless and large.

    Parameters
    ----------
    audio
        The recording, after its last block.
    playable
        What `is_playable` says of it.
    """
    is_lossless = audio.header.bit_depth is not None
    return not playable or (is_lossless and audio.size_bytes > MAX_LOSSLESS_BYTES)
