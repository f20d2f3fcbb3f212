"""Frames and messages: the two serialisers of Supabase's Phoenix socket protocol.

`1.0.0` (realtime-py) is a JSON object with five keys. `2.0.0` (realtime-js) is a JSON array
`[join_ref, ref, topic, event, payload]`, and a broadcast travels as a binary frame: a byte for the
kind (3 from a client, 4 to a client), a byte for the length of each string, a byte for the payload's
encoding (0 bytes, 1 JSON), the strings, the payload.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from embedded_supabase import payload as payloads

FIELDS = ("join_ref", "ref", "topic", "event", "payload")
BROADCAST_FROM_CLIENT = 3
BROADCAST_TO_CLIENT = 4
BINARY_ENCODING, JSON_ENCODING = 0, 1
MAX_STRING_BYTES = 255


class MalformedFrame(Exception):
    """The bytes are not a frame of the serialiser that the connection chose."""


@dataclass(frozen=True)
class UserBroadcast:
    """A broadcast whose payload is passed on as the same bytes."""

    event: str
    payload: bytes
    is_json: bool
    meta: dict[str, Any] = field(default_factory=dict)


Payload = dict[str, Any] | UserBroadcast


@dataclass(frozen=True)
class Message:
    """One message on a topic. Pushes from the server carry no `ref`."""

    topic: str
    event: str
    payload: Payload
    ref: str | None = None
    join_ref: str | None = None

    def get(self, *path: str) -> Any:
        """The value at `path` in a payload of nested objects; None where there is none."""
        found: Any = self.payload
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found


Encoded = str | bytes | None
"""None where the version cannot carry the message."""


class Serializer(NamedTuple):
    """How one protocol version reads and writes a `Message`."""

    decode: Callable[[str | bytes], Message]
    """Raises `MalformedFrame`."""
    encode: Callable[[Message], Encoded]


def load_json(text: str | bytes) -> Any:
    """Parse strict JSON. Raises `MalformedFrame`."""
    try:
        return payloads.parse(text)
    except ValueError as error:
        raise MalformedFrame("not JSON") from error


def _decode_v1(frame: str | bytes) -> Message:
    found = None if isinstance(frame, bytes) else load_json(frame)
    if not isinstance(found, dict):
        raise MalformedFrame("expected an object")
    return _make_message(*map(found.get, FIELDS))


def _decode_v2(frame: str | bytes) -> Message:
    if isinstance(frame, bytes):
        return _decode_broadcast(frame)
    found = load_json(frame)
    if not isinstance(found, list) or len(found) < len(FIELDS):
        raise MalformedFrame("expected an array of five")
    return _make_message(*found[: len(FIELDS)])


def _decode_broadcast(frame: bytes) -> Message:
    """Kind 3: lengths of join_ref, ref, topic, event, metadata; encoding; the five strings; payload."""
    if len(frame) < 7 or frame[0] != BROADCAST_FROM_CLIENT or frame[6] > JSON_ENCODING:
        raise MalformedFrame("unknown kind of binary frame")
    strings, offset = [], 7
    for length in frame[1:6]:
        strings.append(frame[offset : offset + length])
        offset += length
    if offset > len(frame):
        raise MalformedFrame("truncated binary frame")
    try:
        join_ref, ref, topic, event, metadata = (part.decode() for part in strings)
    except UnicodeDecodeError as error:
        raise MalformedFrame("binary frame's strings are not UTF-8") from error
    is_json, payload, meta = frame[6] == JSON_ENCODING, frame[offset:], load_json(metadata or "{}")
    if is_json:
        load_json(payload)
    if not isinstance(meta, dict) or "\0" in event:
        raise MalformedFrame("an event without NUL and metadata that is an object are wanted")
    return _make_message(join_ref, ref, topic, "broadcast", UserBroadcast(event, payload, is_json, meta))


def _make_message(join_ref: Any, ref: Any, topic: Any, event: Any, payload: Any) -> Message:
    if not all(isinstance(text, str) and "\0" not in text for text in (topic, event)):
        raise MalformedFrame("topic and event must be text that Postgres can hold")
    if not isinstance(payload, dict | UserBroadcast):
        raise MalformedFrame("payload must be an object")
    if any(not isinstance(part, str | int | None) or isinstance(part, bool) for part in (join_ref, ref)):
        raise MalformedFrame("join_ref and ref must be strings")
    references = [None if part in (None, "") else str(part) for part in (ref, join_ref)]
    return Message(topic, event, payload, *references)


def _encode_v1(message: Message) -> Encoded:
    payload = _to_json(message.payload)
    # realtime-py wants `ref` even where it is null.
    return None if payload is None else json.dumps({**vars(message), "payload": payload})


def _encode_v2(message: Message) -> Encoded:
    if isinstance(message.payload, UserBroadcast):
        binary = _encode_broadcast(message.topic, message.payload)
        if binary is not None:
            return binary
    payload = _to_json(message.payload)
    if payload is None:
        return None
    return json.dumps([message.join_ref, message.ref, message.topic, message.event, payload])


def _encode_broadcast(topic: str, broadcast: UserBroadcast) -> bytes | None:
    """Kind 4: lengths of topic, event, metadata; encoding; the three strings; payload."""
    meta = json.dumps(broadcast.meta) if broadcast.meta else ""
    strings = [part.encode() for part in (topic, broadcast.event, meta)]
    if any(len(part) > MAX_STRING_BYTES for part in strings):
        return None
    encoding = JSON_ENCODING if broadcast.is_json else BINARY_ENCODING
    return bytes([BROADCAST_TO_CLIENT, *map(len, strings), encoding]) + b"".join(strings) + broadcast.payload


def _to_json(payload: Payload) -> dict[str, Any] | None:
    """None for bytes, which JSON cannot carry."""
    if not isinstance(payload, UserBroadcast):
        return payload
    if not payload.is_json:
        return None
    shown = {"type": "broadcast", "event": payload.event, "payload": json.loads(payload.payload)}
    return shown | ({"meta": payload.meta} if payload.meta else {})


SERIALIZERS = {"1.0.0": Serializer(_decode_v1, _encode_v1), "2.0.0": Serializer(_decode_v2, _encode_v2)}
