"""Mails of notifications in the embedded project: they go where Auth's go, to be read at `/api/dev/mail`."""

from __future__ import annotations

import asyncio
from email.message import EmailMessage
from pathlib import Path

from embedded_supabase.auth.mail import write_to_outbox


class OutboxTransport:
    """Writes mails into a folder, instead of handing them to a mail server."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "mail"

    async def send(self, message: EmailMessage, *, sender: str, recipient: str) -> None:
        """Write a mail. The sender is in it."""
        text, html = (message.get_body((kind,)) for kind in ("plain", "html"))
        mail = {
            "kind": "notification",
            "to": recipient.lower(),
            "from": str(message["From"]),
            "subject": str(message["Subject"]),
            "date": str(message["Date"]),
            "message_id": str(message["Message-ID"]),
            "list_unsubscribe": str(message["List-Unsubscribe"]),
            "text": text.get_content() if text is not None else "",
            "html": html.get_content() if html is not None else "",
        }
        await asyncio.to_thread(write_to_outbox, self._folder, mail)
