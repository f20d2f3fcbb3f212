"""The project that the frontend's journeys run against.

Unlike `soundscape dev`, addresses are confirmed by mail, and an issuer on this machine signs people in.
Mails of notifications wait for more to tell for a second, not for minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
from pathlib import Path

import psycopg

from embedded_supabase.config import Config
from soundscape.cli.embedded_project import run_project
from soundscape.cli.signals import run_until_signalled
from soundscape.deploy import sources
from soundscape.telemetry import logs
from tests import passwords
from tests.embedded_supabase.auth.issuer import CLIENT_ID, CLIENT_SECRET, running_issuer

PERSON = {"sub": "ada", "email": "ada@example.org", "email_verified": True, "name": "Ada"}


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    logs.configure()
    passwords.make_cheap()
    with running_issuer() as issuer:
        issuer.person = PERSON
        config = make_config(issuer.url)

        async def serve(ended: asyncio.Event) -> None:
            async with run_project(
                options.data_dir, port=options.port, durable=False, config=config
            ) as project:
                async with await psycopg.AsyncConnection.connect(project.db_url) as connection:
                    await connection.execute(
                        "update soundscape.delivery_settings set bundle_after = '1 second'"
                    )
                await ended.wait()

        run_until_signalled(serve)


def make_config(issuer_url: str) -> Config:
    """`supabase/config.toml` with confirmed addresses and one identity provider."""
    values = copy.deepcopy(Config.read(sources.get_folder() / "config.toml").values)
    values["auth"]["email"]["enable_confirmations"] = True
    provider = {"enabled": True, "client_id": CLIENT_ID, "secret": CLIENT_SECRET, "url": issuer_url}
    values["auth"]["external"] = {"google": provider}
    return Config(values)


if __name__ == "__main__":
    main()
