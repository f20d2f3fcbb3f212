"""What is read of a schema, and that the answers follow its changes."""

from __future__ import annotations

import time

import httpx
import psycopg
import pytest

from embedded_supabase.rest.schema_cache import SchemaCache
from tests.waiting import until

from .conftest import Shop

LINKS = [
    ("albums", "artists", "albums_artist_id_fkey", "many-to-one", (("artist_id", "id"),)),
    ("artists", "albums", "albums_producer", "one-to-many", (("id", "producer_id"),)),
    ("albums", "sleeves", "sleeves_album_id_fkey", "one-to-one", (("id", "album_id"),)),
    ("albums", "genres", "album_genres", "many-to-many", (("id", "album_id"),)),
]


@pytest.mark.parametrize(("source", "target", "hint", "cardinality", "columns"), LINKS)
def test_relationships(
    cache: SchemaCache, source: str, target: str, hint: str, cardinality: str, columns: object
) -> None:
    links = [
        link
        for link in cache.relationships(("public", source))
        if (link.target[1], link.hint) == (target, hint)
    ]
    assert [(link.cardinality, link.near) for link in links] == [(cardinality, columns)]


def test_only_exposed_schemas(cache: SchemaCache) -> None:
    assert {found.schema for found in (*cache.all_tables, *cache.functions)} == {"public"}


def test_columns_of_views_and_functions(cache: SchemaCache) -> None:
    assert list(cache.tables["public", "cheap_albums"].columns) == ["id", "title", "price"]
    assert list(cache.overloads(("public", "stats"))[0].rows.columns) == ["albums", "dearest"]
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


def as_postgres(shop: Shop, statement: str) -> None:
    with psycopg.connect(shop.embedded.postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.mark.row("rest.schema-cache", by="sql")
def test_a_new_table_answers_at_once(shop: Shop, service: httpx.Client) -> None:
    time.sleep(1)  # nothing was loaded lately, so that an unknown name is worth a look
    as_postgres(shop, "create table public.fresh (id int); grant select on public.fresh to service_role")
    try:
        assert service.get("/fresh").status_code == 200
    finally:
        as_postgres(shop, "drop table public.fresh")
    until(lambda: service.get("/fresh").json().get("code") == "PGRST205")


def test_changed_types_and_keys_are_followed(shop: Shop, service: httpx.Client) -> None:
    as_postgres(
        shop,
        "create table public.moving (id int primary key, label int); insert into public.moving values (1, 1);"
        "grant select on public.moving to service_role",
    )
    try:
        until(lambda: service.get("/moving?select=label").status_code == 200)
        for _ in range(20):  # enough for every pooled connection to have prepared it
            assert service.get("/moving?label=eq.1&select=id").json() == [{"id": 1}]
        as_postgres(shop, "alter table public.moving alter label type text")
        until(lambda: service.get("/moving?label=eq.x&select=id").status_code == 200)
        for _ in range(20):
            assert service.get("/moving?label=eq.1&select=id").json() == [{"id": 1}]
        as_postgres(shop, "alter table public.moving alter label type int using label::int")
        as_postgres(shop, "alter table public.moving add foreign key (label) references public.labels")
        until(lambda: service.get("/moving?select=id,labels(name)").status_code == 200)
    finally:
        as_postgres(shop, "drop table public.moving")


@pytest.mark.row("rest.schema-cache", by="sql")
def test_notify_reloads(shop: Shop, service: httpx.Client) -> None:
    """Without the event triggers, the documented way still works."""
    as_postgres(shop, "create table public.brief (id int); grant select on public.brief to service_role")
    until(lambda: service.get("/brief").status_code == 200)
    shop.sql("alter event trigger pgrst_drop_watch disable")
    try:
        as_postgres(shop, "drop table public.brief")
        time.sleep(0.1)
        assert service.get("/brief").json()["code"] == "42P01", "still believed in"
        shop.sql("notify pgrst, 'reload schema'")
        until(lambda: service.get("/brief").json()["code"] == "PGRST205")
    finally:
        shop.sql("alter event trigger pgrst_drop_watch enable")


def test_the_timeout_of_a_role_is_followed(shop: Shop, service: httpx.Client) -> None:
    shop.sql("alter role service_role set statement_timeout = '50ms'")
    shop.sql("notify pgrst, 'reload config'")
    try:
        until(lambda: service.post("/rpc/nap", json={"seconds": 0.2}).status_code == 500)
        assert service.post("/rpc/nap", json={"seconds": 0.2}).json()["code"] == "57014"
    finally:
        shop.sql("alter role service_role reset statement_timeout")
        shop.sql("notify pgrst, 'reload config'")
