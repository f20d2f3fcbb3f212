"""The preflight: which project, what is known of it, and what must be fixed before anything is changed."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from soundscape.deploy import hooks, sources
from soundscape.deploy.connection import DatabaseConnection, ManagementApi, Part
from soundscape.deploy.record import MIGRATION_CHANGED, State
from soundscape.deploy.target import TRANSACTION_POOLER_PORT, Target

MIN_POSTGRES = 15
LOOPBACK = ("localhost", "127.0.0.1", "::1")

WORKER_OLDER = "worker_older"
WORKER_NEWER = "worker_newer"
_TABLES = """
select to_regclass('soundscape.workers') is not null as registered,
       to_regclass('soundscape.jobs') is not null as jobs
"""
_REGISTERED = """
select w.name, w.version, w.migration from soundscape.workers w
where w.seen_at > now() - interval '5 minutes' order by w.name
"""
# Previews are claimed under a name of their own.
_SILENT = """
select distinct regexp_replace(j.worker, '-previews$', '') as name from soundscape.jobs j
where j.started_at > now() - interval '5 minutes' order by name
"""


@dataclass(frozen=True)
class Finding:
    """One thing to know. `stops`: nothing can be deployed before it is fixed."""

    message: str
    remedy: str = ""
    stops: bool = False
    code: str = ""
    """Stable, for programs; empty where none is needed."""


@dataclass(frozen=True)
class Preflight:
    """The result of the preflight."""

    project: str
    database: str
    keys: dict[str, bool]
    findings: list[Finding]

    @property
    def stopped(self) -> bool:
        """Whether a finding stops the deploy."""
        return any(finding.stops for finding in self.findings)


def inspect_project(
    target: Target, database: DatabaseConnection, api: ManagementApi | None, state: State
) -> Preflight:
    """Look for everything that could make the deploy fail half way."""
    keys = {
        "public key": target.public_key is not None,
        "secret key": target.secret_key is not None,
        "database": target.db_url is not None,
        "Management API": api is not None,
        "webhook secret": target.webhook_secret is not None,
    }
    findings = [
        *_database(target, state),
        *_doorbell(target),
        *_hooks(target, api),
        *_migrations(state),
        *_workers(database),
    ]
    name = target.url or (target.project_ref and f"project {target.project_ref}") or database.name
    return Preflight(name, f"Postgres {state.version} as {state.role}, {database.name}", keys, findings)


def _database(target: Target, state: State) -> list[Finding]:
    findings = []
    if int(state.version.split(".")[0]) < MIN_POSTGRES:
        findings.append(
            Finding(
                f"Postgres {state.version} is too old.",
                f"Upgrade the project to Postgres {MIN_POSTGRES} or newer: Settings → Infrastructure.",
                stops=True,
            )
        )
    for name in state.missing_extensions:
        findings.append(
            Finding(
                f"This Postgres does not offer the extension {name}.",
                "Upgrade the project (Settings → Infrastructure), or its local stack.",
                stops=True,
            )
        )
    if target.db_url is not None and urlsplit(target.db_url).port == TRANSACTION_POOLER_PORT:
        findings.append(
            Finding(
                "SUPABASE_DB_URL is the transaction pooler.",
                "It serves for a deploy; for anything that listens or holds locks use the session pooler.",
            )
        )
    return findings


def _migrations(state: State) -> list[Finding]:
    changed = state.changed_migrations
    if not changed:
        return []
    return [
        Finding(
            f"These migrations are no longer what was applied: {', '.join(changed)}. "
            "What was changed in them is not in the project.",
            "Restore these files as they were, and put the change into a new migration.",
            stops=True,
            code=MIGRATION_CHANGED,
        )
    ]


def _workers(database: DatabaseConnection) -> list[Finding]:
    """Name workers of the last five minutes that are older or newer than what is deployed."""
    newest = sources.migrations()[-1].version
    (tables,) = database.run(Part("looking for the workers", _TABLES))
    registered = database.run(Part("reading the workers", _REGISTERED)) if tables["registered"] else []
    silent = database.run(Part("reading the latest claims", _SILENT)) if tables["jobs"] else []
    known = {worker["name"] for worker in registered}
    older = [_describe(worker) for worker in registered if worker["migration"] < newest]
    # Those of before there was a table of workers do not say how old they are.
    older += [str(worker["name"]) for worker in silent if worker["name"] not in known]
    newer = [_describe(worker) for worker in registered if worker["migration"] > newest]
    findings = []
    if older:
        findings.append(
            Finding(
                f"These workers are older than what is deployed: {', '.join(older)}.",
                "Replace them after the deploy. One that the new schema cannot serve takes no more jobs, and "
                "says worker_too_old in /api/health/ready.",
                code=WORKER_OLDER,
            )
        )
    if newer:
        findings.append(
            Finding(
                f"These workers are newer than what is deployed: {', '.join(newer)}.",
                "Deploy with their version. Until then they take no jobs, and say schema_too_old in "
                "/api/health/ready.",
                code=WORKER_NEWER,
            )
        )
    return findings


def _describe(worker: Mapping[str, Any]) -> str:
    return f"{worker['name']} ({worker['version']}, {worker['migration']})"


def _doorbell(target: Target) -> list[Finding]:
    findings = []
    if target.webhook_secret is None or target.worker_url is None:
        missing = "SOUNDSCAPE_WORKER_URL" if target.worker_url is None else "SOUNDSCAPE_WEBHOOK_SECRET"
        findings.append(
            Finding(
                f"{missing} is not set: the doorbell stays as it is. Without one the worker polls.",
                f"Set {missing} and deploy again.",
            )
        )
    elif not _is_webhook_secret(target.webhook_secret):
        findings.append(
            Finding(
                "SOUNDSCAPE_WEBHOOK_SECRET must be whsec_ and 24 bytes or more in base64.",
                "Make one: echo whsec_$(openssl rand -base64 32)",
                stops=True,
            )
        )
    host = urlsplit(target.worker_url or "").hostname
    if target.is_hosted and host in LOOPBACK:
        findings.append(
            Finding(
                f"SOUNDSCAPE_WORKER_URL is {target.worker_url}, which a hosted project cannot reach.",
                "Name the worker's public address, or leave it out: the worker then polls.",
                stops=True,
            )
        )
    return findings


def _is_webhook_secret(secret: str) -> bool:
    try:
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
    except (ValueError, binascii.Error):
        return False
    return secret.startswith("whsec_") and len(key) >= 24


def _hooks(target: Target, api: ManagementApi | None) -> list[Finding]:
    if not target.is_hosted or api is not None:
        return []
    return [
        Finding(
            f"The Auth hook {name} can be seen and set with SUPABASE_ACCESS_TOKEN only.",
            f"Set the token and deploy again; or switch it on by hand as {uri} (Authentication → Hooks in "
            "the dashboard, or supabase config push). Until then tokens lack the claim user_role.",
        )
        for name, uri in hooks.read_wanted().items()
    ]
