"""`/docs`: the documentation of the API. Its scripts come from a package, not from another site."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response

MEDIA_TYPES = {"js": "text/javascript", "css": "text/css", "png": "image/png"}
Asset = Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"]


def install(app: FastAPI) -> None:
    """Serve the page and its assets. The app must be made with `docs_url=None`."""

    @app.get("/docs", include_in_schema=False)
    async def show_docs() -> HTMLResponse:
        # Relative addresses: the app is mounted under a prefix.
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url="docs/swagger-ui-bundle.js",
            swagger_css_url="docs/swagger-ui.css",
            swagger_favicon_url="docs/favicon.png",
        )

    @app.get("/docs/{name}", include_in_schema=False)
    def read_asset(name: Asset) -> Response:
        content = files("fastapi_offline").joinpath("static", name).read_bytes()
        kind = MEDIA_TYPES[name.rpartition(".")[2]]
        return Response(content, media_type=kind, headers={"cache-control": "public, max-age=3600"})
