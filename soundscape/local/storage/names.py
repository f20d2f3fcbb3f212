"""What may be called what: object keys, buckets, media types, sizes, owners."""

from __future__ import annotations

import re
from collections.abc import Iterable
from uuid import UUID

from soundscape.local.storage.errors import StorageError, invalid_bucket_name, invalid_key, invalid_mime_type

# S3's safe characters and those that need care, ASCII alone, as the real server has them.
_KEY = re.compile(r"[\w/!\-.*'() &$@=;:+,?]+", re.ASCII)
_BUCKET = re.compile(r"[\w!\-.*'() &$@=;:+,?]+", re.ASCII)
_MIME_PATTERN = re.compile(r"([a-zA-Z0-9\-+.]+)/([a-zA-Z0-9\-+.]+|\*)(;\s*charset=[a-zA-Z0-9\-]+)?|\*")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(b|kb|mb|gb|tb|kib|mib|gib|tib)?", re.IGNORECASE)
_UNITS = {"b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12} | {
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
MAX_KEY_LENGTH = 1024


def check_key(key: object) -> str:
    """`key` as it is, or `InvalidKey`."""
    if not isinstance(key, str) or len(key) > MAX_KEY_LENGTH or not _KEY.fullmatch(key):
        raise invalid_key(str(key))
    return key


def check_bucket_name(name: object) -> str:
    if not isinstance(name, str) or len(name) > 100 or not _BUCKET.fullmatch(name):
        raise invalid_bucket_name()
    return name


def parse_size(text: str) -> int:
    """Bytes of `50MiB` (the CLI's configuration) or `20MB` (a bucket's limit)."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise StorageError(
            400, "InvalidRequest", "Invalid file size format, hint: use 20GB / 20MB / 30KB / 3B"
        )
    return int(float(match[1]) * _UNITS[(match[2] or "b").lower()])


def check_mime_patterns(patterns: Iterable[str]) -> None:
    """A bucket's `allowed_mime_types`: `type/subtype`, `type/*` or `*`."""
    for pattern in patterns:
        if len(pattern) > 1000 or not _MIME_PATTERN.fullmatch(pattern):
            raise invalid_mime_type(pattern)


def check_mime_type(mime_type: str, allowed: Iterable[str] | None) -> None:
    """Refuse a media type that a bucket does not take; parameters such as charset do not count."""
    if not allowed:
        return
    kind, _, subtype = mime_type.split(";", 1)[0].strip().lower().partition("/")
    for pattern in allowed:
        wanted_kind, _, wanted = pattern.split(";", 1)[0].strip().lower().partition("/")
        if pattern == "*" or (subtype and wanted_kind == kind and wanted in ("*", subtype)):
            return
    raise invalid_mime_type(mime_type)


def as_uuid(text: str | None) -> UUID | None:
    """The older `owner` column holds a uuid; a subject that is none goes to `owner_id` alone."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
