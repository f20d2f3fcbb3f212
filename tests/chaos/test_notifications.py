"""The outbox while workers are killed, the mail server misbehaves and the push service refuses.

Nothing is lost: every event is told. Nothing is seen twice: a mailbox knows a mail by its Message-ID, and a
browser a push by its Topic. A killed worker costs at most one more send of each delivery that it held.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import psycopg
import pytest

from soundscape.cli.embedded_project import Project
from soundscape.worker.delivery import MAX_SENDS
from soundscape.worker.vapid import make_private_key
from tests import embedded, mailbox, push_service
from tests.certificates import make_certificate
from tests.mailbox import DISCONNECT, HANG, OK
from tests.waiting import until

USERS = 200
EVENTS = 1000
KILLS = 12
LEASE_S = 10
KINDS = ("export_ready", "recording_hidden", "recording_failed")


@pytest.fixture(scope="module")
def project(data_dirs: Path) -> Iterator[Project]:
    with embedded.served(data_dirs / "outbox", with_worker=False) as served:
        yield served


class Deliverers:
    """Processes that deliver, of which one is killed now and then."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment = environment
        self._log = (folder / "deliverers.log").open("wb")
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.chaos.deliverer", str(LEASE_S)]
        self.processes.append(
            subprocess.Popen(command, env=os.environ | self._environment, stdout=self._log, stderr=self._log)
        )

    def kill(self, number: int) -> None:
        victim = self.processes.pop(number % len(self.processes))
        victim.send_signal(signal.SIGKILL)
        victim.wait()

    def stop(self) -> None:
        while self.processes:
            self.kill(0)
        self._log.close()


def replies(chances: random.Random) -> Iterator[str]:
    """How the mail server answers a message: mostly well."""
    while True:
        yield chances.choices([OK, DISCONNECT, "451 4.3.0 Try again", HANG], weights=[80, 8, 8, 4])[0]


def answers(chances: random.Random) -> Iterator[tuple[int, dict[str, str]]]:
    while True:
        status = chances.choices([201, 429, 500, 503], weights=[70, 10, 10, 10])[0]
        yield status, {"retry-after": "1"} if status == 429 else {}


def test_nothing_is_lost_and_nothing_is_seen_twice(project: Project, tmp_path: Path) -> None:
    chances = random.Random(17)
    certificate = make_certificate(tmp_path)
    with (
        mailbox.serving() as server,
        push_service.serving(certificate) as service,
        psycopg.connect(project.db_url, autocommit=True) as database,
    ):

        def sql(query: str, *values: Any) -> list[tuple[Any, ...]]:
            cursor = database.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

        sql(
            "update soundscape.delivery_settings set bundle_after = '0.3 seconds',"
            " bundle_within = '1 second', retry_after = '5 seconds', max_retry_after = '5 minutes'"
        )
        users = [
            str(
                sql(
                    "insert into auth.users (id, email, email_confirmed_at) values"
                    " (gen_random_uuid(), gen_random_uuid() || '@example.com', now()) returning id"
                )[0][0]
            )
            for _ in range(USERS)
        ]
        browsers = [service.subscribe() for _ in users]
        for user, browser in zip(users, browsers, strict=True):
            subscription = browser.subscription
            sql(
                "insert into public.push_subscriptions (user_id, endpoint, p256dh, auth)"
                " values (%s, %s, %s, %s)",
                *(user, subscription["endpoint"], subscription["p256dh"], subscription["auth"]),
            )
        gone = browsers[0].endpoint.removeprefix(service.origin)
        mail_replies, push_answers = replies(random.Random(18)), answers(random.Random(19))

        attempts = itertools.count()
        latest = 0

        def reply(_: EmailMessage) -> str:
            nonlocal latest
            latest = next(attempts)
            return next(mail_replies)

        server.reply_to_data = reply
        service.answer = lambda path: (410, {}) if path == gone else next(push_answers)

        deliverers = Deliverers(
            project.environment()
            | {
                "SOUNDSCAPE_SMTP_URL": f"smtp://127.0.0.1:{server.port}",
                "SOUNDSCAPE_SMTP_FROM": "SoundScape <no-reply@soundscape.test>",
                "SOUNDSCAPE_PUBLIC_URL": "https://worker.soundscape.test",
                "SOUNDSCAPE_VAPID_PRIVATE_KEY": make_private_key(),
                "SOUNDSCAPE_PUSH_HOSTS": service.origin,
                "SSL_CERT_FILE": str(certificate.certificate),
            },
            tmp_path,
        )
        told: Counter[str] = Counter()
        try:
            for _ in range(2):
                deliverers.start()
            for number in range(EVENTS):
                user = chances.choice(users)
                sql("select soundscape.notify(%s, %s, null)", user, chances.choice(KINDS))
                told[user] += 1
                if number % (EVENTS // KILLS) == EVENTS // KILLS - 1:
                    # In the middle of what it does: after so many more mails.
                    wanted = latest + chances.randint(3, 30)
                    until(lambda wanted=wanted: latest >= wanted, "no mails arrive")  # type: ignore[misc]
                    deliverers.kill(number)
                    deliverers.start()
            # From here on everything goes well, also what hangs.
            server.reply_to_data = lambda _: OK
            service.answer = lambda path: (410 if path == gone else 201, {})

            def is_empty() -> bool:
                sql("update soundscape.deliveries set retry_at = now() where state = 'queued'")
                (row,) = sql(
                    "select (select count(*) from soundscape.outbox where bundle_id is null)"
                    " + (select count(*) from soundscape.deliveries where state in ('queued', 'running'))"
                )
                return int(row[0]) == 0

            until(is_empty, "not everything was delivered")
        finally:
            deliverers.stop()

        states = sql("select distinct channel, state from soundscape.deliveries")
        # Only to the browser that is gone a push is dropped.
        assert set(states) <= {("email", "sent"), ("push", "sent"), ("push", "dropped")}, states
        events = sql("select channel, user_id::text, count(*) from soundscape.outbox group by 1, 2")
        for channel, user, count in events:
            assert count == told[user] or (channel == "push" and user == users[0])

        # Seen: every delivery that was sent is in the mailbox, and each once.
        sent = {str(row[0]) for row in sql("select id from soundscape.deliveries where channel = 'email'")}
        seen = {name.strip("<>").partition("@")[0] for name in server.by_id}
        assert seen == sent
        pushes = list(itertools.chain.from_iterable(service.received.values()))
        topics = {push.topic for push in pushes}
        assert topics == {
            row[0].hex
            for row in sql("select id from soundscape.deliveries where channel = 'push' and state = 'sent'")
        }
        assert gone not in service.received

        # More than once only where a kill, or a lost reply, came between the server and us.
        mails = Counter(str(message["Message-ID"]) for message in server.received)
        print(
            f"{EVENTS} events, {len(mails)} mails in {len(server.received)} sends, "
            f"{len(topics)} pushes in {len(pushes)} sends, {KILLS} kills of {MAX_SENDS} messages a channel"
        )
        assert len(pushes) - len(topics) <= KILLS * MAX_SENDS
