"""The project itself: its address, clock, keys and extensions."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from soundscape.check.capability import CapabilityBroken, CapabilityUnknown
from soundscape.check.session import CheckSession, get_error_code, get_error_message
from soundscape.deploy import sources

TOLERATED_SKEW_S = 60.0


async def check_address(session: CheckSession) -> None:
    """Test that SUPABASE_URL is the address of a project."""
    answer = await session.get("/auth/v1/health", apikey=session.key)
    if answer.status_code >= 500 or answer.status_code == 404:
        raise CapabilityBroken(f"{session.url} answers {answer.status_code}")


async def check_clocks(session: CheckSession) -> None:
    """Test that this machine's clock agrees with the project's."""
    answer = await session.get("/auth/v1/health", apikey=session.key)
    server_time = parsedate_to_datetime(answer.headers["date"]).timestamp()
    skew_s = session.clock() - server_time
    if abs(skew_s) > TOLERATED_SKEW_S:
        raise CapabilityBroken(f"This machine's clock is {skew_s:+.0f} s off the project's.")


async def check_public_key(session: CheckSession) -> None:
    """Test that the project accepts the public key."""
    answer = await session.get("/rest/v1/users?select=id&limit=0", apikey=session.key)
    if answer.status_code == 401 and get_error_code(answer) != "42501":
        raise CapabilityBroken(f"The project refuses it: {get_error_message(answer)}")


async def check_secret_key(session: CheckSession) -> None:
    """Test that the project accepts the secret key. Raises `CapabilityUnknown` when it is not set."""
    key = session.target.secret_key
    if key is None:
        raise CapabilityUnknown(
            "SUPABASE_SECRET_KEY is not set", remedy="It is needed to delete the two users."
        )
    answer = await session.get("/auth/v1/admin/users?per_page=1", apikey=key, authorization=f"Bearer {key}")
    if answer.status_code != 200:
        raise CapabilityBroken(f"The project refuses it: {get_error_message(answer)}")


async def check_extensions(session: CheckSession) -> None:
    """Test that Postgres has the extensions that the migrations need."""
    rows = await session.query(
        "select jsonb_agg(extname) as installed from pg_extension",
    )
    missing = [name for name in sources.extensions() if name not in rows[0]["installed"]]
    if missing:
        raise CapabilityBroken(f"missing: {', '.join(missing)}")


async def check_sweep(session: CheckSession) -> None:
    """The schedule that finds lost messages and expired leases. Nobody notices its absence for months."""
    found = await session.query("select active from cron.job where jobname = 'soundscape-reconcile'")
    if not [job for job in found if job["active"]]:
        raise CapabilityBroken(
            "The sweep is not scheduled, so lost messages and expired leases are never found."
        )
