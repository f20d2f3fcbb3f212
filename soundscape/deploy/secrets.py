"""The two secrets that the doorbell's trigger reads from Vault."""

from __future__ import annotations

from collections.abc import Mapping

from soundscape.deploy.connection import PRELUDE, DatabaseConnection, Part, literal

WORKER_URL = "soundscape_worker_url"
WEBHOOK_SECRET = "soundscape_webhook_secret"  # noqa: S105 - the name of one


def collect_secrets(*, worker_url: str | None, webhook_secret: str | None) -> dict[str, str]:
    """Those that are known, by their names in Vault."""
    values = {WORKER_URL: worker_url and worker_url.rstrip("/"), WEBHOOK_SECRET: webhook_secret}
    return {name: value for name, value in values.items() if value}


def find_outdated(database: DatabaseConnection, values: Mapping[str, str], *, vault: bool) -> list[str]:
    """Names whose value in Vault is not the wanted one; all of them where there is no Vault yet."""
    if not vault or not values:
        return list(values)
    pairs = ", ".join(f"({literal(name)}, {literal(value)})" for name, value in values.items())
    rows = database.run(
        Part(
            "comparing secrets",
            f"select name from vault.decrypted_secrets where (name, decrypted_secret) in ({pairs})",  # noqa: S608
        )
    )
    kept = {row["name"] for row in rows}
    return [name for name in values if name not in kept]


def store_secret(database: DatabaseConnection, name: str, value: str) -> None:
    """Make or replace one secret."""
    script = f"""
select vault.update_secret(id, {literal(value)}) from vault.secrets where name = {literal(name)};
select vault.create_secret({literal(value)}, {literal(name)})
where not exists (select from vault.secrets where name = {literal(name)})
"""  # noqa: S608 - quoted literals
    database.run(PRELUDE, Part(f"storing {name} in Vault", script))
