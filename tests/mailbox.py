"""A real mail server on this machine, which keeps what it takes and misbehaves where a test asks for it."""

from __future__ import annotations

import asyncio
import email
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.waiting import LIMIT_S

HANG = "hang"
"""As a reply: none comes."""
DISCONNECT = "disconnect"
"""As a reply: the connection ends."""
OK = "250 OK"


@dataclass
class Mailbox:
    """What the server took, oldest first, and how it replies."""

    port: int = 0
    received: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    """The same messages, as they came."""
    recipients: list[str] = field(default_factory=list)
    passwords: list[tuple[bytes, bytes]] = field(default_factory=list)
    reply_to_sender: Callable[[str], str] = lambda _: OK
    reply_to_rcpt: Callable[[str], str] = lambda _: OK
    reply_to_data: Callable[[EmailMessage], str] = lambda _: OK
    """After the message is kept, unless it is an error."""
    is_encrypted: list[bool] = field(default_factory=list)

    @property
    def by_id(self) -> dict[str, EmailMessage]:
        """What a mailbox shows that knows a message by its Message-ID."""
        return {str(message["Message-ID"]): message for message in self.received}

    # -- aiosmtpd's handler -------------------------------------------------------------------------

    async def handle_MAIL(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self._act(server, self.reply_to_sender(address))
        if reply.startswith("250"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return reply

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self._act(server, self.reply_to_rcpt(address))
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content
        assert content is not None
        message = email.message_from_bytes(content, policy=default)
        assert isinstance(message, EmailMessage)
        reply = self.reply_to_data(message)
        if not reply.startswith(("4", "5")):
            self.received.append(message)
            self.raw.append(content)
            self.recipients += envelope.rcpt_tos
            assert server.transport is not None
            self.is_encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        return await self._act(server, reply)

    async def _act(self, server: SMTP, reply: str) -> str:
        if reply == HANG:
            await asyncio.Event().wait()
        if reply == DISCONNECT:
            assert server.transport is not None
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
            return OK
        return reply


@contextmanager
def serving(
    *,
    tls: ssl.SSLContext | None = None,
    is_implicit: bool = False,
    password: str | None = None,
    port: int = 0,
) -> Iterator[Mailbox]:
    """A mail server on 127.0.0.1 until the block ends.

    Parameters
    ----------
    tls
        Its certificate. Then STARTTLS is required, unless TLS `is_implicit`.
    password
        What `soundscape` signs in with.
    port
        Where it listens; 0 takes a free one.
    """
    mailbox = Mailbox()

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> Any:
        assert isinstance(data, LoginPassword)
        mailbox.passwords.append((data.login, data.password))
        is_right = (data.login, data.password) == (b"soundscape", (password or "").encode())
        return AuthResult(success=is_right, handled=is_right)

    def make_server() -> SMTP:
        return SMTP(
            mailbox,
            hostname="mail.soundscape.test",
            tls_context=None if is_implicit else tls,
            require_starttls=tls is not None and not is_implicit,
            auth_required=password is not None,
            auth_require_tls=tls is not None and not is_implicit,
            authenticator=authenticate,
            enable_SMTPUTF8=True,
            loop=loop,
        )

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="mail server")
    thread.start()
    starting = loop.create_server(make_server, "127.0.0.1", port, ssl=tls if is_implicit else None)
    server = asyncio.run_coroutine_threadsafe(starting, loop).result(LIMIT_S)
    mailbox.port = server.sockets[0].getsockname()[1]

    async def stop() -> None:
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    try:
        yield mailbox
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(LIMIT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
