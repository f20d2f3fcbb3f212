"""The keys of an embedded Supabase. The first start makes them in the data directory, mode 0600."""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

TEN_YEARS_S = 10 * 365 * 24 * 3600


@dataclass(frozen=True)
class Keys:
    """All secrets of an embedded Supabase."""

    publishable_key: str
    """`sb_publishable_…`, for browsers. Its role is `anon`."""
    secret_key: str = field(repr=False)
    """`sb_secret_…`, for servers. Its role is `service_role`."""
    anon_jwt: str
    service_role_jwt: str = field(repr=False)
    """The two older keys: JWTs signed with `jwt_secret` (HS256)."""
    jwt_secret: str = field(repr=False)
    signing_key_pem: str = field(repr=False)
    """EC P-256 private key that signs users' access tokens (ES256)."""
    signing_kid: str
    storage_secret: str = field(repr=False)
    """Signs storage URLs; rotating the other keys does not revoke them, as on hosted projects."""
    webhook_secret: str = field(repr=False)
    """`whsec_…`, Standard Webhooks."""
    db_password: str = field(repr=False)

    @classmethod
    def load_or_make(cls, path: Path) -> Keys:
        """Read the keys in `path`, or make them there.

        Parameters
        ----------
        path : Path
            A JSON file in a folder that exists.

        Returns
        -------
        Keys
        """
        if path.exists():
            return cls(**json.loads(path.read_text()))
        keys = cls.make()
        aside = path.with_suffix(".new")
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(keys), file, indent=2)
        aside.rename(path)
        return keys

    @classmethod
    def make(cls) -> Keys:
        """Make new keys, without writing them."""
        jwt_secret = secrets.token_urlsafe(48)
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        return cls(
            publishable_key=f"sb_publishable_{secrets.token_urlsafe(24)}",
            secret_key=f"sb_secret_{secrets.token_urlsafe(24)}",
            anon_jwt=_make_role_jwt("anon", jwt_secret),
            service_role_jwt=_make_role_jwt("service_role", jwt_secret),
            jwt_secret=jwt_secret,
            signing_key_pem=pem.decode(),
            signing_kid=secrets.token_hex(16),
            storage_secret=secrets.token_urlsafe(48),
            webhook_secret="whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
            db_password=secrets.token_urlsafe(24),
        )


def _make_role_jwt(role: str, jwt_secret: str) -> str:
    now = int(time.time())
    claims = {"iss": "supabase", "ref": "soundscape-embedded", "role": role}
    return jwt.encode(claims | {"iat": now, "exp": now + TEN_YEARS_S}, jwt_secret, algorithm="HS256")
