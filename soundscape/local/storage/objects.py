"""What is done to objects that exist: move, copy, remove, sign."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from psycopg.rows import DictRow
from pydantic import Field

from soundscape.local.storage.call import Answer, Call, Said, decode_user_metadata
from soundscape.local.storage.errors import StorageError, not_enabled
from soundscape.local.storage.files import iso_time
from soundscape.local.storage.names import check_bucket_name, check_key
from soundscape.local.storage.signatures import MAX_SECONDS
from soundscape.local.storage.uploads import Place, probe, signed_path, write

_UNSIGNABLE = "Either the object does not exist or you do not have access to it"


class MoveSaid(Said):
    bucket: str = Field(alias="bucketId")
    source: str = Field(alias="sourceKey")
    destination: str = Field(alias="destinationKey")
    destination_bucket: str | None = Field(None, alias="destinationBucket")

    def target(self) -> tuple[str, str]:
        """The bucket and key to move or copy to."""
        bucket = self.bucket if self.destination_bucket is None else self.destination_bucket
        return check_bucket_name(bucket), check_key(self.destination)


class NewMetadata(Said):
    cache_control: str | None = Field(None, alias="cacheControl")
    mimetype: str | None = None


class CopySaid(MoveSaid):
    copies_metadata: bool = Field(True, alias="copyMetadata")
    metadata: NewMetadata | None = None


class RemoveSaid(Said):
    prefixes: list[str] = Field(min_length=1, max_length=1000)


class SignSaid(Said):
    expires_in_s: int = Field(alias="expiresIn", ge=1, le=MAX_SECONDS)
    transform: Any = None


class SignManySaid(SignSaid):
    paths: list[str] = Field(min_length=1, max_length=1000)


async def move(call: Call) -> Answer:
    said = await call.said(MoveSaid)
    to_bucket, to_name = said.target()
    values: dict[str, Any] = {"bucket": check_bucket_name(said.bucket), "name": said.source}
    values |= {"to_bucket": to_bucket, "to_name": to_name, "version": str(uuid4())} | call.owner_values()
    await call.object(said.bucket, said.source)
    await call.row("move_object", absent="NoSuchKey", rollback=True, **values)
    if (said.bucket, said.source) != (to_bucket, to_name):
        await write(call, "move_object", values, _same_bytes(call, values))
    return {"message": "Successfully moved"}


async def copy(call: Call) -> Answer:
    said = await call.said(CopySaid)
    to_bucket, to_name = said.target()
    source = await call.object(check_bucket_name(said.bucket), said.source)
    metadata, user_metadata = dict(source["metadata"] or {}), source["user_metadata"]
    if not said.copies_metadata:
        metadata |= said.metadata.model_dump(by_alias=True, exclude_none=True) if said.metadata else {}
        user_metadata = decode_user_metadata(call.request.headers.get("x-metadata"), base64_coded=True)
    await probe(call, to_bucket, to_name, metadata, user_metadata)
    metadata["lastModified"] = iso_time(datetime.now(UTC))
    values = call.object_values(to_bucket, to_name, str(uuid4()), metadata, user_metadata or {})
    row = await write(call, "upsert_object", values, _same_bytes(call, values, source["version"]))
    return {"Id": row["id"], "Key": f"{to_bucket}/{to_name}", **row}


def _same_bytes(call: Call, values: dict[str, Any], source_version: str | None = None) -> Place:
    """Gives the new version the bytes of `source_version`, or of what is replaced."""

    def duplicate(replaced: DictRow | None) -> None:
        version = replaced["version"] if replaced and source_version is None else source_version
        try:
            call.storage.files.duplicate(version, values["version"])
        except FileNotFoundError as error:
            raise StorageError("NoSuchKey") from error

    return duplicate


async def remove(call: Call) -> Answer:
    row = await call.row("delete_object", absent="NoSuchKey", bucket=call.bucket_id, name=call.key)
    call.storage.files.remove(row["version"])
    return {"message": "Successfully deleted"}


async def remove_many(call: Call) -> Answer:
    """Delete what the caller may; keys that are absent or hidden are passed over in silence."""
    said = await call.said(RemoveSaid)
    rows = await call.rows("delete_named", bucket=call.bucket_id, names=said.prefixes)
    for row in rows:
        call.storage.files.remove(row["version"])
    return rows


async def sign(call: Call) -> Answer:
    said = await call.said(SignSaid)
    if said.transform:
        raise not_enabled("imageTransformation")
    await call.object(call.bucket_id, call.key)
    return {"signedURL": _signed_url(call, call.key, said.expires_in_s)}


async def sign_many(call: Call) -> Answer:
    said = await call.said(SignManySaid)
    found = await call.rows("find_names", bucket=call.bucket_id, names=said.paths)
    visible = {row["name"] for row in found}
    return [
        {
            "error": None if path in visible else _UNSIGNABLE,
            "path": path,
            "signedURL": _signed_url(call, path, said.expires_in_s) if path in visible else None,
        }
        for path in said.paths
    ]


def _signed_url(call: Call, key: str, expires_in_s: int) -> str:
    path = f"{call.bucket_id}/{key}"
    return signed_path("/object/sign", path, call.storage.signatures.sign(path, "download", expires_in_s))
