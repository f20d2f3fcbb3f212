"""Every policy dropped or loosened, every right taken or added: each time the matrix must notice."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import pytest
from psycopg import sql

from . import matrix
from .conftest import World

GRANTEES = ("anon", "authenticated", "service_role", "supabase_auth_admin")
TABLE_RIGHTS = ("select", "insert", "update", "delete", "truncate", "references", "trigger", "maintain")
COLUMN_RIGHTS = ("select", "insert", "update", "references")

# An UPDATE policy's check on the owner cannot matter while the owner's column is granted to nobody. It is
# the second lock: these grants open the first, so that the second is seen to hold, and missed when gone.
FIRST_LOCK = {
    "public.users": "grant update (id) on public.users to authenticated",
    "public.user_preferences": "grant update (user_id) on public.user_preferences to authenticated",
    "public.audio_files": "grant update (user_id) on public.audio_files to authenticated",
    "public.playlists": "grant update (user_id) on public.playlists to authenticated",
    "public.notifications": "grant update (user_id) on public.notifications to authenticated",
}


@dataclass(frozen=True)
class Mutation:
    """One change for the worse."""

    table: str
    name: str
    change: str
    first_lock: str = ""


def policy_mutations(world: World) -> list[Mutation]:
    found = []
    for schema, table, policy, command, using, check in world.rows(
        "select schemaname, tablename, policyname, cmd, qual, with_check from pg_policies "
        "where schemaname in ('public', 'soundscape', 'storage', 'realtime') "
        # What they refuse is EXPLAIN, which no cell asks for: test_estimates.py mutates them.
        "and qual is distinct from 'soundscape.is_not_estimated()' order by 1, 2, 3",
    ):
        subject = f"{schema}.{table}"
        target = {"policy": sql.Identifier(str(policy)), "table": sql.Identifier(str(schema), str(table))}

        def mutate(text: str, first_lock: str = "", target: dict[str, sql.Identifier] = target) -> str:
            statement = sql.SQL(text).format(**target).as_string(world.connection)
            return f"{first_lock}; {statement}" if first_lock else statement

        found.append(Mutation(subject, f"{policy} dropped", mutate("drop policy {policy} on {table}")))
        if using not in (None, "true"):
            loose = mutate("alter policy {policy} on {table} using (true)")
            found.append(Mutation(subject, f"{policy} using (true)", loose))
        if check not in (None, "true"):
            lock = FIRST_LOCK.get(subject, "") if command == "UPDATE" else ""
            loose = mutate("alter policy {policy} on {table} with check (true)", lock)
            found.append(Mutation(subject, f"{policy} with check (true)", loose, lock))
    for (table,) in world.rows(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
    ):
        statement = sql.SQL("alter table public.{} disable row level security").format(
            sql.Identifier(str(table))
        )
        found.append(
            Mutation(f"public.{table}", f"{table}: row security off", statement.as_string(world.connection))
        )
    return found


def test_every_policy_is_missed(world: World) -> None:
    by_table = defaultdict(list)
    for cell in matrix.cells():
        by_table[cell.subject].append(cell)
    survivors, score = [], 0
    mutations = policy_mutations(world)
    for mutation in mutations:
        cells = by_table[mutation.table]
        if mutation.first_lock:
            cells = [cell for cell in cells if cell.actor == "owner" and cell.what.startswith("update")]
            assert world.wrong(cells, after=mutation.first_lock) == [], mutation.first_lock
        if world.wrong(cells, after=mutation.change):
            score += 1
        elif mutation.name not in HARMLESS:
            survivors.append(mutation.name)
    print(f"policies: {score} of {len(mutations) - len(HARMLESS)} mutations noticed")
    assert not survivors, "\n".join(survivors)
    assert score == len(mutations) - len(HARMLESS)


# Tables that everybody with a grant reads whole: without row security nothing more is seen. What guards them
# is the policy for anybody who is granted more, and test_row_security_is_on_everywhere.
HARMLESS = {
    f"{table}: row security off" for table in ("feature_flags", "licenses", "mood_rules", "role_permissions")
}


def test_every_right_is_missed(world: World) -> None:
    """One right more or less on any table, column, function, sequence or schema of ours."""
    changes: list[str] = []
    kinds: list[str] = []
    objects: list[int] = []
    expected: list[list[str]] = []

    def add(change: str, kind: str, oid: int, rights: list[str]) -> None:
        changes.append(change)
        kinds.append(kind)
        objects.append(oid)
        expected.append(rights)

    for oid, name, columns in world.rows(
        "select c.oid, c.relname, array_agg(a.attname) "
        "from pg_class c join pg_attribute a on a.attrelid = c.oid "
        "where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v') and a.attnum > 0 "
        "and not a.attisdropped group by c.oid, c.relname",
    ):
        rights = matrix.granted(matrix.RIGHTS[str(name)])
        for role in GRANTEES:
            for privilege in TABLE_RIGHTS:
                verb = ("revoke", "from") if f"{role}: {privilege}" in rights else ("grant", "to")
                statement = f"{verb[0]} {privilege} on public.{name} {verb[1]} {role}"
                add(statement, "table", int(str(oid)), rights)
            for privilege in COLUMN_RIGHTS:
                for column in columns:
                    if f"{role}: {privilege}" not in rights:
                        held = f"{role}: {privilege} ({column})" in rights
                        verb = ("revoke", "from") if held else ("grant", "to")
                        statement = f'{verb[0]} {privilege} ("{column}") on public.{name} {verb[1]} {role}'
                        add(statement, "table", int(str(oid)), rights)
    for oid, schema, signature, name in world.rows(FUNCTIONS):
        named = matrix.EXECUTE.get(str(name), ())
        for role in (*GRANTEES, "public"):
            verb = ("revoke", "from") if role in named else ("grant", "to")
            add(
                f"{verb[0]} execute on function {schema}.{signature} {verb[1]} {role}",
                "function",
                int(str(oid)),
                sorted(f"{role}: execute" for role in named),
            )
    (private,) = world.rows(
        "select oid, pg_temp.rights('schema', oid) from pg_namespace where nspname = %s", "soundscape"
    )
    usage = ["anon: usage", "authenticated: usage", "service_role: usage"]
    assert private[1] == usage
    for change in (
        "grant usage on schema soundscape to supabase_auth_admin",
        "grant usage on schema soundscape to public",
        "grant create on schema soundscape to authenticated",
        "revoke usage on schema soundscape from anon",
    ):
        add(change, "schema", int(str(private[0])), usage)

    found = world.rows(
        "select pg_temp.rights_after(m.change, m.kind, m.object) "
        "from unnest(%s::text[], %s::text[], %s::oid[]) with ordinality as m (change, kind, object, place) "
        "order by place",
        changes,
        kinds,
        objects,
    )
    survivors = [
        change for change, (rights,), wanted in zip(changes, found, expected, strict=True) if rights == wanted
    ]
    print(f"rights: {len(changes) - len(survivors)} of {len(changes)} mutations noticed")
    assert not survivors, "\n".join(survivors)


FUNCTIONS = """
select p.oid, n.nspname, format('%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)),
       format('%s.%s(%s)', n.nspname, p.proname, coalesce((
           select string_agg(replace(t::regtype::text, 'public.', ''), ',' order by place)
           from unnest(p.proargtypes) with ordinality as a (t, place)), ''))
from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('public', 'soundscape')
"""


@pytest.mark.parametrize("bucket", matrix.PUBLIC_BUCKETS)
def test_a_turned_bucket_is_missed(world: World, bucket: str) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute("update storage.buckets set public = not public where id = %s", (bucket,))
        now = dict(world.rows("select id, public from storage.buckets where id <> 'spare'"))
    assert now != matrix.PUBLIC_BUCKETS
