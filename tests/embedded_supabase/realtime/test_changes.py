"""postgres_changes: what a subscriber is sent, and what never."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.embedded_supabase.realtime.conftest import Client, Server


NOTES = {"event": "*", "schema": "heard", "table": "notes"}


def insert_note(server: Server, owner: str, **values: object) -> int:
    names = ["owner", *values]
    marks = ", ".join(["%s"] * len(names))
    rows = server.sql(
        f"insert into heard.notes ({', '.join(names)}) values ({marks}) returning id",
        owner,
        *values.values(),
    )
    return int(rows[0][0])


@pytest.mark.row("realtime.changes", by="http")
@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
async def test_insert_update_delete(server: Server, alice: str, topic: str, vsn: str) -> None:
    async with server.connect(vsn) as client:
        reply = await client.join(topic, token=server.token(alice), changes=[NOTES])
        (bound,) = reply["response"]["postgres_changes"]
        assert {name: bound[name] for name in NOTES} == NOTES
        assert isinstance(bound["id"], int)
        assert bound["id"] != 0
        assert reply["system"] == {
            "extension": "postgres_changes",
            "status": "ok",
            "message": "Subscribed to PostgreSQL",
            "channel": topic,
        }

        note = insert_note(
            server, alice, title="é'\"\\", score="1.50", tags=["a,b", None, 'q"'],
            facts='{"deep": [1, 2.5, null]}', secret="never",
        )  # fmt: skip
        message = await client.until("postgres_changes")
        assert message["ref"] is None
        assert message["payload"]["ids"] == [bound["id"]]
        data = message["payload"]["data"]
        assert (data["type"], data["schema"], data["table"], data["errors"]) == (
            "INSERT",
            "heard",
            "notes",
            None,
        )
        assert data["commit_timestamp"].endswith("Z")
        assert data["record"] == {
            "id": note, "owner": alice, "is_public": False, "title": "é'\"\\", "score": 1.5,
            "tags": ["a,b", None, 'q"'], "facts": {"deep": [1, 2.5, None]},
            "made_at": "2026-01-02T03:04:05.678+00:00", "big": None,
        }  # fmt: skip
        assert {"name": "tags", "type": "_text"} in data["columns"]
        assert {"name": "id", "type": "int8"} in data["columns"]
        assert not any(column["name"] == "secret" for column in data["columns"])

        server.sql("update heard.notes set title = 'new', secret = 'still never' where id = %s", note)
        data = (await client.until("postgres_changes"))["payload"]["data"]
        assert (data["type"], data["record"]["title"], data["old_record"]) == ("UPDATE", "new", {"id": note})

        server.sql("delete from heard.notes where id = %s", note)
        data = (await client.until("postgres_changes"))["payload"]["data"]
        assert (data["type"], data["old_record"]) == ("DELETE", {"id": note})
        assert "record" not in data


async def test_cells_of_every_kind_of_type(server: Server, alice: str, topic: str) -> None:
    async with server.connect() as client:
        changes = [
            {"event": "*", "schema": "heard", "table": "kinds", "filter": "word=eq.wOrD,odd=in.(a,b c)"}
        ]
        await client.join(topic, token=server.token(alice), changes=changes)
        server.sql("""
            insert into heard.kinds values (
                gen_random_uuid(), 'ab', 1.5, 'b c', '{"b c",a}', 7, '(1,"x, y")', '\\x00ff', 'Word',
                '[1,2.5]', '[1,4)', '1 day 02:00', '101', '2026-01-02 03:04:05.678', '2026-01-02',
                '{"b": 1, "a": 2}'
            )
        """)
        ((expected,),) = server.sql("select to_jsonb(kinds) - 'twice' from heard.kinds")
        record = (await client.until("postgres_changes"))["payload"]["data"]["record"]
        assert {name: cell for name, cell in record.items() if name != "twice"} == expected


async def test_private_rows_reach_their_owner_alone(server: Server, alice: str, bob: str, topic: str) -> None:
    async with server.connect() as owner, server.connect() as other, server.connect("2.0.0") as anonymous:
        inserts = [{**NOTES, "event": "INSERT"}, {**NOTES, "event": "UPDATE"}]
        await owner.join(topic, token=server.token(alice), changes=inserts)
        await other.join(topic, token=server.token(bob), changes=inserts)
        await anonymous.join(topic, changes=inserts)
        note = insert_note(server, alice, title="private")
        assert (await owner.until("postgres_changes"))["payload"]["data"]["record"]["id"] == note
        await other.silence()
        await anonymous.silence()

        server.sql("update heard.notes set is_public = true where id = %s", note)
        for client in (owner, other, anonymous):
            data = (await client.until("postgres_changes"))["payload"]["data"]
            assert data["record"]["is_public"] is True

        server.sql("update heard.notes set is_public = false where id = %s", note)
        await owner.until("postgres_changes")
        await other.silence()
        await anonymous.silence()


async def test_service_role_sees_everything(server: Server, alice: str, topic: str) -> None:
    async with server.connect(key=server.keys.secret_key) as client:
        await client.join(topic, changes=[NOTES])
        insert_note(server, alice, secret="seen")
        assert (await client.until("postgres_changes"))["payload"]["data"]["record"]["secret"] == "seen"


@pytest.mark.parametrize(
    ("filter_", "passes", "fails"),
    [
        ("title=eq.a", "a", "b"),
        ("title=neq.a", "b", "a"),
        ("title=neq.a", "b", None),  # null is neither equal nor unequal
        ('title=in.(a,"b,c")', "b,c", "b"),
        ("title=not.in.(a,b)", "c", "a"),
        ("title=like.a%", "abc", "ba"),
        ("title=ilike.A%", "abc", "ba"),
        ("title=match.^a.c$", "abc", "abcd"),
        ("title=imatch.^A", "abc", "ba"),
        ("title=is.null", None, "a"),
        ("title=not.is.null", "a", None),
        ("title=isdistinct.a", None, "a"),
        ("title=not.isdistinct.a", "a", None),
        ("title=gt.b", "c", "a"),
        ('title=eq."x,y"', "x,y", "x"),
        ("title=eq.%s {} $1 --", "%s {} $1 --", "%s"),
    ],
)
async def test_filters(
    server: Server, alice: str, topic: str, filter_: str, passes: str | None, fails: str | None
) -> None:
    async with server.connect() as client:
        reply = await client.join(topic, token=server.token(alice), changes=[{**NOTES, "filter": filter_}])
        assert reply["system"]["status"] == "ok", reply
        assert reply["response"]["postgres_changes"][0]["filter"] == filter_
        insert_note(server, alice, title=fails)
        insert_note(server, alice, title=passes)
        assert (await client.until("postgres_changes"))["payload"]["data"]["record"]["title"] == passes


async def test_filters_compare_as_the_columns_type(server: Server, alice: str, topic: str) -> None:
    async with server.connect() as client:
        filter_ = f"score=gte.10,score=lt.100,owner=eq.{alice},is_public=is.false"
        await client.join(topic, token=server.token(alice), changes=[{**NOTES, "filter": filter_}])
        for score in ("9.99", "100", "NaN", "10.0"):
            insert_note(server, alice, score=score)
        assert (await client.until("postgres_changes"))["payload"]["data"]["record"]["score"] == 10.0


async def test_bindings_of_one_channel_share_a_message(server: Server, alice: str, topic: str) -> None:
    changes = [
        NOTES,
        {**NOTES, "event": "INSERT", "filter": "title=eq.x"},
        {"event": "DELETE", "schema": "*"},
    ]
    async with server.connect() as client:
        reply = await client.join(topic, token=server.token(alice), changes=changes)
        ids = [bound["id"] for bound in reply["response"]["postgres_changes"]]
        assert len(set(ids)) == 3
        note = insert_note(server, alice, title="x")
        assert (await client.until("postgres_changes"))["payload"]["ids"] == ids[:2]
        server.sql("delete from heard.notes where id = %s", note)
        assert (await client.until("postgres_changes"))["payload"]["ids"] == [ids[0], ids[2]]


async def test_replica_identity_full(server: Server, alice: str, bob: str, topic: str) -> None:
    async with server.connect() as client:
        changes = [{"event": "*", "schema": "heard", "table": table} for table in ("whole", "walled")]
        await client.join(topic, token=server.token(alice), changes=changes)
        server.sql("insert into heard.whole values (1, 'a', 'old')")
        server.sql("update heard.whole set body = 'new' where id = 1")
        server.sql("delete from heard.whole where id = 1")
        await client.until("postgres_changes")
        data = (await client.until("postgres_changes"))["payload"]["data"]
        assert data["old_record"] == {"id": 1, "part": "a", "body": "old"}
        data = (await client.until("postgres_changes"))["payload"]["data"]
        assert data["old_record"] == {"id": 1, "part": "a", "body": "new"}

        # Under row level security nobody can be asked about a row that is gone: only its key is told.
        server.sql("insert into heard.walled values (7, %s, 'hidden')", bob)
        server.sql("delete from heard.walled where id = 7")
        data = (await client.until("postgres_changes"))["payload"]["data"]
        assert (data["type"], data["old_record"]) == ("DELETE", {"id": 7})


async def test_a_filter_cannot_guess_what_a_deleted_row_held(
    server: Server, alice: str, bob: str, topic: str
) -> None:
    async with server.connect() as client:
        guess = {"event": "DELETE", "schema": "heard", "table": "walled", "filter": "body=eq.hidden"}
        by_key = {"event": "DELETE", "schema": "heard", "table": "walled", "filter": "id=eq.8"}
        reply = await client.join(topic, token=server.token(alice), changes=[guess, by_key])
        server.sql("insert into heard.walled values (8, %s, 'hidden')", bob)
        server.sql("delete from heard.walled where id = 8")
        ids = (await client.until("postgres_changes"))["payload"]["ids"]
        assert ids == [reply["response"]["postgres_changes"][1]["id"]]


async def test_unchanged_large_values_are_left_out(server: Server, alice: str, topic: str) -> None:
    note = insert_note(server, alice, title="t", big="")
    server.sql("alter table heard.notes alter column big set storage external")
    server.sql("update heard.notes set big = repeat('x', 20000) where id = %s", note)
    async with server.connect() as client:
        changes = [{**NOTES, "event": "UPDATE"}, {**NOTES, "filter": "big=not.is.null"}]
        reply = await client.join(topic, token=server.token(alice), changes=changes)
        server.sql("update heard.notes set title = 'u' where id = %s", note)
        payload = (await client.until("postgres_changes"))["payload"]
        assert "big" not in payload["data"]["record"]
        # What was not logged cannot be compared, so the filter is not passed.
        assert payload["ids"] == [reply["response"]["postgres_changes"][0]["id"]]


async def test_too_large_records_keep_their_small_cells(server: Server, alice: str, topic: str) -> None:
    async with server.connect() as client:
        await client.join(topic, token=server.token(alice), changes=[NOTES])
        note = insert_note(server, alice, title="small", big="x" * 1_100_000)
        data = (await client.until("postgres_changes"))["payload"]["data"]
        assert data["errors"] == ["Error 413: Payload Too Large"]
        assert data["record"]["id"] == note
        assert "big" not in data["record"]


async def test_a_failing_policy_hides_one_row_only(server: Server, alice: str, topic: str) -> None:
    odd = 'odd %s "name'
    async with server.connect() as client:
        changes = [{"event": "*", "schema": "heard", "table": odd, "filter": "a %b=like.%a%"}]
        assert (await client.join(topic, token=server.token(alice), changes=changes))["system"][
            "status"
        ] == "ok"
        server.sql('insert into heard."odd %%s ""name" values (1, %s), (0, %s), (2, %s)', "xax", "xax", "xax")
        found = [(await client.until("postgres_changes"))["payload"]["data"] for _ in range(3)]
        assert [data["record"].get("id") for data in found] == [1, None, 2]
        assert found[1]["errors"] == ["Error 500: Internal Server Error, RLS policy evaluation failed"]


async def test_without_a_grant_only_an_error_is_sent(server: Server, alice: str, topic: str) -> None:
    async with server.connect() as client:
        changes = [{"event": "*", "schema": "heard", "table": "ungranted"}]
        await client.join(topic, token=server.token(alice), changes=changes)
        server.sql("insert into heard.ungranted values (1)")
        data = (await client.until("postgres_changes"))["payload"]["data"]
        assert data["errors"] == ["Error 401: Unauthorized"]
        assert data["record"] == {}


@pytest.mark.row("realtime.no-select", by="http")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"event": "*", "schema": "heard", "table": "unpublished"}, "check Realtime is enabled"),
        ({"event": "*", "schema": "heard", "table": "nowhere"}, "check Realtime is enabled"),
        ({**NOTES, "filter": "secret=eq.x"}, "invalid column for filter secret"),
        ({**NOTES, "filter": "nope=eq.x"}, "invalid column for filter nope"),
        ({**NOTES, "select": ["id"]}, "column selection is not supported"),
        ({**NOTES, "filter": "id=eq.word"}, "invalid input syntax for type bigint"),
        ({**NOTES, "filter": "id=like.1%"}, "operator does not exist"),
        ({**NOTES, "filter": "title=match.("}, "invalid regular expression"),
        ({**NOTES, "filter": "title=sounds.x"}, "Error parsing `filter` params"),
        ({**NOTES, "filter": "title=in.a,b"}, "`in` filter value must be wrapped by parentheses"),
        ({**NOTES, "filter": "undefined"}, "Error parsing `filter` params"),
        ({"event": "*"}, "No subscription params provided"),
        ({**NOTES, "filter": 7}, "must be strings"),
    ],
)
async def test_what_cannot_be_subscribed_is_said(
    server: Server, alice: str, topic: str, change: dict[str, object], reason: str
) -> None:
    async with server.connect() as client:
        reply = await client.join(topic, token=server.token(alice), changes=[change])
        assert reply["status"] == "ok"
        assert {**change, "id": 1} == reply["response"]["postgres_changes"][0]
        assert reply["system"]["status"] == "error"
        assert reason in reply["system"]["message"]
    async with server.connect() as client:
        reply = await client.join(
            topic, token=server.token(alice), changes=[change], postgres_changes_options={"wait": True}
        )
        assert reply["status"] == "error"
        assert reason in reply["response"]["reason"]


async def test_what_was_committed_before_is_not_sent(server: Server, alice: str, topic: str) -> None:
    insert_note(server, alice, title="before")
    async with server.connect() as client:
        await client.join(topic, token=server.token(alice), changes=[NOTES])
        insert_note(server, alice, title="after")
        assert (await client.until("postgres_changes"))["payload"]["data"]["record"]["title"] == "after"


async def test_rolled_back_changes_are_not_sent(server: Server, alice: str, topic: str) -> None:
    async with server.connect() as client:
        await client.join(topic, token=server.token(alice), changes=[NOTES])
        server.sql(f"begin; insert into heard.notes (owner) values ('{alice}'); rollback")
        await client.silence()


async def test_a_large_transaction_arrives_whole_and_in_order(server: Server, alice: str, topic: str) -> None:
    async with server.connect() as client:
        await client.join(topic, token=server.token(alice), changes=[NOTES])
        server.sql(
            "insert into heard.notes (owner, title) select %s, n::text from generate_series(1, 1500) n",
            alice,
        )
        titles = [
            (await client.until("postgres_changes"))["payload"]["data"]["record"]["title"]
            for _ in range(1500)
        ]
        assert titles == [str(number) for number in range(1, 1501)]


async def test_changes_arrive_promptly(server: Server, alice: str, topic: str) -> None:
    async with server.connect() as client:
        await client.join(topic, token=server.token(alice), changes=[NOTES])
        delays_s = []
        for _ in range(15):
            insert_note(server, alice)
            committed = time.perf_counter()
            await client.until("postgres_changes")
            delays_s.append(time.perf_counter() - committed)
        # The best of them: on a busy machine others are late, but a poll would make every one late.
        assert min(delays_s) < 0.06


async def test_fifty_clients_each_see_their_own(server: Server, topic: str) -> None:
    users = [str(uuid.uuid4()) for _ in range(50)]
    async with contextlib.AsyncExitStack() as opened:
        clients = [
            await opened.enter_async_context(server.connect(("1.0.0", "2.0.0")[index % 2]))
            for index in range(len(users))
        ]
        replies = await asyncio.gather(
            *(
                client.join(topic, token=server.token(user), changes=[NOTES])
                for client, user in zip(clients, users, strict=True)
            )
        )
        assert {reply["system"]["status"] for reply in replies} == {"ok"}
        server.sql(
            "insert into heard.notes (owner, title)"
            " select u, n::text from unnest(%s::uuid[]) u, generate_series(1, 3) n",
            users,
        )

        async def received(client: Client, user: str) -> list[str]:
            found = [(await client.until("postgres_changes"))["payload"]["data"]["record"] for _ in range(3)]
            assert {record["owner"] for record in found} == {user}
            await client.silence(0.2)
            return [record["title"] for record in found]

        titles = await asyncio.gather(*map(received, clients, users))
        assert titles == [["1", "2", "3"]] * len(users)
