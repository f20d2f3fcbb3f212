"""The mails a user may get, each with the code it carries and the limit on how often it is sent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from soundscape.local.auth import codes, flows
from soundscape.local.auth.call import Call, Row
from soundscape.local.auth.codes import SENT_AT, TokenType
from soundscape.local.auth.errors import AuthError


@dataclass(frozen=True)
class Letter:
    """What a kind of mail carries, the flow its link belongs to, and its words."""

    token_type: TokenType
    flow_method: str
    subject: str
    asks: str


LETTERS = {
    "signup": Letter("confirmation_token", "email/signup", "Confirm your email address", "Confirm"),
    "recovery": Letter("recovery_token", "recovery", "Reset your password", "Choose a new password"),
    "magiclink": Letter("recovery_token", "magiclink", "Your sign-in link", "Sign in"),
    "invite": Letter("confirmation_token", "invite", "You have been invited", "Accept the invitation"),
    "email_change": Letter("email_change_token_new", "email_change", "Confirm your new address", "Confirm"),
}


async def send(call: Call, user: Row, kind: str, *, target: str = "") -> Row:
    """One of `LETTERS`, beginning a flow where the body has a PKCE challenge; the user afterwards.

    It goes to the user's address. An e-mail change goes to the new one, and where both must agree another
    to the present one. Raises `AuthError` (429) too soon after the last.
    """
    letter, body = LETTERS[kind], call.body
    sent_at = user[SENT_AT[letter.token_type]]
    if sent_at is not None and kind != "invite":
        left_s = call.settings.email.interval_s - (datetime.now(UTC) - sent_at).total_seconds()
        if left_s > 0:
            said = f"For security purposes, you can only request this after {math.ceil(left_s)} seconds."
            raise AuthError("over_email_send_rate_limit", said)
    if body.code_challenge:
        method = letter.flow_method
        await flows.begin(call, method, body.code_challenge, body.code_challenge_method, user_id=user["id"])
    envelopes: list[tuple[TokenType, str]] = [(letter.token_type, user["email"])]
    if kind == "email_change":
        envelopes = [(letter.token_type, user["email_change"])]
        if call.settings.email.double_confirm_changes and user["email"]:
            envelopes.append(("email_change_token_current", user["email"]))
    for token_type, address in envelopes:
        user, code = await codes.make(call, user, token_type, address, pkce=bool(body.code_challenge))
        link = call.auth.mailer.link(kind, code.token_hash, target or call.target())
        await call.auth.mailer.send(kind, address, letter.subject, letter.asks, link, code.otp)
    return user
