"""The record: everything one analysis says about one recording, typed and documented.

This is the contract with whoever reads `soundscape analyze --json` or the database. Measuring modules have
result types of their own; here they are given their lasting names and units. `schema()` derives the JSON
Schema from these classes, docs/audio/record.schema.json is its output, and a test keeps the two together.

A section is None (null) when its stage was skipped; a single value is None when it is undefined for this
sound, as the loudness of digital silence is.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

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
    duration_s: Annotated[float, "Duration of the sound that was decoded, seconds"]
    claimed_duration_s: Annotated[float | None, "Duration the header states; null where it states none"]
    truncated: Annotated[bool, "The sound ended clearly before the header said it would"]
    damaged_packets: Annotated[int, "Pieces that could not be decoded and were left out"]
    size_bytes: Annotated[int, "Size of the file"]
    sha256: Annotated[str, "SHA-256 of the file, hex"]
    pcm_sha256: Annotated[str, "SHA-256 of the decoded sound (float32 little-endian, interleaved), hex"]
    tags: Annotated[
        dict[str, str], "What the file says of itself: title, artist, album, date, genre, comment"
    ]


@dataclass(frozen=True)
class Loudness:
    """Loudness by ITU-R BS.1770-4 and EBU R128; null where the gate leaves nothing, as in silence."""

    integrated_lufs: Annotated[float | None, "Integrated loudness, LUFS"]
    range_lu: Annotated[float | None, "Loudness range (EBU Tech 3342), LU"]
    true_peak_dbtp: Annotated[float | None, "True peak, dBTP"]
    sample_peak_dbfs: Annotated[float | None, "Largest sample, dBFS"]
    max_momentary_lufs: Annotated[float | None, "Largest momentary loudness (400 ms), LUFS"]
    max_short_term_lufs: Annotated[float | None, "Largest short-term loudness (3 s), LUFS"]


@dataclass(frozen=True)
class Rhythm:
    """Tempo, beats and onsets; a null tempo means that there is none."""

    tempo_bpm: Annotated[float | None, "Tempo, beats a minute; null: no steady beat"]
    tempo_confidence: Annotated[float, "Confidence that there is a steady beat at this tempo, 0 to 1"]
    beats_s: Annotated[tuple[float, ...], "Times of the beats, seconds"]
    onset_rate_hz: Annotated[float, "Onsets a second"]


@dataclass(frozen=True)
class Tonality:
    """Key and tuning; a null key means that there is none."""

    key: Annotated[str | None, "Tonic: C, C#, D, … B; null: no key"]
    mode: Annotated[Literal["major", "minor"] | None, "Mode; null when there is no key"]
    confidence: Annotated[float, "Confidence in key and mode, 0 to 1"]
    chroma: Annotated[tuple[float, ...], "Strength of the twelve pitch classes from C, largest is 1"]
    tuning_cents: Annotated[float | None, "Deviation from A4 = 440 Hz, cents; null where nothing is tuned"]


@dataclass(frozen=True)
class Summary:
    """A series over frames in five numbers; standard deviation by N."""

    mean: float
    std: float
    min: float
    max: float
    median: float


@dataclass(frozen=True)
class Mfcc:
    """Mel-frequency cepstral coefficients, mean and standard deviation over frames."""

    mean: Annotated[tuple[float, ...], "20 means"]
    std: Annotated[tuple[float, ...], "20 standard deviations"]


@dataclass(frozen=True)
class Spectral:
    """Descriptors of mono at 22,050 Hz in frames of 2048 every 512 samples, over the frames that hold
    sound."""

    active_share: Annotated[float, "Share of the frames that hold sound (RMS above -80 dBFS), 0 to 1"]
    centroid_hz: Annotated[Summary, "Spectral centroid, Hz"]
    bandwidth_hz: Annotated[Summary, "Spectral bandwidth (second order), Hz"]
    rolloff_hz: Annotated[Summary, "Frequency below which 85 % of the magnitude lies, Hz"]
    flatness: Annotated[Summary, "Spectral flatness: 0 for a tone, 1 for white noise"]
    flux: Annotated[Summary, "Spectral flux: mean rise of the log-mel spectrum from frame to frame, dB"]
    contrast_db: Annotated[tuple[float, ...], "Spectral contrast in seven bands from 0 Hz, means, dB"]
    zero_crossing_rate: Annotated[Summary, "Share of neighbouring samples that differ in sign"]
    rms_dbfs: Annotated[Summary, "Level of the frames, dB relative to full scale"]
    mfcc: Annotated[Mfcc, "Timbre"]


@dataclass(frozen=True)
class Tag:
    """One thing heard, for one span of time."""

    label: Annotated[str, "AudioSet class name"]
    confidence: Annotated[float, "Mean score over the span, 0 to 1"]
    start_s: Annotated[float, "Begin, seconds"]
    end_s: Annotated[float, "End, seconds"]


@dataclass(frozen=True)
class Embedding:
    """A place among sounds: near means alike. Only values of one space compare."""

    space: Annotated[str, "Name and version of the space"]
    values: Annotated[tuple[float, ...], "128 values, unit length"]


@dataclass(frozen=True)
class Fingerprint:
    """What finds this recording again; the peaks themselves are in the file."""

    algorithm: Annotated[str, "Name of the algorithm"]
    version: Annotated[int, "Version of the algorithm; only equal versions compare"]
    peaks: Annotated[int, "Number of spectral peaks"]
    path: Annotated[str | None, "File with the peaks, relative to the output directory; null without one"]
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


@dataclass(frozen=True)
class SpectrogramTiles:
    """The spectrogram in full detail: bare pictures side by side, one pixel a column and a mel band."""

    paths: Annotated[tuple[str, ...], "Files in order of time, relative to the output directory"]
    seconds_per_pixel: Annotated[float, "Time one column covers"]
    width_px: Annotated[int, "Columns of a full tile; the last may be narrower"]
    height_px: Annotated[int, "Rows: mel bands, highest on top"]


@dataclass(frozen=True)
class Pictures:
    """PNG files, relative to the output directory."""

    waveform: Annotated[str, "Waveform for light pages, transparent ground"]
    waveform_dark: Annotated[str, "Waveform for dark pages, transparent ground"]
    spectrogram: Annotated[str | None, "Mel spectrogram with axes for light pages"]
    spectrogram_dark: Annotated[str | None, "Mel spectrogram with axes for dark pages"]
    spectrogram_tiles: Annotated[SpectrogramTiles | None, "Tiles; null for short recordings"]


@dataclass(frozen=True)
class Stage:
    """One part of the analysis and how it went."""

    name: Annotated[str, "Name of the stage"]
    version: Annotated[str, "Version of its code and parameters"]
    status: Annotated[Literal["done", "skipped"], "Skipped stages give a reason"]
    seconds: Annotated[float, "Time it took on this machine"]
    reason: Annotated[str | None, "Why it was skipped and what mends that"]


@dataclass(frozen=True)
class Record:
    """Everything one analysis says about one recording."""

    source: Source
    loudness: Loudness | None
    rhythm: Rhythm | None
    tonality: Tonality | None
    spectral: Annotated[Spectral | None, "Null for digital silence: no frame holds sound"]
    tags: Annotated[
        tuple[Tag, ...] | None, "Null when no model listened; empty when it heard nothing it knows"
    ]
    embedding: Embedding | None
    fingerprint: Fingerprint | None
    waveform: Waveform | None
    pictures: Pictures | None
    stages: Annotated[tuple[Stage, ...], "Every stage, in order"]
    analysis_version: Annotated[str, "Names code and parameters; equal versions gave equal results"]

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers, ready for JSON; no NaN or infinity can be in it."""
        plain: dict[str, Any] = _plain(self)
        return plain


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `Record.as_dict()`."""
    definitions = {kind.__name__: _object_schema(kind) for kind in _sections(Record)}
    record = definitions.pop("Record")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "SoundScape record",
        **record,
        "$defs": dict(sorted(definitions.items())),
    }


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


def _sections(kind: type) -> Iterator[type]:
    """`kind` and every dataclass reachable from it."""
    yield kind
    for hint in typing.get_type_hints(kind).values():
        for part in _parts(hint):
            if dataclasses.is_dataclass(part):
                yield from _sections(typing.cast(type, part))


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    for argument in typing.get_args(hint):
        yield from _parts(argument)


def _object_schema(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    properties = {name: _hint_schema(hint) for name, hint in hints.items()}
    return {
        # Pythons differ in how they keep the indentation of a docstring.
        "description": inspect.cleandoc(kind.__doc__ or ""),
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _hint_schema(hint: Any) -> dict[str, Any]:
    plain = {float: "number", int: "integer", str: "string", bool: "boolean", types.NoneType: "null"}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return {"description": arguments[1], **_hint_schema(arguments[0])}
    if hint in plain:
        return {"type": plain[hint]}
    if dataclasses.is_dataclass(hint):
        return {"$ref": f"#/$defs/{typing.cast(type, hint).__name__}"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _hint_schema(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _hint_schema(arguments[1])}
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_hint_schema(argument) for argument in arguments]}
    raise TypeError(f"no JSON Schema for {hint!r}")


if __name__ == "__main__":
    import json
    import sys

    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
