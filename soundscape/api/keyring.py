"""The project's public signing keys by id. Fetched when needed, kept if they cannot be fetched."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

log = structlog.get_logger(__name__)

JWKS_PATH = "/auth/v1/.well-known/jwks.json"
CACHED_S = 600.0
"""As long as in Supabase's own caches: https://supabase.com/docs/guides/auth/signing-keys."""
UNKNOWN_ID_INTERVAL_S = 30.0
"""Minimum time between two fetches for unknown ids: a flood of invented ids must not become a flood of
requests. A project publishes a key before it signs with it."""
RETRY_INTERVAL_S = 5.0
FETCH_TIMEOUT_S = 3.0
MAX_JWKS_BYTES = 64 << 10
MIN_RSA_BITS = 2048
_ALGORITHMS = {"EC": "ES256", "RSA": "RS256"}


class Keyring:
    """The keys of one project. Not thread-safe; concurrent callers share one fetch."""

    def __init__(self, http: httpx.AsyncClient, supabase_url: str) -> None:
        self._http = http
        self._url = supabase_url + JWKS_PATH
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._fetching = asyncio.Lock()

    @property
    def is_empty(self) -> bool:
        """Whether no fetch has succeeded yet: then an unknown id says nothing about its token."""
        return self._fetched_at is None

    async def find(self, kid: str) -> jwt.PyJWK | None:
        """Find the key with the id `kid`. Asks the project at most once."""
        stale = self._fetched_at is None or time.monotonic() - self._fetched_at > CACHED_S
        if stale:
            await self._refetch(RETRY_INTERVAL_S)
        elif kid not in self._keys:
            await self._refetch(UNKNOWN_ID_INTERVAL_S)
        return self._keys.get(kid)

    async def _refetch(self, every_s: float) -> None:
        async with self._fetching:
            # Callers that waited for another fetch do not repeat it.
            if self._tried_at is not None and time.monotonic() - self._tried_at < every_s:
                return
            self._tried_at = time.monotonic()
            try:
                async with asyncio.timeout(FETCH_TIMEOUT_S):
                    self._keys = read_keys(await self._fetch())
            except (httpx.HTTPError, TimeoutError, ValueError, RecursionError) as error:
                log.warning("the signing keys cannot be fetched", error=f"{type(error).__name__} {error}")
                return
            self._fetched_at = time.monotonic()

    async def _fetch(self) -> Any:
        """The JWKS document. Raises `httpx.HTTPError` or `ValueError`."""
        body = bytearray()
        async with self._http.stream("GET", self._url) as response:
            if response.status_code != 200:
                raise ValueError(f"HTTP {response.status_code}")
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_JWKS_BYTES:
                    raise ValueError(f"more than {MAX_JWKS_BYTES} bytes")
        return json.loads(body)


def read_keys(document: Any) -> Mapping[str, jwt.PyJWK]:
    """Read the keys of a JWKS document that may verify tokens: ES256 on P-256, RS256 of 2,048 bits or more.

    Other keys are skipped, above all symmetric ones: a published key must not be a shared secret.

    Raises
    ------
    ValueError
        If the document is not a JWKS.
    """
    if not isinstance(document, dict) or not isinstance(listed := document.get("keys"), list):
        raise ValueError("no JWKS")
    keys: dict[str, jwt.PyJWK] = {}
    for entry in listed:
        if not isinstance(entry, dict) or not isinstance(kid := entry.get("kid"), str):
            continue
        algorithm = _ALGORITHMS.get(str(entry.get("kty")))
        if algorithm is None or entry.get("alg", algorithm) != algorithm or entry.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(entry, algorithm)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
            continue
        if _is_strong(key.key):
            keys[kid] = key
    return keys


def _is_strong(key: Any) -> bool:
    match key:
        case EllipticCurvePublicKey():
            return isinstance(key.curve, SECP256R1)
        case RSAPublicKey():
            return key.key_size >= MIN_RSA_BITS
    return False
