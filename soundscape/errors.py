"""The tree of errors that SoundScape raises on purpose.

    SoundScapeError
    ├── SettingsError            the environment is incomplete or holds a placeholder
    ├── ModelError               an optional model is missing or is not the file it should be
    ├── Refusal                  a recording or an image that is not taken (final, never retried)
    │   ├── UnreadableAudio      → status `failed`: the bytes are not audio we can read
    │   └── PolicyRefusal        → status `rejected`: readable, but beyond the limits that hold
    ├── ProjectError             the Supabase project answered with an error
    │   ├── ProjectUnreachable   no answer, or a temporary error (retried)
    │   ├── DataRefused          the database does not take these values (counts as an attempt)
    │   └── LeaseLost            another worker holds the job now (its results are dropped)
    ├── DeliveryFailure          a mail or push was not taken; its `outcome` says whether it is tried again
    ├── RequestRefused           an HTTP request to the worker is answered with its `status` (401 … 503)
    ├── AnalysisCrashed          the analysis child died or ran out of its limits (counts as an attempt)
    ├── FilterError              an operator's filter that cannot be read
    ├── RecommendationError      no model can be made from this data
    ├── DeployError              a deploy step failed; running deploy again is safe
    └── ServingError             the port is taken, or the app or the analysis did not start

Each carries a stable `code` (programs match on it), a `message` (people read it) and a
`remedy` (what to do next).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal


class SoundScapeError(Exception):
    """Root of the tree.

    `code` is stable across releases, snake_case, at most 64 characters.
    """

    code = "soundscape_error"

    def __init__(self, message: str, *, code: str | None = None, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()

    def as_dict(self) -> dict[str, Any]:
        """The wire form: `{code, message, remedy}`."""
        return {"code": self.code, "message": self.message, "remedy": self.remedy}


class SettingsError(SoundScapeError):
    """The environment is incomplete or holds a placeholder."""

    code = "settings_invalid"


class ModelError(SoundScapeError):
    """An optional model is missing or fails its checksum."""

    code = "model_unavailable"


class Refusal(SoundScapeError):
    """A recording cannot, or may not, be analysed; or a file is no image. Trying again changes nothing."""

    code = "refused"
    status = "failed"


class UnreadableAudio(Refusal):
    """The bytes are not audio that can be decoded."""

    code = "unreadable_audio"


class PolicyRefusal(Refusal):
    """Readable, but beyond the limits that hold (length, size, channels, rate)."""

    code = "over_limit"
    status = "rejected"


class ProjectError(SoundScapeError):
    """The Supabase project answered with an error."""

    code = "project_error"


class ProjectUnreachable(ProjectError):
    """No answer, or a temporary error (5xx, timeout). `retry_after_s`: the pause that the answer asks for."""

    code = "project_unreachable"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        remedy: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, remedy=remedy)
        self.retry_after_s = retry_after_s


class DataRefused(ProjectError):
    """The database refuses these values. Sending them again changes nothing."""

    code = "data_refused"


class LeaseLost(ProjectError):
    """Another worker holds the job now, so nothing may be written for it."""

    code = "lease_lost"


class DeliveryFailure(SoundScapeError):
    """A mail server or a push service has not taken a message.

    `outcome` is `later` (it is tried again), `refused` (it never will be taken) or `gone` (nobody is there).
    """

    code = "delivery_failed"

    def __init__(
        self,
        message: str,
        *,
        code: str,
        outcome: Literal["later", "refused", "gone"],
        retry_after_s: int = 0,
        is_unreachable: bool = False,
    ) -> None:
        super().__init__(message, code=code)
        self.outcome = outcome
        self.retry_after_s = retry_after_s
        self.is_unreachable = is_unreachable
        """Whether the next message would fail in the same way: the server does not answer at all."""


class RequestRefused(SoundScapeError):
    """An HTTP request to the worker is refused. `status` and `headers` are those of the response."""

    code = "request_refused"
    status = 400

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        remedy: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code, remedy=remedy)
        self.headers = dict(headers or {})
        if status is not None:
            self.status = status


class AnalysisCrashed(SoundScapeError):
    """The analysis child died or ran out of its limits."""

    code = "analysis_crashed"


class FilterError(SoundScapeError):
    """A filter that cannot be read."""

    code = "filter_invalid"


class RecommendationError(SoundScapeError):
    """No model can be made from this data, or a package for it is not installed."""

    code = "recommendation_impossible"


class DeployError(SoundScapeError):
    """A deploy step failed. Every step is safe to run again."""

    code = "deploy_failed"


class ServingError(SoundScapeError):
    """The port is taken, or the app or the analysis did not start."""

    code = "not_served"
