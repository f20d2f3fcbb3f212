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
