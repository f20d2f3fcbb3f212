"""The doorbell: proof that a wake-up comes from our project. Its payload is never read.

Two forms are accepted: our own trigger's call, signed by Standard Webhooks 1.0
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md), and
Supabase's Database Webhook, which cannot sign but can carry a shared secret in a header.
"""

from __future__ import annotations

import binascii
import hmac
from collections.abc import Mapping

from standardwebhooks import Webhook, WebhookVerificationError

from soundscape.errors import RequestRefused

MAX_BODY_BYTES = 64 << 10
DATABASE_WEBHOOK_HEADER = "x-webhook-secret"


class Unsigned(RequestRefused):
    """The call proves nothing: no signature, a wrong one, or one too old."""

    code = "webhook_unsigned"
    status = 401


def verify(
    body: bytes,
    headers: Mapping[str, str],
    *,
    secrets: tuple[str, ...],
    database_webhook_secret: str | None,
) -> None:
    """Return when the call is authentic.

    `secrets`: current first, previous (while rotating) after it. Raises `Unsigned`.
    """
    shared = headers.get(DATABASE_WEBHOOK_HEADER)
    if shared is not None and database_webhook_secret is not None:
        if hmac.compare_digest(shared.encode(), database_webhook_secret.encode()):
            return
        raise Unsigned("The shared secret is wrong.", remedy="Compare SOUNDSCAPE_DATABASE_WEBHOOK_SECRET.")
    for secret in secrets:
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        # What the library lets through on malformed input is as unsigned as a wrong signature.
        except (WebhookVerificationError, ValueError, binascii.Error, OverflowError, OSError):
            continue
        return
    raise Unsigned(
        "The webhook signature is missing, wrong, or older than five minutes.",
        remedy="Deploy again, so that Vault and SOUNDSCAPE_WEBHOOK_SECRET agree; check the clocks.",
    )
