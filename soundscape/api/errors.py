"""Every refusal over HTTP has one shape: `{"code", "message", "remedy"}`, whatever went wrong.

`code` is stable and made for programs, `message` and `remedy` are for people. A route raises an error of
the `SoundScapeError` tree and leaves the answer to this module.
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
    """The body of every answer that is not a success."""

    code: str
    message: str
    remedy: str


def answer(
    status: int, code: str, message: str, remedy: str = "", *, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A refusal as it goes over the wire."""
    return JSONResponse(
        {"code": code, "message": message, "remedy": remedy},
        status_code=status,
        headers=dict(headers) if headers else None,
    )


def of(error: SoundScapeError) -> JSONResponse:
    """The answer to a request that ended with `error`."""
    if isinstance(error, RequestRefused):
        return answer(error.status, error.code, error.message, error.remedy, headers=error.headers)
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    if status >= 500:
        # What the project said is for the operator's log: it may name tables, hosts and keys.
        return answer(
            status, error.code, "The project did not answer as it should.", "Try again in a moment."
        )
    return answer(status, error.code, error.message, error.remedy)


def install(app: FastAPI) -> None:
    """Have `app` answer every error in this shape, those of its framework too."""

    @app.exception_handler(SoundScapeError)
    async def ours(_: Request, error: SoundScapeError) -> JSONResponse:
        return of(error)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        phrase = HTTPStatus(error.status_code).phrase
        code = phrase.lower().replace(" ", "_").replace("-", "_")
        return answer(
            error.status_code, code, f"{phrase}.", "See /api/docs for what there is.", headers=error.headers
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return answer(
            422, "request_invalid", f"{where}: {first['msg']}", "See /api/docs for what is expected."
        )

    @app.exception_handler(Exception)
    async def unexpected(_: Request, __: Exception) -> JSONResponse:
        return answer(500, "internal_error", "Something of ours went wrong.", "The worker's log says what.")
