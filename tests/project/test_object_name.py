"""A canonical name means one object to every client, and no other name does."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from storage3._async.file_api import relative_path_to_parts
from yarl import URL

from soundscape.project.object_name import ObjectNameRefused, check_object_name, find_name_problem
from tests.object_names import CANONICAL, NOT_CANONICAL

BASE = "http://127.0.0.1:54321/storage/v1/object/sign/audio-files"
PIECES = st.sampled_from(
    ["/", "//", ".", "..", "\\", "%", "%2f", "%2F", "%2e", "%5c", "%41", "%25", "%zz", "a", "B", "public",
     " ", "?", "#", "é", "e\u0301", "\x00", "\n", "\x7f", "\x85", "~", "+", "&", ";", "𝄞", "\u212b"]
)  # fmt: skip
NAMES = st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=20)


def as_supabase_py_sends(name: str) -> str:
    """The name that a server decodes from the URL that supabase-py makes for it."""
    url = URL(BASE).joinpath(*relative_path_to_parts(name))
    sent = str(httpx.URL(str(url)))
    return unquote(urlsplit(sent).path).removeprefix(urlsplit(BASE).path + "/")


@pytest.mark.parametrize("name", CANONICAL)
def test_canonical_names(name: str) -> None:
    assert find_name_problem(name) is None
    check_object_name(name)


@pytest.mark.parametrize("name", NOT_CANONICAL)
def test_names_that_are_not_canonical(name: str) -> None:
    assert find_name_problem(name) is not None
    with pytest.raises(ObjectNameRefused) as refused:
        check_object_name(name)
    assert (refused.value.code, refused.value.status) == ("object_name_invalid", "rejected")


@given(NAMES)
@example("public//x.wav")
@example("public/%2e%2e/x")
def test_a_canonical_name_arrives_as_it_is(name: str) -> None:
    if find_name_problem(name) is None:
        assert as_supabase_py_sends(name) == name


@given(NAMES)
def test_a_name_that_a_client_changes_is_not_canonical(name: str) -> None:
    try:
        arrives = as_supabase_py_sends(name)
    except ValueError:
        arrives = None
    if arrives != name:
        assert find_name_problem(name) is not None


@given(NAMES, NAMES)
def test_no_two_canonical_names_mean_one_object(one: str, other: str) -> None:
    if one != other and find_name_problem(one) is None and find_name_problem(other) is None:
        assert as_supabase_py_sends(one) != as_supabase_py_sends(other)
