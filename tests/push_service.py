"""A push service on this machine (RFC 8030), and browsers that decrypt what it takes (RFC 8291)."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.certificates import Certificate
from tests.servers import find_port, make_server
from tests.waiting import until


@dataclass(frozen=True)
class Push:
    """One that the service took."""

    topic: str
    data: dict[str, Any]
    headers: dict[str, str]


@dataclass
class Browser:
    """A subscription, with the keys that only the browser has."""

    endpoint: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    @property
    def subscription(self) -> dict[str, str]:
        """What `save_push_subscription` takes."""
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {"endpoint": self.endpoint, "p256dh": encode(point), "auth": encode(self.secret)}

    def decrypt(self, body: bytes) -> dict[str, Any]:
        plain = http_ece.decrypt(body, private_key=self.key, auth_secret=self.secret, version="aes128gcm")
        decrypted: dict[str, Any] = json.loads(plain)
        return decrypted


@dataclass
class PushService:
    """What the service took, oldest first, and how it answers."""

    origin: str = ""
    browsers: dict[str, Browser] = field(default_factory=dict)
    received: dict[str, list[Push]] = field(default_factory=dict)
    """By the path of the browser's endpoint."""
    answer: Callable[[str], tuple[int, dict[str, str]]] = lambda _: (201, {})
    """By the path of the endpoint: status and headers."""
    relay: Callable[[str, bytes], None] | None = None
    """Takes the path of the endpoint and what is encrypted for a browser that is not one of `browsers`."""

    def subscribe(self) -> Browser:
        path = f"/push/{secrets.token_hex(8)}"
        self.browsers[path] = Browser(self.origin + path)
        return self.browsers[path]

    def taken_by(self, browser: Browser) -> list[Push]:
        return self.received.get(browser.endpoint.removeprefix(self.origin), [])

    async def take(self, request: Request) -> Response:
        body = await request.body()
        path = request.url.path
        status, headers = self.answer(path)
        if status == 201:
            assert Vapid02.verify(request.headers["authorization"])
            if self.relay is not None:
                self.relay(path, body)
                return Response(status_code=status)
            browser = self.browsers[path]
            push = Push(request.headers["topic"], browser.decrypt(body), dict(request.headers))
            self.received.setdefault(path, []).append(push)
        return Response(status_code=status, headers=headers)


@contextmanager
def serving(certificate: Certificate) -> Iterator[PushService]:
    """A push service at an https origin of this machine until the block ends."""
    service = PushService()
    server = make_server(
        Starlette(routes=[Route("/push/{name}", service.take, methods=["POST"])]),
        ssl_certfile=certificate.certificate,
        ssl_keyfile=certificate.key,
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        until(lambda: server.started, "the push service did not start")
        service.origin = f"https://127.0.0.1:{find_port(server)}"
        yield service
    finally:
        server.should_exit = True
        thread.join()


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read_claims(authorization: str) -> dict[str, Any]:
    """The claims of a VAPID header."""
    token = authorization.partition("t=")[2].partition(",")[0]
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert claims["exp"] > time.time()
    return claims
