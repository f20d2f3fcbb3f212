"""EXPLAIN is refused to people on every table: the planner estimates from rows that policies hide."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from .conftest import World

PEOPLE = ("anon", "authenticated")
POLICIES = """
select tablename, policyname from pg_policies
where schemaname = 'public' and permissive = 'RESTRICTIVE' and qual = 'soundscape.is_not_estimated()'
order by 1
"""
# Estimates go by the columns and tables of a request, so the count of an embedded table is one too.
QUERIES = (
    "explain (format json) select 1 from public.{table}",
    "explain select 1 from public.mood_rules where exists (select from public.{table})",
    "/* a comment */ EXPLAIN select 1 from public.{table} where false",
)


def ask(world: World, role: str, query: str, table: str, *, after: str = "select 1") -> str:
    """What `role` gets: `told`, `refused` with the sentence that says what to use instead, or `no right`."""
    try:
        with world.connection.transaction(force_rollback=True):
            world.connection.execute(after.encode())
            world.connection.execute("select set_config('role', %s, true)", [role])
            world.connection.execute(sql.SQL(query).format(table=sql.Identifier(table)))  # type: ignore[arg-type]
    except psycopg.errors.InsufficientPrivilege:
        return "no right"
    except psycopg.Error as refused:
        told = (refused.sqlstate, "count=exact" in str(refused.diag.message_hint))
        return "refused" if told == ("PT400", True) else str(refused)
    return "told"


def test_every_table_has_one(world: World) -> None:
    tables = world.rows(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') "
        "order by relname"
    )
    assert [(table, f"{table}_no_estimates") for (table,) in tables] == world.rows(POLICIES)


@pytest.mark.parametrize("query", QUERIES)
def test_people_get_no_estimate_of_any_table(world: World, query: str) -> None:
    answers = {
        (role, table): ask(world, role, query, table) for role in PEOPLE for table, _ in world.rows(POLICIES)
    }
    assert [key for key, answer in answers.items() if answer == "told"] == []
    assert {answers["anon", "audio_files"], answers["authenticated", "reports"]} == {"refused"}


def test_exact_counts_and_the_worker_are_not_concerned(world: World) -> None:
    for role, query in (
        ("authenticated", "select count(*) from public.{table}"),
        ("service_role", "explain select 1 from public.{table}"),
    ):
        assert ask(world, role, query, "audio_files") == "told"


def test_every_policy_about_estimates_is_missed(world: World) -> None:
    """Each by itself, without those of the tables that its own policies read."""
    policies = world.rows(POLICIES)
    survivors, mutations = [], 0
    for table, policy in policies:
        alone = "; ".join(f"drop policy {p} on public.{t}" for t, p in policies if t != table)
        for role in PEOPLE:
            before = ask(world, role, QUERIES[0], table, after=alone)
            if before == "no right":
                continue
            assert before == "refused", (role, table)
            others = next(other for other in PEOPLE if other != role)
            for change in (
                f"drop policy {policy} on public.{table}",
                f"alter policy {policy} on public.{table} using (true)",
                f"alter policy {policy} on public.{table} to {others}",
            ):
                mutations += 1
                if ask(world, role, QUERIES[0], table, after=f"{alone}; {change}") != "told":
                    survivors.append(change)
    print(f"estimates: {mutations - len(survivors)} of {mutations} mutations noticed")
    assert mutations > 0
    assert survivors == []
