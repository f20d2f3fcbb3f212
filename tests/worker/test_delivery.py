"""From an event to a mailbox and to a browser: a real database, a real mail server, a real push service."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from psycopg.rows import dict_row

from soundscape.cli.embedded_project import Project
from soundscape.errors import DeliveryFailure
from soundscape.project.client import connect
from soundscape.project.outbox import Delivery, Outbox
from soundscape.setting_values import MailServer
from soundscape.settings import Settings
from soundscape.telemetry import logs
from soundscape.worker import delivery
from soundscape.worker.channels import Channel, open_channels
from soundscape.worker.delivery import MAX_SENDS, DeliveryLoop
from soundscape.worker.mail import MailSender
from soundscape.worker.push import PushSender, is_public_address, is_push_service, read_retry_after
from soundscape.worker.smtp import SmtpTransport, Step, classify
from soundscape.worker.unsubscription import Unsubscription
from soundscape.worker.vapid import get_public_key, make_private_key
from tests import embedded, mailbox, push_service
from tests.certificates import Certificate, make_certificate
from tests.mailbox import DISCONNECT, HANG, OK, Mailbox
from tests.push_service import PushService, read_claims
from tests.waiting import LIMIT_S, eventually

SECRET = "whsec_" + "c2VjcmV0IG9mIDMyIGJ5dGVzIGZvciB0ZXN0cyEhISE="
FROM = "SoundScape <no-reply@soundscape.test>"
PUBLIC_URL = "https://worker.soundscape.test"


@pytest.fixture(scope="module")
def project(data_dirs: Path) -> Iterator[Project]:
    """Nobody works for it but the test."""
    with embedded.served(data_dirs / "delivery", with_worker=False) as served:
        yield served


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@dataclass
class World:
    """The database, and what it says of the outbox."""

    project: Project

    def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.project.db_url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def sign_up(self, *, locale: str = "en") -> str:
        email = f"{secrets.token_hex(6)}@example.com"
        (row,) = self.sql(
            "insert into auth.users (id, email, email_confirmed_at)"
            " values (gen_random_uuid(), %s, now()) returning id::text",
            email,
        )
        self.sql("update public.user_preferences set locale = %s where user_id = %s", locale, row["id"])
        return str(row["id"])

    def subscribe(self, user: str, subscription: dict[str, str]) -> None:
        self.sql(
            "insert into public.push_subscriptions (user_id, endpoint, p256dh, auth) values (%s, %s, %s, %s)",
            *(user, subscription["endpoint"], subscription["p256dh"], subscription["auth"]),
        )

    def notify(self, user: str, kind: str = "export_ready") -> None:
        """An event that is told by mail, and by push."""
        self.sql("select soundscape.notify(%s, %s, null)", user, kind)

    def states(self) -> list[tuple[str, str, str | None]]:
        rows = self.sql("select channel, state, error_code from soundscape.deliveries order by created_at")
        return [(row["channel"], row["state"], row["error_code"]) for row in rows]

    def retry_now(self) -> None:
        self.sql("update soundscape.deliveries set retry_at = now() where state = 'queued'")


@pytest.fixture
def world(project: Project) -> World:
    world = World(project)
    world.sql("delete from auth.users")
    world.sql("delete from public.users")
    world.sql("update soundscape.delivery_settings set bundle_after = '0', bundle_within = '0'")
    return world


@pytest.fixture
def server() -> Iterator[Mailbox]:
    with mailbox.serving() as taken:
        yield taken


@pytest.fixture
def service(certificate: Certificate) -> Iterator[PushService]:
    with push_service.serving(certificate) as taken:
        yield taken


def mail_channel(server: Mailbox, *, timeout_s: float = LIMIT_S, **options: Any) -> Channel:
    transport = SmtpTransport(
        MailServer("127.0.0.1", server.port, **({"tls": "none"} | options)),
        timeout_s=timeout_s,
        send_timeout_s=timeout_s,
    )
    return Channel(
        MailSender(
            transport,
            sender=FROM,
            public_url=PUBLIC_URL,
            site_url="https://soundscape.test",
            unsubscription=Unsubscription([SECRET]),
        )
    )


def push_channel(service: PushService, certificate: Certificate, **options: Any) -> Channel:
    return Channel(
        PushSender(
            make_private_key(),
            contact="mailto:operator@soundscape.test",
            hosts=[service.origin],
            tls_context=certificate.client_context(),
            **({"timeout_s": LIMIT_S} | options),
        )
    )


async def drain(world: World, lease_s: int = 300, **channels: Channel) -> int:
    """Deliver what is due, as a worker does."""
    deliveries = DeliveryLoop(channels, interval_s=1, lease_s=lease_s, min_pause_s=0)
    async with connect(world.project.url, world.project.keys.secret_key) as (client, _):
        return await deliveries.drain(Outbox(client))


# -- mail -----------------------------------------------------------------------------------------------


async def test_a_mail_is_seen_once(world: World, server: Mailbox) -> None:
    user = world.sign_up()
    world.notify(user)
    assert await drain(world, email=mail_channel(server)) == 1
    assert world.states() == [("email", "sent", None)]
    assert await drain(world, email=mail_channel(server)) == 0
    (message,) = server.received
    (row,) = world.sql("select id::text from soundscape.deliveries")
    assert message["Message-ID"] == f"<{row['id']}@worker.soundscape.test>"
    assert (message["From"], message["Subject"]) == (FROM, "Your export can be downloaded, for a week.")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Auto-Submitted"] == "auto-generated"
    (link,) = re.findall(r"<(https://\S+)>", str(message["List-Unsubscribe"]).replace(" ", ""))
    assert link.startswith(f"{PUBLIC_URL}/api/notifications/unsubscribe?token=")
    assert Unsubscription([SECRET]).read_token(link.partition("token=")[2]) == (user, ["export_ready"])
    for kind in ("plain", "html"):
        body = message.get_body((kind,))
        assert body is not None
        assert "https://soundscape.test/account" in body.get_content()
        assert link in body.get_content()


async def test_in_the_recipients_language(world: World, server: Mailbox) -> None:
    world.notify(world.sign_up(locale="de-AT"))
    world.notify(world.sign_up(locale="pt-BR"))
    await drain(world, email=mail_channel(server))
    subjects = {str(message["Subject"]): message["Content-Language"] for message in server.received}
    assert subjects == {
        "Dein Export kann eine Woche lang heruntergeladen werden.": "de",
        "Your export can be downloaded, for a week.": "en",
    }


async def test_a_title_cannot_write_headers(world: World, server: Mailbox) -> None:
    user = world.sign_up()
    title = "Rain\r\nBcc: everybody@example.com\u202e <script>" + "x" * 100
    (row,) = world.sql(
        "insert into public.audio_files (user_id, title, file_path) values (%s, 't', %s) returning id::text",
        *(user, f"{user}/a.wav"),
    )
    world.sql("alter table public.audio_files disable trigger user")
    world.sql("update public.audio_files set title = %s where id = %s", title, row["id"])
    world.sql("alter table public.audio_files enable trigger user")
    world.sql("select soundscape.notify(%s, 'recording_failed', %s)", user, row["id"])
    await drain(world, email=mail_channel(server))
    (message,) = server.received
    assert message["Bcc"] is None
    assert "\u202e" not in message["Subject"]
    assert str(message["Subject"]).startswith("“Rain Bcc: everybody@example.com <script>x")
    html = message.get_body(("html",))
    assert html is not None
    assert "<script>" not in html.get_content()


REPLIES: list[tuple[Step, int, str, str]] = [
    ("session", 421, "4.3.2 Too busy", "later"),
    ("session", 535, "5.7.8 Authentication failed", "later"),
    ("session", 554, "No service", "later"),
    ("sender", 451, "4.7.1 Greylisted", "later"),
    ("sender", 550, "5.7.1 Sender rejected", "later"),
    ("sender", 530, "5.7.0 Authentication required", "later"),
    ("sender", 553, "Domain of sender address does not exist", "later"),
    ("recipient", 450, "4.2.1 Greylisted", "later"),
    ("recipient", 452, "4.2.2 Mailbox full", "later"),
    ("recipient", 550, "5.1.1 User unknown", "gone"),
    ("recipient", 550, "No such user here", "gone"),
    ("recipient", 550, "sorry, no mailbox here by that name", "gone"),
    ("recipient", 550, "<b@example.com>: Recipient address rejected: User unknown in local table", "gone"),
    ("recipient", 550, "This user doesn't exist", "gone"),
    ("recipient", 550, "Mailbox is disabled", "gone"),
    ("recipient", 551, "User not found; see elsewhere", "gone"),
    # The operator's to mend, or nobody knows: no user's address ends by it.
    ("recipient", 550, "relay not permitted", "refused"),
    ("recipient", 550, "Relaying denied. User unknown to this relay", "refused"),
    ("recipient", 550, "192.0.2.1 is listed in an RBL", "refused"),
    ("recipient", 550, "<unknown.user@example.com> relaying denied", "refused"),
    ("recipient", 550, "no-such-user@example.com: access denied", "refused"),
    ("recipient", 550, "Sender address rejected: user unknown in virtual alias table", "refused"),
    ("recipient", 553, "Client host rejected: account not known", "refused"),
    ("recipient", 550, "Requested action not taken: mailbox unavailable", "refused"),
    ("recipient", 550, "", "refused"),
    ("recipient", 553, "5.1.3 Bad address", "gone"),
    ("recipient", 556, "5.1.10 Null MX", "gone"),
    ("recipient", 550, "5.2.1 Mailbox disabled", "gone"),
    ("recipient", 552, "5.2.2 Mailbox full", "refused"),
    ("recipient", 550, "5.7.1 Relaying denied", "refused"),
    ("recipient", 554, "5.7.1 Blocked", "refused"),
    ("data", 451, "4.3.0 Try again", "later"),
    ("data", 550, "5.7.1 Looks like spam", "refused"),
    ("data", 554, "5.6.0 Malformed", "refused"),
]


@pytest.mark.parametrize(("step", "code", "message", "outcome"), REPLIES)
def test_what_a_reply_means(step: Step, code: int, message: str, outcome: str) -> None:
    failure = classify(step, code, message)
    assert (failure.outcome, failure.code) == (outcome, f"smtp_{code}")
    if step == "sender" and code >= 500:
        # Every other mail would fail in the same way: the channel waits.
        assert failure.is_unreachable


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        ("450 4.2.1 Greylisted", ("email", "queued", "smtp_450")),
        ("550 5.1.1 User unknown", ("email", "dropped", "smtp_550")),
        ("550 5.7.1 Relaying denied", ("email", "dead", "smtp_550")),
        ("550 relay not permitted", ("email", "dead", "smtp_550")),
        (DISCONNECT, ("email", "queued", "smtp_unreachable")),
    ],
)
async def test_how_a_refused_recipient_ends(
    world: World, server: Mailbox, reply: str, state: tuple[str, str, str]
) -> None:
    world.notify(world.sign_up())
    server.reply_to_rcpt = lambda _: reply
    await drain(world, email=mail_channel(server))
    assert world.states() == [state]
    assert server.received == []
    ended = world.sql("select address from soundscape.ended_addresses")
    assert len(ended) == (1 if state[1] == "dropped" else 0)
    server.reply_to_rcpt = lambda _: OK
    world.retry_now()
    await drain(world, email=mail_channel(server))
    assert len(server.received) == (1 if state[1] == "queued" else 0)


@pytest.mark.parametrize("reply", ["550 Sender rejected", "530 5.7.0 Authentication required"])
async def test_a_refused_sender_costs_no_mail(world: World, server: Mailbox, reply: str) -> None:
    """The operator mends it, and every mail arrives."""
    for _ in range(5):
        world.notify(world.sign_up())
    server.reply_to_sender = lambda _: reply
    await drain(world, email=mail_channel(server))
    assert {state[1] for state in world.states()} == {"queued"}
    assert world.sql("select address from soundscape.ended_addresses") == []
    server.reply_to_sender = lambda _: OK
    world.retry_now()
    await drain(world, email=mail_channel(server))
    assert {state[1] for state in world.states()} == {"sent"}
    assert len(server.received) == 5


async def test_a_reply_that_gets_lost_costs_one_more_send_with_the_same_id(
    world: World, server: Mailbox
) -> None:
    world.notify(world.sign_up())
    server.reply_to_data = lambda _: DISCONNECT
    await drain(world, email=mail_channel(server))
    assert world.states() == [("email", "queued", "smtp_unreachable")]
    server.reply_to_data = lambda _: OK
    world.retry_now()
    await drain(world, email=mail_channel(server))
    assert world.states() == [("email", "sent", None)]
    assert len(server.received) == 2
    assert len(server.by_id) == 1


async def test_a_server_that_hangs_holds_nobody_up(world: World, server: Mailbox) -> None:
    for _ in range(3):
        world.notify(world.sign_up())
    server.reply_to_rcpt = lambda _: HANG
    channel = mail_channel(server, timeout_s=0.3)
    deliveries = DeliveryLoop({"email": channel}, interval_s=1, lease_s=300, min_pause_s=60)
    async with connect(world.project.url, world.project.keys.secret_key) as (client, _):
        outbox = Outbox(client)
        await deliveries.drain(outbox)
        tried = len([state for state in world.states() if state[2] == "smtp_unreachable"])
        assert tried >= 1
        # Nothing more is tried for a while, and readiness says why.
        world.retry_now()
        assert await deliveries.drain(outbox) == 0
        check = deliveries.run_checks()["email"]
    assert check.state == "degraded"
    assert "smtp_unreachable" in check.reason


async def test_a_server_that_refuses_connections(world: World) -> None:
    with mailbox.serving() as gone:
        pass
    world.notify(world.sign_up())
    await drain(world, email=mail_channel(gone))
    assert world.states() == [("email", "queued", "smtp_unreachable")]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_tls_and_a_password(certificate: Certificate, tls: str) -> None:
    context = certificate.server_context()
    with mailbox.serving(tls=context, is_implicit=tls == "implicit", password="mail password") as server:
        sign_in = {"user": "soundscape", "password": "mail password"}
        address = MailServer("127.0.0.1", server.port, tls=tls, **sign_in)  # type: ignore[arg-type]
        trusting = SmtpTransport(address, tls_context=certificate.client_context(), timeout_s=LIMIT_S)
        await trusting.send(a_message(), sender="a@example.com", recipient="b@example.com")
        assert server.is_encrypted == [True]
        assert server.passwords == [(b"soundscape", b"mail password")]
        with pytest.raises(DeliveryFailure) as wrong_password:
            await SmtpTransport(
                replace(address, password="wrong"), tls_context=certificate.client_context()
            ).send(a_message(), sender="a@example.com", recipient="b@example.com")
        assert (wrong_password.value.code, wrong_password.value.outcome) == ("smtp_535", "later")
        # Nobody vouches for the certificate: the password is not sent.
        before = len(server.passwords)
        with pytest.raises(DeliveryFailure) as untrusted:
            await SmtpTransport(address).send(a_message(), sender="a@example.com", recipient="b@example.com")
        assert untrusted.value.code == "smtp_unreachable"
        assert len(server.passwords) == before


async def test_a_password_is_not_sent_where_tls_is_not_offered(server: Mailbox) -> None:
    address = MailServer("127.0.0.1", server.port, tls="starttls", user="soundscape", password="p")
    with pytest.raises(DeliveryFailure):
        await SmtpTransport(address).send(a_message(), sender="a@example.com", recipient="b@example.com")
    assert server.passwords == server.received == []


def a_message() -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "A test"
    message.set_content("It is one.")
    return message


async def test_no_address_and_no_password_in_the_log(
    world: World, server: Mailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    user = world.sign_up()
    (row,) = world.sql("select email from auth.users where id = %s", user)
    world.notify(user)
    server.reply_to_rcpt = lambda address: f"550 5.7.1 {address} is not wanted"
    with structlog.testing.capture_logs() as entries:
        await drain(world, email=mail_channel(server))
        world.notify(user)
        server.reply_to_rcpt = lambda _: OK
        await drain(world, email=mail_channel(server))
    assert len(entries) >= 2
    assert row["email"] not in str(entries)
    assert "token" not in str(entries)


# -- push -----------------------------------------------------------------------------------------------


async def test_a_push_is_decrypted_by_the_browser_alone(
    world: World, service: PushService, certificate: Certificate
) -> None:
    user, browser = world.sign_up(), service.subscribe()
    world.subscribe(user, browser.subscription)
    world.notify(user)
    channel = push_channel(service, certificate)
    assert await drain(world, push=channel) == 1
    (push,) = service.taken_by(browser)
    (row,) = world.sql("select id from soundscape.deliveries where channel = 'push'")
    assert push.topic == row["id"].hex
    assert push.data == {
        "id": str(row["id"]),
        "language": "en",
        "title": "Your export can be downloaded, for a week.",
        "body": "",
        "path": "/account",
    }
    assert push.headers["content-encoding"] == "aes128gcm"
    claims = read_claims(push.headers["authorization"])
    assert (claims["aud"], claims["sub"]) == (service.origin, "mailto:operator@soundscape.test")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (404, ("push", "dropped", "push_404")),
        (410, ("push", "dropped", "push_410")),
        (429, ("push", "queued", "push_429")),
        (500, ("push", "queued", "push_500")),
        (503, ("push", "queued", "push_503")),
        (400, ("push", "dead", "push_400")),
        (403, ("push", "dead", "push_403")),
        (301, ("push", "dead", "push_301")),
    ],
)
async def test_what_a_push_service_answers(
    world: World,
    service: PushService,
    certificate: Certificate,
    status: int,
    state: tuple[str, str, str],
) -> None:
    user, browser = world.sign_up(), service.subscribe()
    world.subscribe(user, browser.subscription)
    world.notify(user)
    service.answer = lambda _: (status, {"retry-after": "1000", "location": "https://127.0.0.1/"})
    await drain(world, push=push_channel(service, certificate))
    assert [found for found in world.states() if found[0] == "push"] == [state]
    left = world.sql("select id from public.push_subscriptions")
    assert len(left) == (0 if status in (404, 410) else 1)
    if state[1] == "queued":
        (row,) = world.sql(
            "select retry_at > now() + interval '900 seconds' as is_later from soundscape.deliveries"
            " where channel = 'push'"
        )
        assert row["is_later"]
        service.answer = lambda _: (201, {})
        world.retry_now()
        await drain(world, push=push_channel(service, certificate))
        assert len(service.taken_by(browser)) == 1


def test_retry_after() -> None:
    assert read_retry_after("120") == 120
    assert read_retry_after("1e9") == 6 * 3600
    assert read_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert [read_retry_after(value) for value in (None, "", "soon", "nan", "-5")] == [0] * 5


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://push.example.com/a",
        "https://127.0.0.1/a",
        "https://127.0.0.1:9/a",
        "https://fcm.googleapis.com.evil.example/a",
        "https://evilpush.apple.com/a",
        "https://fcm.googleapis.com:8443/a",
        "https://fcm.googleapis.com@127.0.0.1/a",
        "http://fcm.googleapis.com/a",
        "https://fcm.googleapis.com:99999/a",
        "",
    ],
)
async def test_only_to_known_push_services(world: World, endpoint: str) -> None:
    browser = push_service.Browser(endpoint)
    sender = PushSender(
        make_private_key(), contact="mailto:a@b.test", hosts=Settings.model_fields["push_hosts"].default
    )
    with pytest.raises(DeliveryFailure) as refused:
        await sender.send(a_delivery(browser.subscription))
    assert (refused.value.code, refused.value.outcome) == ("push_host_unknown", "gone")


@pytest.mark.parametrize(
    "endpoint",
    ["https://fcm.googleapis.com/fcm/send/a", "https://updates.push.services.mozilla.com/wpush/v2/a"],
)
def test_known_push_services(endpoint: str) -> None:
    from urllib.parse import urlsplit

    assert is_push_service(urlsplit(endpoint), Settings.model_fields["push_hosts"].default)


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("142.250.185.74", True),
        ("2a00:1450:4001:82a::200a", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:142.250.185.74", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("fec0::1", False),
        ("feff::1", False),
        ("64:ff9b:1::a00:1", False),
        ("::127.0.0.1", False),
        ("::142.250.185.74", False),
        ("::ffff:0:7f00:1", False),
        ("2001:0:a00:1::1", False),
        ("2002:8efa:b94a::1", True),
        ("64:ff9b::142.250.185.74", True),
        ("no address", False),
    ],
)
def test_never_to_a_private_address(address: str, is_public: bool) -> None:
    assert is_public_address(address) is is_public


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_within_an_ipv6_one_is_no_more_public(inner: IPv4Address) -> None:
    is_public = inner.is_global and not inner.is_multicast
    assert is_public_address(str(inner)) is is_public
    number = int(inner)
    for outer in (0xFFFF << 32 | number, 0x2002 << 112 | number << 80, 0x64FF9B << 96 | number):
        assert is_public_address(str(IPv6Address(outer))) is is_public
    teredo = 0x20010000 << 96 | number << 64 | (number ^ 0xFFFFFFFF)
    for outer in (number, 0xFFFF << 48 | number, 0x64FF9B0001 << 80 | number, teredo):
        assert not is_public_address(str(IPv6Address(outer)))


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_that_is_local_is_public(address: IPv6Address) -> None:
    if is_public_address(str(address)):
        assert address.sixtofour or address.ipv4_mapped or address.is_global
        kinds = ("site_local", "link_local", "multicast", "loopback", "unspecified")
        assert not any(getattr(address, f"is_{kind}") for kind in kinds)
        assert address.teredo is None


async def test_a_known_name_that_leads_to_a_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()

    async def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", ("142.250.185.74", 443)), (0, 0, 0, "", ("169.254.169.254", 443))]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    sender = PushSender(make_private_key(), contact="mailto:a@b.test", hosts=["fcm.googleapis.com"])
    browser = push_service.Browser("https://fcm.googleapis.com/a")
    with pytest.raises(DeliveryFailure) as refused:
        await sender.send(a_delivery(browser.subscription))
    assert refused.value.code == "push_host_private"


async def test_keys_that_are_no_point_of_the_curve(
    world: World, service: PushService, certificate: Certificate
) -> None:
    user, browser = world.sign_up(), service.subscribe()
    world.subscribe(user, browser.subscription | {"p256dh": "B" + "A" * 86})
    world.notify(user)
    await drain(world, push=push_channel(service, certificate))
    assert world.states() == [("push", "dropped", "push_keys_invalid")]
    assert world.sql("select id from public.push_subscriptions") == []


def a_delivery(subscription: dict[str, str]) -> Delivery:
    return Delivery(
        delivery_id="00000000-0000-4000-8000-000000000001",
        token="t",
        channel="push",
        attempt=1,
        user_id="00000000-0000-4000-8000-000000000002",
        locale="en",
        address=None,
        content=[{"kind": "export_ready", "count": 1}],
        **subscription,
    )


# -- the worker -----------------------------------------------------------------------------------------


def settings_of(project: Project, **values: str) -> Settings:
    return Settings.from_environment(project.environment() | {"SOUNDSCAPE_POLL_MAX_S": "1"} | values)


def test_what_is_off_says_which_setting_is_missing(project: Project) -> None:
    off = open_channels(settings_of(project))
    assert {name: channel.off_reason for name, channel in off.items()} == {
        "email": "SOUNDSCAPE_SMTP_URL and SOUNDSCAPE_SMTP_FROM and SOUNDSCAPE_PUBLIC_URL not set",
        "push": "SOUNDSCAPE_VAPID_PRIVATE_KEY not set",
    }
    checks = DeliveryLoop(off, interval_s=1).run_checks()
    assert {check.state for check in checks.values()} == {"ok"}
    assert all(check.reason.startswith("off: ") for check in checks.values())
    key = make_private_key()
    on = open_channels(
        settings_of(
            project,
            SOUNDSCAPE_SMTP_URL="smtp://127.0.0.1:25",
            SOUNDSCAPE_SMTP_FROM="a@b.test",
            SOUNDSCAPE_PUBLIC_URL=PUBLIC_URL,
            SOUNDSCAPE_VAPID_PRIVATE_KEY=key,
        )
    )
    assert all(channel.sender is not None for channel in on.values())
    assert on["push"].public_key == get_public_key(key)


async def run_while(work: Callable[[], Awaitable[None]], checks: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.ensure_future(work())
    try:
        await checks()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_it_reports_its_channels_and_delivers_when_it_is_rung(
    world: World, server: Mailbox, project: Project
) -> None:
    world.sql("update soundscape.channels set is_on = false, reported_at = null")
    deliveries = DeliveryLoop(
        {"email": mail_channel(server), "push": Channel(None, "no key")}, interval_s=10 * LIMIT_S
    )

    async def check() -> None:
        await eventually(
            lambda: (
                {"channel": "email", "is_on": True, "reason": None}
                in world.sql("select channel, is_on, reason from soundscape.channels")
            )
        )
        await eventually(
            lambda: (
                {"reason": "no key"}
                in world.sql("select reason from soundscape.channels where channel = 'push'")
            )
        )
        world.notify(world.sign_up())

        def is_there() -> bool:
            deliveries.wake()
            return bool(server.received)

        await eventually(is_there)

    await run_while(lambda: deliveries.run(settings_of(project)), check)


async def test_a_worker_that_stops_says_what_it_has_sent(
    world: World, server: Mailbox, project: Project
) -> None:
    """It is stopped while the server has the message and has not replied."""
    world.notify(world.sign_up())
    has_message, may_reply = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    class Slow:
        """Between the mail server's reply and ours."""

        async def send(self, delivery: Delivery) -> None:
            has_message.set()
            await may_reply.wait()

    deliveries = DeliveryLoop({"email": Channel(Slow())}, interval_s=LIMIT_S)
    task = asyncio.ensure_future(deliveries.run(settings_of(project)))
    await asyncio.wait_for(has_message.wait(), LIMIT_S)
    task.cancel()
    loop.call_soon(may_reply.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.states() == [("email", "sent", None)]


async def test_a_worker_that_stops_gives_back_what_it_has_not_sent(
    world: World, server: Mailbox, project: Project
) -> None:
    """It is stopped while the database has answered its claim, and the answer is on its way."""
    world.notify(world.sign_up())
    is_claimed, may_answer = asyncio.Event(), asyncio.Event()

    class SlowOutbox(Outbox):
        async def claim(self, channels: Sequence[str], *, lease_s: int) -> Delivery | None:
            delivery = await super().claim(channels, lease_s=lease_s)
            if delivery is not None:
                is_claimed.set()
                await may_answer.wait()
            return delivery

    async with connect(project.url, project.keys.secret_key) as (client, _):
        deliveries = DeliveryLoop({"email": mail_channel(server)}, interval_s=LIMIT_S)
        task = asyncio.ensure_future(deliveries.deliver(SlowOutbox(client)))
        await asyncio.wait_for(is_claimed.wait(), LIMIT_S)
        task.cancel()
        asyncio.get_running_loop().call_soon(may_answer.set)
        with pytest.raises(asyncio.CancelledError):
            await task
    assert server.received == []
    assert world.states() == [("email", "queued", "released")]
    # The next worker does not wait for the lease.
    assert await drain(world, email=mail_channel(server)) == 1
    assert len(server.received) == 1


async def test_a_worker_that_is_rung_while_it_stops(world: World, server: Mailbox) -> None:
    has_looked = asyncio.Event()

    class WatchedOutbox(Outbox):
        async def claim(self, channels: Sequence[str], *, lease_s: int) -> Delivery | None:
            delivery = await super().claim(channels, lease_s=lease_s)
            has_looked.set()
            return delivery

    async with connect(world.project.url, world.project.keys.secret_key) as (client, _):
        deliveries = DeliveryLoop({"email": mail_channel(server)}, interval_s=10 * LIMIT_S)
        task = asyncio.ensure_future(deliveries.deliver(WatchedOutbox(client)))
        await asyncio.wait_for(has_looked.wait(), LIMIT_S)
        # It waits now.
        for _ in range(20):
            await asyncio.sleep(0)
        deliveries.wake()
        task.cancel()
        ended, _ = await asyncio.wait({task}, timeout=LIMIT_S)
        task.cancel()
        assert ended


async def test_a_mail_server_that_hangs_holds_up_no_push(
    world: World,
    server: Mailbox,
    service: PushService,
    certificate: Certificate,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(2 * MAX_SENDS):
        world.notify(world.sign_up())
    hangs: list[str] = []

    def hang(address: str) -> str:
        hangs.append(address)
        return HANG

    server.reply_to_rcpt = hang
    user, browser = world.sign_up(), service.subscribe()
    world.subscribe(user, browser.subscription)
    deliveries = DeliveryLoop(
        {
            "email": mail_channel(server, timeout_s=10 * LIMIT_S),
            "push": push_channel(service, certificate),
        },
        interval_s=10 * LIMIT_S,
    )

    async def check() -> None:
        await eventually(lambda: len(hangs) == MAX_SENDS)
        world.notify(user)

        def is_there() -> bool:
            deliveries.wake()
            return browser.endpoint.removeprefix(service.origin) in service.received

        await eventually(is_there)
        assert {state[1] for state in world.states() if state[0] == "email"} <= {"running", "queued"}
        assert len(hangs) == MAX_SENDS

    # Its mails will not end.
    monkeypatch.setattr(delivery, "STOP_GRACE_S", 0.1)
    await run_while(lambda: deliveries.run(settings_of(project)), check)


@dataclass
class Observed:
    """A sender whose messages are counted while they are under way."""

    sender: Any
    barrier: asyncio.Barrier | None = None
    under_way: int = 0
    counts: list[int] = field(default_factory=list)

    async def send(self, delivery: Delivery) -> None:
        self.under_way += 1
        self.counts.append(self.under_way)
        try:
            if self.barrier is not None:
                await asyncio.wait_for(self.barrier.wait(), LIMIT_S)
            await self.sender.send(delivery)
        finally:
            self.under_way -= 1


async def test_messages_that_fail_together_are_one_pause(world: World, server: Mailbox) -> None:
    with mailbox.serving() as gone:
        pass
    for _ in range(MAX_SENDS):
        world.notify(world.sign_up())
    channel = mail_channel(gone)
    sender = channel.sender = Observed(channel.sender, asyncio.Barrier(MAX_SENDS))
    async with connect(world.project.url, world.project.keys.secret_key) as (client, _):
        await DeliveryLoop({"email": channel}, interval_s=1, min_pause_s=60).drain(Outbox(client))
    assert sender.counts == [1, 2, 3, 4]
    assert (channel.pause_s, channel.pause_count) == (60, 1)


async def test_after_a_pause_one_message_tries_first(world: World, server: Mailbox) -> None:
    with mailbox.serving() as gone:
        pass
    channel = mail_channel(gone)
    users = [world.sign_up() for _ in range(MAX_SENDS)]
    world.notify(users[0])
    await drain(world, email=channel)
    assert channel.problem is not None
    for user in users[1:]:
        world.notify(user)
    world.retry_now()
    # It hangs still: only one message waits for it.
    sender = Observed(mail_channel(server, timeout_s=0.5).sender)
    channel.sender = sender
    server.reply_to_rcpt = lambda _: HANG
    async with connect(world.project.url, world.project.keys.secret_key) as (client, _):
        deliveries = DeliveryLoop({"email": channel}, interval_s=1, min_pause_s=60)
        await deliveries.drain(Outbox(client))
        assert sender.counts == [1]
        # It answers: all the others follow.
        channel.paused_until_s = 0
        server.reply_to_rcpt = lambda _: OK
        channel.sender = Observed(mail_channel(server).sender)
        world.retry_now()
        await deliveries.drain(Outbox(client))
    assert channel.problem is None
    assert {state[1] for state in world.states()} == {"sent"}


def test_secrets_are_kept_out_of_logs(project: Project) -> None:
    key = make_private_key()
    settings = settings_of(
        project,
        SOUNDSCAPE_SMTP_URL="smtps://soundscape:mail%20password@mail.soundscape.test",
        SOUNDSCAPE_VAPID_PRIVATE_KEY=key,
    )
    assert {"mail password", key} <= set(settings.secrets)
    assert "mail password" not in repr(settings)
    assert key not in repr(settings)
    assert callable(logs.hide)
