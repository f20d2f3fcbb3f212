"""An object that a client wants to write: what the request says of it, before the bytes."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from embedded_supabase import payload

DEFAULT_MIME_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class Candidate:
    """Where the object shall lie, and what its row will say of it."""

    bucket: str
    name: str
    mime_type: str
    """Empty if the client of a resumable upload names none."""
    cache_control: str
    user_metadata: dict[str, Any]
    content_encoding: str = ""


def decode_user_metadata(encoded: str | None, *, base64_coded: bool) -> dict[str, Any]:
    """User metadata from `x-metadata` (base64) or a form's `metadata`; malformed metadata is ignored."""
    raw = encoded or ""
    try:
        value = payload.parse_storable(base64.b64decode(f"{raw}==") if base64_coded else raw)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}


def clean_header(value: str) -> str:
    """`value` for a response header, without the characters that a header must not hold."""
    return "".join(character for character in value if " " <= character <= "~")
