"""The mails a user may get, each with the code it carries and the limit on how often it is sent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from soundscape.local.auth import flows, one_time, users
from soundscape.local.auth.errors import AuthError
from soundscape.local.auth.fields import Challenge
from soundscape.local.auth.one_time import SENT_AT, TokenType
from soundscape.local.auth.rows import Connection, Row
from soundscape.local.auth.service import Auth


@dataclass(frozen=True)
class Letter:
    """What a kind of mail carries, and the flow its link belongs to."""

    token_type: TokenType
    flow_method: str
    is_limited: bool = True


LETTERS = {
    "signup": Letter("confirmation_token", "email/signup"),
    "recovery": Letter("recovery_token", "recovery"),
    "magiclink": Letter("recovery_token", "magiclink"),
    "invite": Letter("confirmation_token", "invite", is_limited=False),
    "email_change": Letter("email_change_token_new", "email_change"),
}


async def send(
    auth: Auth,
    connection: Connection,
    user: Row,
    kind: str,
    redirect_to: str,
    challenge: Challenge | None = None,
) -> Row:
    """One of `LETTERS` to the user's address. Raises `AuthError` (429) too soon after the last."""
    letter = await _begin(auth, connection, user, kind, challenge)
    return await _deliver(
        auth, connection, user, kind, letter.token_type, user["email"], redirect_to, challenge
    )


async def send_email_change(
    auth: Auth,
    connection: Connection,
    user: Row,
    new_address: str,
    redirect_to: str,
    challenge: Challenge | None = None,
) -> Row:
    """A code to the new address and, where both must agree, another to the present one."""
    kind = "email_change"
    await _begin(auth, connection, user, kind, challenge)
    user = await users.save(connection, user, email_change=new_address, email_change_confirm_status=0)
    addresses: list[tuple[TokenType, str]] = [("email_change_token_new", new_address)]
    if auth.settings.double_confirm_changes and user["email"]:
        addresses.append(("email_change_token_current", user["email"]))
    for token_type, address in addresses:
        user = await _deliver(auth, connection, user, kind, token_type, address, redirect_to, challenge)
    return user


async def _deliver(
    auth: Auth,
    connection: Connection,
    user: Row,
    kind: str,
    token_type: TokenType,
    address: str,
    redirect_to: str,
    challenge: Challenge | None,
) -> Row:
    pkce = challenge is not None
    user, code = await one_time.make(auth.settings, connection, user, token_type, address, pkce=pkce)
    await auth.mailer.send(kind, address, code, redirect_to)
    return user


async def _begin(
    auth: Auth, connection: Connection, user: Row, kind: str, challenge: Challenge | None
) -> Letter:
    letter = LETTERS[kind]
    sent_at = user[SENT_AT[letter.token_type]]
    if letter.is_limited and sent_at is not None:
        left_s = auth.settings.mail_interval_s - (datetime.now(UTC) - sent_at).total_seconds()
        if left_s > 0:
            raise AuthError(
                429,
                "over_email_send_rate_limit",
                f"For security purposes, you can only request this after {math.ceil(left_s)} seconds.",
            )
    if challenge is not None:
        method = letter.flow_method
        await flows.begin(connection, provider=method, method=method, challenge=challenge, user_id=user["id"])
    return letter
