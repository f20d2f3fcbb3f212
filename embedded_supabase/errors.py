"""Errors of the embedded Supabase: one root, with a stable code, a message and a remedy.

EmbeddedError
└── RestError     an answer of the Data API that is an error (rest/errors.py)
"""

from __future__ import annotations


class EmbeddedError(Exception):
    """The embedded Supabase cannot start, stop or do what is asked.

    `code` is stable and in snake_case. `message` says what is wrong, `remedy` what to do next.
    """

    code = "embedded_supabase"

    def __init__(self, message: str, *, code: str | None = None, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()
