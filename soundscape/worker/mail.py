"""Mails of notifications: a delivery becomes a message with the headers that mailboxes go by."""

from __future__ import annotations

from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime, parseaddr
from urllib.parse import urlencode, urlsplit

from soundscape.errors import DeliveryFailure
from soundscape.project.outbox import Delivery
from soundscape.worker.letters import Letter, read_words, write_letter
from soundscape.worker.smtp import MailTransport
from soundscape.worker.unsubscription import PATH, Unsubscription


class MailSender:
    """Sends deliveries as mails.

    Parameters
    ----------
    transport
        Where they go.
    sender
        Whom they are from, as `Name <address>`.
    public_url
        Where people reach this worker: links that end mails lead there.
    site_url
        Where the frontend is. None: the mails have no links to it.
    unsubscription
        Signs those links.
    """

    def __init__(
        self,
        transport: MailTransport,
        *,
        sender: str,
        public_url: str,
        site_url: str | None,
        unsubscription: Unsubscription,
    ) -> None:
        self._transport = transport
        self._sender = sender
        self._public_url = public_url.rstrip("/")
        self._site_url = site_url and site_url.rstrip("/")
        self._unsubscription = unsubscription

    async def send(self, delivery: Delivery) -> None:
        """Send a mail. Raises `DeliveryFailure`."""
        require_known_kinds(delivery)
        token = self._unsubscription.make_token(delivery.user_id, delivery.kinds)
        unsubscribe_url = f"{self._public_url}{PATH}?{urlencode({'token': token})}"
        letter = write_letter(delivery, site_url=self._site_url, unsubscribe_url=unsubscribe_url)
        recipient = delivery.address or ""
        message = make_message(
            letter,
            sender=self._sender,
            recipient=recipient,
            message_id=f"<{delivery.delivery_id}@{urlsplit(self._public_url).hostname}>",
            unsubscribe_url=unsubscribe_url,
        )
        await self._transport.send(message, sender=parseaddr(self._sender)[1], recipient=recipient)


def make_message(
    letter: Letter, *, sender: str, recipient: str, message_id: str, unsubscribe_url: str
) -> EmailMessage:
    """Make a message of plain text and HTML. Raises `DeliveryFailure` if the recipient is no address."""
    message = EmailMessage(policy=SMTP)
    message["To"] = parse_recipient(recipient)
    message["From"] = sender
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(localtime())
    # The same in every attempt: a mailbox that has it does not show it again.
    message["Message-ID"] = message_id
    # RFC 8058: mail programs offer it as a button. They send a POST, without cookies.
    message["List-Unsubscribe"] = f"<{unsubscribe_url}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    # RFC 3834: no automatic replies.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    message["Content-Language"] = letter.language
    return message


def parse_recipient(recipient: str) -> Address:
    """Read an address. Raises `DeliveryFailure` if a mail server would read another one, or none."""
    local, _, domain = recipient.rpartition("@")
    try:
        if local.isascii():
            address = Address(addr_spec=recipient)
        else:
            # The parser refuses such a local part, which RFC 6531 allows.
            address = Address(username=local, domain=Address(addr_spec=f"x@{domain}").domain)
    except (ValueError, IndexError, MessageError) as error:
        raise _invalid_address() from error
    if address.addr_spec != recipient:
        raise _invalid_address()
    return address


def _invalid_address() -> DeliveryFailure:
    return DeliveryFailure("The address cannot be written in a mail.", code="address_invalid", outcome="gone")


def require_known_kinds(delivery: Delivery) -> None:
    """Raise `DeliveryFailure` if this worker has no words for a kind: it is older than the database."""
    if not delivery.content or not set(delivery.kinds) <= read_words("en")["kinds"].keys():
        raise DeliveryFailure(
            f"No words for {', '.join(delivery.kinds) or 'nothing'}.", code="kind_unknown", outcome="later"
        )
