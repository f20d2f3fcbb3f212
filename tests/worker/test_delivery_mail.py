"""Mails as they are on the wire: the bytes of their headers, and addresses of every kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundscape.errors import DeliveryFailure
from soundscape.project.outbox import Delivery
from soundscape.setting_values import MailServer
from soundscape.worker.letters import read_words
from soundscape.worker.mail import MailSender, parse_recipient
from soundscape.worker.smtp import SmtpTransport
from soundscape.worker.unsubscription import PATH, Unsubscription
from tests import mailbox
from tests.mailbox import Mailbox
from tests.waiting import LIMIT_S

SECRET = "whsec_" + "c2VjcmV0IG9mIDMyIGJ5dGVzIGZvciB0ZXN0cyEhISE="
PUBLIC_URL = "https://soundscape-worker-production.up.a-rather-long-domain-of-a-host.example.org"
SENDER = '"Geräusche der ganzen Welt, gesammelt von vielen" <no-reply@soundscape.test>'
ENCODED_WORD = re.compile(rb"=\?[^?\s]*\?[^?\s]*\?[^?\s]*\?=")


@pytest.fixture
def server() -> Iterator[Mailbox]:
    with mailbox.serving() as taken:
        yield taken


async def send(server: Mailbox, *, kinds: list[str], address: str = "somebody@example.com") -> str:
    """Send a mail. Returns the link that ends such mails."""
    unsubscription = Unsubscription([SECRET])
    sender = MailSender(
        SmtpTransport(MailServer("127.0.0.1", server.port, tls="none"), timeout_s=LIMIT_S),
        sender=SENDER,
        public_url=PUBLIC_URL,
        site_url="https://soundscape.test",
        unsubscription=unsubscription,
    )
    user = "00000000-0000-4000-8000-000000000002"
    no_digest = {"ready": 1, "likes": 0, "liked": [], "collected": 0}
    await sender.send(
        Delivery(
            delivery_id="00000000-0000-4000-8000-000000000001",
            token="t",
            channel="email",
            attempt=1,
            user_id=user,
            locale="de",
            address=address,
            endpoint=None,
            p256dh=None,
            auth=None,
            content=[
                {"kind": kind, "count": 2} | ({"digest": no_digest} if kind == "weekly_digest" else {})
                for kind in kinds
            ],
        )
    )
    return f"{PUBLIC_URL}{PATH}?{urlencode({'token': unsubscription.make_token(user, kinds)})}"


def read_headers(raw: bytes) -> dict[bytes, bytes]:
    """The headers as bytes, with the line breaks within them."""
    head = raw.partition(b"\r\n\r\n")[0]
    fields = re.split(rb"\r\n(?![ \t])", head)
    return {name.lower(): value for name, _, value in (field.partition(b": ") for field in fields)}


@pytest.mark.parametrize("kinds", [["export_ready"], sorted(read_words("en")["kinds"])])
async def test_the_headers_that_programs_read_are_plain(server: Mailbox, kinds: list[str]) -> None:
    link = await send(server, kinds=kinds)
    headers = read_headers(server.raw[0])
    assert headers[b"list-unsubscribe"] == f"<{link}>".encode()
    assert headers[b"list-unsubscribe-post"] == b"List-Unsubscribe=One-Click"
    host = PUBLIC_URL.removeprefix("https://")
    assert headers[b"message-id"] == f"<00000000-0000-4000-8000-000000000001@{host}>".encode()
    assert headers[b"to"] == b"somebody@example.com"
    # Encoded words stand in words for people only: the subject, and the sender's name (RFC 2047, section 5).
    assert {name for name, value in headers.items() if b"=?" in value} <= {b"subject", b"from"}
    assert ENCODED_WORD.search(headers[b"from"])
    for line in server.raw[0].split(b"\r\n"):
        assert len(line) <= 998
    for value in headers.values():
        assert all(len(word) <= 75 for word in ENCODED_WORD.findall(value))


@pytest.mark.parametrize("address", ["jürgen@example.com", "info@bücher.example", "用户@例子.广告"])
async def test_an_address_that_is_not_ascii(server: Mailbox, address: str) -> None:
    link = await send(server, kinds=["export_ready"], address=address)
    assert server.recipients == [address]
    headers = read_headers(server.raw[0])
    assert headers[b"to"] == address.encode()
    assert headers[b"list-unsubscribe"] == f"<{link}>".encode()


NO_ADDRESSES = [
    "",
    "@",
    "@x",
    "x@",
    "ü@",
    "x",
    "a@b@c",
    "ü@b@c",
    "a b@c.de",
    "ü b@c.de",
    "ü@c d.de",
    "a@c d.de",
    "a@b.de\r\nBcc: everybody@example.com",
    "ü@b.de\r\nBcc: everybody@example.com",
    "a(comment)@b.de",
    "a@b.de, c@d.de",
]


@pytest.mark.parametrize("address", NO_ADDRESSES)
async def test_what_is_no_address_ends_it(server: Mailbox, address: str) -> None:
    with pytest.raises(DeliveryFailure) as refused:
        await send(server, kinds=["export_ready"], address=address)
    assert (refused.value.code, refused.value.outcome) == ("address_invalid", "gone")
    assert server.received == []


@given(st.text(alphabet=st.sampled_from('aü.@" \\()<>,;:[]\r\n\x00\u202e\ud800'), max_size=12) | st.text())
def test_no_text_is_more_than_an_address(text: str) -> None:
    with suppress(DeliveryFailure):
        address = parse_recipient(text)
        assert address.addr_spec == text
        assert address.username
        assert address.domain
        assert not {"\r", "\n"} & set(text)
