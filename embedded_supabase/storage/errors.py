"""Errors in the Storage server's own shape: `{statusCode, error, message, code}`.

On the standard routes the HTTP status is 400, whatever `statusCode` says. Only a bad range, a database
timeout and an internal error keep their own status. The TUS routes send the true status and the bare message.
"""

from __future__ import annotations

import psycopg

# By code: the status, the default message, and `error` where that is not the code.
REFUSALS: dict[str, tuple[int, str, str]] = {
    "AccessDenied": (403, "Access denied", "Unauthorized"),
    "BucketAlreadyExists": (409, "The resource already exists", "Duplicate"),
    "DatabaseError": (500, "Database error", ""),
    "DatabaseTimeout": (544, "The connection to the database timed out", ""),
    "EntityTooLarge": (413, "The object exceeded the maximum allowed size", "Payload too large"),
    "FeatureNotEnabled": (403, "The feature is not enabled for this resource", ""),
    "InternalError": (500, "Internal server error", ""),
    "InvalidBucketName": (400, "Bucket name invalid", "Invalid Input"),
    "InvalidJWT": (400, "Invalid Compact JWS", ""),
    "InvalidKey": (400, "Invalid key", ""),
    "InvalidMimeType": (415, "mime type is not supported", "invalid_mime_type"),
    "InvalidParameter": (400, "Invalid Parameter value", ""),
    "InvalidRange": (416, "invalid range provided", "invalid_range"),
    "InvalidRequest": (400, "Invalid request", ""),
    "InvalidSignature": (400, "Invalid signature", ""),
    "KeyAlreadyExists": (409, "The resource already exists", "Duplicate"),
    "NoSuchBucket": (404, "Bucket not found", "Bucket not found"),
    "NoSuchKey": (404, "Object not found", "not_found"),
    "ResourceAlreadyExists": (409, "The resource already exists", "Duplicate"),
    "ResourceNotEmpty": (409, "The bucket you tried to delete is not empty", ""),
}
OWN_STATUS = {416, 500, 544}


class StorageError(Exception):
    """An error response, in the codes and words of the real server."""

    def __init__(self, code: str, message: str = "", *, status: int = 0) -> None:
        usual_status, usual_message, error = REFUSALS[code]
        super().__init__(message or usual_message)
        self.code = code
        self.status = status or usual_status
        self.message = message or usual_message
        self.error = error or code

    @property
    def http_status(self) -> int:
        return self.status if self.status in OWN_STATUS else 400

    def body(self) -> dict[str, str]:
        error = {"error": self.error, "message": self.message, "code": self.code}
        return {"statusCode": str(self.status), **error}


def invalid_request(message: str) -> StorageError:
    return StorageError("InvalidRequest", message)


def not_enabled(feature: str) -> StorageError:
    """Refuse a feature that is not served here and that the real server can switch off."""
    return StorageError("FeatureNotEnabled", f"The feature {feature} is not enabled for this resource")


def from_database(error: psycopg.Error, *, taken: str = "Resource") -> StorageError:
    """The response to an SQL error. Only some are explained; the others show their SQLSTATE.

    `taken` says what exists already after a unique violation (Key, Bucket, Resource).
    """
    state, text = error.sqlstate, error.diag.message_primary or ""
    if state == "42501":
        is_policy = "row-level security" in text
        return StorageError(
            "AccessDenied", "new row violates row-level security policy" if is_policy else text
        )
    if state == "23505":
        return StorageError(f"{taken}AlreadyExists")
    if state == "23503":
        return StorageError("InvalidRequest", "The related resource does not exist", status=404)
    if state in ("57014", "55P03") or (state is None and isinstance(error, psycopg.OperationalError)):
        return StorageError("DatabaseTimeout")
    if isinstance(error, psycopg.DataError):
        # Without a state the driver itself refused the value, for instance a NUL inside a text.
        return StorageError("InvalidParameter")
    return StorageError("DatabaseError", f"database error, code: {state}")
