"""What a session answers: the form of every message that it sends.

At run time answers are plain dicts, because there are hundreds a second. These models say what is in them:
the AsyncAPI document is made from them, and the tests hold every message against them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from soundscape.live.requests import Feature

Seconds = Annotated[float, Field(ge=0, description="Seconds of sound, from the first sample on.")]
AudioTime = Annotated[
    float,
    Field(ge=0, description="Where the sound ends that this was read from, seconds from its beginning."),
]
Merged = Annotated[
    int,
    Field(ge=1, description="So many older answers of this kind were left out: they were not read in time."),
]


class Answer(BaseModel):
    """A message of the server."""

    model_config = ConfigDict(extra="forbid")


class Reading(Answer):
    """An answer that is replaced by the next of its kind if the client does not read it in time."""

    audio_time_s: AudioTime
    merged: Merged = 1
    """Left out where nothing was merged."""


class SessionLimits(Answer):
    """What holds for this session."""

    max_duration_s: Annotated[float, Field(description="How long it may last.")]
    max_waiting_s: Annotated[
        float, Field(description="How much sound waits before the server stops reading.")
    ]
    max_frame_bytes: Annotated[int, Field(description="Size of a binary message.")]
    max_messages_per_s: Annotated[float, Field(description="How often messages may come.")]
    max_speed: Annotated[float, Field(description="How many seconds of sound are heard in one second.")]
    idle_s: Annotated[float, Field(description="How long nothing may arrive.")]
    resume_s: Annotated[float, Field(description="How long a broken connection may be continued.")]


class Started(Answer):
    """The session has begun: send sound."""

    type: Literal["started"]
    session_id: str
    audio_id: Annotated[str | None, Field(description="The recording, if it is to be saved.")]
    features: Annotated[list[Feature], Field(description="What will be read.")]
    bands_hz: Annotated[list[float], Field(description="Centres of the bands of `spectrum`, Hz.")]
    limits: SessionLimits


class Resumed(Answer):
    """The session goes on: send what follows these bytes."""

    type: Literal["resumed"]
    session_id: str
    received_bytes: Annotated[int, Field(description="Bytes of sound that were received before.")]


class Acknowledged(Answer):
    """Sound that the server has; once a second, and after a flush. Older sound need not be kept."""

    type: Literal["acknowledged"]
    audio_time_s: AudioTime
    received_bytes: int
    merged: Merged = 1


class Levels(Reading):
    """Loudness by EBU R 128, and the true peak since the last `levels`. Null for silence."""

    type: Literal["levels"]
    momentary_lufs: Annotated[float | None, Field(description="Of the latest 400 ms.")]
    short_term_lufs: Annotated[float | None, Field(description="Of the latest 3 s.")]
    true_peak_dbtp: float | None


class SpectrumBands(Reading):
    """The loudest level of each band since the last `spectrum`; a sine of full scale is 0 dB."""

    type: Literal["spectrum"]
    bands_db: Annotated[list[float], Field(min_length=128, max_length=128)]


class PitchReading(Reading):
    """The pitch of one voice or instrument; null where nothing repeats."""

    type: Literal["pitch"]
    frequency_hz: float | None
    confidence: Annotated[float, Field(ge=0, le=1, description="How much of the sound repeats.")]


class OnsetReading(Reading):
    """A sound began."""

    type: Literal["onset"]
    time_s: Seconds
    strength_db: float


class BeatReading(Reading):
    """A beat, at the tempo of the latest 16 s."""

    type: Literal["beat"]
    time_s: Seconds


class TempoReading(Reading):
    """The tempo of the latest 16 s; null where there is none."""

    type: Literal["tempo"]
    tempo_bpm: float | None
    confidence: Annotated[float, Field(ge=0, le=1)]


class KeyReading(Reading):
    """The key of the latest 15 to 30 s; null where there is none."""

    type: Literal["key"]
    key: str | None
    mode: Literal["major", "minor"] | None
    confidence: Annotated[float, Field(ge=0, le=1)]


class HeardTag(Answer):
    """A class of AudioSet and its mean score."""

    label: str
    confidence: Annotated[float, Field(ge=0, le=1)]


class TagsReading(Reading):
    """What is heard in the latest 8 s, by falling confidence."""

    type: Literal["tags"]
    tags: list[HeardTag]


class HeardMatch(Answer):
    """A recording that is playing, of those that the user may see."""

    audio_id: str
    title: str
    offset_s: Annotated[float, Field(description="Where in the recording the latest 10 s begin.")]
    probability: Annotated[float, Field(ge=0, le=1)]


class MatchReading(Reading):
    """Which recordings the latest 10 s come from; every 5 s."""

    type: Literal["match"]
    matches: list[HeardMatch]


class Flushed(Answer):
    """Everything that arrived before the flush was read."""

    type: Literal["flushed"]
    audio_time_s: AudioTime
    merged: Merged = 1


class Warned(Answer):
    """Something is not as asked for. The session goes on."""

    type: Literal["warning"]
    code: str
    message: str
    merged: Merged = 1


class RecordAnswer(Answer):
    """The record of what was heard, as of `soundscape analyze` (docs/audio/record.md)."""

    type: Literal["record"]
    record: dict[str, Any]


class Saved(Answer):
    """The recording is in the project."""

    type: Literal["saved"]
    audio_id: str
    file_path: str


class Failure(Answer):
    """The session ends, and not because the client asked for it."""

    type: Literal["error"]
    code: str
    message: str


class Stopped(Answer):
    """The last message."""

    type: Literal["stopped"]
    reason: Annotated[str, Field(description="The name of the ending, as the close code has it.")]
    duration_s: Seconds


ANSWERS = (
    Started,
    Resumed,
    Acknowledged,
    Levels,
    SpectrumBands,
    PitchReading,
    OnsetReading,
    BeatReading,
    TempoReading,
    KeyReading,
    TagsReading,
    MatchReading,
    Flushed,
    Warned,
    RecordAnswer,
    Saved,
    Failure,
    Stopped,
)
MERGED_KINDS = frozenset(
    {
        *("acknowledged", "flushed", "warning"),
        *("levels", "spectrum", "pitch", "onset", "beat", "tempo", "key", "tags", "match"),
    }
)
"""Kinds of which only the newest waits."""
