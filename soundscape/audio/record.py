"""The record: everything one analysis says about one recording, typed and documented.

This is the contract with whoever reads `soundscape analyze --json` or the database. The sections that
are measured are in `soundscape.audio.measurements`.

A section is None (null) when its stage was skipped. A single value is None when it is undefined for this
sound, as the loudness of digital silence is.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from soundscape.audio.decode.capture import Capture
from soundscape.audio.decode.reader import Hole, SourceWarning
from soundscape.audio.descriptors import Descriptor
from soundscape.audio.measurements import Embedding, Loudness, Rhythm, Spectral, Tag, Tonality

# float32 carries seven digits, times in a long recording need nine; more is noise in print.
_SIGNIFICANT_DIGITS = 9


@dataclass(frozen=True)
class Source:
    """The file as it came, and what decoding found in it."""

    container: Annotated[str, "Container, by content: wav, rf64, flac, mp3, ogg, m4a, mp4, matroska, aiff, …"]
    codec: Annotated[str, "Codec of the audio track: pcm_s16, flac, mp3, vorbis, opus, aac, …"]
    sample_rate: Annotated[int, "Sample rate, Hz"]
    channels: Annotated[int, "Number of channels"]
    layout: Annotated[tuple[str, ...] | None, "Speaker of each channel (FL, FR, FC, LFE, …); null if unknown"]
    bit_depth: Annotated[int | None, "Bits per sample of a lossless source; null for lossy ones"]
    duration_s: Annotated[
        float,
        Descriptor("Duration, as a player shows it", "seconds", column="duration_s", filter="duration_s"),
    ]
    claimed_duration_s: Annotated[float | None, "Duration the header states; null where it states none"]
    truncated: Annotated[bool, "The sound ended clearly before the header said it would"]
    damaged_packets: Annotated[int, "Places where the file is damaged"]
    holes: Annotated[
        tuple[Hole, ...],
        "Spans for which the file holds no sound, by its time stamps; silence here and in a player",
    ]
    playable: Annotated[bool, "Chrome, Firefox and Safari play the file as it is, with the right length"]
    preview: Annotated[bool, "A preview is made for browsers: not playable, or lossless and large"]
    track: Annotated[int, "The audio track that was analysed, from 1: the one that players choose"]
    tracks: Annotated[int, "Number of audio tracks in the file"]
    dc_offset: Annotated[
        float, "Mean of the samples of the channel where it is largest, full scale is 1; removed first"
    ]
    phase_correlation: Annotated[
        float | None,
        "Lowest correlation of two channels: 1 the same, 0 unrelated, -1 opposite; null for one channel",
    ]
    warnings: Annotated[
        tuple[SourceWarning, ...], "What the owner should know of the file; empty where all is well"
    ]
    size_bytes: Annotated[int, "Size of the file"]
    sha256: Annotated[str, "SHA-256 of the file, hex"]
    pcm_blake3: Annotated[str, "BLAKE3 of the decoded sound (float32 little-endian, interleaved), hex"]
    tags: Annotated[
        dict[str, str], "What the file says of itself: title, artist, album, date, genre, comment"
    ]


@dataclass(frozen=True)
class FingerprintSummary:
    """What finds this recording again; the peaks and levels themselves are in the file."""

    algorithm: Annotated[str, "Name of the algorithm"]
    version: Annotated[int, "Version of the algorithm; only equal versions compare"]
    peaks: Annotated[int, "Number of spectral peaks; 0 where the sound lies outside the band"]
    band_hz: Annotated[tuple[float, ...], "Lowest and highest frequency that is listened to"]
    path: Annotated[str | None, "File with peaks and levels, relative to the output folder; null without one"]
    acoustid: Annotated[str | None, "AcoustID's fingerprint, two minutes; null without libchromaprint"]


@dataclass(frozen=True)
class WaveformLevel:
    """One resolution of the waveform: a complete audiowaveform .dat file."""

    path: Annotated[str, "File, relative to the output directory"]
    samples_per_pixel: Annotated[int, "Samples that one minimum/maximum pair covers"]
    length: Annotated[int, "Pairs per channel"]
    size_bytes: Annotated[int, "Size of the file: 24 bytes of header and length × channels × 4"]


@dataclass(frozen=True)
class Waveform:
    """Minimum and maximum peaks in BBC audiowaveform's formats, in several resolutions."""

    path: Annotated[str, "Overview .dat (version 2, 16 bit): the coarsest level"]
    json_path: Annotated[str, "The overview as audiowaveform JSON"]
    sample_rate: Annotated[int, "Sample rate the peaks were taken at, Hz"]
    channels: Annotated[int, "Number of channels in the files"]
    bits: Annotated[int, "Bits of a value"]
    levels: Annotated[tuple[WaveformLevel, ...], "All levels, finest first; the last is the overview"]
    peaks: Annotated[
        tuple[int, ...],
        "The whole recording as 200 bars, 0 to 255: the largest absolute value of each part, the loudest 255",
    ]


@dataclass(frozen=True)
class SpectrogramTiles:
    """The spectrogram in full detail: bare pictures side by side, one pixel a column and a row."""

    paths: Annotated[tuple[str, ...], "Files in order of time, relative to the output directory"]
    seconds_per_pixel: Annotated[float, "Time one column covers"]
    width_px: Annotated[int, "Columns of a full tile; the last may be narrower"]
    height_px: Annotated[int, "Rows, highest frequency on top"]


@dataclass(frozen=True)
class Pictures:
    """PNG files and a small WebP file, relative to the output directory."""

    waveform: Annotated[str, "Waveform for light pages, transparent ground"]
    waveform_dark: Annotated[str, "Waveform for dark pages, transparent ground"]
    spectrogram: Annotated[str | None, "Spectrogram with axes for light pages"]
    spectrogram_dark: Annotated[str | None, "Spectrogram with axes for dark pages"]
    spectrogram_tiles: Annotated[SpectrogramTiles | None, "Tiles; null for short recordings"]
    thumbnail: Annotated[str, "Spectrogram without axes as WebP, 320 × 96 pixels, at most 6 kB"]


@dataclass(frozen=True)
class Stage:
    """One part of the analysis and how it went."""

    name: Annotated[str, "Name of the stage"]
    version: Annotated[str, "Version of its code and parameters"]
    status: Annotated[Literal["done", "skipped"], "Skipped stages give a reason"]
    seconds: Annotated[float, "Time it took on this machine"]
    reason: Annotated[str | None, "Why it was skipped and what to do about it"]


@dataclass(frozen=True)
class Record:
    """Everything one analysis says about one recording."""

    source: Source
    capture: Annotated[Capture, "Not stored with the other sections: only as the owner of a recording agrees"]
    loudness: Loudness | None
    rhythm: Rhythm | None
    tonality: Tonality | None
    spectral: Annotated[Spectral | None, "Null for digital silence: no frame holds sound"]
    tags: Annotated[
        tuple[Tag, ...] | None, "Null when no model listened; empty when it heard nothing it knows"
    ]
    embedding: Embedding | None
    fingerprint: FingerprintSummary | None
    waveform: Waveform | None
    pictures: Pictures | None
    stages: Annotated[tuple[Stage, ...], "Every stage, in order"]
    analysis_version: Annotated[str, "Names code and parameters; equal versions gave equal results"]

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers, ready for JSON; no NaN or infinity can be in it."""
        plain: dict[str, Any] = _plain(self)
        return plain


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.{_SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else None
    return value
