"""Frames of both protocol versions."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded_supabase.realtime.serializer import (
    SERIALIZERS,
    MalformedFrame,
    Message,
    UserBroadcast,
    load_json,
)
from embedded_supabase.realtime.visibility import parse_text

V1, V2 = SERIALIZERS["1.0.0"], SERIALIZERS["2.0.0"]
PUSH = Message("realtime:room", "phx_join", {"config": {}}, "2", "1")


def push_frame(topic: bytes, event: bytes, payload: bytes, *, meta: bytes = b"", encoding: int = 1) -> bytes:
    """A client's broadcast, as realtime-js writes it."""
    strings = [b"1", b"2", topic, event, meta]
    return bytes([3, *map(len, strings), encoding]) + b"".join(strings) + payload


def test_v1() -> None:
    frame = V1.encode(PUSH)
    assert isinstance(frame, str)
    assert json.loads(frame) == {
        "topic": "realtime:room", "event": "phx_join", "payload": {"config": {}}, "ref": "2", "join_ref": "1",
    }  # fmt: skip
    assert V1.decode(frame) == PUSH


def test_v2() -> None:
    frame = V2.encode(PUSH)
    assert isinstance(frame, str)
    assert json.loads(frame) == ["1", "2", "realtime:room", "phx_join", {"config": {}}]
    assert V2.decode(frame) == PUSH


def test_v1_pushes_carry_an_explicit_null_ref() -> None:
    frame = V1.encode(Message("realtime:room", "system", {}))
    assert json.loads(str(frame))["ref"] is None


def test_v2_client_broadcast() -> None:
    message = V2.decode(push_frame("realtime:räum".encode(), b"shout", b'{"a":1}'))
    assert message == Message(
        "realtime:räum", "broadcast", UserBroadcast("shout", b'{"a":1}', True), "2", "1"
    )


def test_v2_server_broadcast() -> None:
    broadcast = UserBroadcast("shout", b'{"a":1}', is_json=True, meta={"id": "x"})
    frame = V2.encode(Message("realtime:room", "broadcast", broadcast))
    meta = b'{"id": "x"}'
    assert frame == bytes([4, 13, 5, len(meta), 1]) + b"realtime:room" + b"shout" + meta + b'{"a":1}'


def test_v1_sees_a_binary_clients_json_but_not_its_bytes() -> None:
    as_json = V1.encode(Message("realtime:room", "broadcast", UserBroadcast("shout", b"[1]", is_json=True)))
    assert json.loads(str(as_json))["payload"] == {"type": "broadcast", "event": "shout", "payload": [1]}
    assert (
        V1.encode(Message("realtime:room", "broadcast", UserBroadcast("shout", b"\xff", is_json=False)))
        is None
    )


def test_v2_falls_back_to_text_where_a_string_is_too_long() -> None:
    frame = V2.encode(Message("realtime:" + "x" * 300, "broadcast", UserBroadcast("e", b"1", is_json=True)))
    assert isinstance(frame, str)
    assert json.loads(frame)[4]["payload"] == 1
    too_long = Message("realtime:" + "x" * 300, "broadcast", UserBroadcast("e", b"1", is_json=False))
    assert V2.encode(too_long) is None


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "null",
        "[]",
        "{}",
        "[1]" * 3,
        '["1","1","t","e"]',  # four of five
        '["1","1",7,"e",{}]',
        '["1","1","t","e",[]]',
        '[{},"1","t","e",{}]',
        '[true,"1","t","e",{}]',
        '["1","1","t\\u0000","e",{}]',  # Postgres holds no NUL
        '["1","1","t\\ud800","e",{}]',  # nor a lone surrogate
        '["1","1","t","e",{"a":NaN}]',  # JavaScript could not read it again
        '["1","1","t","e",{"a":1e999}]',
        "[" * 100_000,
        '["1","1","t","e",{"a":' + "[" * 200 + "]" * 200 + "}]",
        "9" * 5000,
        b"",
        b"\x03",
        b"\x03\x00\x00\x00\x00\x00\x07",
        b"\x00" * 20,
        push_frame(b"\xff", b"e", b"1"),
        push_frame(b"t", b"e", b"not json"),
        push_frame(b"t", b"e", b"1", meta=b"[]"),
        push_frame(b"t", b"e", b"1", encoding=2),
        push_frame(b"t" * 20, b"e", b"")[:-10],
    ],
)
def test_malformed_frames_are_refused(frame: str | bytes) -> None:
    with pytest.raises(MalformedFrame):
        V2.decode(frame)
    with pytest.raises(MalformedFrame):
        V1.decode(frame)


@given(st.one_of(st.text(), st.binary()))
def test_anything_is_a_message_or_refused(frame: str | bytes) -> None:
    for serializer in (V1, V2):
        try:
            message = serializer.decode(frame)
        except MalformedFrame:
            continue
        serializer.encode(message)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@given(words, words, st.dictionaries(st.text(), json_values, max_size=4), st.none() | words.filter(bool))
def test_what_is_encoded_decodes_to_the_same(
    topic: str, event: str, payload: dict[str, object], ref: str | None
) -> None:
    message = Message(topic, event, payload, ref, ref)
    for serializer in (V1, V2):
        frame = serializer.encode(message)
        assert frame is not None
        assert serializer.decode(frame) == message


DEEP = "[" * 300 + "]" * 300


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, None), ("12.50", 12.5), ('"NaN"', "NaN"), ('{"a": 1e999}', '{"a": 1e999}'),
        ("9007199254740993", 9007199254740993), (DEEP, DEEP), ("[" * 100_000, "[" * 100_000),
        ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_what_few_readers_would_follow_stays_text(text: str | None, value: object) -> None:
    assert parse_text(text) == value


@given(json_values)
def test_json_comes_back(value: object) -> None:
    assert load_json(json.dumps(value)) == value
