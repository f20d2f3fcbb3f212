"""The connection to a project, and the errors that its failures become."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
from postgrest.exceptions import APIError
from storage3.exceptions import StorageApiError
from storage3.utils import StorageException
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from soundscape.errors import DataRefused, LeaseLost, ProjectError, ProjectUnreachable

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
LEASE_LOST_CODE = "PT409"
READ_ONLY_CODE = "25006"


def http_client() -> httpx.AsyncClient:
    """Make a client for requests to the project only.

    It follows no redirect and uses no proxy of the environment.
    """
    return httpx.AsyncClient(
        timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        follow_redirects=False,
        trust_env=False,
        limits=httpx.Limits(max_connections=40, max_keepalive_connections=20),
    )


@asynccontextmanager
async def connect(url: str, key: str) -> AsyncIterator[tuple[AsyncClient, httpx.AsyncClient]]:
    """Connect supabase-py over one `http_client`. Yields both; the second is for streaming bytes."""
    async with http_client() as http:
        options = AsyncClientOptions(
            auto_refresh_token=False,
            persist_session=False,
            httpx_client=http,
            # The queue retries: it knows about leases.
            postgrest_client_retry=False,
        )
        yield await acreate_client(url, key, options), http


@contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Turn the clients' exceptions into a `ProjectError`, or the kind of it that fits."""
    try:
        yield
    except APIError as error:
        if error.code == LEASE_LOST_CODE:
            raise LeaseLost(f"{doing}: the lease is lost.", remedy="Drop the work.") from error
        if error.code == READ_ONLY_CODE:
            raise ProjectError(
                f"{doing}: this session may only read.",
                code="session_read_only",
                remedy="Use an API key of the scope that it needs: upload or all.",
            ) from error
        if _is_passing(error.code):
            raise ProjectUnreachable(f"{doing}: {error.message}", remedy="It is retried.") from error
        if _is_of_the_data(error.code):
            raise DataRefused(f"{doing}: {error.message}", remedy="Send other values.") from error
        raise ProjectError(
            f"{doing}: {error.message}", remedy=error.hint or "Deploy again, or check the keys."
        ) from error
    except StorageApiError as error:
        if _is_passing(str(error.status)):
            raise ProjectUnreachable(f"{doing}: {error.message}", remedy="It is retried.") from error
        raise ProjectError(f"{doing}: {error.message}", code="storage_refused") from error
    except StorageException as error:
        # Refused by the client itself.
        raise ProjectError(f"{doing}: {error}", code="storage_refused") from error
    # ValueError, TypeError and KeyError: the response is not the project's, for example a proxy's HTML page.
    # RuntimeError: the client is closed because the worker is stopping.
    except (httpx.HTTPError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ProjectUnreachable(
            f"{doing}: {type(error).__name__} {error}".strip(), remedy="It is retried."
        ) from error


def _is_of_the_data(code: str | None) -> bool:
    """Out of range, of a wrong type, missing, against a check. Not what other rows decide (23503, 23505)."""
    return code is not None and len(code) == 5 and code.startswith(("22", "23502", "23514", "54"))


def _is_passing(code: str | None) -> bool:
    """A 5xx, 408 or 429 without a body of the service, a lost connection, a deadlock, a full server …"""
    if code is None:
        return False
    if len(code) == 3:
        return code.startswith("5") or code in ("408", "429")
    return code.startswith(("08", "53", "57", "40001", "40P01", "55P03", "PGRST00"))
