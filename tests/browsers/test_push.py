"""A web push from the worker into a real Firefox, decrypted there for the frontend's service worker.

Firefox gets its pushes over a WebSocket from Mozilla's push service. Here that is a service of this test, on
this machine: `dom.push.serverURL` leads to it. It sees what the worker sends, and cannot read it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from soundscape.project.outbox import Delivery
from soundscape.worker.push import PushSender
from soundscape.worker.vapid import get_public_key, make_private_key
from tests import push_service
from tests.autopush import PREFERENCES, Autopush
from tests.certificates import make_certificate
from tests.waiting import LIMIT_S, eventually

PUSH_WORKER = Path(__file__).parents[2] / "examples" / "nextjs" / "public" / "push-worker.js"
PAGE = """<!doctype html><title>A test</title><script type="module">
const send = (what, value) => fetch('/' + what, { method: 'POST', body: JSON.stringify(value) })
try {
  await navigator.serviceWorker.register('/worker.js')
  const registration = await navigator.serviceWorker.ready
  // Firefox loses a subscription that is asked for while it greets the service.
  while (!(await fetch('/greeted')).ok) await new Promise((resolve) => setTimeout(resolve, 100))
  const options = { userVisibleOnly: true, applicationServerKey: 'KEY' }
  const subscription = await registration.pushManager.subscribe(options)
  await send('subscription', subscription)
} catch (error) {
  await send('error', String(error))
}
</script>"""
WORKER = """
// A Firefox without a screen has nothing to show it with: what would be shown is sent back instead.
self.registration.showNotification = (title, options) =>
  fetch('/shown', { method: 'POST', body: JSON.stringify({ title, ...options }) })
importScripts('/push-worker.js')
self.addEventListener('push', (event) => {
  event.waitUntil(fetch('/pushed', { method: 'POST', body: event.data.text() }))
})
"""


@dataclass
class Site:
    """The page, its service worker, and what they send back."""

    public_key: str
    sent: dict[str, list[Any]] = field(default_factory=dict)
    has_greeted: threading.Event = field(default_factory=threading.Event)
    """Firefox and the push service know each other."""

    @contextmanager
    def serving(self) -> Iterator[str]:
        site = self
        files = {
            "/": (PAGE.replace("KEY", self.public_key).encode(), "text/html"),
            "/worker.js": (WORKER.encode(), "text/javascript"),
            "/push-worker.js": (PUSH_WORKER.read_bytes(), "text/javascript"),
        }

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                body, kind = files.get(self.path, (b"", "text/plain"))
                is_there = self.path in files or (self.path == "/greeted" and site.has_greeted.is_set())
                self.send_response(200 if is_there else 404)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                value = json.loads(self.rfile.read(int(self.headers["content-length"])))
                site.sent.setdefault(self.path.strip("/"), []).append(value)
                self.send_response(204)
                self.end_headers()

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def start_firefox(url: str, profile: Path, push_url: str) -> subprocess.Popen[bytes]:
    program = shutil.which(os.environ.get("SOUNDSCAPE_FIREFOX", "firefox-esr"))
    if program is None:
        pytest.skip("firefox-esr is not here")
    preferences = {
        **PREFERENCES,
        "dom.push.serverURL": push_url,
        "datareporting.policy.firstRunURL": "",
        "browser.shell.checkDefaultBrowser": False,
        "network.captive-portal-service.enabled": False,
    }
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items())
    (profile / "user.js").write_text("\n".join(lines))
    return subprocess.Popen(
        [program, "--headless", "--no-remote", "--profile", str(profile), url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HOME": str(profile)},
    )


async def test_firefox_decrypts_it_and_the_service_worker_shows_it(tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    profile.mkdir()
    certificate = make_certificate(tmp_path)
    key = make_private_key()
    site = Site(get_public_key(key))
    with push_service.serving(certificate) as service, site.serving() as url:
        autopush = Autopush(service, site.has_greeted)
        async with autopush.serving() as push_url:
            process = start_firefox(url, profile, push_url)
            try:
                await eventually(lambda: site.sent, "Firefox sent nothing")
                assert "error" not in site.sent, site.sent
                (subscription,) = site.sent["subscription"]
                sender = PushSender(
                    key,
                    contact="mailto:operator@soundscape.test",
                    hosts=[service.origin],
                    tls_context=certificate.client_context(),
                    timeout_s=LIMIT_S,
                )
                delivery = make_delivery(subscription)
                await sender.send(delivery)
                await eventually(lambda: "shown" in site.sent, "Firefox showed nothing")
                # As after a worker that was killed: the same one once more.
                await sender.send(delivery)
                await eventually(
                    lambda: len(site.sent["shown"]) == len(site.sent.get("pushed", [])) == 2,
                    "Firefox did not get the second one",
                )
            finally:
                process.kill()
                process.wait()
    assert site.sent["pushed"][0] == site.sent["pushed"][1]
    first, second = site.sent["shown"]
    assert first == {
        "title": "„Regen“ konnte nicht analysiert werden.",
        "body": "",
        "lang": "de",
        "icon": "/icon.svg",
        # A browser shows one notification of a tag: the second replaces the first.
        "tag": delivery.delivery_id,
        "data": {"path": "/recordings/00000000-0000-4000-8000-00000000000a"},
    }
    assert second == first
    assert len(autopush.acknowledged) >= 1
    assert not any(b"Regen" in body for body in autopush.bodies)


def make_delivery(subscription: dict[str, Any]) -> Delivery:
    recording = {"id": "00000000-0000-4000-8000-00000000000a", "title": "Regen"}
    return Delivery(
        delivery_id=str(uuid4()),
        token="t",
        channel="push",
        attempt=1,
        user_id=str(uuid4()),
        locale="de",
        address=None,
        endpoint=subscription["endpoint"],
        content=[{"kind": "recording_failed", "count": 1, "recordings": [recording]}],
        **subscription["keys"],
    )
