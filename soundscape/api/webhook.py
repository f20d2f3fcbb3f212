"""The doorbell: a signed call of our project that wakes the worker. Its payload is never read.

Two forms are accepted: our own trigger's call, signed by Standard Webhooks 1.0
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md), and
Supabase's Database Webhook, which cannot sign but can carry a shared secret in a header.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from time import monotonic

from fastapi.responses import JSONResponse, Response
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from soundscape.api.body import BodyReader
from soundscape.api.errors import make_error_response
from soundscape.errors import RequestRefused
from soundscape.settings import Settings
from soundscape.telemetry import metrics

MAX_BODY_BYTES = 64 << 10
DATABASE_WEBHOOK_HEADER = "x-webhook-secret"
SIGNATURE_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
TOLERANCE_S = 300
REMEMBERED_IDS = 20_000
_READ = {name.encode(): name for name in (*SIGNATURE_HEADERS, DATABASE_WEBHOOK_HEADER)}


class SignatureRefused(RequestRefused):
    """The call proves nothing: no signature, a wrong one, or one too old."""

    code = "webhook_unsigned"
    status = 401


class ReplayRefused(SignatureRefused):
    """Signed, but seen before."""

    code = "webhook_replayed"


class Signatures:
    """Verifies the calls of our project.

    Remembers the ids of calls in this process only: a replayed doorbell merely wakes the worker.

    Parameters
    ----------
    secrets
        The current secret first, the previous one (while rotating) after it.
    database_webhook_secret
        The shared secret of Supabase's Database Webhooks; None if they are not used.
    """

    def __init__(self, secrets: tuple[str, ...], database_webhook_secret: str | None = None) -> None:
        self._webhooks = [Webhook(secret) for secret in secrets]
        self._shared = None if database_webhook_secret is None else database_webhook_secret.encode()
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Verify that the call is authentic and new.

        Parameters
        ----------
        body
            The raw body.
        headers
            Names in lower case, values as HTTP decodes them (Latin-1).

        Raises
        ------
        SignatureRefused, ReplayRefused
            If it is not.
        """
        shared = headers.get(DATABASE_WEBHOOK_HEADER)
        if shared is not None and self._shared is not None:
            if hmac.compare_digest(shared.encode("latin-1", "replace"), self._shared):
                return
            raise SignatureRefused(
                "The shared secret is wrong.", remedy="Compare SOUNDSCAPE_DATABASE_WEBHOOK_SECRET."
            )
        if not self._is_signed(body, headers):
            raise SignatureRefused(
                "The webhook signature is missing, wrong, or older than five minutes.",
                remedy="Deploy again, so that Vault and SOUNDSCAPE_WEBHOOK_SECRET agree; check the clocks.",
            )
        if self._is_known(headers["webhook-id"]):
            raise ReplayRefused("This message was received before.", remedy="Send each message once.")

    def _is_signed(self, body: bytes, headers: Mapping[str, str]) -> bool:
        signed = {name: headers.get(name, "") for name in SIGNATURE_HEADERS}
        if "" in signed.values():
            return False
        for webhook in self._webhooks:
            try:
                webhook.verify(body, signed, json_parse=False)
            # The library raises these for malformed input: as unsigned as a wrong signature.
            except (WebhookVerificationError, ValueError, binascii.Error, OverflowError, OSError):
                continue
            return True
        return False

    def _is_known(self, message_id: str) -> bool:
        """Whether the id was seen while its message could still pass; remembers it."""
        now = monotonic()
        # The sender's clock may be ahead by the tolerance: then a message is valid for twice as long.
        while self._seen and next(iter(self._seen.values())) < now - 2 * TOLERANCE_S:
            self._seen.popitem(last=False)
        name = hashlib.blake2b(message_id.encode(), digest_size=16).digest()
        if name in self._seen:
            return True
        if len(self._seen) >= REMEMBERED_IDS:
            self._seen.popitem(last=False)
        self._seen[name] = now
        return False


class Doorbell:
    """The route itself, as plain ASGI: strangers may call it all day, so a refusal must cost little.

    Parameters
    ----------
    settings
        The secrets.
    bodies
        Reads the bodies.
    wake
        Called for every authentic call.
    """

    def __init__(self, settings: Settings, bodies: BodyReader, wake: Callable[[], None]) -> None:
        self._bodies = bodies
        self._signatures = Signatures(settings.webhook_secrets, settings.database_webhook_secret)
        self._wake = wake
        self._accepted = Outcome("accepted", JSONResponse({"status": "accepted"}, status_code=202))
        self._refused: dict[str, Outcome] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 202 to an authentic call and wake the worker; 401, 408 or 413 to any other."""
        try:
            body = await self._bodies.read(
                Request(scope, receive), max_bytes=MAX_BODY_BYTES, code="webhook_too_large"
            )
            self._signatures.verify(body, _headers(scope))
        except RequestRefused as refused:
            # The response to each of the few messages is made once.
            outcome = self._refused.get(refused.message)
            if outcome is None:
                outcome = Outcome(refused.code.partition("_")[2], make_error_response(refused))
                self._refused[refused.message] = outcome
        else:
            self._wake()
            outcome = self._accepted
        outcome.count.inc()
        await outcome.response(scope, receive, send)


class Outcome:
    """How a call may end: its response and its counter."""

    def __init__(self, name: str, response: Response) -> None:
        self.count = metrics.DOORBELLS.labels(name)
        self.response = response


def _headers(scope: Scope) -> dict[str, str]:
    return {_READ[name]: value.decode("latin-1") for name, value in scope["headers"] if name in _READ}
