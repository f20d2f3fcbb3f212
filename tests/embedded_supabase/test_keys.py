"""Keys: made once, kept to their owner, all different, each what its name says."""

from __future__ import annotations

import base64
import time
from dataclasses import asdict
from pathlib import Path

import jwt
import pytest

from embedded_supabase.keys import Keys


def test_made_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = Keys.load_or_make(path)
    assert Keys.load_or_make(path) == keys
    assert path.stat().st_mode & 0o777 == 0o600
    assert [left.name for left in tmp_path.iterdir()] == ["keys.json"]


def test_a_start_killed_while_writing(tmp_path: Path) -> None:
    (tmp_path / "keys.new").write_text("half a fi")
    keys = Keys.load_or_make(tmp_path / "keys.json")
    assert Keys.load_or_make(tmp_path / "keys.json") == keys


def test_every_one_is_new() -> None:
    one, other = Keys.make(), Keys.make()
    values = list(asdict(one).values())
    assert len(set(values)) == len(values)
    assert not set(values) & set(asdict(other).values())


@pytest.mark.parametrize(("name", "role"), [("anon_jwt", "anon"), ("service_role_jwt", "service_role")])
def test_the_older_keys(name: str, role: str) -> None:
    keys = Keys.make()
    claims = jwt.decode(getattr(keys, name), keys.jwt_secret, algorithms=["HS256"])
    assert (claims["role"], claims["iss"]) == (role, "supabase")
    assert claims["exp"] > time.time() + 9 * 365 * 24 * 3600


def test_shapes() -> None:
    keys = Keys.make()
    assert keys.publishable_key.startswith("sb_publishable_")
    assert keys.secret_key.startswith("sb_secret_")
    assert len(base64.b64decode(keys.webhook_secret.removeprefix("whsec_"), validate=True)) == 32
    assert keys.signing_key_pem.startswith("-----BEGIN PRIVATE KEY-----")
    assert len(keys.jwt_secret) >= 32


def test_no_key_in_what_is_printed() -> None:
    keys = Keys.make()
    for name, value in asdict(keys).items():
        if name not in ("publishable_key", "anon_jwt", "signing_kid"):
            assert value not in repr(keys), name
