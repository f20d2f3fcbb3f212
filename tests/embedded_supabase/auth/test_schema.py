"""Schema `auth` as migrations and policies meet it."""

from __future__ import annotations

import json

import psycopg
import pytest

from embedded_supabase.postgres import Postgres

USER = "00000000-0000-4000-8000-000000000001"
CLAIMS = {"sub": USER, "role": "authenticated", "email": "ada@example.com", "app_metadata": {"plan": "pro"}}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("auth.uid()::text", USER),
        ("auth.role()", "authenticated"),
        ("auth.email()", "ada@example.com"),
        ("auth.jwt() -> 'app_metadata' ->> 'plan'", "pro"),
    ],
)
@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_who_is_asking(platform: Postgres, role: str, expression: str, expected: str) -> None:
    with psycopg.connect(platform.dsn("authenticator")) as connection:
        connection.execute("select set_config('role', %s, true)", [role])
        assert connection.execute(f"select {expression}").fetchone() == (None,)  # type: ignore[arg-type]
        connection.execute("select set_config('request.jwt.claims', %s, true)", [json.dumps(CLAIMS)])
        assert connection.execute(f"select {expression}").fetchone() == (expected,)  # type: ignore[arg-type]


def test_the_older_settings_count_too(platform: Postgres) -> None:
    with psycopg.connect(platform.dsn("authenticator")) as connection:
        connection.execute("set local role anon")
        connection.execute("select set_config('request.jwt.claim.sub', %s, true)", [USER])
        assert connection.execute("select auth.uid()::text").fetchone() == (USER,)


@pytest.mark.row("database.roles", by="sql")
@pytest.mark.parametrize("table", ["users", "identities", "sessions", "refresh_tokens", "one_time_tokens"])
@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_the_api_cannot_reach_the_tables(platform: Postgres, role: str, table: str) -> None:
    with psycopg.connect(platform.dsn("authenticator")) as connection:
        connection.execute("select set_config('role', %s, true)", [role])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"select * from auth.{table}")  # type: ignore[arg-type]


@pytest.mark.row("database.roles", by="sql")
def test_a_migration_may_refer_to_users_and_watch_them(platform: Postgres) -> None:
    with psycopg.connect(platform.dsn("postgres")) as connection:
        connection.execute(
            "create table public.watched (id uuid primary key references auth.users (id) on delete cascade)"
        )
        connection.execute(
            "create function public.watch() returns trigger language plpgsql security definer"
            " set search_path = '' as $$ begin insert into public.watched values (new.id); return new; end $$"
        )
        connection.execute(
            "create trigger watch after insert on auth.users for each row execute function public.watch()"
        )
        connection.execute("insert into auth.users (id, email) values (%s, 'watched@example.com')", [USER])
        assert connection.execute("select count(*) from public.watched").fetchone() == (1,)
        connection.execute("delete from auth.users where id = %s", [USER])
        assert connection.execute("select count(*) from public.watched").fetchone() == (0,)
        connection.rollback()


def test_one_address_one_user(platform: Postgres) -> None:
    with psycopg.connect(platform.dsn("postgres")) as connection:
        statement = "insert into auth.users (id, email) values (gen_random_uuid(), 'twice@example.com')"
        connection.execute(statement)
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(statement)
