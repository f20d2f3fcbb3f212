"""Mail to users: by SMTP where `[auth.email.smtp]` is set, else into an outbox one can read."""

from __future__ import annotations

import asyncio
import html
import os
import re
import secrets
import smtplib
import time
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from soundscape.local.auth.errors import AuthError
from soundscape.local.auth.limits import RateLimits
from soundscape.local.auth.one_time import Code
from soundscape.local.auth.settings import Settings, Smtp
from soundscape.local.stack import Stack

SMTP_TIMEOUT_S = 10
MOST_SHOWN = 200
_LINK = re.compile(r"https?://\S+")


@dataclass(frozen=True)
class Template:
    subject: str
    says: str
    asks: str


TEMPLATES = {
    "signup": Template("Confirm your email address", "Confirm your address:", "Confirm"),
    "recovery": Template("Reset your password", "Choose a new password:", "Reset password"),
    "magiclink": Template("Your sign-in link", "Sign in:", "Sign in"),
    "invite": Template("You have been invited", "Accept the invitation:", "Accept"),
    "email_change": Template("Confirm your new email address", "Confirm the change:", "Confirm"),
}


class Mailer:
    """Composes and delivers."""

    def __init__(self, settings: Settings, limits: RateLimits, *, url: str, outbox: Path) -> None:
        self._settings = settings
        self._limits = limits
        self._url = url
        self._outbox = outbox

    def link(self, link_type: str, code: Code, redirect_to: str) -> str:
        """The address that verifies `code` and then sends the browser to `redirect_to`."""
        query = urlencode({"token": code.token_hash, "type": link_type, "redirect_to": redirect_to})
        return f"{self._url}/auth/v1/verify?{query}"

    async def send(self, kind: str, address: str, code: Code, redirect_to: str = "") -> None:
        """Deliver one mail. Raises `AuthError`: 429 beyond the hourly limit, 500 where SMTP fails."""
        if self._settings.smtp is not None and not self._limits.allows("email_sent", "all"):
            raise AuthError(429, "over_email_send_rate_limit", "email rate limit exceeded")
        message = self._compose(kind, address, code.otp, self.link(kind, code, redirect_to))
        try:
            if self._settings.smtp is not None:
                await asyncio.to_thread(_deliver, self._settings.smtp, message)
            else:
                await asyncio.to_thread(_drop, self._outbox, message)
        except (OSError, smtplib.SMTPException) as error:
            raise AuthError(500, "unexpected_failure", f"Error sending {kind} email") from error

    def _compose(self, kind: str, address: str, otp: str, link: str) -> EmailMessage:
        template = TEMPLATES[kind]
        message = EmailMessage()
        message["Subject"] = template.subject
        message["From"] = self._settings.sender
        message["To"] = address
        message["Date"] = formatdate(usegmt=True)
        message["Message-ID"] = make_msgid(domain="soundscape.localhost")
        message["X-SoundScape-Mail"] = kind
        message.set_content(f"{template.says}\n\n{link}\n\nOr enter the code: {otp}\n", cte="8bit")
        button = f'<p><a href="{html.escape(link)}">{template.asks}</a></p>'
        message.add_alternative(
            f"<p>{template.says}</p>{button}<p>Or enter the code: {otp}</p>", subtype="html"
        )
        return message


def outbox(data_dir: Path) -> Path:
    """Where the mail of a stack lies, one `.eml` a message."""
    return data_dir / "mail"


def read_outbox(data_dir: Path, to: str | None = None) -> list[dict[str, Any]]:
    """The newest mails first: `{id, kind, to, subject, date, text, html, link, code}`."""
    shown: list[dict[str, Any]] = []
    for file in sorted(outbox(data_dir).glob("*.eml"), reverse=True):
        try:
            mail = _shown(file)
        except FileNotFoundError:  # cleared meanwhile
            continue
        if to is None or mail["to"] == to.lower():
            shown.append(mail)
        if len(shown) == MOST_SHOWN:
            break
    return shown


def outbox_routes(stack: Stack) -> list[Route]:
    """`GET /api/dev/mail`, for the gateway to mount; `?to=` narrows the list."""

    async def listed(request: Request) -> Response:
        # Mail holds codes that open accounts: no other site's page in the developer's browser reads it.
        origin = request.headers.get("origin", stack.url)
        if origin != stack.url or request.url.hostname not in ("127.0.0.1", "localhost"):
            return Response(status_code=403)
        to = request.query_params.get("to")
        return JSONResponse({"mail": await asyncio.to_thread(read_outbox, stack.data_dir, to)})

    return [Route("/api/dev/mail", listed, methods=["GET"])]


def _shown(file: Path) -> dict[str, Any]:
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    text, rich = message.get_body(("plain",)), message.get_body(("html",))
    body = text.get_content() if text else ""
    link = _LINK.search(body)
    code = re.search(r"code: (\d+)", body)
    return {
        "id": file.stem,
        "kind": str(message["X-SoundScape-Mail"]),
        "to": str(message["To"]),
        "subject": str(message["Subject"]),
        "date": str(message["Date"]),
        "text": body,
        "html": rich.get_content() if rich else "",
        "link": link[0] if link else None,
        "code": code[1] if code else None,
    }


def _drop(folder: Path, message: EmailMessage) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
    aside = folder / f"{name}.new"
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(message.as_bytes())
    aside.rename(folder / f"{name}.eml")


def _deliver(smtp: Smtp, message: EmailMessage) -> None:
    secure = smtp.port == 465
    kind = smtplib.SMTP_SSL if secure else smtplib.SMTP
    with kind(smtp.host, smtp.port, timeout=SMTP_TIMEOUT_S) as server:
        if not secure and server.ehlo()[0] == 250 and server.has_extn("starttls"):
            server.starttls()
        if smtp.user:
            server.login(smtp.user, smtp.password)
        server.send_message(message)
