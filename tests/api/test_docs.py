"""The documentation loads nothing from another site."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import pytest

from .test_access import serve_app

LINK = re.compile(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)["']""")


async def test_the_page_loads_only_what_is_served_here() -> None:
    async with serve_app() as client:
        page = await client.get("/docs")
        assert page.status_code == 200
        links = LINK.findall(page.text)
        assert {link.rpartition(".")[2] for link in links} == {"js", "css", "png", "json"}
        for link in links:
            address = urljoin("http://worker/docs", link)
            assert address.startswith("http://worker/")
            assert (await client.get(address)).status_code == 200
        assert re.findall(r"https?://[^\s\"']+", page.text) == []


@pytest.mark.parametrize("name", ["redoc.standalone.js", "..", "%2e%2e/core.py", "core.py", ""])
async def test_no_other_file_is_served(name: str) -> None:
    async with serve_app() as client:
        assert (await client.get(f"/docs/{name}")).status_code in (307, 404, 422)
        assert (await client.get("/redoc")).status_code == 404


async def test_tables_and_functions_are_listed_with_the_databases_comments() -> None:
    async with serve_app() as client:
        page = await client.get("/docs/data")
        assert page.headers["content-type"].startswith("text/html")
        assert "docs/data" in (await client.get("/openapi.json")).json()["info"]["description"]
        assert re.findall(r"(?:src|href)=[\"']https?://", page.text) == []
        for name in ("audio_files", "playlists", "search_audio", "nearby_audio"):
            assert f'<h3 id="{name}">' in page.text
        assert "Recordings near a place, the nearest first" in page.text
        # Nothing that only the worker calls.
        assert "claim_jobs" not in page.text
