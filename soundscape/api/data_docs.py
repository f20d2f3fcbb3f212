"""`/docs/data`: the tables and functions that people reach through Supabase, by the database's own comments.

The list is in `data_api.json`, written from a deployed schema (tests/deploy/test_types.py). So the worker
needs no rights on the catalogue, and the page needs no network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

TITLE = "SoundScape: tables and functions"
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{font-size:.9em}table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;vertical-align:top;padding:.2rem .6rem;border-bottom:1px solid #ccc}"
    "nav ul{columns:3}h3{margin-top:2rem}"
)


def install(app: FastAPI) -> None:
    """Serve the page."""

    @app.get("/docs/data", include_in_schema=False)
    async def show_data_docs() -> HTMLResponse:
        return HTMLResponse(render(), headers={"cache-control": "public, max-age=3600"})


@cache
def render() -> str:
    """Return the page as HTML."""
    found = json.loads(files("soundscape.api").joinpath("data_api.json").read_text())
    return "\n".join(_page(found["tables"], found["functions"]))


def _page(tables: list[dict[str, Any]], functions: list[dict[str, Any]]) -> Iterator[str]:
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{TITLE}</title>'
    yield f"<style>{STYLE}</style><h1>{TITLE}</h1>"
    yield (
        "<p>Call these through supabase-js or supabase-py. Row level security decides which rows a caller "
        'sees and changes. <a href="../docs">The routes of the worker</a> are on a page of their own.</p>'
    )
    for heading, entries in (("Tables", tables), ("Functions", functions)):
        names = "".join(f'<li><a href="#{it["name"]}">{it["name"]}</a>' for it in entries)
        yield f"<nav><h2>{heading}</h2><ul>{names}</ul></nav>"
    for table in tables:
        yield from _table(table)
    for function in functions:
        yield from _function(function)
    yield "</html>"


def _table(table: dict[str, Any]) -> Iterator[str]:
    yield f'<h3 id="{table["name"]}"><code>{table["name"]}</code></h3><p>{escape(table["comment"])}</p>'
    for who, key in (("Everybody", "anonymous"), ("Signed in", "signed_in")):
        if table[key]:
            yield f"<p>{who}: {', '.join(table[key])}</p>"
    yield "<table><tr><th>column<th>type<th>what it is</tr>"
    for column in table["columns"]:
        kind = escape(column["type"]) + (" or null" if column["nullable"] else "")
        comment = escape(column["comment"])
        yield f"<tr><td><code>{column['name']}</code><td>{kind}<td>{comment}</tr>"
    yield "</table>"


def _function(function: dict[str, Any]) -> Iterator[str]:
    yield f'<h3 id="{function["name"]}"><code>{function["name"]}({escape(function["arguments"])})</code></h3>'
    who = "Everybody" if function["anonymous"] else "Signed in"
    yield f"<p>{escape(function['comment'])}</p>"
    yield f"<p>{who}. Returns <code>{escape(function['result'])}</code>.</p>"
