"""What the routes share at the edge: who calls, the JSON that comes in, the JSON that goes out."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from soundscape.local import strict_json
from soundscape.local.stack import Stack
from soundscape.local.storage.database import Session
from soundscape.local.storage.errors import StorageError, access_denied, invalid_request, too_large
from soundscape.local.storage.files import Files
from soundscape.local.storage.signatures import Signatures
from soundscape.local.tokens import SERVICE, InvalidToken

MAX_JSON_BYTES = 4 << 20


@dataclass(frozen=True)
class Storage:
    """What every route of the service works with."""

    stack: Stack
    files: Files
    signatures: Signatures
    size_limit: int
    """Bytes no object may exceed, whatever its bucket allows."""

    def most_bytes(self, bucket: Mapping[str, Any]) -> int:
        """How large an object in the bucket may be."""
        return min(self.size_limit, bucket["file_size_limit"] or self.size_limit)

    def session(self, request: Request, operation: str) -> Session:
        """The caller's session. Raises `InvalidRequest` without credentials, `AccessDenied` for bad ones."""
        try:
            caller = self.stack.tokens.caller(
                apikey=request.headers.get("apikey"),
                authorization=request.headers.get("authorization"),
                key_required=False,
            )
        except InvalidToken as error:
            if error.code == "no_api_key":
                raise invalid_request("headers must have required property 'authorization'") from error
            raise access_denied(error.message) from error
        return replace(
            self.service_session(request, operation), caller=caller, owner_id=_text(caller.user_id)
        )

    def service_session(self, request: Request, operation: str, *, owner_id: str | None = None) -> Session:
        """A session for a URL whose signature stands in for a caller."""
        return Session(
            stack=self.stack,
            caller=SERVICE,
            operation=operation,
            method=request.method,
            path=_path(request),
            headers={name.lower(): value for name, value in request.headers.items()},
            owner_id=owner_id,
        )


class Handlers:
    """A group of routes over one `Storage`."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage


def _path(request: Request) -> str:
    """The path below the mount, as it was sent: the gateway of a hosted project strips its prefix too."""
    raw: bytes = request.scope.get("raw_path", b"")
    mount: str = request.scope.get("root_path", "")
    return raw.decode("latin-1").partition("?")[0].removeprefix(mount)


class JsonResponse(Response):
    """Rows as the real server writes them: times in UTC with milliseconds, ids as text."""

    media_type = "application/json; charset=utf-8"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, default=_plain, separators=(",", ":")).encode()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return iso_time(value)
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value)} in an answer")


def iso_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


class Body:
    """A JSON object whose members are asked for by name and type. Raises `InvalidRequest`."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    @classmethod
    async def read(cls, request: Request) -> Body:
        """The request's body; an absent one is an empty object."""
        raw = bytearray()
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > MAX_JSON_BYTES:
                raise too_large("body")
        if not raw.strip():
            return cls({})
        values = parse_json(bytes(raw))
        if not isinstance(values, dict):
            raise invalid_request("body must be object")
        return cls(values)

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        value = self.values.get(name, default)
        if value is None:
            raise invalid_request(f"body must have required property '{name}'")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise invalid_request(f"body/{name} must be string")
        return str(value)

    def integer(self, name: str, default: int | None = None, *, least: int, most: int = 2**31 - 1) -> int:
        """Also from a string of digits: supabase-py sends `expiresIn` so."""
        value = self.values.get(name, default)
        if value is None:
            raise invalid_request(f"body must have required property '{name}'")
        try:
            number = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            raise invalid_request(f"body/{name} must be integer between {least} and {most}")
        return number

    def boolean(self, name: str, default: bool) -> bool:
        value = self.values.get(name, default)
        if value in (True, "true"):
            return True
        if value in (False, "false"):
            return False
        raise invalid_request(f"body/{name} must be boolean")

    def texts(self, name: str, *, most: int = 1000) -> list[str]:
        value = self.values.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise invalid_request(f"body/{name} must be array of strings")
        if not 1 <= len(value) <= most:
            raise invalid_request(f"body/{name} must NOT have fewer than 1 or more than {most} items")
        return value

    def part(self, name: str) -> Body:
        value = self.values.get(name) or {}
        if not isinstance(value, dict):
            raise invalid_request(f"body/{name} must be object")
        return Body(value)


def parse_json(raw: bytes | str) -> Any:
    """JSON that Postgres can hold too. Raises `InvalidRequest`."""
    try:
        return strict_json.parse(raw)
    except ValueError as error:
        raise invalid_request(f"Body is not valid JSON: {error}") from error


def decode_user_metadata(encoded: str | None, *, base64_coded: bool) -> dict[str, Any]:
    """User metadata from `x-metadata` (base64) or a form's `metadata`; malformed metadata is ignored."""
    if not encoded:
        return {}
    try:
        raw: bytes | str = encoded
        if base64_coded:
            raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
        value = parse_json(raw)
    except (ValueError, StorageError):
        return {}
    return value if isinstance(value, dict) else {}


def header_text(value: str) -> str:
    """`value` fit for a response header: what does not belong there is left out."""
    return "".join(character for character in value if " " <= character <= "~")


def upserts(request: Request) -> bool:
    return request.headers.get("x-upsert") == "true"


def declared_length(headers: Mapping[str, str]) -> int | None:
    """`Content-Length`, where it is one."""
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 19 else None
