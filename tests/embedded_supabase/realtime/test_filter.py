"""The filter grammar."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded_supabase.realtime.binding import Condition, FilterError, parse_filter


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("", []),
        ("  ", []),
        ("subject=eq.hey", [Condition("subject", "eq", "hey")]),
        ("subject=eq.", [Condition("subject", "eq", "")]),
        ("subject=not.like.hey%", [Condition("subject", "like", "hey%", True)]),
        ("id=gt.0,id=lt.100", [Condition("id", "gt", "0"), Condition("id", "lt", "100")]),
        ("id=gt.0, id=lt.1", [Condition("id", "gt", "0"), Condition("id", "lt", "1")]),
        ("id=in.(1,2)", [Condition("id", "in", "{1,2}")]),
        ("id=in.()", [Condition("id", "in", "{}")]),
        ('name=in.("a,b",c)', [Condition("name", "in", '{"a,b",c}')]),
        ('name=in.("a)",c),id=eq.1', [Condition("name", "in", '{"a)",c}'), Condition("id", "eq", "1")]),
        ('area=eq."Oslo, Norway"', [Condition("area", "eq", "Oslo, Norway")]),
        ('area=eq."say \\"hi\\""', [Condition("area", "eq", 'say "hi"')]),
        ("area=eq.say\"hi", [Condition("area", "eq", 'say"hi')]),
        ("v=eq.1.5", [Condition("v", "eq", "1.5")]),
        ("v=is.null", [Condition("v", "is", "null")]),
        ("v=eq.a=b", [Condition("v", "eq", "a=b")]),
        ("v=match.^(a,b)$", [Condition("v", "match", "^(a,b)$")]),
    ],
)  # fmt: skip
def test_read(text: str, conditions: list[Condition]) -> None:
    assert parse_filter(text) == tuple(conditions)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("undefined", "undefined"),
        ("subject=foo.hey", "foo"),
        ("subject=eq", "subject"),
        ("id=in.1,2", "wrapped by parentheses"),
        ("id=in.(" + ",".join("1" * 101) + ")", "Maximum 100"),
        ("v=is.maybe", "must be null, true, false, or unknown"),
        ("a=eq.1,", "empty segments"),
        (",a=eq.1", "empty segments"),
        ("a=eq.\0", "NUL"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(FilterError, match=reason):
        parse_filter(text)


@given(st.text(alphabet='ab=.,()"\\ not.eqinlike%', max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(FilterError):
        parse_filter(text)
