"""The stream of a real Postgres, and bytes that are none."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded_supabase.realtime.pgoutput import Decoder, MalformedStream

if TYPE_CHECKING:
    from embedded_supabase.postgres import Postgres

READ = """
select data from pg_logical_slot_get_binary_changes('decoding', null, null,
    'proto_version', %s, 'publication_names', 'decoding')
"""


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_real_stream(platform: Postgres, version: str) -> None:
    with psycopg.connect(platform.dsn("supabase_admin"), autocommit=True) as connection:
        connection.execute("""
            create type public.mood as enum ('calm');
            create table public.decoded (id int primary key, "a b" text, big text, mood public.mood);
            alter table public.decoded alter column big set storage external;
            create publication decoding for table public.decoded;
        """)
        connection.execute(
            "select pg_create_logical_replication_slot('decoding', 'pgoutput', temporary => true)"
        )
        connection.execute("insert into public.decoded values (1, 'ä', repeat('x', 9000), 'calm')")
        connection.execute(
            'begin; update public.decoded set "a b" = null; update public.decoded set id = 2; commit'
        )
        connection.execute("delete from public.decoded")
        connection.execute("truncate public.decoded")
        rows = connection.cursor(binary=True).execute(READ, [version]).fetchall()
        connection.execute("drop publication decoding; drop table public.decoded; drop type public.mood")
    decoder = Decoder()
    changes = [found for (data,) in rows if (found := decoder.decode(data)) is not None]
    assert [(found.kind, found.new.get("id"), found.old) for found in changes] == [
        ("INSERT", "1", None),
        ("UPDATE", "1", None),
        ("UPDATE", "2", {"id": "1"}),
        ("DELETE", None, {"id": "2"}),
    ]
    assert changes[0].new == {"id": "1", "a b": "ä", "big": "x" * 9000, "mood": "calm"}
    assert changes[1].new == {"id": "1", "a b": None, "mood": "calm"}  # the large value was not logged again
    commits = [(found.commit_lsn, found.committed_at) for found in changes]
    assert sorted(commits) == commits
    assert commits[1] == commits[2]  # one transaction
    assert len(set(commits)) == 3
    relation = changes[0].relation
    assert (relation.schema, relation.name, relation.logs_whole_rows) == ("public", "decoded", False)
    assert relation.columns == {"id": True, "a b": False, "big": False, "mood": False}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"?",
        b"B\0",
        b"I" + struct.pack("!I", 7) + b"N\0\0",  # a relation never announced
        b"R" + struct.pack("!I", 7) + b"public",
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(MalformedStream):
        Decoder().decode(data)


@given(st.binary(max_size=80))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedStream):
        Decoder().decode(data)
