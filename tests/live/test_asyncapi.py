"""The AsyncAPI document says what the code does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from soundscape.live import endings
from soundscape.live.answers import ANSWERS, MERGED_KINDS
from soundscape.live.asyncapi import render
from soundscape.live.requests import REQUESTS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for inner in value.values() for found in references(inner)]
    return [found for inner in value for found in references(inner)] if isinstance(value, list) else []


def test_the_file_is_made_from_the_code() -> None:
    assert (DOCS / "live.asyncapi.json").read_text() == render(), (
        "python -m soundscape.live.asyncapi > docs/live.asyncapi.json"
    )


def test_every_reference_leads_somewhere() -> None:
    document = json.loads(render())
    for reference in references(document):
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_the_page_names_every_message_and_every_close_code() -> None:
    page = (DOCS / "live.md").read_text()
    for model in (*REQUESTS, *ANSWERS):
        name = model.model_fields["type"].annotation.__args__[0]  # type: ignore[union-attr]
        assert f"`{name}`" in page
    for ending in (*endings.ALL, endings.TOO_BIG):
        assert f"| {ending.code} | `{ending.name}` |" in page


def test_close_codes_are_our_own_and_have_room_in_a_close_frame() -> None:
    codes = [ending.code for ending in endings.ALL]
    assert len(set(codes)) == len(codes)
    assert all(code == 1000 or 4000 <= code < 5000 for code in codes)
    assert all(ending.sentence == ending.reason for ending in endings.ALL)
    assert len(endings.IDLE.saying("ü" * 200).reason.encode()) <= endings.MAX_REASON_BYTES


def test_what_is_merged_says_so() -> None:
    kinds = {
        model.model_fields["type"].annotation.__args__[0]  # type: ignore[union-attr]
        for model in ANSWERS
        if "merged" in model.model_fields
    }
    assert kinds == MERGED_KINDS
