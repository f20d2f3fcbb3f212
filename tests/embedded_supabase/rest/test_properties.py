"""Whatever is asked, the answer is rows or a refusal: never a crash, never a 5xx, never another's row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedded_supabase.operators import KEYWORDS, OPERATORS
from embedded_supabase.rest.errors import RestError
from embedded_supabase.rest.read_plan import Planner, ReadPlan
from embedded_supabase.rest.request import parse_query, split_query_string
from embedded_supabase.rest.schema_cache import SchemaCache
from embedded_supabase.rest.syntax import ColumnItem, Comparison, EmbedItem, Field, JsonStep, Logic, OrderTerm

from .conftest import Shop

ON_THE_WIRE = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PURE = settings(max_examples=250, deadline=None)


def refusal(attempt: Callable[[], object]) -> str | None:
    """The code it is refused with, or None; anything but a refusal comes out as it is."""
    try:
        attempt()
    except RestError as error:
        return error.code
    return None


# -- the tree, written down again as text ------------------------------------------------------------


def write_name(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write_field(field: Field) -> str:
    steps = "".join(
        ("->>" if step.as_text else "->")
        + (str(step.key) if isinstance(step.key, int) else write_name(step.key))
        for step in field.path
    )
    return write_name(field.name) + steps


def write_item(item: ColumnItem | EmbedItem) -> str:
    alias = f"{write_name(item.alias)}:" if item.alias is not None else ""
    if isinstance(item, EmbedItem):
        hint = f"!{write_name(item.hint)}" if item.hint is not None else ""
        inner = "!inner" if item.inner else ""
        inside = ",".join(map(write_item, item.items))
        return f"{'...' if item.spread else alias}{write_name(item.name)}{hint}{inner}({inside})"
    if item.field.name == "*":
        return "*"
    cast = f"::{item.cast}" if item.cast else ""
    return f"{alias}{write_field(item.field)}{cast}"


def write_condition(condition: Comparison | Logic) -> str:
    if isinstance(condition, Logic):
        terms = ",".join(map(write_condition, condition.terms))
        return f"{'not.' if condition.negated else ''}{condition.operator}({terms})"
    extra = (
        f"({condition.quantifier or condition.configuration})"
        if condition.quantifier or condition.configuration
        else ""
    )
    value = condition.value
    if OPERATORS[condition.operator].form == "keyword":
        text = str(value)
    elif isinstance(value, tuple):
        text = "(" + ",".join(map(write_name, value)) + ")"
    else:
        text = write_name(value)
    negation = "not." if condition.negated else ""
    return f"{write_field(condition.field)}.{negation}{condition.operator}{extra}.{text}"


def write_order(term: OrderTerm) -> str:
    field = write_field(term.field)
    target = f"{write_name(term.relation)}({field})" if term.relation is not None else field
    return target + (".desc" if term.descending else ".asc") + (f".nulls{term.nulls}" if term.nulls else "")


names = st.text(min_size=1, max_size=8).filter(lambda name: name not in ("inner", "left", "count", "*"))
steps = st.builds(JsonStep, st.one_of(st.text(max_size=5), st.integers(-99, 99)), st.booleans())
fields = st.builds(Field, names, st.lists(steps, max_size=2).map(tuple))
columns = st.builds(
    ColumnItem, fields, st.none() | names, st.none() | st.sampled_from(["text", "int", "double precision"])
)
items = st.recursive(
    columns | st.just(ColumnItem(Field("*"))),
    lambda inner: st.builds(
        EmbedItem,
        names,
        st.lists(inner, max_size=3).map(tuple),
        st.none() | names,
        st.none() | names,
        st.booleans(),
    ),
    max_leaves=8,
)
texts = st.text(max_size=8)
OF_FORM = {
    form: [name for name, operator in OPERATORS.items() if operator.form == form]
    for form in ("simple", "quantified", "search", "list", "keyword")
}
comparisons = st.one_of(
    st.builds(
        Comparison,
        fields,
        st.sampled_from(OF_FORM["quantified"]),
        texts,
        st.booleans(),
        st.sampled_from([None, "any", "all"]),
    ),
    st.builds(Comparison, fields, st.sampled_from(OF_FORM["simple"]), texts, st.booleans()),
    st.builds(
        Comparison, fields, st.sampled_from(OF_FORM["keyword"]), st.sampled_from(KEYWORDS), st.booleans()
    ),
    st.builds(
        Comparison,
        fields,
        st.sampled_from(OF_FORM["list"]),
        st.lists(texts, min_size=1, max_size=3).map(tuple),
        st.booleans(),
    ),
    st.builds(
        Comparison,
        fields,
        st.sampled_from(OF_FORM["search"]),
        texts,
        st.booleans(),
        st.none(),
        st.sampled_from([None, "english"]),
    ),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.builds(
        Logic,
        st.sampled_from(["and", "or"]),
        st.lists(inner, min_size=1, max_size=3).map(tuple),
        st.booleans(),
    ),
    max_leaves=6,
)
order_terms = st.builds(
    OrderTerm, fields, st.none() | names, st.booleans(), st.sampled_from([None, "first", "last"])
)


@PURE
@given(st.lists(items, min_size=1, max_size=4).map(tuple))
def test_select_survives_being_written_and_read(select: tuple[ColumnItem | EmbedItem, ...]) -> None:
    assert parse_query([("select", ",".join(map(write_item, select)))]).select == select


@PURE
@given(
    st.builds(
        Logic,
        st.sampled_from(["and", "or"]),
        st.lists(conditions, min_size=1, max_size=3).map(tuple),
        st.booleans(),
    )
)
def test_logic_survives_being_written_and_read(tree: Logic) -> None:
    key = f"{'not.' if tree.negated else ''}{tree.operator}"
    value = "(" + ",".join(map(write_condition, tree.terms)) + ")"
    assert parse_query([(key, value)]).conditions == [((), tree)]


@PURE
@given(st.lists(order_terms, min_size=1, max_size=4).map(tuple))
def test_order_survives_being_written_and_read(terms: tuple[OrderTerm, ...]) -> None:
    assert parse_query([("order", ",".join(map(write_order, terms)))]).order == {(): terms}


@PURE
@given(
    st.sampled_from(["select", "order", "or", "columns", "on_conflict", "limit", "id", "a.b.c"]),
    st.text(),
    st.booleans(),
)
def test_any_text_is_a_tree_or_a_refusal(key: str, value: str, is_call: bool) -> None:
    assert refusal(lambda: parse_query([(key, value)], is_call=is_call)) in (None, "PGRST100", "PGRST103")


@PURE
@given(st.text(alphabet="abc*(),.!:->\"\\'{}[]0 not.eq.in.is.null", max_size=40))
def test_almost_grammatical_text_is_a_tree_or_a_refusal(text: str) -> None:
    for key in ("select", "order", "or", "id"):
        assert refusal(lambda key=key: parse_query([(key, text)])) in (None, "PGRST100")


@PURE
@given(st.binary(max_size=60))
def test_any_query_string_is_pairs_or_a_refusal(raw: bytes) -> None:
    assert refusal(lambda: split_query_string(raw)) in (None, "PGRST100")


# -- against a real schema ---------------------------------------------------------------------------

TABLES = {
    "albums": ["id", "title", "artist_id", "released", "price", "mood", "stars", "tags", "data", "notes",
               "span", "search"],
    "artists": ["id", "name", "label_id", "born", "shout"],
    "labels": ["id", "name", "founded"],
    "genres": ["id", "name"],
}  # fmt: skip
EMBEDS = {
    "albums": [
        ("artists!albums_artist_id_fkey", "artists"),
        ("genres", "genres"),
        ("p:artists!albums_producer", "artists"),
    ],
    "artists": [("labels", "labels"), ("albums!albums_artist_id_fkey", "albums"), ("m:mentor_id", "artists")],
    "labels": [("artists", "artists")],
    "genres": [("albums", "albums")],
}
VALUES = [
    "1", "x", "", "null", "{1,2}", "{}", '{"a":1}', "[1,5)", "*a*", "(", "2000-01-01", "dark", "1e400", "'",
    '"', "\\", "\x00", "é", "%", "%s", "9" * 30, "now", "a & b", "{{1},{2}}", "infinity", "NaN",
]  # fmt: skip
CASTS = ["", "", "", "::text", "::int", "::json", "::timestamptz", "::mood", "::nope", "::int4range"]
PATHS = ["", "", "", "->a", "->>a", "->deep->list->0", "->-1", "->>0"]
ALIASES = ["", "", "", "a:", '"100% %s %(x)s":', '"q""":', "{x}:", "é :"]


@st.composite
def filters(draw: st.DrawFn, table: str) -> tuple[str, str]:
    column = draw(st.sampled_from(TABLES[table])) + draw(st.sampled_from(PATHS))
    operator = draw(st.sampled_from(list(OPERATORS)))
    form = OPERATORS[operator].form
    value = draw(st.sampled_from(VALUES) | st.text(max_size=6))
    if form == "keyword":
        value = draw(st.sampled_from(KEYWORDS))
    elif form == "list":
        value = (
            "("
            + ",".join(write_name(draw(st.sampled_from(VALUES))) for _ in range(draw(st.integers(1, 3))))
            + ")"
        )
    elif form == "quantified" and draw(st.integers(0, 5)) == 0:
        operator += draw(st.sampled_from(["(any)", "(all)"]))
    elif form == "search" and draw(st.booleans()):
        operator += "(simple)"
    return column, draw(st.sampled_from(["", "not."])) + f"{operator}.{value}"


def trees(table: str, depth: int = 0) -> st.SearchStrategy[str]:
    """A condition inside `or=(…)`: a comparison, or and/or/not of more."""
    leaf = filters(table).map(".".join)
    if depth == 2:
        return leaf
    words = st.sampled_from(["and", "or", "not.and", "not.or"])
    inner = st.lists(trees(table, depth + 1), min_size=1, max_size=3).map(",".join)
    return leaf | st.tuples(words, inner).map(lambda it: f"{it[0]}({it[1]})")


@st.composite
def orders(draw: st.DrawFn, table: str) -> str:
    field = draw(st.sampled_from(TABLES[table])) + draw(st.sampled_from(PATHS))
    if draw(st.integers(0, 3)) == 0:
        wanted, target = draw(st.sampled_from(EMBEDS[table]))
        field = f"{_key(wanted)}({draw(st.sampled_from(TABLES[target]))})"
    return field + draw(st.sampled_from(["", ".asc", ".desc", ".nullsfirst", ".desc.nullslast"]))


def _key(wanted: str) -> str:
    return wanted.partition(":")[0] if ":" in wanted else wanted.partition("!")[0]


@st.composite
def selects(draw: st.DrawFn, table: str, depth: int = 0) -> tuple[str, list[tuple[str, str]]]:
    """A select list, and parameters for the embeds in it."""
    parts: list[str] = []
    parameters: list[tuple[str, str]] = []
    for _ in range(draw(st.integers(0, 3))):
        column = draw(st.sampled_from([*TABLES[table], "*", "*"]))
        if column != "*":
            column += draw(st.sampled_from(PATHS)) + draw(st.sampled_from(CASTS))
            column = draw(st.sampled_from(ALIASES)) + column
        parts.append(column)
    if depth < 3:
        for wanted, target in draw(st.lists(st.sampled_from(EMBEDS[table]), max_size=2, unique=True)):
            inside, deeper = draw(selects(target, depth + 1))
            name = _key(wanted)
            spread = "" if ":" in wanted else draw(st.sampled_from(["", "", "..."]))
            join = draw(st.sampled_from(["", "!inner", "!left"]))
            parts.append(f"{spread}{wanted}{join}({inside})")
            inner = draw(
                st.lists(st.sampled_from(["filter", "tree", "order", "limit", "presence"]), unique=True)
            )
            for kind in inner:
                if kind == "filter":
                    key, value = draw(filters(target))
                    parameters.append((f"{name}.{key}", value))
                elif kind == "tree":
                    parameters.append(
                        (f"{name}.{draw(st.sampled_from(['or', 'not.and']))}", f"({draw(trees(target))})")
                    )
                elif kind == "order":
                    parameters.append((f"{name}.order", draw(orders(target))))
                elif kind == "limit":
                    parameters.append(
                        (f"{name}.{draw(st.sampled_from(['limit', 'offset']))}", str(draw(st.integers(0, 3))))
                    )
                else:
                    parameters.append(
                        (name, draw(st.sampled_from(["is.null", "not.is.null", "is.not_null", "eq.1"])))
                    )
            parameters += [(f"{name}.{key}", value) for key, value in deeper]
    return ",".join(parts), parameters


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]], str]:
    table = draw(st.sampled_from(sorted(TABLES)))
    select, parameters = draw(selects(table))
    parameters = [("select", select), *parameters, *draw(st.lists(filters(table), max_size=3))]
    if draw(st.booleans()):
        terms = draw(st.lists(trees(table), min_size=1, max_size=3))
        parameters.append((draw(st.sampled_from(["or", "and", "not.or"])), f"({','.join(terms)})"))
    if draw(st.booleans()):
        parameters.append(("order", ",".join(draw(st.lists(orders(table), min_size=1, max_size=2)))))
    if draw(st.booleans()):
        parameters.append((draw(st.sampled_from(["limit", "offset"])), str(draw(st.integers(0, 9)))))
    return table, parameters, draw(st.sampled_from(["", "count=exact", "count=planned", "count=estimated"]))


@pytest.fixture(scope="module")
def client(shop: Shop) -> Iterator[httpx.Client]:
    with shop.client() as opened:
        yield opened


@ON_THE_WIRE
@given(requests())
def test_random_reads_are_rows_or_refusals(
    client: httpx.Client, request_: tuple[str, list[tuple[str, str]], str]
) -> None:
    table, parameters, prefer = request_
    query = "&".join(f"{quote(key)}={quote(value)}" for key, value in parameters)
    answer = client.get(f"/{table}?{query}", headers={"Prefer": prefer})
    assert answer.status_code < 500, (answer.text, query)
    body = answer.json()
    if answer.status_code < 300:
        assert isinstance(body, list)
    else:
        assert set(body) == {"code", "message", "details", "hint"}
        # What we composed is never at fault: only the values, types and doubled names that were asked for.
        if " in tsquery" in body["message"]:
            return
        assert body["code"] not in ("42601", "42P01", "42712", "42P10"), (body, query)


@ON_THE_WIRE
@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=20))
def test_random_paths_and_parameters_are_refusals_at_worst(
    client: httpx.Client, table: str, key: str, value: str
) -> None:
    answer = client.get(f"/{quote(table, safe='')}?{quote(key)}={quote(value)}")
    assert answer.status_code < 500, answer.text


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
rows = st.dictionaries(st.sampled_from([*TABLES["albums"], "nope"]), json_values, max_size=5)


queries = st.sampled_from(
    ["", "columns=title,artist_id,price", "on_conflict=id", "select=id,artists!albums_artist_id_fkey(name)"]
)
preferences = st.sampled_from(
    ["resolution=merge-duplicates", "missing=default", "return=representation", "return=minimal"]
)


@pytest.fixture(scope="module")
def writer(shop: Shop) -> Iterator[httpx.Client]:
    with shop.client(key=shop.embedded.keys.secret_key) as opened:
        yield opened
    shop.sql("delete from public.albums where id not between 1 and 4")


@ON_THE_WIRE
@given(rows | st.lists(rows, max_size=3) | json_values, queries, preferences)
def test_random_writes_are_done_or_refused(
    writer: httpx.Client, body: object, query: str, prefer: str
) -> None:
    for method, path in (
        ("POST", f"/albums?{query}"),
        ("PATCH", f"/albums?id=eq.0&{query}"),
        ("POST", "/rpc/sum_list"),
        ("POST", "/rpc/echo"),
    ):
        answer = writer.request(method, path, json=body, headers={"Prefer": prefer})
        assert answer.status_code < 500, (method, path, body, answer.text)


@PURE
@given(request_=requests())
def test_every_plan_is_made_of_known_names(
    cache: SchemaCache, request_: tuple[str, list[tuple[str, str]], str]
) -> None:
    table, parameters, _ = request_
    plans: list[ReadPlan] = []

    def plan() -> None:
        plans.append(Planner(cache, 50).plan_read(cache.tables["public", table], parse_query(parameters)))

    assert refusal(plan) in (None, "42704", "PGRST100", "PGRST108", "PGRST118", "PGRST120")
    for read in plans:
        known = {"*", *read.table.columns, *read.table.computed}
        assert {item.field.name for item, _ in read.selected} <= known
