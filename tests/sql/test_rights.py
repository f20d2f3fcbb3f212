"""What strangers and users cannot touch: the ledger, the queue, the secrets, the doorbell, the clock."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from .conftest import Database

PRIVATE = ("soundscape", "pgmq", "vault", "net", "cron")
WORKER_FUNCTIONS = {
    "claim_jobs",
    "complete_job",
    "claim_previews",
    "complete_preview",
    "extend_lease",
    "report_progress",
    "fail_job",
    "open_key_session",
    "claim_export",
    "list_export",
    "read_export",
    "save_export",
    "restart_export",
    "complete_export",
    "fail_export",
    "register_worker",
    "claim_image_check",
    "complete_image_check",
    "claim_caption",
    "complete_caption",
    "fail_caption",
    "record_download",
    "flag_for",
    "flags_for",
    "roll_up_stats",
    "project_stats",
    "claim_delivery",
    "complete_delivery",
    "fail_delivery",
    "report_channel",
    "unsubscribe",
    "record_key_session",
    "confirm_deletions",
    "empty_accounts",
    "complete_rename",
    "pending_renames",
    "pending_deletions",
    "reconcile",
}
USERS_FUNCTIONS = {
    "assign_report",
    "cancel_analysis",
    "create_api_key",
    "delete_my_account",
    "dismiss_match",
    "export_my_data",
    "set_captions",
    "replace_caption",
    "hide_recording",
    "log_impressions",
    "move_playlist_item",
    "reorder_playlist",
    "resolve_report",
    "restore_recording",
    "retry_analysis",
    "revoke_api_key",
    "save_push_subscription",
}


READ_WITHIN_POLICIES = {
    ("authenticated", "soundscape"): {
        "item_factors",
        "item_neighbours",
        "mood_rules",
        "recommendation_models",
    },
    ("anon", "soundscape"): {"mood_rules"},
}
"""What functions that run with the caller's rights read there; tests/sql/access/matrix.py says which rows."""


@pytest.mark.parametrize("schema", PRIVATE)
@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_no_table_in_a_private_schema(db: Database, role: str, schema: str) -> None:
    tables = db.rows(
        "select c.oid, c.relname from pg_class c where c.relnamespace = %s::regnamespace"
        " and c.relkind in ('r', 'p', 'v', 'm', 'S')",
        schema,
    )
    assert tables, "a schema without tables proves nothing"
    open_to = db.rows(
        "select c.relname from pg_class c where c.relnamespace = %s::regnamespace"
        " and case when c.relkind in ('r', 'p', 'v', 'm')"
        " then has_schema_privilege(%s, c.relnamespace, 'usage')"
        "      and has_any_column_privilege(%s, c.oid, 'select, insert, update')"
        " when c.relkind = 'S' then has_schema_privilege(%s, c.relnamespace, 'usage')"
        "      and has_sequence_privilege(%s, c.oid, 'usage') else false end",
        schema,
        role,
        role,
        role,
        role,
    )
    assert {row["relname"] for row in open_to} <= READ_WITHIN_POLICIES.get((role, schema), set())


@pytest.mark.parametrize("schema", PRIVATE)
@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_no_function_in_a_private_schema(db: Database, role: str, schema: str) -> None:
    callable_ones = db.rows(
        "select p.proname as name, p.provolatile as volatility from pg_proc p"
        " where p.pronamespace = %s::regnamespace and p.prorettype <> 'trigger'::regtype"
        " and has_schema_privilege(%s, p.pronamespace, 'usage')"
        " and has_function_privilege(%s, p.oid, 'execute')",
        schema,
        role,
        role,
    )
    if schema != "soundscape":
        assert callable_ones == []
        return
    # Policies call some under the caller's own role: these only answer questions.
    names = {function["name"] for function in callable_ones}
    assert names >= {"uuid_or_null", "owner_of", "object_name_problem", "is_copying"}
    # The others are what users and moderators do through a namesake in public; each asks who calls.
    writing = {function["name"] for function in callable_ones if function["volatility"] == "v"}
    # check_request writes nothing: it makes the request's transaction read-only. describe_batch writes with
    # the caller's own rights.
    users = USERS_FUNCTIONS | {"describe_batch"}
    assert writing == {"check_request"} | (users if role == "authenticated" else set())


@pytest.mark.parametrize(
    "statement",
    [
        "select * from soundscape.jobs",
        "select soundscape.enqueue(gen_random_uuid(), 'v')",
        "select soundscape.attach_object(gen_random_uuid())",
        "select soundscape.ring_doorbell()",
        "select soundscape.reconcile()",
        "select * from soundscape.claim_jobs('w', 1, 60)",
        "select * from public.claim_jobs('w', 1, 60)",
        "select public.reconcile()",
        "select pgmq.send('soundscape_uploads', '{}')",
        "select * from pgmq.read('soundscape_uploads', 1, 1)",
        "select * from pgmq.q_soundscape_uploads",
        "select * from vault.decrypted_secrets",
        "select vault.create_secret('x', 'y')",
        "select net.http_post('http://127.0.0.1:9/')",
        "select * from net.http_request_queue",
        "select cron.schedule('x', '5 seconds', 'select 1')",
        "select * from cron.job",
        "delete from storage.objects",
    ],
)
@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_refused_in_so_many_words(db: Database, alice: str, role: str, statement: str) -> None:
    with (
        db.acting(role, alice if role == "authenticated" else "") as caller,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        caller.execute(statement)


@pytest.mark.parametrize("function", sorted(WORKER_FUNCTIONS))
def test_the_worker_may_call_its_door(db: Database, function: str) -> None:
    for schema in ("public", "soundscape"):
        found = db.value(
            "select bool_and(has_function_privilege('service_role', p.oid, 'execute'))"
            " from pg_proc p where p.pronamespace = %s::regnamespace and p.proname = %s",
            schema,
            function,
        )
        assert found is True


@pytest.mark.parametrize("table", ["jobs", "deletions"])
def test_not_even_the_worker_reads_the_ledger_directly(db: Database, table: str) -> None:
    with db.acting("service_role") as worker, pytest.raises(psycopg.errors.InsufficientPrivilege):
        worker.execute(sql.SQL("select * from {}").format(sql.Identifier("soundscape", table)))


def test_every_definer_function_has_a_fixed_search_path(db: Database) -> None:
    loose = db.rows(
        "select p.oid::regprocedure::text from pg_proc p"
        " where p.pronamespace in ('soundscape'::regnamespace, 'public'::regnamespace) and p.prosecdef"
        " and not coalesce(p.proconfig, '{}') @> array['search_path=\"\"']"
        " and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')"
    )
    assert loose == []
