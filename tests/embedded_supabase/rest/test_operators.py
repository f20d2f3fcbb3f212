"""One entry of the registry makes an operator: the grammar, SQL, Realtime and the documentation have it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from embedded_supabase.operators import OPERATORS, Operator
from embedded_supabase.realtime.binding import Condition, FilterError, parse_filter
from embedded_supabase.rest import grammar
from embedded_supabase.rest.request import parse_query
from embedded_supabase.rest.syntax import Comparison, Field, Logic

from .conftest import Shop

DOCUMENT = Path(__file__).parents[3] / "docs" / "embedded-supabase.md"
MADE_UP = {
    "starts": Operator("^@", "simple", in_realtime=True),
    "differs": Operator("<>", "quantified"),
    "simplefts": Operator("plainto_tsquery", "search"),
}


def forget_grammar() -> None:
    grammar.load_grammar.cache_clear()
    grammar.read.cache_clear()


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three more operators, which nothing but the registry knows."""
    for name, operator in MADE_UP.items():
        monkeypatch.setitem(OPERATORS, name, operator)
    forget_grammar()
    yield
    monkeypatch.undo()
    forget_grammar()


def documented(row: str) -> set[str]:
    """The words in backticks that stand between `operators:` and the next semicolon of a row."""
    line = next(line for line in DOCUMENT.read_text().splitlines() if line.startswith(f"| `{row}`"))
    return set(re.findall(r"`([a-z]+)`", line.partition("operators:")[2].partition(";")[0]))


def undocumented(operators: Mapping[str, Operator]) -> set[str]:
    shared = {name for name, operator in operators.items() if operator.in_realtime}
    return (operators.keys() ^ documented("rest.filters")) | (shared ^ documented("realtime.changes"))


def test_the_documentation_has_every_operator() -> None:
    assert undocumented(OPERATORS) == set()
    assert undocumented({**OPERATORS, **MADE_UP}) == set(MADE_UP)


@pytest.mark.parametrize("name", OPERATORS)
def test_the_grammar_has_every_operator(name: str) -> None:
    value = {"list": "(1)", "keyword": "null"}.get(OPERATORS[name].form, "1")
    (found,) = parse_query([("id", f"{name}.{value}")]).conditions
    assert isinstance(found[1], Comparison)
    assert found[1].operator == name
    assert grammar.has_operator(f"{name}.{value}")


@pytest.mark.usefixtures("made_up")
def test_a_made_up_operator_is_parsed() -> None:
    title = Field("title")
    assert parse_query([("title", "not.starts.A")]).conditions == [
        ((), Comparison(title, "starts", "A", negated=True))
    ]
    differs_from_all = Comparison(title, "differs", "{A,B}", quantifier="all")
    assert parse_query([("or", "(title.starts.A,title.differs(all).{A,B})")]).conditions == [
        ((), Logic("or", (Comparison(title, "starts", "A"), differs_from_all)))
    ]
    assert parse_filter("title=starts.A") == (Condition("title", "starts", "A"),)
    with pytest.raises(FilterError):
        parse_filter("title=differs.A")


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ("name=starts.{0}", "name ^@ {1}"),
        ("name=not.starts.{0}", "not name ^@ {1}"),
        ("name=differs(any).{{{0},nobody}}", "true"),
        ("name=simplefts(simple).{0}", "to_tsvector('simple', name) @@ plainto_tsquery('simple', {1})"),
    ],
)
def test_a_made_up_operator_is_planned_and_executed(shop: Shop, query: str, condition: str) -> None:
    ((name,), *_) = shop.sql("select name from artists order by id")
    wanted = shop.sql("select id from artists where " + condition.format(name, f"'{name}'") + " order by id")
    with shop.client() as client:
        answer = client.get(f"/artists?select=id&order=id&{query.format(name)}")
    assert answer.status_code == 200, answer.text
    assert [row["id"] for row in answer.json()] == [id_ for (id_,) in wanted]
    assert wanted
