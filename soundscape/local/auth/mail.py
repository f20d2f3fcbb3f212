"""Mail to users: by SMTP where `[auth.email.smtp]` is set, else into an outbox one can read."""

from __future__ import annotations

import asyncio
import html
import json
import os
import secrets
import smtplib
import time
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
from soundscape.local.auth.settings import Smtp
from soundscape.local.stack import Stack

SMTP_TIMEOUT_S = 10
MOST_SHOWN = 200


class Mailer:
    """Composes and delivers."""

    def __init__(self, stack: Stack, smtp: Smtp, limits: RateLimits) -> None:
        self._stack = stack
        self._smtp = smtp
        self._limits = limits

    def link(self, kind: str, token_hash: str, redirect_to: str) -> str:
        """The address that verifies a code and then sends the browser to `redirect_to`."""
        query = urlencode({"token": token_hash, "type": kind, "redirect_to": redirect_to})
        return f"{self._stack.url}/auth/v1/verify?{query}"

    async def send(self, kind: str, to: str, subject: str, asks: str, link: str, code: str) -> None:
        """Deliver one mail. Raises `AuthError`: 429 beyond the hourly limit, 500 where SMTP fails."""
        text = f"{asks}:\n\n{link}\n\nOr enter the code: {code}\n"
        rich = f'<p><a href="{html.escape(link)}">{asks}</a></p><p>Or enter the code: {code}</p>'
        mail = {"kind": kind, "to": to, "subject": subject, "date": formatdate(usegmt=True),
                "text": text, "html": rich, "link": link, "code": code}  # fmt: skip
        try:
            if self._smtp.enabled:
                self._limits.spend("email_sent", "all", code="over_email_send_rate_limit")
                await asyncio.to_thread(_deliver, self._smtp, mail)
            else:
                await asyncio.to_thread(_drop, _outbox(self._stack.data_dir), mail)
        except (OSError, smtplib.SMTPException) as error:
            raise AuthError("unexpected_failure", f"Error sending {kind} email") from error


def read_outbox(data_dir: Path, to: str | None = None) -> list[dict[str, Any]]:
    """The newest mails first: `{id, kind, to, subject, date, text, html, link, code}`."""
    shown: list[dict[str, Any]] = []
    for file in sorted(_outbox(data_dir).glob("*.json"), reverse=True):
        mail = {"id": file.stem} | json.loads(file.read_text())
        if to is None or mail["to"] == to.lower():
            shown.append(mail)
    return shown[:MOST_SHOWN]


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


def _outbox(data_dir: Path) -> Path:
    return data_dir / "mail"


def _drop(folder: Path, mail: dict[str, str]) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
    aside = folder / f"{name}.new"
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(mail, file, indent=1)
    aside.rename(folder / f"{name}.json")


def _deliver(smtp: Smtp, mail: dict[str, str]) -> None:
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
