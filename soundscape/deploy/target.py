"""The project that a deploy or a check is for, and how to reach it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from soundscape.deploy.connection import (
    API_URL,
    DatabaseConnection,
    ManagementApi,
    connect_management_api,
    connect_postgres,
)
from soundscape.errors import SettingsError
from soundscape.settings import PUBLIC_KEY_NAMES, SECRET_KEY_NAMES

_HOSTED = re.compile(r"^([a-z0-9]{20})\.supabase\.(?:co|in|red)$")
_POOLER_USER = re.compile(r"^postgres\.([a-z0-9]{20})$")
_DIRECT_HOST = re.compile(r"^db\.([a-z0-9]{20})\.supabase\.(?:co|in|red)$")

TRANSACTION_POOLER_PORT = 6543


@dataclass(frozen=True)
class Target:
    """One project as the environment describes it. What is not set is None."""

    url: str | None = None
    public_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    db_url: str | None = field(default=None, repr=False)
    access_token: str | None = field(default=None, repr=False)
    project_ref: str | None = None
    api_url: str = API_URL
    worker_url: str | None = None
    webhook_secret: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, values: Mapping[str, str]) -> Target:
        """Read the settings. Raises `SettingsError` if they name different projects."""

        def first(*names: str) -> str | None:
            return next((text for name in names if (text := values.get(name, "").strip())), None)

        url = first("SUPABASE_URL")
        db_url = first("SUPABASE_DB_URL")
        named = first("SUPABASE_PROJECT_REF", "SUPABASE_PROJECT_ID")
        found = {
            "SUPABASE_URL": _ref_of_url(url),
            "SUPABASE_DB_URL": _ref_of_database(db_url),
            "SUPABASE_PROJECT_REF": named,
        }
        known = {name: ref for name, ref in found.items() if ref is not None}
        if len(set(known.values())) > 1:
            told = ", ".join(f"{name} says {ref}" for name, ref in known.items())
            raise SettingsError(
                f"The settings name different projects: {told}.",
                code="projects_differ",
                remedy="Copy all of them from one project's settings.",
            )
        return cls(
            url=url.rstrip("/") if url else None,
            public_key=first(*PUBLIC_KEY_NAMES),
            secret_key=first(*SECRET_KEY_NAMES),
            db_url=db_url,
            access_token=first("SUPABASE_ACCESS_TOKEN"),
            project_ref=next(iter(known.values()), None),
            api_url=first("SUPABASE_API_URL") or API_URL,
            worker_url=first("SOUNDSCAPE_WORKER_URL"),
            webhook_secret=first("SOUNDSCAPE_WEBHOOK_SECRET"),
        )

    @property
    def is_hosted(self) -> bool:
        """Whether this is a project on Supabase's own cloud."""
        return self.project_ref is not None

    @property
    def has_database(self) -> bool:
        """Whether its database can be reached."""
        return self.db_url is not None or None not in (self.access_token, self.project_ref)

    @contextmanager
    def open(self) -> Iterator[tuple[DatabaseConnection, ManagementApi | None]]:
        """Open the database (by Postgres if its URL is set) and the Management API.

        Raises `SettingsError` when there is neither, `DeployError` when it cannot be reached.
        """
        if not self.has_database:
            raise SettingsError(
                "Neither SUPABASE_DB_URL nor SUPABASE_ACCESS_TOKEN with SUPABASE_PROJECT_REF is set.",
                code="settings_missing",
                remedy="Copy the session pooler's connection string (Connect, in the dashboard), or "
                "make a token at https://supabase.com/dashboard/account/tokens. "
                "For the embedded Supabase: soundscape env > .env",
            )
        with ExitStack() as opened:
            api = None
            if self.access_token is not None and self.project_ref is not None:
                api = opened.enter_context(
                    connect_management_api(self.project_ref, self.access_token, api_url=self.api_url)
                )
            database: DatabaseConnection | None = api
            if self.db_url is not None:
                database = opened.enter_context(connect_postgres(self.db_url))
            assert database is not None
            yield database, api


def _ref_of_url(url: str | None) -> str | None:
    match = _HOSTED.match(urlsplit(url or "").hostname or "")
    return match[1] if match else None


def _ref_of_database(db_url: str | None) -> str | None:
    parts = urlsplit(db_url or "")
    match = _POOLER_USER.match(parts.username or "") or _DIRECT_HOST.match(parts.hostname or "")
    return match[1] if match else None
