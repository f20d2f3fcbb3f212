"""Frames and messages: the two serialisers of the Phoenix socket protocol as Supabase speaks it.

`1.0.0` (realtime-py) is a JSON object with five keys. `2.0.0` (realtime-js) is a JSON array
`[join_ref, ref, topic, event, payload]`, and a broadcast travels as a binary frame: a byte for the
kind (3 from a client, 4 to a client), a byte for the length of each string, a byte for the payload's
encoding (0 bytes, 1 JSON), the strings, the payload.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from soundscape.local.realtime import json_text

BROADCAST_FROM_CLIENT = 3
BROADCAST_TO_CLIENT = 4
BINARY_ENCODING, JSON_ENCODING = 0, 1
MAX_STRING_BYTES = 255


class MalformedFrame(Exception):
    """The bytes are not a frame of the serialiser that the connection chose."""


@dataclass(frozen=True)
class UserBroadcast:
    """A broadcast whose payload is passed on as the bytes it came in."""

    event: str
    payload: bytes
    is_json: bool
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """One message on a topic. Pushes from the server carry no `ref`."""

    topic: str
    event: str
    payload: dict[str, Any] | UserBroadcast
    ref: str | None = None
    join_ref: str | None = None


Encoded = str | bytes | None
"""None where a version cannot carry the message."""


@dataclass(frozen=True)
class Serializer:
    """How one protocol version reads and writes a `Message`."""

    decode: Callable[[str | bytes], Message]
    """Raises `MalformedFrame`."""
    encode: Callable[[Message], Encoded]


def _decode_v1(frame: str | bytes) -> Message:
    found = None if isinstance(frame, bytes) else load_json(frame)
    if not isinstance(found, dict):
        raise MalformedFrame("expected an object")
    return _message(*(found.get(key) for key in ("join_ref", "ref", "topic", "event", "payload")))


def _encode_v1(message: Message) -> Encoded:
    payload = _as_json(message.payload)
    if payload is None:
        return None
    return json.dumps({
        "ref": message.ref,
        "topic": message.topic,
        "event": message.event,
        "payload": payload,
        "join_ref": message.join_ref,
    })  # fmt: skip


def _decode_v2(frame: str | bytes) -> Message:
    if isinstance(frame, bytes):
        return _decode_broadcast(frame)
    found = load_json(frame)
    if not isinstance(found, list) or len(found) < 5:
        raise MalformedFrame("expected an array of five")
    return _message(*found[:5])


def _encode_v2(message: Message) -> Encoded:
    if isinstance(message.payload, UserBroadcast):
        binary = _encode_broadcast(message.topic, message.payload)
        if binary is not None:
            return binary
    payload = _as_json(message.payload)
    if payload is None:
        return None
    return json.dumps([message.join_ref, message.ref, message.topic, message.event, payload])


SERIALIZERS = {"1.0.0": Serializer(_decode_v1, _encode_v1), "2.0.0": Serializer(_decode_v2, _encode_v2)}


def _as_json(payload: dict[str, Any] | UserBroadcast) -> dict[str, Any] | None:
    """None for bytes, which JSON cannot carry."""
    if not isinstance(payload, UserBroadcast):
        return payload
    if not payload.is_json:
        return None
    shown = {"type": "broadcast", "event": payload.event, "payload": json.loads(payload.payload)}
    return shown | ({"meta": payload.meta} if payload.meta else {})


def load_json(text: str | bytes) -> Any:
    """JSON as JavaScript reads it: no NaN, no Infinity, nothing that could not be written again.

    Raises `MalformedFrame`.
    """
    try:
        return json_text.load(text, parse_constant=_refuse_constant, parse_float=_finite)
    except ValueError as error:
        raise MalformedFrame("not JSON") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


def _message(join_ref: Any, ref: Any, topic: Any, event: Any, payload: Any) -> Message:
    if not _is_text(topic) or not _is_text(event):
        raise MalformedFrame("topic and event must be Unicode text")
    if not isinstance(payload, dict | UserBroadcast):
        raise MalformedFrame("payload must be an object")
    if any(not isinstance(part, str | int | None) or isinstance(part, bool) for part in (join_ref, ref)):
        raise MalformedFrame("join_ref and ref must be strings")
    references = [None if part in (None, "") else str(part) for part in (ref, join_ref)]
    return Message(topic, event, payload, *references)


def _is_text(candidate: Any) -> bool:
    """Whether Postgres and UTF-8 can hold it: no lone surrogate, no NUL."""
    return isinstance(candidate, str) and not any(
        letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in candidate
    )


def _decode_broadcast(frame: bytes) -> Message:
    """Kind 3: lengths of join_ref, ref, topic, event, metadata; encoding; the five strings; payload."""
    if len(frame) < 7 or frame[0] != BROADCAST_FROM_CLIENT:
        raise MalformedFrame("unknown kind of binary frame")
    strings, offset = [], 7
    for length in frame[1:6]:
        strings.append(frame[offset : offset + length])
        offset += length
    if offset > len(frame) or frame[6] not in (BINARY_ENCODING, JSON_ENCODING):
        raise MalformedFrame("truncated binary frame")
    try:
        join_ref, ref, topic, event, metadata = (part.decode() for part in strings)
    except UnicodeDecodeError as error:
        raise MalformedFrame("binary frame's strings are not UTF-8") from error
    is_json, payload = frame[6] == JSON_ENCODING, frame[offset:]
    if is_json:
        load_json(payload)
    meta = load_json(metadata or "{}")
    if not isinstance(meta, dict):
        raise MalformedFrame("metadata must be an object")
    if not _is_text(event):
        raise MalformedFrame("topic and event must be Unicode text")
    return _message(join_ref, ref, topic, "broadcast", UserBroadcast(event, payload, is_json, meta))


def _encode_broadcast(topic: str, broadcast: UserBroadcast) -> bytes | None:
    """Kind 4: lengths of topic, event, metadata; encoding; the three strings; payload."""
    meta = json.dumps(broadcast.meta) if broadcast.meta else ""
    strings = [part.encode() for part in (topic, broadcast.event, meta)]
    if any(len(part) > MAX_STRING_BYTES for part in strings):
        return None
    encoding = JSON_ENCODING if broadcast.is_json else BINARY_ENCODING
    return bytes([BROADCAST_TO_CLIENT, *map(len, strings), encoding]) + b"".join(strings) + broadcast.payload
