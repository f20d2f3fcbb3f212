"""What the meters measure: the types of their results, which are sections of the record.

The field of a measured value is one entry of the registry, see `soundscape.audio.descriptors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from soundscape.audio.descriptors import Descriptor, Summary

_BS1770 = "ITU-R BS.1770-4"
_R128 = "EBU R 128, ITU-R BS.1770-4"


@dataclass(frozen=True)
class Loudness:
    """Loudness by ITU-R BS.1770-4 and EBU R128; null where the gate leaves nothing, as in silence."""

    integrated_lufs: Annotated[
        float | None,
        Descriptor(
            "Integrated loudness",
            "LUFS",
            "null where nothing passes the gate of -70 LUFS, and under 400 ms",
            formula=_R128,
            column="integrated_lufs",
            filter="loudness_lufs",
        ),
    ]
    range_lu: Annotated[
        float | None,
        Descriptor(
            "Loudness range", "LU", "null under 3 s", formula="EBU Tech 3342", column="loudness_range_lu"
        ),
    ]
    true_peak_dbtp: Annotated[
        float | None,
        Descriptor("True peak", "dBTP", "null for digital silence", formula=_BS1770, column="true_peak_dbtp"),
    ]
    sample_peak_dbfs: Annotated[
        float | None,
        Descriptor("Largest sample", "dBFS", "null for digital silence", column="sample_peak_dbfs"),
    ]
    max_momentary_lufs: Annotated[
        float | None,
        Descriptor("Largest momentary loudness (400 ms)", "LUFS", "null where shorter", formula=_R128),
    ]
    max_short_term_lufs: Annotated[
        float | None,
        Descriptor("Largest short-term loudness (3 s)", "LUFS", "null where shorter", formula=_R128),
    ]


@dataclass(frozen=True)
class Rhythm:
    """Tempo, beats and onsets; a null tempo means that there is none."""

    tempo_bpm: Annotated[
        float | None,
        Descriptor(
            "Tempo",
            "beats a minute",
            "null: no steady beat",
            formula="autocorrelation of the onset strength",
            column="tempo_bpm",
            filter="tempo_bpm",
            band="narrow",
        ),
    ]
    tempo_confidence: Annotated[
        float,
        Descriptor(
            "Probability that the tempo is right",
            "0 to 1",
            column="tempo_confidence",
            band="narrow",
        ),
    ]
    beats_s: Annotated[
        tuple[float, ...],
        Descriptor(
            "Times of the beats",
            "seconds",
            formula="Ellis 2007",
            band="narrow",
        ),
    ]
    onset_rate_hz: Annotated[
        float,
        Descriptor(
            "Onsets a second",
            formula="librosa.onset",
            column="onset_rate_hz",
            band="narrow",
        ),
    ]
    band_hz: Annotated[tuple[float, ...], "Lowest and highest frequency that is listened to"]


@dataclass(frozen=True)
class Tonality:
    """Key and tuning; a null key means that there is none."""

    key: Annotated[
        str | None,
        Descriptor(
            "Tonic: C, C#, D, … B",
            note="null: no key",
            formula="Albrecht and Shanahan 2013",
            column="key",
            filter="key",
            band="narrow",
        ),
    ]
    mode: Annotated[
        Literal["major", "minor"] | None,
        Descriptor(
            "Mode",
            note="null when there is no key",
            column="mode",
            filter="mode",
            band="narrow",
        ),
    ]
    confidence: Annotated[
        float,
        Descriptor(
            "Probability that key and mode are right",
            "0 to 1",
            column="key_confidence",
            band="narrow",
        ),
    ]
    chroma: Annotated[
        tuple[float, ...],
        Descriptor(
            "Strength of the twelve pitch classes from C, largest is 1",
            band="narrow",
        ),
    ]
    tuning_cents: Annotated[
        float | None,
        Descriptor(
            "Deviation from A4 = 440 Hz",
            "cents",
            "null where nothing is tuned",
            band="narrow",
        ),
    ]
    band_hz: Annotated[tuple[float, ...], "Lowest and highest frequency that is listened to"]


@dataclass(frozen=True)
class Mfcc:
    """Mel-frequency cepstral coefficients, mean and standard deviation over frames."""

    mean: Annotated[tuple[float, ...], "20 means"]
    std: Annotated[tuple[float, ...], "20 standard deviations"]


@dataclass(frozen=True)
class Spectral:
    """Descriptors of the analysis signal over the frames that hold sound (RMS above -80 dBFS).

    Centroid, bandwidth, rolloff, flatness and level cover the recording's whole band, in frames of about
    46 ms. The others cover the shared spectrum: 22,050 Hz, frames of 2048 samples every 512. They are null
    where the sound lies outside it."""

    band_hz: Annotated[
        tuple[float, ...], "Lowest and highest frequency of what covers the whole band, at most 96 kHz"
    ]
    active_share: Annotated[float, Descriptor("Share of the frames that hold sound", "0 to 1", band="whole")]
    centroid_hz: Annotated[
        Summary,
        Descriptor(
            "Spectral centroid",
            "Hz",
            formula="librosa.feature.spectral_centroid",
            column="centroid_hz",
            band="whole",
        ),
    ]
    bandwidth_hz: Annotated[
        Summary,
        Descriptor(
            "Spectral bandwidth (second order)",
            "Hz",
            formula="librosa.feature.spectral_bandwidth",
            column="bandwidth_hz",
            band="whole",
        ),
    ]
    rolloff_hz: Annotated[
        Summary,
        Descriptor(
            "Frequency below which 85 % of the magnitude lies",
            "Hz",
            formula="librosa.feature.spectral_rolloff",
            column="rolloff_hz",
            band="whole",
        ),
    ]
    flatness: Annotated[
        Summary,
        Descriptor(
            "Spectral flatness: 0 for a tone, 1 for white noise",
            formula="librosa.feature.spectral_flatness",
            column="flatness",
            band="whole",
        ),
    ]
    rms_dbfs: Annotated[
        Summary,
        Descriptor(
            "Level of the frames",
            "dB relative to full scale",
            formula="librosa.feature.rms",
            column="rms_dbfs",
            band="whole",
        ),
    ]
    narrow_band_hz: Annotated[tuple[float, ...], "Lowest and highest frequency of the values below"]
    flux: Annotated[
        Summary | None,
        Descriptor(
            "Spectral flux: mean rise of the log-mel spectrum from frame to frame",
            "dB",
            formula="librosa.onset.onset_strength",
            band="narrow",
        ),
    ]
    contrast_db: Annotated[
        tuple[float, ...] | None,
        Descriptor(
            "Spectral contrast in up to seven bands from 0 Hz, means",
            "dB",
            formula="librosa.feature.spectral_contrast",
            band="narrow",
        ),
    ]
    zero_crossing_rate: Annotated[
        Summary | None,
        Descriptor(
            "Share of neighbouring samples that differ in sign",
            formula="librosa.feature.zero_crossing_rate",
            column="zero_crossing_rate",
            band="narrow",
        ),
    ]
    mfcc: Annotated[
        Mfcc | None,
        Descriptor(
            "Timbre",
            formula="librosa.feature.mfcc",
            band="narrow",
        ),
    ]


@dataclass(frozen=True)
class Tag:
    """One thing heard, for one span of time."""

    label: Annotated[str, "AudioSet class name"]
    confidence: Annotated[float, "How probable it is that the label is right, 0 to 1"]
    start_s: Annotated[float, "Begin, seconds"]
    end_s: Annotated[float, "End, seconds"]


@dataclass(frozen=True)
class Embedding:
    """A place among sounds: near means alike. Only values of one space compare."""

    space: Annotated[str, "Name and version of the space"]
    values: Annotated[tuple[float, ...], "128 values, unit length"]
