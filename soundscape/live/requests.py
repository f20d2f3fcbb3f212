"""What a client says: JSON texts, checked before anything is done with them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from soundscape.live.endings import BAD_MESSAGE, SessionEnded

MAX_TEXT_CHARS = 64 << 10
"""A message holds a token and some words."""

Feature = Literal["levels", "spectrum", "pitch", "onset", "beat", "tempo", "key", "tags", "match"]
Format = Literal["s16le", "f32le", "webm-opus", "ogg-opus"]
PCM_FORMATS = ("s16le", "f32le")
Parsed = TypeVar("Parsed")


class Request(BaseModel):
    """A message of a client. Names that are not known are refused: a misspelt one would be ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Save(Request):
    """How the recording is described. The names are those of the columns of `audio_files`."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    description: Annotated[str | None, Field(max_length=10_000)] = None
    is_public: bool = False
    tags: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=50)] = []
    license: Annotated[str | None, Field(max_length=100)] = None
    recorded_at: Annotated[str | None, Field(max_length=40)] = None
    latitude: Annotated[float | None, Field(ge=-90, le=90)] = None
    longitude: Annotated[float | None, Field(ge=-180, le=180)] = None

    def as_row(self) -> dict[str, object]:
        """The columns that were given."""
        return self.model_dump(exclude_unset=True)


class Start(Request):
    """The first message of a new session."""

    type: Literal["start"]
    token: Annotated[str, Field(description="The access token of a signed-in user.", repr=False)]
    format: Annotated[Format, Field(description="What the binary messages hold.")]
    sample_rate: Annotated[
        int | None, Field(ge=1, le=1_000_000, description="Hz; for s16le and f32le only.")
    ] = None
    channels: Annotated[
        int | None, Field(ge=1, le=64, description="Interleaved channels; for s16le and f32le only.")
    ] = None
    features: Annotated[
        list[Feature], Field(max_length=9, description="What is to be read while it sounds.")
    ] = ["levels", "spectrum"]
    rate_hz: Annotated[
        float, Field(ge=1, le=50, allow_inf_nan=False, description="How many answers of a kind a second.")
    ] = 10.0
    save: Annotated[Save | None, Field(description="Keep the sound as a recording of the user.")] = None

    @model_validator(mode="after")
    def check_format(self) -> Start:
        """A rate and channels for plain samples, and only for them."""
        given = self.sample_rate is not None, self.channels is not None
        if self.is_pcm and not all(given):
            raise ValueError(f"{self.format} needs sample_rate and channels")
        if not self.is_pcm and any(given):
            raise ValueError(f"{self.format} says itself what sample_rate and channels are")
        return self

    @property
    def is_pcm(self) -> bool:
        """Whether the binary messages are plain samples."""
        return self.format in PCM_FORMATS


class Resume(Request):
    """The first message after a connection broke."""

    type: Literal["resume"]
    token: Annotated[str, Field(description="An access token of the same user.", repr=False)]
    session_id: Annotated[str, Field(max_length=64, description="As `started` gave it.")]


class Token(Request):
    """A newer token, before the one of the session expires."""

    type: Literal["token"]
    token: Annotated[str, Field(description="An access token of the same user.", repr=False)]


class KeepAlive(Request):
    """The client is there, though it has nothing to send."""

    type: Literal["keep_alive"]


class Flush(Request):
    """Read now what has arrived so far; `flushed` follows the answers."""

    type: Literal["flush"]


class Stop(Request):
    """The sound ends here. The record follows."""

    type: Literal["stop"]


FirstRequest = Annotated[Start | Resume, Field(discriminator="type")]
LaterRequest = Annotated[Token | KeepAlive | Flush | Stop, Field(discriminator="type")]
REQUESTS = (Start, Resume, Token, KeepAlive, Flush, Stop)

_FIRST: TypeAdapter[Start | Resume] = TypeAdapter(FirstRequest)
_LATER: TypeAdapter[Token | KeepAlive | Flush | Stop] = TypeAdapter(LaterRequest)


def parse_first(text: str) -> Start | Resume:
    """Parse the first message. Raises `SessionEnded` (bad_message)."""
    return _parse(_FIRST, text, "start or resume")


def parse_later(text: str) -> Token | KeepAlive | Flush | Stop:
    """Parse a message within a session. Raises `SessionEnded` (bad_message)."""
    return _parse(_LATER, text, "token, keep_alive, flush or stop")


def _parse(adapter: TypeAdapter[Parsed], text: str, expected: str) -> Parsed:
    if len(text) > MAX_TEXT_CHARS:
        raise SessionEnded(BAD_MESSAGE.saying(f"A text message has at most {MAX_TEXT_CHARS:,} characters."))
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if first["type"] in (
            "json_invalid",
            "union_tag_invalid",
            "union_tag_not_found",
            "model_attributes_type",
        ):
            raise SessionEnded(BAD_MESSAGE.saying(f"Expected JSON of the type {expected}.")) from None
        where = ".".join(str(part) for part in first["loc"][1:])
        message = first["msg"].removeprefix("Value error, ")
        raise SessionEnded(BAD_MESSAGE.saying(f"{where}: {message}." if where else f"{message}.")) from None
