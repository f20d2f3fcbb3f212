"""A check of a whole project is green, and each way of breaking the project turns exactly its line red."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import LiteralString

import httpx
import psycopg
import pytest

from embedded_supabase.postgres import SUPERUSER
from soundscape.check import functions, people
from soundscape.check.capability import Capability, CapabilityBroken, Line
from soundscape.check.runner import check, select_capabilities
from soundscape.check.session import CheckSession
from soundscape.cli.embedded_project import Project
from soundscape.deploy import database, sources
from soundscape.deploy.deployment import deploy
from soundscape.deploy.target import Target
from soundscape.errors import SettingsError
from soundscape.worker.vapid import make_private_key
from tests import embedded
from tests.waiting import LIMIT_S, until

OTHER_SECRET = "whsec_" + "YW5vdGhlciAzMiByYW5kb20gYnl0ZXMgZm9yIHRlc3RzISE="


CHANNELS = {
    # Nobody listens there: mails wait.
    "SOUNDSCAPE_SMTP_URL": "smtp://127.0.0.1:9",
    "SOUNDSCAPE_SMTP_FROM": "SoundScape <no-reply@soundscape.test>",
    "SOUNDSCAPE_PUBLIC_URL": "https://worker.soundscape.test",
    "SOUNDSCAPE_VAPID_PRIVATE_KEY": make_private_key(),
}
"""What a worker needs to deliver mails and pushes."""


@pytest.fixture(scope="module")
def worker(served: Project) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A worker in a process of its own, as in production, and its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    database.apply(served.db_url, worker_url=url, webhook_secret=served.keys.webhook_secret)
    environment = os.environ | served.environment() | {"SOUNDSCAPE_POLL_MAX_S": "1"} | CHANNELS
    command = [sys.executable, "-m", "soundscape", "worker", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            _await_ready(url)
            yield process, url
        finally:
            process.kill()


@pytest.fixture(scope="module")
def target(served: Project, worker: tuple[subprocess.Popen[bytes], str]) -> Target:
    return Target.from_environment(served.environment() | {"SOUNDSCAPE_WORKER_URL": worker[1]})


def _await_ready(worker_url: str) -> None:
    def is_ready() -> bool:
        try:
            return httpx.get(f"{worker_url}/api/health/ready", timeout=LIMIT_S).status_code == 200
        except httpx.TransportError:
            return False

    until(is_ready, "the worker did not become ready")


async def lines(
    target: Target,
    *,
    wait_s: float = 30.0,
    only: Collection[str] = (),
    clock: Callable[[], float] = time.time,
) -> dict[str, Line]:
    told: list[Line] = []
    returned = await check(target, told.append, wait_s=wait_s, only=only, clock=clock)
    assert returned == told
    return {line.name: line for line in told}


def red(found: dict[str, Line]) -> list[str]:
    for line in found.values():
        if line.result == "broken":
            assert line.reason
            assert line.fix
    return [line.name for line in found.values() if line.result == "broken"]


def run(target: Target, statement: str) -> None:
    """As somebody with every right, whom no constraint stops."""
    assert target.db_url is not None
    with psycopg.connect(target.db_url.replace("//postgres:", f"//{SUPERUSER}:")) as connection:
        connection.execute("set local session_replication_role = replica")
        connection.execute(statement.encode())


async def test_a_whole_project_is_green_and_left_as_it_was(target: Target) -> None:
    before = left(target)
    found = await lines(target)
    assert [line for line in found.values() if line.result != "works"] == []
    assert left(target) == before


def left(target: Target) -> object:
    """How many users, recordings and objects there are; the worker removes waveforms later."""
    assert target.db_url is not None
    with psycopg.connect(target.db_url) as connection:
        return connection.execute(
            "select (select count(*) from auth.users), (select count(*) from public.audio_files), "
            "(select count(*) from storage.objects where bucket_id <> 'waveforms')"
        ).fetchone()


async def test_without_what_is_optional(target: Target) -> None:
    """A URL and a public key are enough for everything that a user does."""
    found = await lines(Target(url=target.url, public_key=target.public_key))
    unknown = {name for name, line in found.items() if line.result == "unknown"}
    without_database = {"extensions", "doorbell", "sweep"}
    assert unknown == {
        *without_database,
        "secret key",
        "API keys",
        "impressions",
        "statistics",
        "flags",
        "findings",
        "roles",
        "moderation",
        "clean-up",
    }
    assert red(found) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"url": "http://127.0.0.1:9"}, "project"),
        ({"public_key": "sb_publishable_wrong"}, "public key"),
    ],
)
async def test_a_wrong_setting(target: Target, change: dict[str, str], line: str) -> None:
    assert red(await lines(replace(target, **change))) == [line]  # type: ignore[arg-type]


BROKEN = [
    # what happened to the project, and the lines that say so
    (["drop policy users_read on public.users"],
     ["profile"]),
    (["create or replace function public.custom_access_token_hook(event jsonb) returns jsonb "
      "language sql as 'select event'"],
     ["role claim"]),
    (["revoke execute on function public.custom_access_token_hook(jsonb) from supabase_auth_admin"],
     ["sign up"]),
    (["drop policy audio_files_read on public.audio_files"],
     ["describe"]),
    (["drop policy soundscape_waveforms_read on storage.objects"],
     ["waveform"]),
    (["drop policy soundscape_audio_insert on storage.objects"],
     ["upload"]),
    (["drop policy audio_files_read_public on public.audio_files"],
     ["public row"]),
    (["drop policy soundscape_audio_read_public on storage.objects"],
     ["publish"]),
    (["revoke select on public.audio_features from authenticated"],
     ["features"]),
    (["delete from storage.buckets where id = 'audio-files'"],
     ["upload"]),
    (["delete from storage.buckets where id = 'waveforms'"],
     ["waveforms bucket"]),
    (["drop extension pg_net"],
     ["extensions"]),
    (["drop trigger audio_files_made on public.audio_files"],
     ["describe"]),
    (["drop policy soundscape_library_read on realtime.messages"],
     ["topics"]),
    (["drop policy soundscape_recording_read on realtime.messages"],
     ["topics"]),
    (["create policy leak on realtime.messages for select to authenticated using (true)"],
     ["topics"]),
    (["drop trigger broadcast_delete on public.playlists"],
     ["topics"]),
    (["alter role authenticator in database postgres reset pgrst.db_pre_request; "
      "notify pgrst, 'reload config'"],
     ["counts"]),
    (["drop policy audio_files_no_estimates on public.audio_files"],
     ["counts"]),
    (["create or replace function soundscape.object_name_problem(object_name text) returns text language sql "
      "immutable parallel safe set search_path = '' return null"],
     ["names"]),
    (["drop trigger soundscape_object_rules on storage.objects"],
     ["copies"]),
    (["create or replace function soundscape.session_scope() returns text language sql stable "
      "security definer set search_path = '' as $$select 'account'$$"],
     ["API keys"]),
    (["drop policy soundscape_session_insert on storage.objects"],
     ["API keys"]),
]  # fmt: skip


@pytest.mark.parametrize(("statements", "broken"), BROKEN, ids=lambda told: told[0])
async def test_each_way_of_breaking_it_turns_its_line_red(
    target: Target, statements: list[str], broken: list[str]
) -> None:
    for statement in statements:
        run(target, statement)
    try:
        found = await lines(target)
        assert red(found) == broken, {name: each.reason for name, each in found.items() if each.reason}
    finally:
        # What the check says to do does fix it.
        assert deploy(target, lambda _: None, repair=True).succeeded


async def test_what_blocks_nothing_turns_as_many_lines_red_as_are_broken(target: Target) -> None:
    """The webhook's secret, a key, a clock, a bucket, the publication, a leak, a grant too many."""
    deploy(replace(target, webhook_secret=OTHER_SECRET), lambda _: None)
    for statement in (
        "delete from storage.buckets where id = 'profile-images'",
        "alter publication supabase_realtime drop table public.audio_files",
        "create policy leak on public.audio_features for select to anon using (true)",
        "grant execute on function public.reconcile(), soundscape.reconcile() to anon",
    ):
        run(target, statement)
    try:
        found = await lines(replace(target, secret_key="sb_secret_wrong"), clock=lambda: time.time() + 600)
        expected = ["clocks", "secret key", "profile image", "doorbell", "realtime", "private"]
        assert red(found) == [*expected, "worker's functions"]
        assert "clock is +" in found["clocks"].reason
        assert "signature" in found["doorbell"].reason
        assert "nobody gets features" in found["private"].reason
    finally:
        assert deploy(target, lambda _: None, repair=True).succeeded


LINE_OF = {
    "licenses": "licences",
    "license_history": "licences",
    "likes": "likes",
    "listening_events": "listening",
    "impressions": "impressions",
    "feature_flags": "flags",
    "audio_captions": "captions",
    "audio_stats": "statistics",
    "audio_stats_daily": "statistics",
    "mood_rules": "impressions",
    "user_preferences": "preferences",
    "playlists": "playlists",
    "playlist_items": "playlists",
    "reports": "reports",
    "audio_tags": "findings",
    "audio_embeddings": "findings",
    "audio_matches": "findings",
    "user_roles": "roles",
    "role_permissions": "roles",
    "api_keys": "API keys",
    "exports": "exports",
    "notification_preferences": "notification preferences",
    "push_subscriptions": "push subscriptions",
}
"""Tables that the check tries apart from each other, and the line of each."""


def rounds(target: Target, query: LiteralString) -> list[dict[str, str]]:
    """Statements by line: each round breaks one thing of every line, and all rounds together everything."""
    assert target.db_url is not None
    with psycopg.connect(target.db_url) as connection:
        found = connection.execute(query, {"tables": list(LINE_OF)}).fetchall()
    by_line: dict[str, list[str]] = {}
    for table, statement in found:
        by_line.setdefault(LINE_OF[table], []).append(statement)
    return [
        {line: statements[index] for line, statements in by_line.items() if index < len(statements)}
        for index in range(max(map(len, by_line.values())))
    ]


async def broken_by_each(target: Target, query: LiteralString) -> list[str]:
    """Those statements of all rounds after which their line was not red, or another was."""
    unseen = []
    for broken in rounds(target, query):
        for statement in broken.values():
            run(target, statement)
        try:
            found = red(await lines(target, only=broken))
            unseen += [statement for line, statement in broken.items() if line not in found]
            assert set(found) <= set(broken), broken
        finally:
            assert deploy(target, lambda _: None, repair=True).succeeded
    return unseen


async def test_each_policy_that_is_dropped_is_seen(target: Target) -> None:
    unseen = await broken_by_each(
        target,
        """
        select tablename, format('drop policy %%I on public.%%I', policyname, tablename) from pg_policies
        where schemaname = 'public' and tablename = any(%(tables)s) and roles <> '{supabase_auth_admin}'
          -- A restrictive one narrows what these allow, for sessions and accounts that no line has.
          -- The matrix in tests/sql/access notices each.
          and permissive = 'PERMISSIVE'
        order by 1, 2
        """,
    )
    assert unseen == []


async def test_each_right_that_is_revoked_is_seen(target: Target) -> None:
    unseen = await broken_by_each(
        target,
        """
        select table_name, format('revoke %%s on public.%%I from %%I', privilege_type, table_name, grantee)
        from (
            select table_name, privilege_type, grantee from information_schema.role_table_grants
            where table_schema = 'public'
            union
            select table_name, privilege_type, grantee from information_schema.role_column_grants
            where table_schema = 'public') granted
        where table_name = any(%(tables)s) and grantee in ('anon', 'authenticated')
        order by 1, 2
        """,
    )
    assert unseen == []


async def test_tables_that_are_open_to_everybody_are_seen(target: Target) -> None:
    unseen = await broken_by_each(
        target,
        """
        select table_name, format(
            'create policy leak on public.%%I for all to authenticated using (true) with check (true)',
            table_name)
        from unnest(%(tables)s::text[]) as given (table_name)
        where table_name not in ('role_permissions', 'mood_rules', 'licenses', 'feature_flags')
        """,
    )
    assert unseen == []


def command(target: Target, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "SUPABASE_URL": target.url,
        "SUPABASE_PUBLISHABLE_KEY": target.public_key,
        "SUPABASE_DB_URL": target.db_url,
    }
    known = {name: value for name, value in environment.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-m", "soundscape", *arguments],
        env=os.environ | known,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


def test_on_the_command_line(target: Target) -> None:
    wrong = replace(target, public_key="sb_publishable_wrong")
    finished = command(wrong, "check", "--json")
    assert finished.returncode == 1, finished.stderr
    told = json.loads(finished.stdout)
    assert not told["works"]
    by_name = {line["name"]: line for line in told["lines"]}
    assert by_name["public key"]["fix"]
    assert by_name["upload"]["result"] == "blocked"
    finished = command(target, "deploy", "--plan", "--json")
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["plan"]["drift"] == []


async def test_an_answer_nobody_understands_is_one_red_line() -> None:
    async def odd() -> None:
        raise KeyError("date")

    line = await Capability("clocks", (), odd, "Set the clock.").run({})
    assert (line.result, line.reason, line.fix) == ("broken", "KeyError: 'date'", "Set the clock.")


async def test_users_are_deleted_even_when_leaving_realtime_fails(target: Target) -> None:
    before = left(target)
    session = CheckSession(target, wait_s=1, clock=time.time)
    await people.sign_up(session)

    async def fail() -> None:
        raise OSError("the socket is gone")

    session.opened.push_async_callback(fail)
    with pytest.raises(CapabilityBroken, match="the socket is gone"):
        await session.clean_up()
    assert left(target) == before


async def test_a_user_that_cannot_be_deleted_keeps_no_other(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused once, as by a worker at the user's recording, the deletion is tried again and succeeds.

    Refused again and again, it keeps no other user, and the line names who is left.
    """
    monkeypatch.setattr("soundscape.check.session.DELETE_PAUSE_S", 0.01)
    before = left(target)
    for refusals in (1, 1000):
        session = CheckSession(target, wait_s=1, clock=time.time)
        await people.sign_up(session)
        run(
            target,
            f"""
            create sequence public.refusals;
            grant usage on sequence public.refusals to public;
            create function public.refuse() returns trigger language plpgsql as $$
            begin
                if nextval('public.refusals') <= {refusals} then raise 'busy'; end if;
                return old;
            end $$;
            create trigger refuse before delete on auth.users for each row
            when (old.id = '{session.owner.user_id}') execute function public.refuse()
            """,
        )
        try:
            if refusals == 1:
                await session.clean_up()
            else:
                with pytest.raises(CapabilityBroken, match=session.owner.user_id) as broken:
                    await session.clean_up()
                assert session.stranger.user_id not in broken.value.message
        finally:
            run(
                target,
                "drop trigger refuse on auth.users; drop function public.refuse(); "
                "drop sequence public.refusals",
            )
        await session.clean_up()
        assert left(target) == before


async def test_a_user_whose_sign_up_was_not_answered_is_deleted(target: Target) -> None:
    before = left(target)
    session = CheckSession(target, wait_s=1, clock=time.time)
    await people.sign_up(session)
    session.visitors.pop()
    await session.clean_up()
    assert left(target) == before


async def test_users_who_may_not_sign_in_are_deleted_too(
    data_dirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(sources.get_folder(), tmp_path / "supabase")
    config = folder / "config.toml"
    config.write_text(
        config.read_text().replace("enable_confirmations = false", "enable_confirmations = true")
    )
    monkeypatch.setattr(sources, "get_folder", lambda: folder)
    with embedded.served(data_dirs / "confirming", with_worker=False) as project:
        target = Target.from_environment(project.environment())
        found = await lines(target, only=["sign in"])
        assert (red(found), found["sign in"].result) == (["sign up"], "blocked")
        assert left(target) == (0, 0, 0)


def test_a_capability_there_is_not() -> None:
    with pytest.raises(SettingsError, match="no capability likse"):
        select_capabilities([], ["likse"])


async def test_every_function_is_tried(target: Target) -> None:
    """A new function of the Data API must find its place in the check."""
    assert target.db_url is not None
    with psycopg.connect(target.db_url) as connection:
        rows = connection.execute(
            "select p.proname, has_function_privilege('authenticated', p.oid, 'execute') from pg_proc p "
            "where p.pronamespace = 'public'::regnamespace "
            "and has_function_privilege('service_role', p.oid, 'execute') or (p.pronamespace = "
            "'public'::regnamespace and has_function_privilege('authenticated', p.oid, 'execute'))"
        ).fetchall()
    for_users = {name for name, users in rows if users}
    assert for_users == {*functions.USERS, *functions.OWNERS, *functions.MODERATORS}
    assert {name for name, users in rows if not users} == set(functions.WORKER)


async def test_what_is_off_is_said_and_breaks_nothing(target: Target) -> None:
    run(target, "update soundscape.channels set is_on = false, reason = 'none', reported_at = now()")
    try:
        found = await lines(target, only=["e-mail", "web push"])
    finally:
        run(target, "update soundscape.channels set is_on = true, reason = null, reported_at = now()")
    assert red(found) == []
    for name, setting in (("e-mail", "SMTP_URL"), ("web push", "VAPID_PRIVATE_KEY")):
        assert found[name].result == "unknown"
        assert found[name].reason.startswith("off: ")
        assert setting in found[name].fix


async def test_nobody_works(worker: tuple[subprocess.Popen[bytes], str], target: Target) -> None:
    """Last, since nobody works after it."""
    process, _ = worker
    process.kill()
    process.wait()
    found = await lines(target, wait_s=2.0)
    assert red(found) == ["worker"]
    assert found["doorbell"].result == found["analysis"].result == "blocked"
