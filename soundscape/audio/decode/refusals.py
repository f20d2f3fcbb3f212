"""Why a recording is refused, and the limits that are held against a header and against the samples.

| code | kind | when |
|---|---|---|
| `empty_file` | unreadable | the file has no bytes |
| `not_audio` | unreadable | no decoder knows the content |
| `no_audio_track` | unreadable | a container, but without sound in it |
| `no_samples` | unreadable | a header that is followed by no sound |
| `decode_failed` | unreadable | the container is known, the content cannot be decoded |
| `non_finite_samples` | unreadable | NaN or infinity among the samples |
| `absurd_samples` | unreadable | samples beyond +40 dBFS: integers stored as floats, or damage |
| `too_large` | policy | more bytes than allowed, present or claimed |
| `too_long` | policy | more time than allowed, claimed or decoded |
| `too_many_channels` | policy | more channels than allowed |
| `sample_rate_out_of_range` | policy | a sample rate below or above those allowed |
"""

from __future__ import annotations

import numpy as np

from soundscape.audio.decode.reader import Header, ReaderError, Samples
from soundscape.audio.limits import Limits
from soundscape.errors import PolicyRefusal, UnreadableAudio

_ABSURD_SAMPLE = 100.0


def check_size(size_bytes: int, limits: Limits, what: str) -> None:
    """Refuse more bytes than are accepted.

    Raises
    ------
    PolicyRefusal
        `too_large` or, for no bytes at all, `UnreadableAudio` with `empty_file`.
    """
    if size_bytes == 0:
        raise UnreadableAudio(
            "The file is empty.",
            code="empty_file",
            remedy="Upload it again; the transfer was probably cut off.",
        )
    if size_bytes > limits.max_size_bytes:
        raise PolicyRefusal(
            f"{what} {size_bytes:,} bytes; at most {limits.max_size_bytes:,} are accepted.",
            code="too_large",
            remedy="Upload it compressed (FLAC, Opus, MP3), or in parts.",
        )


def check_header(header: Header, claimed_frames: int | None, limits: Limits) -> None:
    """Refuse what is beyond the limits by its header.

    Raises
    ------
    PolicyRefusal
        `too_many_channels`, `sample_rate_out_of_range` or `too_long`.
    """
    if header.channels > limits.max_channels:
        raise PolicyRefusal(
            f"The recording has {header.channels} channels; at most {limits.max_channels} are accepted.",
            code="too_many_channels",
            remedy="Upload a mix-down, or the channels as separate recordings.",
        )
    if not limits.min_sample_rate_hz <= header.sample_rate <= limits.max_sample_rate_hz:
        is_low = header.sample_rate < limits.min_sample_rate_hz
        nearest_hz = limits.min_sample_rate_hz if is_low else limits.max_sample_rate_hz
        reason = "nothing is lost" if is_low else "what lies above that rate's half is lost, and no more"
        raise PolicyRefusal(
            f"The sample rate is {header.sample_rate:,} Hz; from {limits.min_sample_rate_hz:,} to "
            f"{limits.max_sample_rate_hz:,} Hz are accepted.",
            code="sample_rate_out_of_range",
            remedy=f"Convert it to {nearest_hz:,} Hz: {reason}.",
        )
    if claimed_frames is not None and claimed_frames > limits.max_duration_s * header.sample_rate:
        claimed_s = claimed_frames / header.sample_rate
        raise refuse_length(limits, f"The header claims {claimed_s:,.0f} s, which is")


def check_samples(block: Samples, *, at_s: float) -> None:
    """Refuse samples that are no sound.

    Parameters
    ----------
    block
        Shape (channels, n).
    at_s
        Where the block begins, seconds.

    Raises
    ------
    UnreadableAudio
        `non_finite_samples` or `absurd_samples`.
    """
    # Two reductions without a temporary; NaN makes either comparison false.
    if block.size == 0 or (block.min() >= -_ABSURD_SAMPLE and block.max() <= _ABSURD_SAMPLE):
        return
    if not np.isfinite(block).all():
        raise UnreadableAudio(
            f"The recording holds NaN or infinite samples (within the block at {at_s:.1f} s).",
            code="non_finite_samples",
            remedy="Export it again from where it was made, as 16 or 24-bit PCM.",
        )
    raise UnreadableAudio(
        f"The recording holds samples of {np.abs(block).max():.3g} times full scale "
        f"(within the block at {at_s:.1f} s).",
        code="absurd_samples",
        remedy="If integers were stored as floats, scale them to ±1.0 before the export.",
    )


def refuse_length(limits: Limits, what: str) -> PolicyRefusal:
    """The refusal of a recording that is longer than accepted; `what` begins its message."""
    return PolicyRefusal(
        f"{what} beyond the {limits.max_duration_s:,.0f} s that are accepted.",
        code="too_long",
        remedy="Upload it in parts.",
    )


def refuse_silence(container: str, *, is_damaged: bool) -> UnreadableAudio:
    """The refusal of a file that gave no sample."""
    if is_damaged:
        return UnreadableAudio(
            f"This {container} file is damaged: no sound could be decoded.",
            code="decode_failed",
            remedy="Export it again from where it was made, and upload that.",
        )
    return UnreadableAudio(
        f"This {container} file has a header and no sound after it.",
        code="no_samples",
        remedy="The recording or its export was probably cut off; upload it again.",
    )


def refuse_content(container: str | None, reasons: list[ReaderError]) -> UnreadableAudio:
    """The refusal of a file that no decoder opened.

    Parameters
    ----------
    container
        Its name; None where even that is unknown.
    reasons
        What the decoders said, in the order in which they tried.
    """
    if any(reason.no_audio for reason in reasons):
        return UnreadableAudio(
            "The file holds no audio track.",
            code="no_audio_track",
            remedy="Upload a recording, or a video that has sound.",
        )
    if container is None:
        return UnreadableAudio(
            "The content is not audio in any format that can be read here, whatever its name says.",
            code="not_audio",
            remedy="Upload WAV, FLAC, MP3, Ogg, Opus, M4A, AIFF or WebM.",
        )
    return UnreadableAudio(
        f"The file begins like {container}, but it cannot be decoded ({reasons[-1]}).",
        code="decode_failed",
        remedy="Export it again from where it was made, and upload that.",
    )
