"""What is read of a schema, and that the answers follow its changes."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import psycopg
import pytest

from soundscape.local.rest.schema_cache import SchemaCache

from .conftest import Shop

LINKS = [
    ("albums", "artists", "albums_artist_id_fkey", "many-to-one", (("artist_id", "id"),)),
    ("artists", "albums", "albums_producer", "one-to-many", (("id", "producer_id"),)),
    ("albums", "sleeves", "sleeves_album_id_fkey", "one-to-one", (("id", "album_id"),)),
    ("albums", "genres", "album_genres_album_id_fkey", "many-to-many", ()),
]


@pytest.mark.parametrize(("source", "target", "constraint", "cardinality", "columns"), LINKS)
def test_relationships(
    cache: SchemaCache, source: str, target: str, constraint: str, cardinality: str, columns: object
) -> None:
    links = [
        link
        for link in cache.relationships["public", source]
        if (link.target[1], link.constraint) == (target, constraint)
    ]
    assert [(link.cardinality, link.columns) for link in links] == [(cardinality, columns)]


def test_only_exposed_schemas(cache: SchemaCache) -> None:
    assert {schema for schema, _ in (*cache.tables, *cache.functions)} == {"public"}


def test_columns_of_views_and_functions(cache: SchemaCache) -> None:
    assert list(cache.tables["public", "cheap_albums"].columns) == ["id", "title", "price"]
    assert list(cache.functions["public", "stats"][0].rows.columns) == ["albums", "dearest"]
    assert "shout" in cache.tables["public", "artists"].computed


SPELLINGS = [
    ("int", "int4"), ("INTEGER", "int4"), ("double precision", "float8"), ("timestamptz", "timestamptz"),
    ("timestamp with time zone", "timestamptz"), ("bool", "bool"), ("boolean", "bool"),
    ("decimal", "numeric"), ("character varying", "varchar"), ("mood", "mood"), ("float", "float8"),
]  # fmt: skip


@pytest.mark.parametrize(("spelled", "name"), SPELLINGS)
def test_types_by_every_spelling(cache: SchemaCache, spelled: str, name: str) -> None:
    found = cache.type_named(spelled)
    assert found is not None
    assert found[1] == name


# -- following changes -------------------------------------------------------------------------------


def wait_for(condition: Callable[[], bool], *, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def as_postgres(shop: Shop, statement: str) -> None:
    with psycopg.connect(shop.stack.postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())


def test_a_new_table_answers_at_once(shop: Shop, service: httpx.Client) -> None:
    time.sleep(1)  # nothing was loaded lately, so that an unknown name is worth a look
    as_postgres(shop, "create table public.fresh (id int); grant select on public.fresh to service_role")
    try:
        assert service.get("/fresh").status_code == 200
    finally:
        as_postgres(shop, "drop table public.fresh")
    wait_for(lambda: service.get("/fresh").json().get("code") == "PGRST205")


def test_changed_types_and_keys_are_followed(shop: Shop, service: httpx.Client) -> None:
    as_postgres(
        shop,
        "create table public.moving (id int primary key, label int); insert into public.moving values (1, 1);"
        "grant select on public.moving to service_role",
    )
    try:
        wait_for(lambda: service.get("/moving?select=label").status_code == 200)
        for _ in range(20):  # enough for every pooled connection to have prepared it
            assert service.get("/moving?label=eq.1&select=id").json() == [{"id": 1}]
        as_postgres(shop, "alter table public.moving alter label type text")
        wait_for(lambda: service.get("/moving?label=eq.x&select=id").status_code == 200)
        for _ in range(20):
            assert service.get("/moving?label=eq.1&select=id").json() == [{"id": 1}]
        as_postgres(shop, "alter table public.moving alter label type int using label::int")
        as_postgres(shop, "alter table public.moving add foreign key (label) references public.labels")
        wait_for(lambda: service.get("/moving?select=id,labels(name)").status_code == 200)
    finally:
        as_postgres(shop, "drop table public.moving")


def test_notify_reloads(shop: Shop, service: httpx.Client) -> None:
    """Without the event triggers, the documented way still works."""
    shop.sql("alter event trigger pgrst_ddl_watch disable")
    try:
        as_postgres(shop, "comment on table public.labels is 'Changed.'")
        time.sleep(0.1)
        assert service.get("/").json()["definitions"]["labels"]["description"] == "Who publishes."
        shop.sql("notify pgrst, 'reload schema'")
        wait_for(lambda: service.get("/").json()["definitions"]["labels"]["description"] == "Changed.")
    finally:
        shop.sql("alter event trigger pgrst_ddl_watch enable")
        as_postgres(shop, "comment on table public.labels is 'Who publishes.'")


def test_aggregates_and_rollback_where_the_project_enables_them(
    shop: Shop, anon: httpx.Client, service: httpx.Client
) -> None:
    shop.sql("alter role authenticator set pgrst.db_aggregates_enabled = 'true'")
    shop.sql("alter role authenticator set pgrst.db_tx_end = 'commit-allow-override'")
    shop.sql("notify pgrst, 'reload config'")
    try:
        wait_for(lambda: anon.get("/albums?select=count()").status_code == 200)
        assert anon.get("/albums?select=count()").json() == [{"count": 4}]
        assert anon.get("/albums?select=mood,id.max(),n:id.count()&order=mood").json() == [
            {"mood": "calm", "max": 1, "n": 1},
            {"mood": "dark", "max": 3, "n": 2},
            {"mood": None, "max": 4, "n": 1},
        ]
        assert anon.get("/albums?select=price.sum()::int").json() == [{"sum": 27}]
        assert anon.get("/labels?select=id,artists(count())&id=eq.1").json() == [
            {"id": 1, "artists": [{"count": 2}]}
        ]
        assert anon.get("/artists?select=...labels(count())").json()["code"] == "PGRST127"
        answer = service.post("/labels", json={"id": 77, "name": "gone"}, headers={"Prefer": "tx=rollback"})
        assert (answer.status_code, answer.headers["preference-applied"]) == (201, "tx=rollback")
        assert shop.sql("select count(*) from public.labels where id = 77") == [(0,)]
    finally:
        shop.sql("alter role authenticator reset pgrst.db_aggregates_enabled")
        shop.sql("alter role authenticator reset pgrst.db_tx_end")
        shop.sql("notify pgrst, 'reload config'")
        wait_for(lambda: anon.get("/albums?select=count()").status_code == 400)
