"""The mails a user may get, each with the code it carries and the limit on how often it is sent."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from soundscape.local.auth import flows, one_time, users
from soundscape.local.auth.errors import AuthError
from soundscape.local.auth.rows import Connection, Row
from soundscape.local.auth.service import Auth

Challenge = tuple[str, str] | None


async def send_confirmation(
    auth: Auth, connection: Connection, user: Row, redirect_to: str, challenge: Challenge = None
) -> Row:
    _not_too_soon(auth, user["confirmation_sent_at"])
    await _begin_flow(connection, user, "email/signup", challenge)
    return await _send(auth, connection, user, "confirmation", "confirmation_token", redirect_to, challenge)


async def send_recovery(
    auth: Auth, connection: Connection, user: Row, redirect_to: str, challenge: Challenge = None
) -> Row:
    _not_too_soon(auth, user["recovery_sent_at"])
    await _begin_flow(connection, user, "recovery", challenge)
    return await _send(auth, connection, user, "recovery", "recovery_token", redirect_to, challenge)


async def send_magic_link(
    auth: Auth, connection: Connection, user: Row, redirect_to: str, challenge: Challenge = None
) -> Row:
    _not_too_soon(auth, user["recovery_sent_at"])
    await _begin_flow(connection, user, "magiclink", challenge)
    return await _send(auth, connection, user, "magic_link", "recovery_token", redirect_to, challenge)


async def send_invite(auth: Auth, connection: Connection, user: Row, redirect_to: str) -> Row:
    user = await users.save(connection, user, invited_at=datetime.now(UTC))
    return await _send(auth, connection, user, "invite", "confirmation_token", redirect_to, None)


async def send_reauthentication(auth: Auth, connection: Connection, user: Row) -> Row:
    _not_too_soon(auth, user["reauthentication_sent_at"])
    return await _send(auth, connection, user, "reauthentication", "reauthentication_token", "", None)


async def send_email_change(
    auth: Auth,
    connection: Connection,
    user: Row,
    new_address: str,
    redirect_to: str,
    challenge: Challenge = None,
) -> Row:
    """A code to the new address and, where both must agree, another to the present one."""
    _not_too_soon(auth, user["email_change_sent_at"])
    await _begin_flow(connection, user, "email_change", challenge)
    pkce = challenge is not None
    user = await users.save(connection, user, email_change=new_address, email_change_confirm_status=0)
    code = one_time.make(auth.settings, new_address, pkce=pkce)
    user = await one_time.keep(connection, user, "email_change_token_new", new_address, code)
    await auth.mailer.send("email_change", new_address, code, redirect_to)
    if auth.settings.double_confirm_changes and user["email"]:
        code = one_time.make(auth.settings, user["email"], pkce=pkce)
        user = await one_time.keep(connection, user, "email_change_token_current", user["email"], code)
        await auth.mailer.send("email_change", user["email"], code, redirect_to)
    return user


async def _send(
    auth: Auth,
    connection: Connection,
    user: Row,
    kind: str,
    token_type: one_time.TokenType,
    redirect_to: str,
    challenge: Challenge,
) -> Row:
    code = one_time.make(auth.settings, user["email"], pkce=challenge is not None)
    user = await one_time.keep(connection, user, token_type, user["email"], code)
    await auth.mailer.send(kind, user["email"], code, redirect_to)
    return user


async def _begin_flow(connection: Connection, user: Row, method: str, challenge: Challenge) -> None:
    if challenge is not None:
        await flows.begin(connection, provider=method, method=method, challenge=challenge, user_id=user["id"])


def _not_too_soon(auth: Auth, sent_at: datetime | None) -> None:
    if sent_at is None:
        return
    left_s = auth.settings.mail_interval_s - (datetime.now(UTC) - sent_at).total_seconds()
    if left_s > 0:
        raise AuthError(
            429,
            "over_email_send_rate_limit",
            f"For security purposes, you can only request this after {math.ceil(left_s)} seconds.",
        )
