"""The channels that a worker delivers to, and how each is doing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Protocol

from soundscape.errors import DeliveryFailure
from soundscape.project.outbox import Delivery
from soundscape.settings import Settings
from soundscape.worker.mail import MailSender
from soundscape.worker.push import PushSender
from soundscape.worker.smtp import MailTransport, SmtpTransport
from soundscape.worker.unsubscription import Unsubscription
from soundscape.worker.vapid import get_public_key

MIN_PAUSE_S = 5.0
MAX_PAUSE_S = 300.0
"""Between tries of a server that does not answer."""


class Sender(Protocol):
    """Sends deliveries of one channel."""

    async def send(self, delivery: Delivery) -> None:
        """Send one. Raises `DeliveryFailure`."""


@dataclass
class Channel:
    """One channel, as this worker serves it."""

    sender: Sender | None
    """None: it is off."""
    off_reason: str | None = None
    """The settings that are missing."""
    public_key: str | None = None
    """With which browsers subscribe."""
    problem: str | None = None
    """Why the latest message could not be handed over, while the server does not answer."""
    pause_s: float = 0.0
    paused_until_s: float = 0.0
    pause_count: int = 0
    """How often it has paused so far."""

    @property
    def remaining_pause_s(self) -> float:
        """How long nothing is sent, in seconds; 0 if it may be."""
        return max(0.0, self.paused_until_s - asyncio.get_running_loop().time())

    def note_answer(self) -> None:
        """Note that the server answers."""
        self.pause_s, self.problem = 0.0, None

    def note_failure(self, failure: DeliveryFailure, *, pause_count: int, min_pause_s: float) -> None:
        """Pause if the server does not answer: other messages would fail in the same way, and take as long.

        Parameters
        ----------
        failure
            What became of a message.
        pause_count
            That of the channel when the message was begun. Messages that fail together are one pause.
        min_pause_s
            The first pause, in seconds. Each further one is twice as long.
        """
        if not failure.is_unreachable:
            self.note_answer()
            return
        self.problem = f"the server does not take messages: {failure.code}"
        if pause_count == self.pause_count:
            self.pause_count += 1
            self.pause_s = min(max(self.pause_s * 2, min_pause_s), MAX_PAUSE_S)
            self.paused_until_s = asyncio.get_running_loop().time() + self.pause_s


def open_channels(settings: Settings, transport: MailTransport | None = None) -> dict[str, Channel]:
    """Return the channels that the settings allow.

    Parameters
    ----------
    settings
        The worker's.
    transport
        Where mails go, instead of the mail server of the settings.
    """
    return {"email": _open_email(settings, transport), "push": _open_push(settings)}


def _open_email(settings: Settings, transport: MailTransport | None) -> Channel:
    if transport is None and settings.smtp is not None:
        transport = SmtpTransport(settings.smtp)
    missing = {
        "SOUNDSCAPE_SMTP_URL": transport,
        "SOUNDSCAPE_SMTP_FROM": settings.smtp_from,
        # Without it a mail would have no link that ends further ones.
        "SOUNDSCAPE_PUBLIC_URL": settings.public_url,
    }
    names = [name for name, value in missing.items() if value is None]
    if transport is None or settings.smtp_from is None or settings.public_url is None:
        return Channel(None, f"{' and '.join(names)} not set")
    sender = MailSender(
        transport,
        sender=settings.smtp_from,
        public_url=settings.public_url,
        site_url=settings.site_url,
        unsubscription=Unsubscription(settings.webhook_secrets),
    )
    return Channel(sender)


def _open_push(settings: Settings) -> Channel:
    if settings.vapid_private_key is None:
        return Channel(None, "SOUNDSCAPE_VAPID_PRIVATE_KEY not set")
    if settings.smtp_from is not None:
        contact = f"mailto:{parseaddr(settings.smtp_from)[1]}"
    elif settings.site_url is not None and settings.site_url.startswith("https://"):
        contact = settings.site_url
    else:
        # Some push services refuse a signature without one.
        return Channel(None, "SOUNDSCAPE_SMTP_FROM or an https SOUNDSCAPE_SITE_URL not set")
    key = settings.vapid_private_key
    return Channel(
        PushSender(key, contact=contact, hosts=settings.push_hosts), public_key=get_public_key(key)
    )
