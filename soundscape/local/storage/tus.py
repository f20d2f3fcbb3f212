"""TUS 1.0, the words of the protocol: its headers, what they may hold, its refusals.

https://tus.io/protocols/resumable-upload; refusals worded as `@tus/server`, which Supabase runs, words them.
"""

from __future__ import annotations

import base64
import binascii
import re
from uuid import UUID

from starlette.requests import Request

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,expiration"
BODY_TYPE = "application/offset+octet-stream"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_METADATA_KEY = re.compile(r"[!-+\--~]+", re.ASCII)


class Refused(Exception):
    """An answer in the protocol's way: a status and a line of text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


NOT_FOUND = (404, "The file for this url was not found\n")
GONE = (410, "The file for this url no longer exists\n")
OFFSET_CONFLICT = (409, "Upload-Offset conflict\n")
TAKEN_OVER = (423, "Another request goes on with this upload\n")
NO_LENGTH = (400, "Upload-Length header required\n")
TOO_LONG = (413, "upload's size exceeded\n")
OVER_LIMIT = (413, "Maximum size exceeded\n")
FINISHED = (400, "Cannot terminate an already completed upload\n")


def parse_metadata(header: str) -> dict[str, str]:
    """`Upload-Metadata`: comma-separated pairs of a key and a base64 value, or a key alone.

    Raises `Refused` (400) for anything else, a doubled key included.
    """
    found: dict[str, str] = {}
    for pair in header.split(",") if header else ():
        key, _, value = pair.strip().partition(" ")
        try:
            text = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise Refused(400, "Invalid upload-metadata\n") from error
        if not _METADATA_KEY.fullmatch(key) or key in found:
            raise Refused(400, "Invalid upload-metadata\n")
        found[key] = text
    return found


def check_headers(request: Request) -> None:
    """What the protocol asks of each request's headers, before anything is looked up."""
    headers = request.headers
    if "tus-resumable" not in headers:
        raise Refused(412, "Tus-Resumable Required\n")
    wrong = [
        name
        for name in ("upload-offset", "upload-length")
        if name in headers and not _NUMBER.fullmatch(headers[name])
    ]
    if "upload-defer-length" in headers:
        wrong.append("upload-defer-length")
    if headers["tus-resumable"] != VERSION:
        wrong.append("tus-resumable")
    if request.method == "PATCH" and headers.get("content-type", BODY_TYPE) != BODY_TYPE:
        wrong.append("content-type")
    if wrong:
        raise Refused(400, f"Invalid {' '.join(wrong)}\n")


def has_body(request: Request) -> bool:
    return request.headers.get("content-type") == BODY_TYPE


def decode_id(encoded: str) -> tuple[str, str, str]:
    """Bucket, name and id of an upload's URL. Raises `Refused` (404) for what is none of ours."""
    try:
        text = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        bucket, rest = text.split("/", 1)
        name, identifier = rest.rsplit("/", 1)
        return bucket, name, str(UUID(identifier))
    except ValueError as error:
        raise Refused(*NOT_FOUND) from error
