"""Who is calling: what each key and token is worth, and what none is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from embedded_supabase.keys import Keys
from embedded_supabase.tokens import ANONYMOUS, SERVICE, InvalidToken, Tokens

KEYS = Keys.make()
ISSUER = "http://127.0.0.1:1/auth/v1"
TOKENS = Tokens(KEYS, ISSUER)
USER = "00000000-0000-4000-8000-000000000001"


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {
        "sub": USER,
        "role": "authenticated",
        "aud": "authenticated",
        "iss": ISSUER,
        "iat": now,
        "exp": now + 60,
    }
    return {name: value for name, value in (whole | changed).items() if value is not None}  # fmt: skip


def unsigned(header: dict[str, Any], body: dict[str, Any]) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, body)
    ]
    return ".".join((*parts, ""))  # fmt: skip


def test_what_is_minted_is_believed() -> None:
    token = TOKENS.mint(claims())
    assert TOKENS.verify(token)["sub"] == USER
    caller = TOKENS.identify(apikey=KEYS.publishable_key, authorization=f"Bearer {token}")
    assert (caller.role, caller.user_id) == ("authenticated", USER)


@pytest.mark.parametrize(
    ("apikey", "authorization", "expected"),
    [
        (KEYS.publishable_key, None, ANONYMOUS),
        (KEYS.anon_jwt, None, ANONYMOUS),
        (KEYS.secret_key, None, SERVICE),
        (KEYS.service_role_jwt, None, SERVICE),
        # As clients send it when nobody is signed in: the key twice.
        (KEYS.publishable_key, f"Bearer {KEYS.publishable_key}", ANONYMOUS),
        (KEYS.secret_key, f"bearer {KEYS.secret_key}", SERVICE),
        (KEYS.anon_jwt, f"Bearer {KEYS.anon_jwt}", ANONYMOUS),
    ],
    ids=itertools.count(),
)
def test_keys(apikey: str, authorization: str | None, expected: Any) -> None:
    assert TOKENS.identify(apikey=apikey, authorization=authorization) == expected


def test_a_user_with_the_secret_key_is_the_user() -> None:
    caller = TOKENS.identify(apikey=KEYS.secret_key, authorization=f"Bearer {TOKENS.mint(claims())}")
    assert caller.role == "authenticated"


def test_a_token_without_a_key_only_where_none_is_required() -> None:
    bearer = f"Bearer {TOKENS.mint(claims())}"
    with pytest.raises(InvalidToken) as refused:
        TOKENS.identify(apikey=None, authorization=bearer)
    assert (refused.value.code, refused.value.message) == ("no_api_key", "No API key found in request")
    assert TOKENS.identify(apikey=None, authorization=bearer, key_required=False).user_id == USER


def test_a_token_of_the_older_secret() -> None:
    token = jwt.encode(claims(iss=None), KEYS.jwt_secret, algorithm="HS256")
    assert TOKENS.verify(token)["sub"] == USER


OTHER = Keys.make()
FOREIGN = Tokens(OTHER, ISSUER)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("a.b.c", id="no JSON"),
        pytest.param("é", id="no ASCII"),
        pytest.param(TOKENS.mint(claims(exp=int(time.time()) - 1)), id="expired"),
        pytest.param(TOKENS.mint(claims(exp=None)), id="never expires"),
        pytest.param(TOKENS.mint(claims(exp="9999999999")), id="expires at a text"),
        pytest.param(TOKENS.mint(claims(iss="http://elsewhere/auth/v1")), id="other issuer"),
        pytest.param(TOKENS.mint(claims(iss=None)), id="no issuer"),
        pytest.param(FOREIGN.mint(claims()), id="other key"),
        pytest.param(
            jwt.encode(claims(), OTHER.jwt_secret, algorithm="HS256"), id="other shared secret"
        ),
        pytest.param(unsigned({"alg": "none", "typ": "JWT"}, claims()), id="alg none"),
        pytest.param(unsigned({"alg": "None", "kid": KEYS.signing_kid}, claims()), id="alg None"),
        pytest.param(unsigned({"alg": "ES256", "kid": KEYS.signing_kid}, claims()), id="no signature"),
        pytest.param(unsigned({"alg": ["HS256"]}, claims()), id="alg a list"),
        pytest.param(
            jwt.encode(claims(), ec.generate_private_key(ec.SECP256R1()), algorithm="ES256",
                       headers={"kid": KEYS.signing_kid}),
            id="our kid, their key",
        ),
        pytest.param(
            jwt.encode(claims(), KEYS.jwt_secret, algorithm="HS512"), id="right secret, other algorithm"
        ),
    ],
)  # fmt: skip
def test_no_token(token: str) -> None:
    with pytest.raises(InvalidToken):
        TOKENS.verify(token)
    with pytest.raises(InvalidToken):
        TOKENS.identify(apikey=KEYS.publishable_key, authorization=f"Bearer {token} x")


def test_the_public_key_is_no_shared_secret() -> None:
    """The old confusion of algorithms: HS256 over the text of the public key."""
    public = load_pem_private_key(KEYS.signing_key_pem.encode(), None).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = unsigned({"alg": "HS256", "kid": KEYS.signing_kid}, claims()).removesuffix(".")
    signature = base64.urlsafe_b64encode(hmac.new(pem, head.encode(), hashlib.sha256).digest()).rstrip(b"=")
    with pytest.raises(InvalidToken):
        TOKENS.verify(f"{head}.{signature.decode()}")


def test_a_token_believed_once_still_expires() -> None:
    expires_at = int(time.time()) + 1
    token = TOKENS.mint(claims(exp=expires_at))
    TOKENS.verify(token)
    time.sleep(expires_at - time.time() + 0.01)
    with pytest.raises(InvalidToken):
        TOKENS.verify(token)


def test_what_a_caller_does_with_its_claims_stays_its_own() -> None:
    token = TOKENS.mint(claims())
    TOKENS.verify(token)["role"] = "service_role"
    assert TOKENS.verify(token)["role"] == "authenticated"


@pytest.mark.parametrize("role", ["postgres", "supabase_admin", "authenticator", "", None, 1, ["anon"]])
def test_a_role_that_is_not_for_the_api(role: Any) -> None:
    with pytest.raises(InvalidToken):
        TOKENS.identify(apikey=KEYS.publishable_key, authorization=f"Bearer {TOKENS.mint(claims(role=role))}")


@pytest.mark.parametrize(
    ("apikey", "authorization"),
    [
        (None, None),
        ("", None),
        ("no key", None),
        ("no key", f"Bearer {KEYS.secret_key}"),
        (KEYS.publishable_key[:-1], None),
        (KEYS.secret_key + "x", None),
        (KEYS.secret_key.upper(), None),
        (KEYS.publishable_key, "Basic dXNlcjpwYXNz"),
        (KEYS.publishable_key, "Bearer nonsense"),
        ("é", None),
    ],
    ids=itertools.count(),
)
def test_no_caller(apikey: str | None, authorization: str | None) -> None:
    with pytest.raises(InvalidToken):
        TOKENS.identify(apikey=apikey, authorization=authorization)


@given(st.one_of(st.none(), st.text()), st.one_of(st.none(), st.text(), st.text().map("Bearer {}".format)))
def test_anything_is_refused_in_the_same_way(apikey: str | None, authorization: str | None) -> None:
    with pytest.raises(InvalidToken):
        TOKENS.identify(apikey=apikey, authorization=authorization)


def test_jwks_shows_the_public_half_only() -> None:
    (key,) = TOKENS.read_jwks()["keys"]
    assert (key["kid"], key["alg"], key["kty"], key["crv"]) == (KEYS.signing_kid, "ES256", "EC", "P-256")
    assert "d" not in key
    token = TOKENS.mint(claims())
    decoded = jwt.decode(token, jwt.PyJWK(key), algorithms=["ES256"], audience="authenticated", issuer=ISSUER)
    assert decoded["sub"] == USER
