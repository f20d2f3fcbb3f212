"""Closed by default: every table, function and bucket against every actor, on a real Postgres."""

from __future__ import annotations

import pytest

from . import matrix
from .conftest import World


def test_every_cell(world: World) -> None:
    cells = matrix.cells()
    wrong = world.wrong(cells)
    assert not wrong, "\n".join(wrong)
    print(f"{len(cells)} cells")


# What the functions that recommend read with the caller's rights; recommendation_models by columns.
PRIVATE_AND_READ = {"recommendation_models", "item_factors", "item_neighbours"}


def test_every_relation_of_the_exposed_schema_has_its_rows(world: World) -> None:
    found = {
        name
        for (name,) in world.rows(
            "select format('public.%I', relname) from pg_class where relnamespace = 'public'::regnamespace "
            "and relkind in ('r', 'p', 'v', 'm', 'f')",
        )
    }
    assert found == {row.table for row in matrix.TABLES if row.table.startswith("public.")}
    assert {name.removeprefix("public.") for name in found} == set(matrix.RIGHTS) - PRIVATE_AND_READ
    for table in found:
        asked = {
            (cell.what.split()[0], cell.actor)
            for cell in matrix.cells()
            if cell.subject == table and cell.actor in matrix.ACTORS
        }
        assert asked == {(action, actor) for action in matrix.ACTIONS for actor in matrix.ACTORS}, table


def test_every_function_of_the_exposed_schema_has_its_rows(world: World) -> None:
    found = {
        name
        for (name,) in world.rows(
            "select format('%s(%s)', proname, "
            "(select string_agg(t::regtype::text, ',' order by place) "
            "from unnest(proargtypes) with ordinality as a (t, place))) "
            "from pg_proc where pronamespace = 'public'::regnamespace",
        )
    }
    assert found == {signature for signature, _, _, _ in matrix.CALLS}


def test_every_bucket_has_its_rows(world: World) -> None:
    found = dict(world.rows("select id, public from storage.buckets where id <> 'spare'"))
    assert found == matrix.PUBLIC_BUCKETS
    assert set(found) == {row.name.split(":")[0] for row in matrix.BUCKETS}


def test_rights_to_the_letter(world: World) -> None:
    tables = dict(
        world.rows(
            "select relname, pg_temp.rights('table', oid) from pg_class "
            "where relkind in ('r', 'v') and relnamespace::regnamespace::text in ('public', 'soundscape') "
            "and (relnamespace = 'public'::regnamespace or pg_temp.rights('table', oid) <> '{}')",
        )
    )
    assert tables == {table: matrix.granted(rights) for table, rights in matrix.RIGHTS.items()}
    functions = {
        str(name): [right.removesuffix(": execute") for right in rights]
        for name, rights in world.rows(FUNCTIONS)
        if rights
    }
    assert functions == {name: sorted(roles) for name, roles in matrix.EXECUTE.items()}


FUNCTIONS = """
select format('%s.%s(%s)', n.nspname, p.proname, coalesce((
           select string_agg(replace(t::regtype::text, 'public.', ''), ',' order by place)
           from unnest(p.proargtypes) with ordinality as a (t, place)), '')),
       pg_temp.rights('function', p.oid)
from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('public', 'soundscape')
"""


def test_nobody_reaches_what_is_the_owners_alone(world: World) -> None:
    """Tables of the private schemas, and sequences anywhere, are granted to nobody."""
    reached = world.rows(
        "select c.oid::regclass::text, r.rolname from pg_class c cross join pg_roles r "
        "where c.relnamespace::regnamespace::text in ('soundscape', 'pgmq', 'vault', 'net', 'cron') "
        "and r.rolname in ('anon', 'authenticated') "
        "and has_schema_privilege(r.rolname, c.relnamespace, 'usage') "
        "and c.relkind in ('r', 'v') "
        "and has_table_privilege(r.rolname, c.oid, 'select, insert, update, delete') "
    )
    assert sorted(reached) == sorted(
        (f"soundscape.{table}", "authenticated") for table in PRIVATE_AND_READ - {"recommendation_models"}
    )
    sequences = world.rows(
        "select c.relname, r.rolname from pg_class c cross join pg_roles r "
        "where c.relnamespace in ('public'::regnamespace, 'soundscape'::regnamespace) and c.relkind = 'S' "
        "and r.rolname in ('anon', 'authenticated', 'service_role') "
        "and has_sequence_privilege(r.rolname, c.oid, 'usage, select, update')",
    )
    assert sequences == []


def test_row_security_is_on_everywhere(world: World) -> None:
    off = world.rows(
        "select oid::regclass::text from pg_class where relkind in ('r', 'p') and not relrowsecurity "
        "and relnamespace::regnamespace::text in ('public', 'soundscape')",
    )
    assert off == []


def test_one_permissive_policy_per_role_and_action(world: World) -> None:
    doubled = world.rows(
        "select tablename, role, cmd, array_agg(policyname) from pg_policies, unnest(roles) as role "
        "where schemaname = 'public' and permissive = 'PERMISSIVE' "
        "group by tablename, role, cmd having count(*) > 1",
    )
    assert doubled == []
    unbound = world.rows(
        "select tablename, policyname from pg_policies where schemaname in ('public', 'storage', 'realtime') "
        "and ('public' = any (roles) or cmd = 'ALL')",
    )
    assert unbound == [], "every policy names its roles and one action"


def test_owners_rights_only_in_the_private_schema(world: World) -> None:
    found = world.rows(
        "select oid::regprocedure::text from pg_proc "
        "where (pronamespace = 'public'::regnamespace and prosecdef) "
        "or (pronamespace in ('public'::regnamespace, 'soundscape'::regnamespace) "
        # A body that was read when the function was made looks nothing up any more.
        "    and (prosecdef or prosqlbody is null) "
        "    and not coalesce('search_path=\"\"' = any (proconfig), false))",
    )
    assert found == []


def test_everything_is_explained(world: World) -> None:
    """Comments become the API's documentation."""
    silent = world.rows(
        """
        select oid::regclass::text from pg_class
        where relnamespace in ('public'::regnamespace, 'soundscape'::regnamespace) and relkind in ('r', 'v')
          and obj_description(oid, 'pg_class') is null
        union all
        select format('%s.%s', attrelid::regclass, attname)
        from pg_attribute join pg_class c on c.oid = attrelid
        where c.relnamespace in ('public'::regnamespace, 'soundscape'::regnamespace)
          and c.relkind in ('r', 'v')
          and attnum > 0 and not attisdropped and col_description(attrelid, attnum) is null
        union all
        select oid::regprocedure::text from pg_proc
        where pronamespace in ('public'::regnamespace, 'soundscape'::regnamespace)
          and obj_description(oid, 'pg_proc') is null
        """,
    )
    assert silent == []


LED_BY = """
select 1 from pg_index i where i.indrelid = {table} and i.indisvalid and i.indpred is null
  and (string_to_array(i.indkey::text, ' ')::int2[])[1:cardinality({columns})] @> {columns}
"""


def test_every_foreign_key_has_its_index(world: World) -> None:
    """Else a deletion on the other side reads the whole table."""
    bare = world.rows(
        "select conrelid::regclass::text, conname from pg_constraint c "
        "where contype = 'f' and connamespace::regnamespace::text in ('public', 'soundscape') "
        f"and not exists ({LED_BY.format(table='c.conrelid', columns='c.conkey')})",
    )
    assert bare == []


def test_every_column_that_a_policy_compares_has_its_index(world: World) -> None:
    """Yes, no and when divide too badly for an index to lead with them: see docs/lints-explained.md.

    A restrictive policy only narrows what the permissive ones found by their index.
    """
    compared = (
        "from pg_depend d join pg_policy p on p.oid = d.objid join pg_class c on c.oid = d.refobjid "
        "join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid "
        "where p.polpermissive and d.classid = 'pg_policy'::regclass and d.refclassid = 'pg_class'::regclass "
        "and c.relnamespace = 'public'::regnamespace and a.atttypid::regtype::text not in ('boolean', "
        "'timestamp with time zone') "
    )
    columns = {
        column
        for (column,) in world.rows(f"select distinct format('%s.%s', c.relname, a.attname) {compared}")
    }
    assert {"audio_files.user_id", "audio_files.file_path", "playlist_items.playlist_id"} <= columns
    index = LED_BY.format(table="c.oid", columns="array[a.attnum]")
    bare = world.rows(f"select c.relname, a.attname, p.polname {compared} and not exists ({index})")
    assert bare == []


def test_an_index_that_is_missing_would_be_noticed(world: World) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute("drop index public.likes_by_recording, public.reports_by_reporter")
        for check in (
            test_every_foreign_key_has_its_index,
            test_every_column_that_a_policy_compares_has_its_index,
        ):
            with pytest.raises(AssertionError, match=r"reports|likes"):
                check(world)
