"""Who joins a topic, and what the policies on `realtime.messages` allow on a private one.

As the real service does, we insert two rows and read them back as the caller, who then tries to insert two
more. Everything is rolled back. Policies see `realtime.topic()` and the row's `extension`: `broadcast` or
`presence`.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
import structlog

from embedded_supabase.database import Pool, assume_caller
from embedded_supabase.tokens import Caller, InvalidToken, Tokens

EXTENSIONS = ("broadcast", "presence")

log = structlog.get_logger("embedded_supabase.realtime")

_PLANT = """
insert into realtime.messages (topic, extension)
select %s, extension from unnest(%s::text[]) extension
returning id
"""
_ALLOWED = "select reads, writes from realtime.allowed(%s)"


class ErrorReply(Exception):
    """An error reply to a client, in the words of the real service."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.message = message


@dataclass(frozen=True)
class Permissions:
    """What a channel may do with each of the two extensions."""

    read: frozenset[str] = frozenset()
    write: frozenset[str] = frozenset()


EVERYTHING = Permissions(frozenset(EXTENSIONS), frozenset(EXTENSIONS))
"""On a public topic."""


def identify(tokens: Tokens, token: str) -> Caller:
    """The caller behind a project key or a user's token. Raises `Refused`."""
    try:
        return tokens.identify(apikey=None, authorization=f"Bearer {token}", key_required=False)
    except InvalidToken as error:
        if error.code == "expired":
            raise ErrorReply("Token has expired", "InvalidJWTToken") from error
        if token.count(".") != 2:
            raise ErrorReply("The token provided is not a valid JWT", "MalformedJWT") from error
        raise ErrorReply("Failed to validate JWT signature", "JwtSignatureError") from error


async def read_permissions(admin: Pool, caller: Caller, topic: str, headers: str = "{}") -> Permissions:
    """Try the policies. A policy that fails allows nothing. `headers` is a JSON object."""
    try:
        async with admin.connection() as connection, connection.transaction(force_rollback=True):
            planted = await connection.execute(_PLANT, [topic, list(EXTENSIONS)])
            ids = [id_ async for (id_,) in planted]
            settings = {"realtime.topic": topic, "request.headers": headers, "statement_timeout": "3s"}
            await assume_caller(connection, caller, settings)
            async for reads, writes in await connection.execute(_ALLOWED, [ids]):
                return Permissions(frozenset(reads), frozenset(writes))
    except psycopg.Error as error:
        log.warning("realtime.policy_failed", topic=topic, error=str(error).strip())
    return Permissions()
