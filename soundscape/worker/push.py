"""Web pushes: encrypted for one browser (RFC 8291), signed by the project (RFC 8292), sent as RFC 8030 says.

The address is a stranger's to choose. So it must be one of a known push service, its host is resolved here,
and the connection goes to the address that was checked: never to one of a private network.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import asdict
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

import httpx
from py_vapid import Vapid02
from pywebpush import WebPusher

from soundscape.errors import DeliveryFailure
from soundscape.project.outbox import Delivery
from soundscape.worker.letters import write_notice
from soundscape.worker.mail import require_known_kinds

TIMEOUT_S = 20.0
SIGNED_FOR_S = 12 * 3600
"""At most a day (RFC 8292)."""
TTL_S = 24 * 3600
"""How long the push service keeps it for a browser that is not online."""
MAX_RETRY_AFTER_S = 6 * 3600
MAX_BODY_BYTES = 3000
"""Push services take at least 4,096 bytes with the encryption's own (RFC 8030)."""


class PushSender:
    """Sends deliveries as web pushes.

    Parameters
    ----------
    private_key
        The project's VAPID key, as base64url of 32 bytes.
    contact
        Where push services reach the operator: a mailto: or https: address.
    hosts
        The push services: `host`, `*.domain`, or an https origin of this machine, for tests.
    timeout_s
        How long a push may take, in seconds.
    tls_context
        Instead of the system's certificates.
    """

    def __init__(
        self,
        private_key: str,
        *,
        contact: str,
        hosts: Sequence[str],
        timeout_s: float = TIMEOUT_S,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._vapid = Vapid02.from_raw(private_key.encode())
        self._contact = contact
        self._hosts = hosts
        self._timeout_s = timeout_s
        self._tls_context = tls_context or ssl.create_default_context()

    async def send(self, delivery: Delivery) -> None:
        """Send a push. Raises `DeliveryFailure`."""
        require_known_kinds(delivery)
        endpoint = urlsplit(delivery.endpoint or "")
        address = await self._find_address(endpoint)
        headers = {
            **self._sign(f"{endpoint.scheme}://{endpoint.netloc}"),
            "host": endpoint.netloc,
            "ttl": str(TTL_S),
            "urgency": "normal",
            # One that has not been fetched is replaced by the same one (RFC 8030): 32 characters at most.
            "topic": UUID(delivery.delivery_id).hex,
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
        }
        body = encrypt(delivery, make_payload(delivery))
        port = endpoint.port or 443
        host = f"[{address}]" if ":" in address else address
        url = f"https://{host}:{port}{endpoint.path}{f'?{endpoint.query}' if endpoint.query else ''}"
        try:
            # A proxy would resolve the name again.
            async with (
                asyncio.timeout(self._timeout_s),
                httpx.AsyncClient(trust_env=False, verify=self._tls_context) as http,
                http.stream(
                    "POST",
                    url,
                    content=body,
                    headers=headers,
                    # The certificate must be that of the name.
                    extensions={"sni_hostname": endpoint.hostname},
                ) as response,
            ):
                refuse_status(response.status_code, response.headers.get("retry-after"))
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            raise DeliveryFailure(
                f"{type(error).__name__} while speaking to {endpoint.hostname}.",
                code="push_unreachable",
                outcome="later",
            ) from error

    async def _find_address(self, endpoint: SplitResult) -> str:
        """The address of the push service. Raises `DeliveryFailure` if it is none."""
        host = endpoint.hostname or ""
        if not is_push_service(endpoint, self._hosts):
            raise DeliveryFailure(
                f"{host[:200]} is not in SOUNDSCAPE_PUSH_HOSTS.", code="push_host_unknown", outcome="gone"
            )
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, endpoint.port or 443, type=socket.SOCK_STREAM
            )
        except OSError as error:
            raise DeliveryFailure(
                f"{host} cannot be resolved.", code="push_unreachable", outcome="later"
            ) from error
        addresses = [str(entry[4][0]) for entry in found]
        is_named = f"{endpoint.scheme}://{endpoint.netloc}" in self._hosts
        if not addresses or not (is_named or all(map(is_public_address, addresses))):
            raise DeliveryFailure(
                f"{host} is an address of a private network.", code="push_host_private", outcome="refused"
            )
        return addresses[0]

    def _sign(self, origin: str) -> dict[str, str]:
        claims = {"aud": origin, "sub": self._contact, "exp": int(time.time()) + SIGNED_FOR_S}
        signed: dict[str, str] = self._vapid.sign(claims)
        return signed


def is_push_service(endpoint: SplitResult, hosts: Sequence[str]) -> bool:
    """Whether an address is https at one of the hosts, at the usual port."""
    if endpoint.scheme != "https" or endpoint.username is not None or endpoint.password is not None:
        return False
    if f"https://{endpoint.netloc}" in hosts:
        return True
    try:
        has_usual_port = endpoint.port in (None, 443)
    except ValueError:
        return False
    host = endpoint.hostname or ""
    return has_usual_port and any(
        host.endswith(allowed[1:]) if allowed.startswith("*.") else host == allowed for allowed in hosts
    )


def is_public_address(address: str) -> bool:
    """Whether an IP address is of the internet: not private, local, shared, reserved or multicast."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    # Addresses that lead to IPv4 ones: mapped, 6to4, NAT64.
    if isinstance(parsed, ipaddress.IPv6Address):
        if any(parsed in network for network in _NEVER_PUBLIC):
            return False
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is not None:
            return is_public_address(str(inner))
    return parsed.is_global and not parsed.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NEVER_PUBLIC = [
    ipaddress.ip_network("::/96"),  # IPv4-compatible, deprecated (RFC 4291)
    ipaddress.ip_network("::ffff:0:0:0/96"),  # IPv4-translated (RFC 2765)
    ipaddress.ip_network("64:ff9b:1::/48"),  # NAT64 of a local network (RFC 8215)
    ipaddress.ip_network("2001::/32"),  # Teredo (RFC 4380)
    ipaddress.ip_network("fec0::/10"),  # site-local, deprecated (RFC 3879)
]
"""What Python's `is_global` lets pass in some of its versions."""


def make_payload(delivery: Delivery) -> bytes:
    """What the service worker of the frontend gets: words, a page, and the id of the delivery."""
    notice = write_notice(delivery)
    fields = asdict(notice) | {"id": delivery.delivery_id}
    fields["body"] = fields["body"][:500]
    payload = json.dumps(fields, ensure_ascii=False).encode()
    return payload if len(payload) <= MAX_BODY_BYTES else json.dumps(fields | {"body": ""}).encode()


def encrypt(delivery: Delivery, payload: bytes) -> bytes:
    """Encrypt for the browser alone. Raises `DeliveryFailure` if its keys are none."""
    try:
        pusher = WebPusher(
            {"endpoint": delivery.endpoint, "keys": {"p256dh": delivery.p256dh, "auth": delivery.auth}}
        )
        encrypted: bytes = pusher.encode(payload, content_encoding="aes128gcm")["body"]
    except Exception as error:
        # The libraries raise many kinds: a user chose the key, and it is no point of the curve.
        raise DeliveryFailure(
            "The subscription's keys are not valid.", code="push_keys_invalid", outcome="gone"
        ) from error
    return encrypted


def refuse_status(status: int, retry_after: str | None) -> None:
    """Raise `DeliveryFailure` unless the push service has taken it."""
    if 200 <= status < 300:
        return
    text, code = f"The push service answered {status}.", f"push_{status}"
    if status in (404, 410):
        raise DeliveryFailure(text, code=code, outcome="gone")
    if status in (408, 425, 429) or status >= 500:
        raise DeliveryFailure(text, code=code, outcome="later", retry_after_s=read_retry_after(retry_after))
    raise DeliveryFailure(text, code=code, outcome="refused")


def read_retry_after(value: str | None) -> int:
    """Seconds of a Retry-After header, at most six hours; 0 if there is none, or it is none."""
    if value is None:
        return 0
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return 0
    return round(min(max(seconds, 0), MAX_RETRY_AFTER_S)) if seconds == seconds else 0
