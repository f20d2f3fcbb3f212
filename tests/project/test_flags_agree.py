"""Flags: the database, Python and the browser give 10,000 users the same answers, for each kind of flag."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
import psycopg
import pytest
from openfeature.evaluation_context import EvaluationContext
from psycopg.rows import dict_row
from supabase import AsyncClient

from soundscape.cli.embedded_project import Project
from soundscape.project.client import connect
from soundscape.project.flag_provider import FlagProvider
from soundscape.project.flags import Flags
from tests import embedded, node

Database = psycopg.Connection[dict[str, Any]]

USERS = [str(UUID(int=0x4000_8000 << 64 | number)) for number in range(10_000)]
MODERATORS = USERS[5::500]
PACKAGES = (*node.PACKAGES, "@openfeature/web-sdk@1.10.0")
PROVIDER = Path(__file__).parents[2] / "examples/nextjs/lib/soundscape/flag-provider.ts"
USERS_OF_A_RUN = 2_500
NODE_TIMEOUT_S = 600.0
"""For a run of Node: 0.24 s a user, some thirty times what one takes on two cores at load 7."""

EVERYBODY = len(USERS)
FLAGS: dict[str, tuple[str, int | range]] = {
    "on": ("state = 'on'", EVERYBODY),
    "off": ("state = 'off', percentage = 100, roles = '{user}'", 0),
    "nobody": ("state = 'some'", 0),
    "percent_1": ("state = 'some', percentage = 1", range(60, 140)),
    "percent_33": ("state = 'some', percentage = 33", range(3110, 3490)),
    "percent_50": ("state = 'some', percentage = 50", range(4800, 5200)),
    "percent_99": ("state = 'some', percentage = 99", range(9860, 9940)),
    "percent_100": ("state = 'some', percentage = 100", EVERYBODY),
    "moderators": ("state = 'some', roles = '{moderator}'", len(MODERATORS)),
    "signed_in": ("state = 'some', roles = '{user}'", EVERYBODY),
    "named": (f"state = 'some', user_ids = '{{{','.join(USERS[::100])}}}'", 100),
    "all_of_it": (
        f"state = 'some', roles = '{{moderator}}', user_ids = '{{{USERS[3]}}}', percentage = 33",
        range(3110, 3520),
    ),
    "begun": ("state = 'on', active_from = now() - interval '1 day'", EVERYBODY),
    "to_begin": ("state = 'on', active_from = now() + interval '1 day'", 0),
    "ended": ("state = 'some', percentage = 50, active_until = now() - interval '1 day'", 0),
    "within": (
        "state = 'some', percentage = 50, active_from = now() - interval '1 day',"
        " active_until = now() + interval '1 day'",
        range(4800, 5200),
    ),
}
"""What each is set to, and how many users have it. The ids are fixed, so each is one number: within four
standard deviations of what the percentage says."""
KEYS = {name: f"test_{name}" for name in FLAGS}


@pytest.fixture(scope="module")
def project(data_dirs: Path) -> Iterator[Project]:
    """One of its own, because 10,000 users are in nobody's way there."""
    with embedded.served(data_dirs / "flags", with_worker=False) as project:
        yield project


@pytest.fixture
def database(project: Project) -> Iterator[Database]:
    with psycopg.connect(project.db_url, autocommit=True, row_factory=dict_row) as connection:
        connection.execute(
            "insert into auth.users (id, email) select u, u || '@example.com' from unnest(%s::uuid[]) as u",
            (USERS,),
        )
        connection.execute(
            "insert into public.user_roles (user_id, role)"
            " select u, 'moderator' from unnest(%s::uuid[]) as u",
            (MODERATORS,),
        )
        for name, (change, _) in FLAGS.items():
            connection.execute(
                "insert into public.feature_flags (key, description) values (%s, 'A test')", (KEYS[name],)
            )
            connection.execute(
                f"update public.feature_flags set {change} where key = '{KEYS[name]}'".encode()
            )
        yield connection


Answers = dict[str, set[str]]


def ask_database(database: Database) -> Answers:
    rows = database.execute(
        "select k, array_agg(u) filter (where public.flag_for(k, u::uuid)) as users"
        " from unnest(%s::text[]) as k, unnest(%s::text[]) as u group by k",
        (list(KEYS.values()), USERS),
    )
    return {row["k"]: set(row["users"] or ()) for row in rows}


async def ask_python(client: AsyncClient) -> Answers:
    provider = FlagProvider(Flags(client))

    async def ask(key: str) -> set[str]:
        asked = [EvaluationContext(targeting_key=user) for user in USERS]
        answers = await asyncio.gather(
            *(provider.resolve_boolean_details_async(key, False, context) for context in asked)
        )
        return {user for user, answer in zip(USERS, answers, strict=True) if answer.value}

    return {key: await ask(key) for key in KEYS.values()}


def ask_browser(project: Project, folder: Path) -> Answers:
    # Node finds packages beside the file, and reads TypeScript by its ending.
    (folder / "node_modules").symlink_to(node.modules(PACKAGES) / "node_modules")
    shutil.copy(PROVIDER, folder / "flag-provider.mts")
    keys, expires_at = project.keys, int(time.time()) + 3600

    def sign_in(user: str) -> str:
        claims = {"sub": user, "role": "authenticated", "aud": "authenticated", "exp": expires_at}
        return jwt.encode(claims, keys.jwt_secret, algorithm="HS256")

    given = {
        "url": project.url,
        "key": keys.publishable_key,
        "provider": str(folder / "flag-provider.mts"),
        "flags": list(KEYS.values()),
    }
    answers: Answers = {key: set() for key in KEYS.values()}
    for start in range(0, len(USERS), USERS_OF_A_RUN):
        users = [(user, sign_in(user)) for user in USERS[start : start + USERS_OF_A_RUN]]
        said = node.run("flags.mjs", {**given, "users": users}, timeout_s=NODE_TIMEOUT_S, packages=PACKAGES)
        for key, having_it in said["isOn"].items():
            answers[key].update(having_it)
        assert said["unknown"] == [True, False, True]
        # Node and the packages may warn of something else.
        warnings = [text for text in said["warnings"] if "flag" in text]
        assert warnings == ["The flag test_unknown is not known, its default is used."]
    return answers


async def test_the_database_python_and_the_browser_agree(
    database: Database, project: Project, tmp_path: Path
) -> None:
    by_database = ask_database(database)
    for name, (_, expected) in FLAGS.items():
        count = len(by_database[KEYS[name]])
        assert count == expected if isinstance(expected, int) else count in expected, name
    async with connect(project.url, project.keys.secret_key) as (client, _):
        by_python, by_browser = await asyncio.gather(
            ask_python(client), asyncio.to_thread(ask_browser, project, tmp_path)
        )
    assert by_python == by_database
    assert by_browser == by_database
