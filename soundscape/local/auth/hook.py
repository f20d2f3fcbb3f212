"""`[auth.hook.custom_access_token]`: a Postgres function that may change a token's claims, or refuse it."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from soundscape.local.auth.errors import AuthError
from soundscape.local.auth.rows import Connection, one
from soundscape.local.auth.settings import Hook

TIMEOUT_S = 2
REQUIRED_CLAIMS = (
    "aud", "exp", "iat", "sub", "email", "phone", "role", "aal", "session_id", "is_anonymous",
)  # fmt: skip


async def hooked(
    hook: Hook | None, connection: Connection, claims: dict[str, Any], method: str
) -> dict[str, Any]:
    """The claims after the hook, called as `supabase_auth_admin` like hosted. Raises `AuthError`."""
    if hook is None:
        return claims
    function = sql.Identifier(hook.schema, hook.function)
    event = {"user_id": claims["sub"], "claims": claims, "authentication_method": method}
    limit = sql.SQL("set local statement_timeout = {}")
    try:
        await connection.execute(limit.format(TIMEOUT_S * 1000))
        call = sql.SQL("select {}(%(event)s::jsonb) as answer").format(function)
        row = await one(connection, call, event=event)
        await connection.execute(limit.format(0))
    except psycopg.errors.QueryCanceled as error:
        message = f"Failed to run the hook within maximum time of {TIMEOUT_S} seconds"
        raise AuthError(422, "hook_timeout", message) from error
    except psycopg.Error as error:
        uri = f"pg-functions://postgres/{hook.schema}/{hook.function}"
        raise AuthError(500, "unexpected_failure", f"Error running hook URI: {uri}: {error}") from error
    answer = row["answer"] if row else None
    if not isinstance(answer, dict):
        raise AuthError(500, "unexpected_failure", "Error unmarshaling JSON output from hook")
    refusal = answer.get("error")
    if isinstance(refusal, dict) and refusal.get("message"):
        status = refusal.get("http_code")
        if not isinstance(status, int) or not 400 <= status <= 599:
            status = 500
        raise AuthError(status, "unknown", str(refusal["message"]))
    made = answer.get("claims")
    held = made if isinstance(made, dict) else {}
    if missing := [name for name in REQUIRED_CLAIMS if name not in held]:
        said = "; ".join(f"(root): {name} is required" for name in missing)
        message = f"output claims do not conform to the expected schema: {said}"
        raise AuthError(500, "unexpected_failure", message)
    return held
