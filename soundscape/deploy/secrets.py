"""The two secrets that the doorbell's trigger reads from Vault.

Their values travel beside the SQL, never in it: the text of a statement may end up in logs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from soundscape.deploy.connection import DEPLOY_LOCK, DatabaseConnection

WORKER_URL = "soundscape_worker_url"
WEBHOOK_SECRET = "soundscape_webhook_secret"  # noqa: S105 - the name of one

_CURRENT = """
select s.name from vault.decrypted_secrets s
join jsonb_each_text($1::jsonb) as wanted (name, value)
  on wanted.name = s.name and wanted.value = s.decrypted_secret
"""
_STORE = f"""
select case when s.id is null then vault.create_secret($2::text, $1::text)::text
            else vault.update_secret(s.id, $2::text)::text end
from (select pg_advisory_xact_lock({DEPLOY_LOCK})) as deploy_lock
left join vault.secrets s on s.name = $1::text
"""  # noqa: S608 - a number


def collect_secrets(*, worker_url: str | None, webhook_secret: str | None) -> dict[str, str]:
    """Return the secrets that are known, by their names in Vault."""
    values = {WORKER_URL: worker_url and worker_url.rstrip("/"), WEBHOOK_SECRET: webhook_secret}
    return {name: value for name, value in values.items() if value}


def find_outdated(database: DatabaseConnection, values: Mapping[str, str], *, vault: bool) -> list[str]:
    """Return the names whose value in Vault is another; all of them where there is no Vault yet."""
    if not vault or not values:
        return list(values)
    rows = database.query("comparing secrets", _CURRENT, json.dumps(dict(values)))
    current = {row["name"] for row in rows}
    return [name for name in values if name not in current]


def store_secret(database: DatabaseConnection, name: str, value: str) -> None:
    """Create or replace one secret."""
    database.query(f"storing {name} in Vault", _STORE, name, value)
