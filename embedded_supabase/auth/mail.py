"""Mails to users: by SMTP where `[auth.email.smtp]` is set, or else into a readable outbox."""

from __future__ import annotations

import asyncio
import html
import json
import math
import os
import secrets
import smtplib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from embedded_supabase.auth import codes
from embedded_supabase.auth.call import Call, Row
from embedded_supabase.auth.codes import SENT_AT, Code, TokenType
from embedded_supabase.auth.errors import AuthError
from embedded_supabase.auth.settings import Smtp
from embedded_supabase.embedded import EmbeddedSupabase

SMTP_TIMEOUT_S = 10
MAX_SHOWN = 200


@dataclass(frozen=True)
class Letter:
    """A kind of mail: its token, the flow of its link, and its words."""

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
    """Send one of `LETTERS`, and return the user. A PKCE challenge in the body begins a flow.

    It goes to the user's address. An e-mail change goes to the new address, and to the present one too if
    both must confirm. Raises `AuthError` (429) too soon after the last mail.
    """
    letter, body = LETTERS[kind], call.body
    sent_at = user[SENT_AT[letter.token_type]]
    if sent_at is not None and kind != "invite":
        left_s = call.settings.email.interval_s - (datetime.now(UTC) - sent_at).total_seconds()
        if left_s > 0:
            message = f"For security purposes, you can only request this after {math.ceil(left_s)} seconds."
            raise AuthError("over_email_send_rate_limit", message)
    if body.code_challenge:
        challenge = {"challenge": body.code_challenge, "challenge_method": body.code_challenge_method}
        flow = {"method": letter.flow_method, "provider": letter.flow_method, "user_id": user["id"]}
        await call.find("insert_flow", **challenge, **flow, referrer=None, verifier=None)
    envelopes: list[tuple[TokenType, str]] = [(letter.token_type, user["email"])]
    if kind == "email_change":
        envelopes = [(letter.token_type, user["email_change"])]
        if call.settings.email.double_confirm_changes and user["email"]:
            envelopes.append(("email_change_token_current", user["email"]))
    for token_type, address in envelopes:
        user, code = await codes.make(call, user, token_type, address, pkce=bool(body.code_challenge))
        link = build_link(call, kind, code, target or call.choose_target())
        await _deliver(call, kind, address, code, link)
    return user


def build_link(call: Call, kind: str, code: Code, target: str) -> str:
    """The address that verifies a code and then sends the browser to `target`."""
    query = urlencode({"token": code.token_hash, "type": kind, "redirect_to": target})
    return f"{call.auth.embedded.url}/auth/v1/verify?{query}"


async def _deliver(call: Call, kind: str, address: str, code: Code, link: str) -> None:
    """Raises `AuthError`: 429 beyond the hourly limit, 500 where SMTP fails."""
    letter, smtp = LETTERS[kind], call.settings.email.smtp
    text = f"{letter.asks}:\n\n{link}\n\nOr enter the code: {code.otp}\n"
    rich = f'<p><a href="{html.escape(link)}">{letter.asks}</a></p><p>Or enter the code: {code.otp}</p>'
    mail = {"kind": kind, "to": address, "subject": letter.subject, "date": formatdate(usegmt=True)}
    mail |= {"text": text, "html": rich, "link": link, "code": code.otp}
    try:
        if smtp.enabled:
            call.auth.limits.consume("email_sent", "all", code="over_email_send_rate_limit")
            await asyncio.to_thread(_send_by_smtp, smtp, mail)
        else:
            await asyncio.to_thread(write_to_outbox, call.auth.embedded.data_dir / "mail", mail)
    except (OSError, smtplib.SMTPException) as error:
        raise AuthError("unexpected_failure", f"Error sending {kind} email") from error


def read_outbox(data_dir: Path, to: str | None = None) -> list[dict[str, Any]]:
    """The newest mails first: `{id, kind, to, subject, date, text, html}`, and of Auth `link` and `code`."""
    files = sorted((data_dir / "mail").glob("*.json"), reverse=True)
    mails = ({"id": file.stem} | json.loads(file.read_text()) for file in files)
    return list(islice((mail for mail in mails if to is None or mail["to"] == to.lower()), MAX_SHOWN))


def build_outbox_routes(embedded: EmbeddedSupabase) -> list[Route]:
    """`GET /api/dev/mail`, for the gateway to mount; `?to=` narrows the list."""

    async def list_mail(request: Request) -> Response:
        # Mail has codes that open accounts: a page of another site in the developer's browser must not read
        # it.
        origin = request.headers.get("origin", embedded.url)
        if origin != embedded.url or request.url.hostname not in ("127.0.0.1", "localhost"):
            return Response(status_code=403)
        to = request.query_params.get("to")
        return JSONResponse({"mail": await asyncio.to_thread(read_outbox, embedded.data_dir, to)})

    return [Route("/api/dev/mail", list_mail, methods=["GET"])]


def write_to_outbox(folder: Path, mail: dict[str, str]) -> None:
    """Write a mail into `mail/` of the data directory, where `read_outbox` finds it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
    aside = folder / f"{name}.new"
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(mail, file, indent=1)
    aside.rename(folder / f"{name}.json")


def _send_by_smtp(smtp: Smtp, mail: dict[str, str]) -> None:
    message = EmailMessage()
    message["Subject"] = mail["subject"]
    message["From"] = f"{smtp.sender_name} <{smtp.admin_email}>"
    message["To"] = mail["to"]
    message["Date"] = mail["date"]
    message["Message-ID"] = make_msgid(domain="soundscape.localhost")
    message.set_content(mail["text"], cte="8bit")
    message.add_alternative(mail["html"], subtype="html")
    secure = smtp.port == 465
    with (smtplib.SMTP_SSL if secure else smtplib.SMTP)(
        smtp.host, smtp.port, timeout=SMTP_TIMEOUT_S
    ) as server:
        if not secure and server.ehlo()[0] == 250 and server.has_extn("starttls"):
            server.starttls()
        if smtp.user:
            server.login(smtp.user, smtp.password)
        server.send_message(message)
