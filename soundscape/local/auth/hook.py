"""`[auth.hook.custom_access_token]`: a Postgres function that may change a token's claims, or refuse it."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from soundscape.local.auth.call import Call
from soundscape.local.auth.errors import AuthError

TIMEOUT_S = 2
REQUIRED_CLAIMS = (
    "aud", "exp", "iat", "sub", "email", "phone", "role", "aal", "session_id", "is_anonymous",
)  # fmt: skip


async def hooked(call: Call, claims: dict[str, Any], method: str) -> dict[str, Any]:
    """The claims after the hook, called as `supabase_auth_admin` like hosted. Raises `AuthError`."""
    hook = call.settings.hook.custom_access_token
    if not hook.enabled:
        return claims
    event = {"user_id": claims["sub"], "claims": claims, "authentication_method": method}
    limit = sql.SQL("set local statement_timeout = {}")
    try:
        await call.connection.execute(limit.format(TIMEOUT_S * 1000))
        statement = sql.SQL("select {}(%s::jsonb)").format(sql.Identifier(*hook.function))
        row = await (await call.connection.execute(statement, [Jsonb(event)])).fetchone()
        await call.connection.execute(limit.format(0))
    except psycopg.errors.QueryCanceled as error:
        message = f"Failed to run the hook within maximum time of {TIMEOUT_S} seconds"
        raise AuthError("hook_timeout", message) from error
    except psycopg.Error as error:
        raise AuthError("unexpected_failure", f"Error running hook URI: {hook.uri}: {error}") from error
    answer = row[0] if row else None
    if not isinstance(answer, dict):
        raise AuthError("unexpected_failure", "Error unmarshaling JSON output from hook")
    refusal, made = answer.get("error"), answer.get("claims")
    if isinstance(refusal, dict) and refusal.get("message"):
        status = refusal.get("http_code")
        status = status if isinstance(status, int) and 400 <= status <= 599 else 500
        raise AuthError("unknown", str(refusal["message"]), status=status)
    held = made if isinstance(made, dict) else {}
    if missing := [f"(root): {name} is required" for name in REQUIRED_CLAIMS if name not in held]:
        message = f"output claims do not conform to the expected schema: {'; '.join(missing)}"
        raise AuthError("unexpected_failure", message)
    return held
