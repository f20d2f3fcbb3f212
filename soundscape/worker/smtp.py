"""Handing a mail in by SMTP, and what the server's refusals mean.

Each step of the conversation is made by itself, since a reply means different things at different steps: 550
to `RCPT TO` is about the recipient, to `DATA` about the message (RFC 5321, and RFC 3463 for codes within).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from email.message import EmailMessage
from email.policy import EmailPolicy
from typing import Any, Literal, Protocol

import aiosmtplib

from soundscape.errors import DeliveryFailure
from soundscape.setting_values import MailServer

TIMEOUT_S = 20.0
"""Of each step."""
SEND_TIMEOUT_S = 60.0
"""Of all steps: well below the lease of a delivery."""
Step = Literal["session", "sender", "recipient", "data"]
_ENHANCED_CODE = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
UNKNOWN_RECIPIENT_CODES = (550, 551, 553, 556)
UNKNOWN_RECIPIENT_SUBJECTS = {"1.0", "1.1", "1.2", "1.3", "1.6", "1.10", "2.1"}
"""RFC 3463 and its registry: a bad address, one that has moved, a null MX, a mailbox that is disabled."""
_ADDRESS = re.compile(r"\S+@\S+")
_MAILBOX = r"(?:user|recipient|mailbox|mail ?box|account|addressee|person)"
_UNKNOWN = r"(?:unknown|not found|not known|n[o']t exist|no longer exists|disabled|deactivated)"
_UNKNOWN_RECIPIENT = re.compile(
    rf"\bno (?:such )?{_MAILBOX}\b|\bunknown {_MAILBOX}\b|\b{_MAILBOX}\b[^.;:]{{0,40}}{_UNKNOWN}"
)
_ABOUT_THE_SENDER = re.compile(r"sender|client|helo|relay|authenti|block|blacklist|spam|\brbl\b|policy")
"""Servers say at `RCPT TO` too what they have against the sender."""


class WirePolicy(EmailPolicy):
    """How a message is written for a mail server.

    Like `email.policy.SMTP`, but it never breaks the lines of links. The standard library writes a long link
    as encoded words, which are not allowed there (RFC 2047, section 5): mailboxes would show no button.
    """

    linesep = "\r\n"

    def fold(self, name: str, value: Any) -> str:
        """Write a header as text."""
        if name.lower() in _HEADERS_OF_LINKS:
            return f"{name}: {value}{self.linesep}"
        folded: str = super().fold(name, value)
        return folded

    def fold_binary(self, name: str, value: Any) -> bytes:
        """Write a header as bytes."""
        if name.lower() in _HEADERS_OF_LINKS:
            return self.fold(name, value).encode("ascii")
        folded: bytes = super().fold_binary(name, value)
        return folded


_HEADERS_OF_LINKS = {"list-unsubscribe", "message-id"}


class MailTransport(Protocol):
    """Where finished mails go."""

    async def send(self, message: EmailMessage, *, sender: str, recipient: str) -> None:
        """Hand a mail over. Raises `DeliveryFailure`."""


class SmtpTransport:
    """A mail server, with a connection for each mail.

    Parameters
    ----------
    server
        Its address and how to sign in.
    timeout_s, send_timeout_s
        How long each step and all of them may take, in seconds.
    tls_context
        Instead of the system's certificates.
    """

    def __init__(
        self,
        server: MailServer,
        *,
        timeout_s: float = TIMEOUT_S,
        send_timeout_s: float = SEND_TIMEOUT_S,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._send_timeout_s = send_timeout_s
        self._tls_context = tls_context

    async def send(self, message: EmailMessage, *, sender: str, recipient: str) -> None:
        """Hand a mail over. Raises `DeliveryFailure`."""
        client = aiosmtplib.SMTP(
            hostname=self._server.host,
            port=self._server.port,
            timeout=self._timeout_s,
            use_tls=self._server.tls == "implicit",
            start_tls=False,
            tls_context=self._tls_context or ssl.create_default_context(),
        )
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self._converse(client, message, sender, recipient)
        except TimeoutError as error:
            raise _unreachable("The mail server took too long.") from error
        finally:
            client.close()

    async def _converse(
        self, client: aiosmtplib.SMTP, message: EmailMessage, sender: str, recipient: str
    ) -> None:
        step: Step = "session"
        try:
            await client.connect()
            if self._server.tls == "starttls":
                await client.starttls()
            if self._server.user is not None:
                await client.login(self._server.user, self._server.password or "")
            needs_utf8 = not (sender + recipient).isascii()
            if needs_utf8 and client.is_ehlo_or_helo_needed:
                # Only its answer says what the server can.
                await client.ehlo()
            if needs_utf8 and not client.supports_extension("smtputf8"):
                raise DeliveryFailure(
                    "The mail server takes no address that is not ASCII.",
                    code="smtp_no_utf8",
                    outcome="refused",
                )
            options, encoding = (["SMTPUTF8"], "utf-8") if needs_utf8 else ([], "ascii")
            step = "sender"
            await client.mail(sender, options=options, encoding=encoding)
            step = "recipient"
            await client.rcpt(recipient, encoding=encoding)
            step = "data"
            await client.data(message.as_bytes(policy=WirePolicy(utf8=needs_utf8)))
        except aiosmtplib.SMTPResponseException as error:
            raise classify(step, error.code, error.message) from error
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            # The error's text may name the address, and a proxy or a broken server may send anything.
            raise _unreachable(f"{type(error).__name__} while speaking to the mail server.") from error


def classify(step: Step, code: int, message: str) -> DeliveryFailure:
    """What a server's reply means.

    Parameters
    ----------
    step
        What it is a reply to: the session (connect, EHLO, STARTTLS, AUTH), MAIL FROM, RCPT TO, or DATA.
    code
        The reply code of RFC 5321.
    message
        Its text, which may begin with an enhanced code (RFC 3463).
    """
    text = " ".join(f"{code} {message}".split())[:500]
    if step in ("session", "sender"):
        # 535 and 550 too: they are the operator's to mend, and the mails are not lost meanwhile.
        is_unreachable = step == "session" or code >= 500 or code == 421
        return DeliveryFailure(text, code=f"smtp_{code}", outcome="later", is_unreachable=is_unreachable)
    if code < 500:
        return DeliveryFailure(text, code=f"smtp_{code}", outcome="later", is_unreachable=code == 421)
    if step == "recipient" and code in UNKNOWN_RECIPIENT_CODES and _names_unknown_recipient(message):
        return DeliveryFailure(text, code=f"smtp_{code}", outcome="gone")
    return DeliveryFailure(text, code=f"smtp_{code}", outcome="refused")


def _names_unknown_recipient(message: str) -> bool:
    """Whether a reply says that nobody has the address: by its enhanced code, or else by its words."""
    enhanced = _ENHANCED_CODE.search(message)
    if enhanced is not None:
        return f"{enhanced[2]}.{enhanced[3]}" in UNKNOWN_RECIPIENT_SUBJECTS
    # The address itself may be made of such words.
    words = " ".join(_ADDRESS.sub(" ", message).casefold().split())
    return bool(_UNKNOWN_RECIPIENT.search(words)) and not _ABOUT_THE_SENDER.search(words)


def _unreachable(message: str) -> DeliveryFailure:
    return DeliveryFailure(message, code="smtp_unreachable", outcome="later", is_unreachable=True)
