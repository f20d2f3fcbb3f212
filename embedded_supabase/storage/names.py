"""Valid object keys, bucket names, media types and sizes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from embedded_supabase.storage.errors import StorageError, invalid_request

# The characters that the real server allows: S3's, ASCII only.
_KEY = re.compile(r"[\w/!\-.*'() &$@=;:+,?]{1,1024}", re.ASCII)
_BUCKET = re.compile(r"[\w!\-.*'() &$@=;:+,?]{1,100}", re.ASCII)
_MIME_PATTERN = re.compile(r"([a-zA-Z0-9\-+.]+)/([a-zA-Z0-9\-+.]+|\*)(;\s*charset=[a-zA-Z0-9\-]+)?|\*")
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*([kmgt]?)(i?)b?", re.IGNORECASE | re.ASCII)


def check_key(key: str) -> str:
    """Return `key`, or raise `InvalidKey`."""
    if not _KEY.fullmatch(key):
        raise StorageError("InvalidKey", f"Invalid key: {key}")
    return key


def check_bucket_name(name: str) -> str:
    if not _BUCKET.fullmatch(name):
        raise StorageError("InvalidBucketName")
    return name


def parse_size(text: str) -> int:
    """The bytes of `50MiB` (the CLI's configuration) or `20MB` (a bucket's limit)."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise invalid_request("Invalid file size format, hint: use 20GB / 20MB / 30KB / 3B")
    step = 1024 if match[3] else 1000
    return int(float(match[1]) * step ** " kmgt".index(match[2].lower() or " "))


def check_mime_patterns(patterns: Iterable[str]) -> None:
    """A bucket's `allowed_mime_types`: `type/subtype`, `type/*` or `*`."""
    for pattern in patterns:
        if len(pattern) > 1000 or not _MIME_PATTERN.fullmatch(pattern):
            raise StorageError("InvalidMimeType", f"mime type {pattern} is not supported")


def check_mime_type(mime_type: str, allowed: Iterable[str] | None) -> None:
    """Refuse a media type that a bucket does not allow. Parameters such as charset are ignored."""
    kind, _, subtype = mime_type.split(";", 1)[0].strip().lower().partition("/")
    for pattern in allowed or ["*"]:
        wanted_kind, _, wanted = pattern.split(";", 1)[0].strip().lower().partition("/")
        if pattern == "*" or (subtype and wanted_kind == kind and wanted in ("*", subtype)):
            return
    raise StorageError("InvalidMimeType", f"mime type {mime_type} is not supported")
