"""Hundreds of random calls by people who know every name and id: none reads what is private.

Everything private carries a word that no request contains; the word must not be in any answer.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import secrets
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
import websockets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedded_supabase.postgres import SUPERUSER
from soundscape.check import functions
from soundscape.cli.embedded_project import Project
from tests.waiting import LIMIT_S

WORD = f"canary{secrets.token_hex(8)}"
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Scene:
    """A private recording with all that hangs on it, and everybody who would like to see it."""

    http: httpx.Client
    project: Project
    user_id: str
    stranger_id: str
    audio_id: str
    playlist_id: str
    report_id: str
    path: str
    waveform_path: str
    columns: dict[str, dict[str, str]]
    """Of each table, each column's type."""
    neighbours: dict[str, list[str]]
    """Of each table, those that a foreign key joins it with."""
    callers: dict[str, dict[str, str]]
    owner: dict[str, str]

    @property
    def names(self) -> list[str]:
        """What a stranger may have learned."""
        return [self.user_id, self.audio_id, self.playlist_id, self.report_id, self.path, self.waveform_path]

    def kept(self) -> list[Any]:
        """The private rows and objects, as they are."""
        with psycopg.connect(self.project.supabase.postgres.dsn(SUPERUSER)) as connection:
            return connection.execute(
                "select to_jsonb(f) - 'updated_at',"
                " (select count(*) from storage.objects where name in (%s, %s)),"
                " (select to_jsonb(p) from public.playlists p where id = %s),"
                " (select count(*) from public.playlist_items where playlist_id = %s),"
                " (select count(*) from public.likes where user_id = %s)"
                " from public.audio_files f where f.id = %s",
                (
                    self.path,
                    self.waveform_path,
                    self.playlist_id,
                    self.playlist_id,
                    self.user_id,
                    self.audio_id,
                ),
            ).fetchall()


@pytest.fixture(scope="module")
def scene(served: Project) -> Any:
    with httpx.Client(base_url=served.url, timeout=LIMIT_S) as http:
        key = served.keys.publishable_key

        def sign_up(called: str) -> tuple[str, dict[str, str]]:
            answer = http.post(
                "/auth/v1/signup",
                headers={"apikey": key},
                json={"email": f"{called}-{secrets.token_hex(6)}@example.com", "password": PASSWORD},
            ).json()
            return answer["user"]["id"], {
                "apikey": key,
                "authorization": f"Bearer {answer['access_token']}",
            }

        owner_id, owner = sign_up("owner")
        stranger_id, stranger = sign_up("stranger")
        path = f"{owner_id}/private.wav"
        said = {"title": f"Nightingale {WORD}", "description": WORD, "tags": [WORD], "attribution": WORD}
        stored = http.post(
            f"/storage/v1/object/audio-files/{path}",
            headers=owner
            | {
                "content-type": "audio/wav",
                "x-metadata": base64.b64encode(json.dumps(said).encode()).decode(),
            },
            content=f"RIFF {WORD}".encode() * 10,
        )
        assert stored.status_code == 200, stored.text
        # By name: what others made public is seen by the owner as well.
        rows = http.get("/rest/v1/audio_files", params={"file_path": f"eq.{path}"}, headers=owner).json()
        (audio_id,) = (row["id"] for row in rows)
        waveform_path = f"{audio_id}/v1/waveform.dat"
        service = {"apikey": served.keys.secret_key, "authorization": f"Bearer {served.keys.secret_key}"}
        assert (
            http.post(
                f"/storage/v1/object/waveforms/{waveform_path}",
                headers=service | {"content-type": "application/octet-stream"},
                content=WORD.encode(),
            ).status_code
            == 200
        )
        playlist = http.post(
            "/rest/v1/playlists",
            headers=owner | {"prefer": "return=representation"},
            json={"title": WORD, "description": WORD},
        ).json()[0]["id"]
        for table, row in (
            ("playlist_items", {"playlist_id": playlist, "audio_id": audio_id}),
            ("likes", {"audio_id": audio_id}),
            ("listening_events", {"audio_id": audio_id, "context": WORD}),
        ):
            answer = http.post(f"/rest/v1/{table}", headers=owner, json=row)
            assert answer.status_code == 201, answer.text
        with psycopg.connect(served.supabase.postgres.dsn(SUPERUSER)) as connection:
            connection.execute(
                "insert into public.audio_features (audio_id, user_id, is_listed, object_version,"
                " analysis_version, duration_s, sha256, waveform_path, descriptors)"
                " select id, user_id, is_listed, %s, 'v1', 1, repeat('0', 64), %s, %s"
                " from public.audio_files where id = %s",
                (WORD, waveform_path, json.dumps({"word": WORD}), audio_id),
            )
            report = connection.execute(
                "insert into public.reports (audio_id, reporter_id, reason, details)"
                " values (%s, %s, 'other', %s) returning id::text",
                (audio_id, owner_id, WORD),
            ).fetchone()
            connection.execute(
                "update public.user_preferences set settings = %s where user_id = %s",
                (json.dumps({"word": WORD}), owner_id),
            )
            columns: dict[str, dict[str, str]] = {}
            for table, column, kind in connection.execute(
                "select table_name, column_name, udt_name from information_schema.columns"
                " where table_schema = 'public'"
            ):
                columns.setdefault(table, {})[column] = kind
            neighbours: dict[str, list[str]] = {table: [] for table in columns}
            for one, other in connection.execute(
                "select distinct a.relname, b.relname from pg_constraint c"
                " join pg_class a on a.oid = c.conrelid join pg_class b on b.oid = c.confrelid"
                " where c.contype = 'f' and a.relnamespace = 'public'::regnamespace"
                " and b.relnamespace = 'public'::regnamespace"
            ):
                neighbours[one].append(other)
                neighbours[other].append(one)
        assert report is not None
        callers = {"nobody": {"apikey": key}, "a stranger": stranger}
        yield Scene(
            http,
            served,
            owner_id,
            stranger_id,
            audio_id,
            playlist,
            report[0],
            path,
            waveform_path,
            columns,
            neighbours,
            callers,
            owner,
        )


Call = tuple[str, str, dict[str, str], Any]
"""Method, path with query, headers, JSON body."""


PREFERENCES = (
    "count=exact", "return=representation", "resolution=merge-duplicates", "resolution=ignore-duplicates",
    "missing=default", "tx=rollback", "handling=lenient", "max-affected=1000",
)  # fmt: skip
COUNTS = ("count=planned", "count=estimated", "COUNT=planned", 'count="planned"')
SEPARATOR = "\n"
"""Between the values of several headers of one name."""


def preferences() -> st.SearchStrategy[str]:
    """One to three Prefer headers with one to three preferences each; one in eight counts by statistics."""
    plain = st.sampled_from(PREFERENCES)
    one = st.one_of([plain] * 7 + [st.sampled_from(COUNTS)])
    header = st.lists(one, min_size=1, max_size=3, unique=True).map(", ".join)
    return st.lists(header, min_size=1, max_size=3).map(SEPARATOR.join)


def data_calls(scene: Scene) -> st.SearchStrategy[Call]:
    """Reads and writes of tables: filters, embedding, ordering, counts, other formats, other schemas."""
    headers = st.fixed_dictionaries(
        {"accept": st.sampled_from(["application/json"] * 4 + ["text/csv"]), "prefer": preferences()}
    )
    elsewhere = headers.flatmap(
        lambda plain: st.sampled_from(["soundscape", "storage", "auth", "pgmq"]).map(
            lambda schema: plain | {"accept-profile": schema, "content-profile": schema}
        )
    )
    body = st.sampled_from(
        [
            {"is_public": True}, {"title": "Mine"}, {"user_id": scene.user_id},
            {"id": scene.audio_id, "title": "Mine", "file_path": scene.path},
            {"audio_id": scene.audio_id}, {"playlist_id": scene.playlist_id, "audio_id": scene.audio_id},
            {"audio_id": scene.audio_id, "reason": "other"},
        ]
    )  # fmt: skip
    asked = st.sampled_from(sorted(scene.columns)).flatmap(lambda table: table_queries(scene, table))
    read = st.builds(
        lambda path, h: ("GET", f"/rest/v1/{path}", h, None), asked, headers | headers | headers | elsewhere
    )
    write = st.builds(
        lambda method, path, h, b: (
            method,
            f"/rest/v1/{path}",
            h | {"prefer": f"return=representation{SEPARATOR}{h['prefer']}"},
            None if method == "DELETE" else b,
        ),
        st.sampled_from(["POST", "PATCH", "DELETE"]), asked, headers, body,
    )  # fmt: skip
    return read | read | write


def table_queries(scene: Scene, table: str) -> st.SearchStrategy[str]:
    """`table?select=…&filters`, well formed for the columns and the neighbours that the table has."""
    columns = scene.columns[table]
    embedded = [f"*,{other}(*)" for other in scene.neighbours[table]]
    embedded += [f"*,{other}!inner(*)" for other in scene.neighbours[table]]
    select = st.sampled_from(["*", "*", next(iter(columns)), *embedded])
    condition = st.sampled_from(sorted(columns)).flatmap(
        lambda column: conditions_on(scene, columns[column]).map(lambda test: f"{column}={test}")
    )
    either = st.builds(
        lambda one, two: f"or=({one.replace('=', '.', 1)},{two.replace('=', '.', 1)})", condition, condition
    )
    order = st.sampled_from(sorted(columns)).map(lambda column: f"order={column}.desc")
    return st.builds(
        lambda chosen, conditions, more: f"{table}?" + "&".join([f"select={chosen}", *conditions, *more]),
        select, st.lists(condition | either, max_size=2), st.lists(order, max_size=1),
    )  # fmt: skip


def conditions_on(scene: Scene, kind: str) -> st.SearchStrategy[str]:
    """Operator and value that fit a column of this type."""
    match kind:
        case "uuid":
            ids = st.sampled_from([scene.user_id, scene.audio_id, scene.playlist_id, scene.report_id])
            return st.builds("{}.{}".format, st.sampled_from(["eq", "neq", "gte"]), ids)
        case "text":
            words = st.sampled_from(["*", "night*", "*a*", scene.path, scene.waveform_path])
            return st.builds("{}.{}".format, st.sampled_from(["ilike", "like", "neq", "not.eq"]), words)
        case "bool":
            return st.sampled_from(["is.true", "is.false", "not.is.null"])
        case "float8" | "float4" | "int4" | "int8" | "int2":
            return st.sampled_from(["gte.0", "lt.100000", "is.null"])
    return st.sampled_from(["not.is.null", "is.null"])


def function_calls(scene: Scene) -> st.SearchStrategy[Call]:
    """Every function, with the private ids where ids are wanted."""
    search = st.builds(
        lambda text, many: ("search_audio", {"query": text, "limit": many}),
        st.sampled_from(["nightingale", "night", "-nothing", "", *scene.names]),
        st.integers(-1, 2000),
    )
    others = st.sampled_from(
        [
            *functions.WORKER.items(),
            *(("search_facets", {"query": word}) for word in ("nightingale", "-nothing", None)),
            ("similar_audio", {"audio_id": scene.audio_id}),
            ("radio", {"audio_id": scene.audio_id, "limit": 5}),
            ("mood_mix", {"mood": "nature", "limit": 5}),
            ("nearby_audio", {"latitude": 52.5, "longitude": 13.4, "radius_m": 5000}),
            ("recommended_audio", {"limit": 5}),
            ("similar_to_embedding", {"space": "descriptors-128-v4", "embedding": [0.1] * 128}),
            ("claim_jobs", {"worker": "w", "max_jobs": 10, "lease_s": 1}),
            ("claim_previews", {"worker": "w", "max_jobs": 10, "lease_s": 1}),
            ("pending_deletions", {"max_objects": 100}),
            ("register_worker", {"worker": "w", "version": "1", "migration": "20261130000000"}),
            ("claim_image_check", {"lease_s": 60}),
            ("complete_image_check", {"object_id": scene.user_id, "token": scene.user_id}),
            ("pending_renames", {"max_renames": 10}),
            ("complete_rename", {"rename_id": 1, "attempt": 1, "new_name": "none/"}),
            ("hide_recording", {"recording": scene.audio_id, "reason": "r"}),
            ("restore_recording", {"recording": scene.audio_id}),
            ("assign_report", {"report": scene.report_id}),
            ("resolve_report", {"report": scene.report_id, "resolution": "dismissed", "reason": "r"}),
            ("operator_overview", {}),
            ("cancel_analysis", {"recording": scene.audio_id}),
            ("retry_analysis", {"recording": scene.audio_id}),
            ("describe_audio", {"rows": [{"file_path": scene.path, "title": "t"}, {"title": "t"}]}),
            ("export_my_data", {}),
            ("my_audio_stats", {"from": "2000-01-01", "to": "2100-01-01", "recording": scene.audio_id}),
            ("flag", {"key": "captions"}),
            ("set_captions", {"recording": scene.audio_id, "wanted": True}),
            ("replace_caption", {"recording": scene.audio_id, "caption": "Mine"}),
            ("claim_caption", {"lease_s": 60}),
            ("flags", {}),
            ("flag_for", {"key": "captions", "user_id": scene.user_id}),
            ("flags_for", {"keys": ["captions", "none"], "user_ids": [scene.user_id, None]}),
            ("record_download", {"recording": scene.audio_id, "listener": "192.0.2.1"}),
            ("roll_up_stats", {"max_events": 10}),
            ("notification_settings", {}),
            ("notification_channels", {}),
            ("claim_delivery", {"channels": ["email", "push"]}),
            ("list_deliveries", {"owner": scene.user_id}),
            ("unsubscribe", {"account": scene.user_id, "kinds": ["recording_ready"]}),
            (
                "save_push_subscription",
                {"endpoint": "https://push.example/a", "p256dh": "A" * 87, "auth": "A" * 22},
            ),
            ("create_api_key", {"name": "n", "scope": "all"}),
            ("revoke_api_key", {"key": scene.user_id}),
            ("reorder_playlist", {"playlist": scene.playlist_id, "items": []}),
            ("custom_access_token_hook", {"event": {"user_id": scene.user_id, "claims": {}}}),
            ("authorize", {"requested_permission": "recordings.moderate"}),
        ]
    )
    return st.builds(lambda call: ("POST", f"/rest/v1/rpc/{call[0]}", {}, call[1]), search | others)


def storage_calls(scene: Scene) -> st.SearchStrategy[Call]:
    """Every route of Storage that names an object, and lists."""
    bucket, name = (
        st.sampled_from(["audio-files", "waveforms", "profile-images"]),
        st.sampled_from(
            [scene.path, scene.waveform_path, f"{scene.user_id}/../{scene.path}", f"public/{scene.path}"]
        ),
    )
    get = st.builds(
        lambda kind, b, n: ("GET", f"/storage/v1/object/{kind}{b}/{n}", {}, None),
        st.sampled_from(["", "public/", "authenticated/", "info/", "info/authenticated/", "sign/"]),
        bucket, name,
    )  # fmt: skip
    sign = st.builds(
        lambda kind, b, n: ("POST", f"/storage/v1/object/{kind}/{b}/{n}", {}, {"expiresIn": 60}),
        st.sampled_from(["sign", "upload/sign"]), bucket, name,
    )  # fmt: skip
    many = st.builds(
        lambda b, n: ("POST", f"/storage/v1/object/sign/{b}", {}, {"expiresIn": 60, "paths": [n]}),
        bucket,
        name,
    )
    listed = st.builds(
        lambda version, b, prefix: (
            "POST", f"/storage/v1/object/{version}/{b}", {},
            {"prefix": prefix, "limit": 100, "with_delimiter": True},
        ),
        st.sampled_from(["list", "list-v2"]), bucket,
        st.sampled_from(["", scene.user_id, f"{scene.user_id}/", scene.audio_id, f"{scene.audio_id}/v1"]),
    )  # fmt: skip
    moved = st.builds(
        lambda kind, b, n, into, to, more: (
            "POST", f"/storage/v1/object/{kind}", {},
            {"bucketId": b, "sourceKey": n, "destinationBucket": into, "destinationKey": to} | more,
        ),
        st.sampled_from(["move", "copy"]), bucket, name, bucket,
        st.sampled_from(
            ["public/mine.wav", "public//mine.wav", f"{scene.stranger_id}/mine.wav",
             f"{scene.stranger_id}/../{scene.path}", scene.path, scene.waveform_path]
        ),
        st.sampled_from(
            [{}, {"copyMetadata": False}, {"copyMetadata": False, "metadata": {"mimetype": "image/png"}}]
        ),
    )  # fmt: skip
    removed = st.builds(
        lambda b, n: ("DELETE", f"/storage/v1/object/{b}", {}, {"prefixes": [n]}), bucket, name
    )
    return get | sign | many | listed | moved | removed


def make_call(scene: Scene, caller: dict[str, str], call: Call) -> httpx.Response:
    method, path, headers, body = call
    several = [(name, one) for name, value in headers.items() for one in value.split(SEPARATOR)]
    return scene.http.request(method, path, headers=[*several, *caller.items()], json=body)


def everything(answer: httpx.Response) -> str:
    return f"{answer.text} {dict(answer.headers)}"


@pytest.mark.parametrize("calls", [data_calls, function_calls, storage_calls])
def test_strangers_read_nothing_private(scene: Scene, calls: Any) -> None:
    before = scene.kept()
    statuses: dict[int, int] = {}

    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(calls(scene), st.sampled_from(sorted(scene.callers)))
    def try_it(call: Call, who: str) -> None:
        answer = make_call(scene, scene.callers[who], call)
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        assert WORD not in everything(answer), (who, call)
        assert answer.status_code < 500, (who, call, answer.text)
        # A signature for something private would open it to whoever holds it.
        for url in _signed(answer):
            assert WORD not in scene.http.get(f"/storage/v1{url}").text

    try_it()
    assert scene.kept() == before, "and changed nothing"
    assert statuses.get(200, 0) > 2, f"hardly a call was well formed: {statuses}"


def test_no_caller_gets_an_estimate(scene: Scene) -> None:
    """The first count of all Prefer headers counts, so an answer by statistics is a 400 without a total."""
    refused = 0

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.sampled_from(sorted(scene.columns)),
        st.lists(st.sampled_from(PREFERENCES[1:]), max_size=2),
        st.lists(preferences(), max_size=1),
        st.sampled_from(sorted(scene.callers)),
    )
    def try_it(table: str, beside: list[str], after: list[str], who: str) -> None:
        nonlocal refused
        prefer = SEPARATOR.join([", ".join([*beside, "count=planned"]), *after])
        call: Call = ("GET", f"/rest/v1/{table}?select=*&limit=1", {"prefer": prefer}, None)
        answer = make_call(scene, scene.callers[who], call)
        assert answer.status_code in (400, 401, 403), (call, answer.text)
        assert answer.headers.get("content-range") is None
        refused += answer.status_code == 400 and answer.json()["code"] == "PT400"

    try_it()
    assert refused > 10


def _signed(answer: httpx.Response) -> list[str]:
    try:
        body = answer.json()
    except ValueError:
        return []
    found = body if isinstance(body, list) else [body]
    return [item["signedURL"] for item in found if isinstance(item, dict) and item.get("signedURL")]


def test_the_same_calls_do_read_it_for_the_owner(scene: Scene) -> None:
    """Else the test above would prove nothing."""
    with psycopg.connect(scene.project.supabase.postgres.dsn(SUPERUSER)) as connection:
        connection.execute(
            "update public.audio_files set is_public = true, analyzed_at = now() where id = %s",
            (scene.audio_id,),
        )
        connection.commit()
        calls: list[Call] = [
            ("GET", "/rest/v1/audio_files?select=*,audio_features(*)", {}, None),
            ("POST", "/rest/v1/rpc/search_audio", {}, {"query": "nightingale"}),
            ("GET", f"/storage/v1/object/audio-files/{scene.path}", {}, None),
            ("GET", f"/storage/v1/object/waveforms/{scene.waveform_path}", {}, None),
        ]
        try:
            for call in calls:
                for who, headers in scene.callers.items():
                    assert WORD in everything(make_call(scene, headers, call)), (who, call)
        finally:
            connection.execute(
                "update public.audio_files set is_public = false, analyzed_at = null where id = %s",
                (scene.audio_id,),
            )


Subscription = dict[str, str]
"""What a client asks of postgres_changes: event, schema, table, filter."""


def subscriptions(scene: Scene) -> st.SearchStrategy[list[Subscription]]:
    """Tables with and without filters that fit the private rows."""
    ids = st.sampled_from([scene.user_id, scene.audio_id, scene.playlist_id])

    def on(table: str) -> st.SearchStrategy[Subscription]:
        plain = {"event": "*", "schema": "public", "table": table}
        named = [column for column, kind in scene.columns[table].items() if kind == "uuid"]
        filtered = st.builds(
            lambda column, operator, value: plain | {"filter": f"{column}={operator}.{value}"},
            st.sampled_from(named or ["id"]), st.sampled_from(["eq", "neq"]), ids,
        )  # fmt: skip
        return st.just(plain) | filtered

    return st.lists(st.sampled_from(sorted(scene.columns)).flatmap(on), min_size=1, max_size=4)


async def heard(scene: Scene, who: str, wanted: list[list[Subscription]]) -> tuple[str, int]:
    """Join a channel for each list, change every private row, and return all that arrived, and the joins."""
    key, token = scene.callers[who]["apikey"], scene.callers[who].get("authorization", "")
    address = scene.project.url.replace("http", "ws", 1)
    arrived: list[str] = []
    async with websockets.connect(f"{address}/realtime/v1/websocket?apikey={key}&vsn=1.0.0") as socket:
        for number, changes in enumerate(wanted):
            payload: dict[str, Any] = {
                "config": {
                    "broadcast": {"self": False, "ack": False},
                    "presence": {"key": ""},
                    "postgres_changes": changes,
                    "private": False,
                }
            }
            if token:
                payload["access_token"] = token.removeprefix("Bearer ")
            joining = {
                "topic": f"realtime:{number}", "event": "phx_join", "payload": payload,
                "ref": str(number), "join_ref": str(number),
            }  # fmt: skip
            await socket.send(json.dumps(joining))

        async def listen(quiet_s: float) -> None:
            while True:
                try:
                    arrived.append(str(await asyncio.wait_for(socket.recv(), quiet_s)))
                except TimeoutError:
                    return

        await listen(1.0)
        joined = sum('"phx_reply"' in frame and '"ok"' in frame for frame in arrived)
        with psycopg.connect(scene.project.supabase.postgres.dsn(SUPERUSER)) as connection:
            for statement in (
                "update public.audio_files set updated_at = now() where user_id = %s",
                "update public.audio_features set created_at = now() where user_id = %s",
                "update public.playlists set updated_at = now() where user_id = %s",
                "update public.user_preferences set theme = 'dark' where user_id = %s",
                "update public.users set updated_at = now() where id = %s",
            ):
                connection.execute(statement.encode(), (scene.user_id,))
        await listen(1.0)
    return "\n".join(arrived), joined


@pytest.mark.parametrize("who", ["nobody", "a stranger"])
def test_strangers_hear_nothing_private(scene: Scene, who: str) -> None:
    @settings(max_examples=2, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(subscriptions(scene), min_size=20, max_size=30))
    def try_it(wanted: list[list[Subscription]]) -> None:
        told, _ = asyncio.run(heard(scene, who, wanted))
        assert WORD not in told, wanted

    try_it()
    everything_there_is = [[{"event": "*", "schema": "public"}]]
    told, joined = asyncio.run(heard(scene, who, everything_there_is))
    assert joined == 1
    assert WORD not in told


def test_the_owner_does_hear_it(scene: Scene) -> None:
    owner = dataclasses.replace(scene, callers={"the owner": scene.owner})
    told, joined = asyncio.run(heard(owner, "the owner", [[{"event": "*", "schema": "public"}]]))
    assert joined == 1
    assert WORD in told
