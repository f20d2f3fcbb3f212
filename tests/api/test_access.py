"""Routes that people call: whose token lets in, what a stranger may try, how often anybody may ask."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI, Request
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from soundscape.api import keyring as keyring_module
from soundscape.api.access import SignedIn
from soundscape.api.app import build
from soundscape.api.keyring import Keyring, read_keys
from soundscape.api.rates import group_address
from soundscape.api.serve import listen
from soundscape.api.serve import serving as serving_app
from soundscape.api.tokens import NotSignedIn, Tokens
from soundscape.cli.embedded_project import Project
from soundscape.errors import RequestRefused
from soundscape.settings import Settings
from tests.service import Answer, Service, serving

USER = "4a3c8d5e-1f2b-4c3d-8e9f-0a1b2c3d4e5f"
ISSUER = "https://abcdefgh.supabase.co/auth/v1"
SHARED = "a shared secret of at least thirty-two characters"
EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
STRANGE_KEY = ec.generate_private_key(ec.SECP256R1())


def jwk(private: Any, kid: str, **more: Any) -> dict[str, Any]:
    kinds = {
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
    }
    kind = next(algorithm for key, algorithm in kinds.items() if isinstance(private, key))
    return {**json.loads(kind.to_jwk(private.public_key())), "kid": kid, "use": "sig"} | more


KEYS = [jwk(EC_KEY, "ec", alg="ES256"), jwk(RSA_KEY, "rsa", alg="RS256")]

KEYS_READ = read_keys({"keys": KEYS})


def claims(**changed: Any) -> dict[str, Any]:
    """A user's claims; a claim changed to None is left out."""
    whole = {
        "iss": ISSUER,
        "aud": "authenticated",
        "sub": USER,
        "role": "authenticated",
        "exp": time.time() + 60,
    }
    return {name: value for name, value in (whole | changed).items() if value is not None}


def token(
    *,
    key: Any = EC_KEY,
    kid: str | None = "ec",
    alg: str = "ES256",
    header: dict[str, Any] | None = None,
    **changed: Any,
) -> str:
    headers = ({"kid": kid} if kid is not None else {}) | (header or {})
    return jwt.encode(claims(**changed), key, algorithm=alg, headers=headers)


def unsigned(**header: Any) -> str:
    parts = ({"typ": "JWT", **header}, claims())
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + "."
    )


class Jwks:
    """The project's key service, as it is at the moment."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = list(KEYS)
        self.answer: Answer | None = None

    def __call__(self, _: Any) -> Answer:
        return self.answer or (
            200,
            {"content-type": "application/json"},
            json.dumps({"keys": self.keys}).encode(),
        )


@asynccontextmanager
async def verifier(jwks: Jwks, *, shared: str | None = None) -> AsyncIterator[tuple[Tokens, Service]]:
    async with serving(jwks) as service, httpx.AsyncClient() as http:
        yield Tokens(Keyring(http, service.url), issuer=ISSUER, shared_secret=shared), service


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda: token(), id="ES256"),
        pytest.param(lambda: token(key=RSA_KEY, kid="rsa", alg="RS256"), id="RS256"),
        pytest.param(lambda: token(key=SHARED, kid=None, alg="HS256"), id="HS256"),
        pytest.param(lambda: token(key=SHARED, kid="ec", alg="HS256"), id="HS256 with an id"),
        pytest.param(lambda: token(aud=["other", "authenticated"]), id="one of several audiences"),
        pytest.param(lambda: token(exp=time.time() - 3), id="clocks three seconds apart"),
        pytest.param(lambda: token(sub=USER.upper()), id="a uuid in capitals"),
    ],
)
async def test_tokens_of_the_project(made: Callable[[], str]) -> None:
    async with verifier(Jwks(), shared=SHARED) as (tokens, service):
        caller = await tokens.verify(made())
        assert (caller.user_id, caller.is_anonymous) == (USER, False)
        await tokens.verify(made())
        assert len(service.requests) <= 1, "keys are fetched once"
        assert caller.token not in repr(caller)


PUBLIC_PEM = EC_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def hs256(secret: bytes) -> str:
    """A token signed with a public key as if it were a secret; PyJWT itself refuses to make one."""
    first = unsigned(alg="HS256", kid="ec").rstrip(".")
    mac = hmac.new(secret, first.encode(), hashlib.sha256).digest()
    return f"{first}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


FORGED: dict[str, Callable[[], str]] = {
    "another's key": lambda: token(key=STRANGE_KEY),
    "another's key under an unknown id": lambda: token(key=STRANGE_KEY, kid="new"),
    "no id": lambda: token(kid=None),
    "an id that is no text": lambda: unsigned(alg="ES256", kid=7),
    "alg none": lambda: unsigned(alg="none"),
    "alg none with an id": lambda: unsigned(alg="none", kid="ec"),
    "alg in a list": lambda: unsigned(alg=["ES256"], kid="ec"),
    "the public key as a shared secret": lambda: hs256(PUBLIC_PEM),
    "an empty shared secret": lambda: hs256(b""),
    "None as a shared secret": lambda: hs256(b"None"),
    "a key for another algorithm": lambda: token(key=RSA_KEY, kid="ec", alg="RS256"),
    "an algorithm we do not take": lambda: token(key=RSA_KEY, kid="rsa", alg="PS256"),
    "a key in its own header": lambda: token(key=STRANGE_KEY, kid="x", header={"jwk": jwk(STRANGE_KEY, "x")}),
    "keys from elsewhere": lambda: token(key=STRANGE_KEY, kid="x", header={"jku": "http://127.0.0.1:9/keys"}),
    "critical extensions": lambda: token(header={"crit": ["exp"]}),
    "expired": lambda: token(exp=time.time() - 30),
    "not yet": lambda: token(nbf=time.time() + 60),
    "no expiry": lambda: token(exp=None),
    "no issuer": lambda: token(iss=None),
    "another issuer": lambda: token(iss="https://other.supabase.co/auth/v1"),
    "an issuer that begins alike": lambda: token(iss=ISSUER + "/"),
    "no audience": lambda: token(aud=None),
    "another audience": lambda: token(aud="anon"),
    "no subject": lambda: token(sub=None),
    "a subject that is no uuid": lambda: token(sub="admin"),
    "the public key's role": lambda: token(role="anon"),
    "the worker's role": lambda: token(role="service_role"),
    "no role": lambda: token(role=None),
    "a role in a list": lambda: token(role=["authenticated"]),
    "too long": lambda: token(more="x" * 20_000),
    "an expiry beyond all numbers": lambda: token(exp=float("inf")),
    "an expiry that is text": lambda: token(exp="never"),
    "nothing": lambda: "",
    "dots": lambda: "..",
    "text": lambda: "é.é.é",
    "deep": lambda: base64.urlsafe_b64encode(b'{"a":' * 5000).decode() + ".e30.e30",
}  # fmt: skip


@pytest.mark.parametrize("shared", [None, SHARED], ids=["asymmetric", "with a shared secret"])
@pytest.mark.parametrize("how", FORGED)
async def test_forged(how: str, shared: str | None) -> None:
    async with verifier(Jwks(), shared=shared) as (tokens, service):
        with pytest.raises(NotSignedIn) as refused:
            await tokens.verify(FORGED[how]())
        assert (refused.value.status, refused.value.headers["WWW-Authenticate"][:6]) == (401, "Bearer")
        assert refused.value.code == ("token_expired" if how == "expired" else "token_invalid")
        assert len(service.requests) <= 1


async def test_a_shared_secret_counts_only_where_one_is_set() -> None:
    async with verifier(Jwks()) as (tokens, service):
        with pytest.raises(NotSignedIn):
            await tokens.verify(token(key=SHARED, kid=None, alg="HS256"))
        assert service.requests == []


STRANGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["iss", "aud", "sub", "role", "exp", "nbf", "iat", "jti", "is_anonymous", "x"])
HEADERS = st.sampled_from(["kid", "typ", "crit", "b64", "jku", "jwk", "x5u", "cty", "zip"])


@given_settings(max_examples=150)
@given(st.dictionaries(NAMES, STRANGE, max_size=4), st.dictionaries(HEADERS, STRANGE, max_size=2))
async def test_genuine_signatures_over_anything(changed: dict[str, Any], header: dict[str, Any]) -> None:
    """Whatever is signed, the answer is a caller or a refusal, never another error."""

    def encoded(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    first = encoded({"alg": "ES256", "kid": "ec"} | header) + "." + encoded(claims() | changed)
    signature = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(first.encode(), EC_KEY)
    whole = f"{first}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    keyring = Keyring(cast("httpx.AsyncClient", None), "http://127.0.0.1:9")  # it never asks
    keyring._keys, keyring._fetched_at = KEYS_READ, time.monotonic()
    keyring._tried_at = keyring._fetched_at
    try:
        caller = await Tokens(keyring, issuer=ISSUER).verify(whole)
    except NotSignedIn:
        return
    assert (caller.claims["iss"], caller.claims["role"]) == (ISSUER, "authenticated")


# -- keys ---------------------------------------------------------------------------------------------------


async def test_one_look_for_unknown_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new key is found at once; a flood of invented ids asks once in the interval, whoever waits."""
    jwks = Jwks()
    async with verifier(jwks) as (tokens, service):
        await tokens.verify(token())
        jwks.keys.append(jwk(STRANGE_KEY, "new", alg="ES256"))
        with pytest.raises(NotSignedIn):  # fetched a moment ago
            await tokens.verify(token(key=STRANGE_KEY, kid="new"))
        monkeypatch.setattr(keyring_module, "UNKNOWN_ID_INTERVAL_S", 0.0)
        assert (await tokens.verify(token(key=STRANGE_KEY, kid="new"))).user_id == USER
        assert len(service.requests) == 2
        monkeypatch.setattr(keyring_module, "UNKNOWN_ID_INTERVAL_S", 30.0)
        flood = [tokens.verify(token(key=STRANGE_KEY, kid=f"k{n}")) for n in range(100)]
        assert all(isinstance(e, NotSignedIn) for e in await asyncio.gather(*flood, return_exceptions=True))
        assert len(service.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        (500, {}, b"{}"),
        (404, {}, b""),
        (200, {}, b"no JSON"),
        (200, {}, b"[]"),
        (200, {}, b'{"keys": {}}'),
        (200, {}, b"[" * 60_000),
        (200, {}, b'{"keys": [' + b" " * (1 << 17) + b"]}"),
        (302, {"location": "http://127.0.0.1:9/"}, b""),
    ],
    ids=["500", "404", "text", "list", "object", "deep", "long", "redirect"],
)
async def test_old_keys_outlive_a_failing_fetch(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    jwks = Jwks()
    async with verifier(jwks) as (tokens, service):
        jwks.answer = answer
        with pytest.raises(RequestRefused) as early:
            await tokens.verify(token())
        assert (early.value.status, early.value.code) == (503, "signing_keys_unreachable")
        jwks.answer = None
        monkeypatch.setattr(keyring_module, "RETRY_INTERVAL_S", 0.0)
        await tokens.verify(token())
        jwks.answer = answer
        monkeypatch.setattr(keyring_module, "CACHED_S", 0.0)
        await tokens.verify(token())
        assert len(service.requests) == 3
        assert {request.path for request in service.requests} == {"/auth/v1/.well-known/jwks.json"}


async def test_a_key_that_was_withdrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    jwks = Jwks()
    async with verifier(jwks) as (tokens, _):
        await tokens.verify(token())
        jwks.keys = []
        monkeypatch.setattr(keyring_module, "CACHED_S", 0.0)
        monkeypatch.setattr(keyring_module, "RETRY_INTERVAL_S", 0.0)
        with pytest.raises(NotSignedIn):
            await tokens.verify(token())


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": base64.urlsafe_b64encode(b"k" * 32).decode(), "kid": "x", "alg": "HS256"},
        jwk(ec.generate_private_key(ec.SECP384R1()), "x", alg="ES384"),
        jwk(ec.generate_private_key(ec.SECP384R1()), "x", alg="ES256"),
        jwk(rsa.generate_private_key(65537, 1024), "x", alg="RS256"),
        jwk(RSA_KEY, "x", alg="RS512"),
        jwk(EC_KEY, "x", alg="ES256", use="enc"),
        jwk(EC_KEY, "x", alg="none"),
        jwk(EC_KEY, "x") | {"kid": 7},
        jwk(EC_KEY, "x") | {"x": "AAAA"},
        {"kid": "x"}, {"kid": "x", "kty": 7}, "text", None,
    ],
)  # fmt: skip
def test_keys_that_are_left_out(entry: Any) -> None:
    assert set(read_keys({"keys": [entry, *KEYS]})) == {"ec", "rsa"}


JWK_FIELDS = st.dictionaries(
    st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d", "k", "alg", "use", "kid", "key_ops", "oth"]),
    STRANGE | st.sampled_from(["EC", "RSA", "oct", "P-256", "ES256", "AQAB", "AA", "_w", "sig"]),
    max_size=4,
)


@given_settings(max_examples=150)
@given(STRANGE | st.fixed_dictionaries({"keys": STRANGE}), st.sampled_from(KEYS), JWK_FIELDS)
def test_keys_of_any_kind(document: Any, key: dict[str, Any], changed: dict[str, Any]) -> None:
    """A JWKS that is wrong somewhere loses that key, not the others, and not the worker."""
    with suppress(ValueError):
        assert isinstance(read_keys(document), dict)
    broken = {name: value for name, value in (key | {"kid": "x"} | changed).items() if value is not None}
    assert set(read_keys({"keys": [broken, *KEYS]})) >= {"ec", "rsa"}


# -- the route ----------------------------------------------------------------------------------------------


def settings(**changed: Any) -> Settings:
    secret = "whsec_" + base64.b64encode(b"s" * 32).decode()
    whole = {
        "supabase_url": "http://127.0.0.1:9",
        "public_key": "p",
        "secret_key": "s",
        "webhook_secret": secret,
    }
    return Settings.model_construct(**(whole | changed))


@asynccontextmanager
async def serve_app(**changed: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The worker's app with a route for people, its loop not started."""
    app = build(settings(**changed))

    @app.get("/whoami")
    async def whoami(caller: SignedIn) -> dict[str, str]:
        return {"user_id": caller.user_id}

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("sb_secret_of_the_worker")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
        yield client


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with serve_app(rate_per_address=1_000_000) as client:
        yield client


def bearing(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_a_route_for_people() -> None:
    async with serving(Jwks()) as service, serve_app(supabase_url=service.url, token_issuer=ISSUER) as client:
        assert (await client.get("/whoami", headers=bearing(token()))).json() == {"user_id": USER}
        refusable = [bearing("x"), {"apikey": token()}, {}]
        for headers in [*refusable, *({"authorization": text} for text in ("", "Basic eA==", "Bearer"))]:
            refused = await client.get("/whoami", headers=headers)
            assert refused.status_code == 401
            assert set(refused.json()) == {"code", "message", "remedy"}
            assert refused.headers["www-authenticate"].startswith("Bearer")


@given_settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(
        ["/whoami", "/health/live", "/webhooks/storage", "/openapi.json", "/nothing", "/%00", "//"]
    ),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "X"]),
    authorization=st.binary(max_size=80).map(lambda raw: bytes(b for b in raw if b >= 32 and b != 127)),
    body=st.binary(max_size=50),
)
async def test_whatever_a_stranger_sends(
    client: httpx.AsyncClient, path: str, method: str, authorization: bytes, body: bytes
) -> None:
    answer = await client.request(method, path, headers=[(b"authorization", authorization)], content=body)
    assert answer.status_code < 500 or answer.json()["code"] == "signing_keys_unreachable"
    if answer.status_code >= 400 and method != "HEAD":
        problem = answer.json()
        assert set(problem) == {"code", "message", "remedy"}
        assert problem["code"].replace("_", "").isalnum()


async def test_what_breaks_says_nothing_of_the_inside() -> None:
    async with serve_app() as client:
        answer = await client.get("/broken")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
        assert "sb_secret" not in answer.text


async def test_rates() -> None:
    async with serving(Jwks()) as service:
        known = {"supabase_url": service.url, "token_issuer": ISSUER}
        async with serve_app(**known, rate_per_caller=2, rate_per_address=5) as client:
            other = token(sub="00000000-0000-4000-8000-000000000001")
            statuses = [(await client.get("/whoami", headers=bearing(token()))).status_code for _ in range(3)]
            assert statuses == [200, 200, 429]
            assert (await client.get("/whoami", headers=bearing(other))).status_code == 200
            statuses = [(await client.get("/whoami")).status_code for _ in range(2)]
            assert statuses == [401, 429], "the address is counted whether the token is good or not"
            late = await client.get("/whoami", headers=bearing(other))
            assert late.json()["code"] == "too_many_requests"
            assert 1 <= int(late.headers["retry-after"]) <= 120
            assert (await client.get("/health/live")).status_code == 200


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [((), "127.0.0.1"), (("127.0.0.1",), "192.0.2.7"), (("127.0.0.0/8",), "192.0.2.7"),
     (("10.0.0.1",), "127.0.0.1")],
)  # fmt: skip
async def test_for_whom_a_proxy_asks(trusted: tuple[str, ...], seen: str) -> None:
    app = FastAPI()

    @app.get("/")
    async def address(request: Request) -> str:
        assert request.client is not None
        return request.client.host

    with listen("127.0.0.1", 0) as listener:
        async with serving_app(app, listener, trusted_proxies=trusted), httpx.AsyncClient() as client:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            answer = await client.get(url, headers={"x-forwarded-for": "192.0.2.7"})
    assert answer.json() == seen


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::"),
        (None, "unknown"),
        ("a name", "unknown"),
    ],
)
def test_what_counts_as_one_address(address: str | None, counted: str) -> None:
    assert group_address(address) == counted


async def test_browsers_from_elsewhere() -> None:
    asked = {"origin": "https://app.mysite.org", "access-control-request-method": "POST",
             "access-control-request-headers": "authorization"}  # fmt: skip
    async with serve_app() as client:
        assert "access-control-allow-origin" not in (await client.options("/whoami", headers=asked)).headers
    async with serve_app(cors_origins=("https://app.mysite.org",)) as client:
        allowed = await client.options("/whoami", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://app.mysite.org"
        assert "access-control-allow-credentials" not in allowed.headers
        refused = await client.get("/whoami", headers={"origin": "https://app.mysite.org"})
        assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (401, True)
        stranger = await client.options("/whoami", headers=asked | {"origin": "https://evil.org"})
        assert "access-control-allow-origin" not in stranger.headers


async def test_a_token_of_the_embedded_supabase(embedded: Project) -> None:
    """Signed up as a user does; the project's own JWKS, issuer and audience."""
    async with httpx.AsyncClient(
        base_url=embedded.url, headers={"apikey": embedded.keys.publishable_key}
    ) as visitor:
        signed_up = await visitor.post(
            "/auth/v1/signup",
            json={"email": f"{time.time_ns()}@example.com", "password": "long enough a password"},
        )
    session = signed_up.json()
    async with serve_app(supabase_url=embedded.url) as client:
        whoami = await client.get("/whoami", headers=bearing(session["access_token"]))
        assert whoami.json() == {"user_id": session["user"]["id"]}
        for key in (embedded.keys.anon_jwt, embedded.keys.service_role_jwt, embedded.keys.publishable_key):
            assert (await client.get("/whoami", headers=bearing(key))).status_code == 401
