"""Every error response has one form: `{"code", "message", "remedy"}`.

`code` is stable and for programs, `message` and `remedy` are for people. A route raises an error of the
`SoundScapeError` tree, and this module makes the response.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from soundscape.errors import ProjectError, ProjectUnreachable, Refusal, RequestRefused, SoundScapeError

_STATUSES: tuple[tuple[type[SoundScapeError], int], ...] = (
    (Refusal, 422),
    (ProjectUnreachable, 503),
    (ProjectError, 502),
)


class Problem(BaseModel):
    """The body of every error response."""

    code: str
    message: str
    remedy: str


def make_response(
    status: int, code: str, message: str, remedy: str = "", *, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Make an error response."""
    return JSONResponse(
        {"code": code, "message": message, "remedy": remedy},
        status_code=status,
        headers=dict(headers) if headers else None,
    )


def make_error_response(error: SoundScapeError) -> JSONResponse:
    """Make the response to a request that ended with `error`."""
    if isinstance(error, RequestRefused):
        return make_response(error.status, error.code, error.message, error.remedy, headers=error.headers)
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    if status >= 500:
        # The project's own message may name tables, hosts and keys: it is for the log only.
        return make_response(
            status, error.code, "The project did not answer as it should.", "Try again in a moment."
        )
    return make_response(status, error.code, error.message, error.remedy)


def install(app: FastAPI) -> None:
    """Make `app` respond in this form to every error, those of its framework too."""

    @app.exception_handler(SoundScapeError)
    async def ours(_: Request, error: SoundScapeError) -> JSONResponse:
        return make_error_response(error)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        phrase = HTTPStatus(error.status_code).phrase
        code = phrase.lower().replace(" ", "_").replace("-", "_")
        return make_response(
            error.status_code, code, f"{phrase}.", "See /api/docs for the routes.", headers=error.headers
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return make_response(
            422, "request_invalid", f"{where}: {first['msg']}", "See /api/docs for what the route expects."
        )

    @app.exception_handler(Exception)
    async def respond_to_unexpected(_: Request, __: Exception) -> JSONResponse:
        return make_response(500, "internal_error", "Internal error.", "The worker's log says more.")
