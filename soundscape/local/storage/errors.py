"""Errors in the Storage server's own shape: `{statusCode, error, message, code}`.

On the standard routes they travel with HTTP 400, whatever `statusCode` says; only a bad range, a
database timeout and an internal error keep their own status. The resumable routes answer with the true
status and the bare message.
"""

from __future__ import annotations

import psycopg


class StorageError(Exception):
    """One refusal, with the words and codes the real server uses."""

    def __init__(
        self, status: int, code: str, message: str, *, error: str | None = None, own_status: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.error = error or code
        self.http_status = status if own_status or status == 500 else 400

    def body(self) -> dict[str, str]:
        return {
            "statusCode": str(self.status),
            "error": self.error,
            "message": self.message,
            "code": self.code,
        }


def no_such_key() -> StorageError:
    return StorageError(404, "NoSuchKey", "Object not found", error="not_found")


def no_such_bucket() -> StorageError:
    return StorageError(404, "NoSuchBucket", "Bucket not found", error="Bucket not found")


def already_exists(what: str) -> StorageError:
    """`what` is Key, Bucket or Resource."""
    return StorageError(409, f"{what}AlreadyExists", "The resource already exists", error="Duplicate")


def access_denied(message: str) -> StorageError:
    return StorageError(403, "AccessDenied", message, error="Unauthorized")


def too_large(what: str = "object") -> StorageError:
    return StorageError(
        413, "EntityTooLarge", f"The {what} exceeded the maximum allowed size", error="Payload too large"
    )


def invalid_mime_type(mime_type: str) -> StorageError:
    return StorageError(
        415, "InvalidMimeType", f"mime type {mime_type} is not supported", error="invalid_mime_type"
    )


def invalid_range() -> StorageError:
    return StorageError(416, "InvalidRange", "invalid range provided", error="invalid_range", own_status=True)


def invalid_key(key: str) -> StorageError:
    return StorageError(400, "InvalidKey", f"Invalid key: {key}")


def invalid_bucket_name() -> StorageError:
    return StorageError(400, "InvalidBucketName", "Bucket name invalid", error="Invalid Input")


def invalid_request(message: str) -> StorageError:
    return StorageError(400, "InvalidRequest", message)


def invalid_jwt(message: str) -> StorageError:
    return StorageError(400, "InvalidJWT", message)


def invalid_signature(message: str = "Invalid signature") -> StorageError:
    return StorageError(400, "InvalidSignature", message)


def not_enabled(feature: str) -> StorageError:
    """What this stack leaves out and the real server can switch off."""
    return StorageError(403, "FeatureNotEnabled", f"The feature {feature} is not enabled for this resource")


def from_database(error: psycopg.Error, *, taken: str = "Resource") -> StorageError:
    """What the client sees of an SQL error: a refusal in words, everything else as a bare number.

    `taken` names what a unique violation means here (Key, Bucket, Resource).
    """
    state = error.sqlstate
    text = error.diag.message_primary or ""
    if state == "42501":
        return access_denied(
            "new row violates row-level security policy" if "row-level security" in text else text
        )
    if state == "23505":
        return already_exists(taken)
    if state == "23503":
        return StorageError(404, "InvalidRequest", "The related resource does not exist")
    if state in ("57014", "55P03") or (state is None and isinstance(error, psycopg.OperationalError)):
        return StorageError(
            544, "DatabaseTimeout", "The connection to the database timed out", own_status=True
        )
    if isinstance(error, psycopg.DataError):
        # Without a state the driver itself refused the value, for instance a NUL inside a text.
        return StorageError(400, "InvalidParameter", "Invalid Parameter value")
    return StorageError(500, "DatabaseError", f"database error, code: {state}")
