"""Errors of the embedded Supabase.

EmbeddedError         it cannot start, stop or do what is asked
└── RestError         an error response of REST, in PostgREST's shape (rest/errors.py)

AuthError             an error response of Auth, in GoTrue's shape (auth/errors.py)
StorageError          an error response of Storage (storage/errors.py)
realtime Refused      an error reply on a channel (realtime/authorization.py)
InvalidToken          a key or token that does not verify (tokens.py)
"""

from __future__ import annotations


class EmbeddedError(Exception):
    """The embedded Supabase cannot start, stop or do what is asked.

    Parameters
    ----------
    message : str
        What is wrong.
    code : str, optional
        Stable, in snake_case. The class has a default.
    remedy : str, optional
        What to do next.
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
