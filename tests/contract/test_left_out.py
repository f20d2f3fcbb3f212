"""Calls of both clients that the embedded Supabase refuses by name, and a hosted one may serve."""

from __future__ import annotations

from typing import Any

import pytest
from postgrest import APIError
from storage3.exceptions import StorageApiError
from supabase import AsyncClient, FunctionsHttpError
from supabase_auth.errors import AuthApiError

from tests import node

from .conftest import Target, User

pytestmark = pytest.mark.embedded_only("a hosted project may have these switched on")
py, js = (pytest.mark.row.with_args(by=by) for by in ("py", "js"))


@py("rest.other-media")
async def test_no_plans(alice: User) -> None:
    with pytest.raises(APIError) as refused:
        await alice.client.table("playlists").select("id").explain().execute()
    assert refused.value.code == "PGRST107"


@py("storage.no-other-apis")
async def test_no_buckets_of_other_kinds(service: AsyncClient) -> None:
    for asked in (
        service.storage.vectors().create_bucket("left-out"),
        service.storage.analytics().create("left-out"),
    ):
        with pytest.raises(StorageApiError, match=r"Route POST:.* not found") as refused:
            await asked
        assert int(refused.value.status) == 404


@py("auth.no-others")
async def test_no_oauth_server(service: AsyncClient) -> None:
    with pytest.raises(AuthApiError) as refused:
        await service.auth.admin.oauth.list_clients()
    assert (refused.value.status, refused.value.code) == (422, "feature_disabled")


@py("project.no-functions")
async def test_no_functions(alice: User) -> None:
    with pytest.raises(FunctionsHttpError) as refused:
        await alice.client.functions.invoke("anything")
    assert refused.value.status == 404


@pytest.fixture
async def seen(target: Target, alice: User) -> dict[str, Any]:
    session = await alice.client.auth.get_session()
    assert session is not None
    given = {"url": target.url, "key": target.public_key, "secret": target.secret_key, "user": alice.id}
    given |= {"token": session.access_token, "refresh": session.refresh_token}
    return node.run("left_out.mjs", given)


@js("rest.other-media", "storage.no-other-apis", "auth.no-others", "auth.no-mfa", "project.no-functions")
def test_through_supabase_js(seen: dict[str, Any]) -> None:
    disabled, storage = ["AuthApiError", 422, "feature_disabled"], "/storage/v1"
    assert seen == {
        "explain": "PGRST107",
        "geojson": "PGRST107",
        "vector_bucket": no_route("StorageVectorsApiError", f"POST:{storage}/vector/CreateVectorBucket"),
        "analytics_bucket": no_route("StorageApiError", f"POST:{storage}/iceberg/bucket"),
        "purge": no_route("StorageApiError", f"DELETE:{storage}/cdn/audio-files/x"),
        "purge_bucket": no_route("StorageApiError", f"DELETE:{storage}/cdn/audio-files"),
        **dict.fromkeys(["web3", "passkey", "passkeys", "oauth"], disabled),
        **dict.fromkeys(["admin_oauth", "admin_providers", "admin_passkeys"], disabled),
        **dict.fromkeys(["mfa_challenge", "mfa_verify", "mfa_unenroll", "admin_mfa"], disabled),
        "functions": ["FunctionsHttpError", 404, "Edge Function returned a non-2xx status code"],
    }


def no_route(name: str, route: str) -> list[Any]:
    return [name, 404, f"Route {route} not found"]
