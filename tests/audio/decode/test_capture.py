"""When and where a recording was made: what files say, and what nonsense in them does not."""

from __future__ import annotations

import io
import struct
from datetime import UTC, datetime
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from signals import wav

from soundscape.audio.analysis import analyze
from soundscape.audio.decode.capture import (
    CHUNKS,
    FIRST_YEAR,
    LAST_YEAR,
    Capture,
    parse_place,
    parse_time,
    read_chunks,
    read_tags,
)
from soundscape.audio.preview import encode_preview

from .recordings import KINDS, decode, noise, write

AT = "2024-05-01T07:30:00+00:00"
PLACE = (59.3293, 18.0686)
GUANO = "GUANO|Version: 1.0\nTimestamp: 2024-05-01T09:30:00.25+02:00\nLoc Position: 59.3293 18.0686\n"
IXML = """<?xml version="1.0" encoding="UTF-8"?><BWFXML><BEXT>
<BWF_ORIGINATION_DATE>2024-05-01</BWF_ORIGINATION_DATE><BWF_ORIGINATION_TIME>07:30:00</BWF_ORIGINATION_TIME>
</BEXT><LOCATION><LOCATION_GPS>59.3293, 18.0686</LOCATION_GPS></LOCATION></BWFXML>"""


def bext(date: str = "2024-05-01", time: str = "07:30:00") -> bytes:
    """EBU Tech 3285: description 256, originator 32, reference 32, date 10, time 8, and what follows."""
    return bytes(320) + date.encode().ljust(10, b"\0") + time.encode().ljust(8, b"\0") + bytes(264)


def id3(**frames: str) -> bytes:
    """An ID3v2.4 tag. A frame that is none of ID3's is a text with this name."""
    body = b""
    for name, text in frames.items():
        content = b"\x03" + (text if name == "TDRC" else f"{name}\0{text}").encode()
        head = b"TDRC" if name == "TDRC" else b"TXXX"
        body += head + struct.pack(">I", len(content)) + bytes(2) + content
    return b"ID3\x04\0\0" + struct.pack(">I", len(body)) + body


def wave(*chunks: tuple[bytes, bytes], in_front: bool = False) -> bytes:
    data = wav(noise(0.2, 44_100), 44_100)
    packed = b"".join(
        name + struct.pack("<I", len(body)) + body + bytes(len(body) & 1) for name, body in chunks
    )
    at = data.find(b"data") if in_front else len(data)
    data = data[:at] + packed + data[at:]
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


@pytest.mark.parametrize("in_front", [False, True])
@pytest.mark.parametrize(
    ("chunk", "body", "has_place"),
    [
        (b"bext", bext(), False),
        (b"iXML", IXML.encode(), True),
        (b"iXML", IXML.encode("utf-16"), True),
        (b"guan", GUANO.encode(), True),
        (b"id3 ", id3(TDRC="2024-05-01T07:30", location="+59.3293+018.0686/"), True),
    ],
    ids=["bext", "iXML", "iXML in UTF-16", "GUANO", "ID3"],
)
def test_chunks_of_wave(chunk: bytes, body: bytes, has_place: bool, in_front: bool) -> None:
    audio, _ = decode(wave((chunk, body), in_front=in_front))
    assert audio.header.capture == Capture(AT, *(PLACE if has_place else (None, None)))


def test_each_is_asked_for_what_the_one_before_lacks() -> None:
    chunks = (b"bext", bext("2023-01-01")), (b"guan", b"GUANO|Version: 1.0\nLoc Position: 59.3293 18.0686\n")
    audio, _ = decode(wave(*chunks, (b"iXML", b"<LOCATION_GPS>1.5, 2.5</LOCATION_GPS>")))
    assert audio.header.capture == Capture("2023-01-01T07:30:00+00:00", *PLACE)


def test_a_recorder_that_writes_rf64_is_read_too() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="wav", options={"rf64": "always", "write_bext": "1"}) as output:
        output.metadata.update({"origination_date": "2024-05-01", "origination_time": "07:30:00"})
        stream = output.add_stream("pcm_s16le", rate=8_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(noise(0.5, 8_000, 1), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8_000, 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    audio, _ = decode(file.getvalue())
    assert (audio.header.container, audio.header.capture.recorded_at) == ("rf64", AT)


# What FFmpeg writes of tags like these into each container, and finds again.
WRITTEN = {
    "flac": ({"date": "2024-05-01T07:30:00Z", "location": "+59.3293+018.0686/"}, True),
    "mp3": ({"date": "2024-05-01T07:30", "location": "59.3293, 18.0686"}, True),
    "aiff": ({"date": "2024-05-01T07:30", "location": "59.3293, 18.0686"}, True),
    "m4a": ({"creation_time": AT, "location": "+59.3293+018.0686/"}, True),
    "opus": ({"date": "2024-05-01 07:30", "location": "59.3293 18.0686"}, True),
    "vorbis": ({"DATE_RECORDED": "2024-05-01T07:30:00Z", "GEO_LOCATION": "59.3293;18.0686"}, True),
    "mka": ({"DATE_RECORDED": "2024-05-01 07:30:00", "RECORDING_LOCATION": "59.3293 18.0686"}, True),
    "webm": ({"creation_time": AT}, False),
    "wv": ({"date": "2024-05-01 07:30:00"}, False),
}


def tagged(kind: str) -> bytes:
    """The file with the tags, remuxed as FFmpeg does."""
    tags, _ = WRITTEN[kind]
    container = {"m4a": "mp4"}.get(kind, KINDS[kind][0])
    options = {"aiff": {"write_id3v2": "1"}}.get(kind, {})
    file = io.BytesIO()
    with (
        av.open(io.BytesIO(write(kind, seconds=1))) as source,
        av.open(file, "w", format=container, options=options) as output,
    ):
        output.metadata.update(tags)
        stream = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize("kind", WRITTEN)
def test_tags_of_containers(kind: str) -> None:
    audio, _ = decode(tagged(kind))
    assert audio.header.capture == Capture(AT, *(PLACE if WRITTEN[kind][1] else (None, None)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01T09:30:00.123+02:00", AT),
        ("2024-05-01T09:30:00+0200", AT),
        ("2024-05-01T07:30:00Z", AT),
        ("2024:05:01 07:30:00", AT),
        ("2024_05_01 07-30-00", AT),
        ("2024-05-01 07:30", AT),
        ("2024-05-01", None),
        ("2024", None),
        ("07:30:00", None),
        ("2024-02-30T07:30:00", None),
        ("2024-05-01T25:30:00", None),
        ("2024-05-01T07:30:00+99:00", None),
        ("0000-00-00 00:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("1904-01-01T00:00:00Z", None),
        ("1970-01-01 00:00:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("", None),
        ("٢٠٢٤-05-01T07:30", None),
    ],
)
def test_times(text: str, expected: str | None) -> None:
    found = parse_time(text)
    assert (None if found is None else found.isoformat()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+59.3293+018.0686/", PLACE),
        ("+59.3293+018.0686+012.5/", PLACE),
        ("+59.3293+018.0686+012.5CRSWGS_84/", PLACE),
        ("+5919.758+01804.116/", PLACE),
        ("+591945.48+0180406.96/", PLACE),
        ("-33.8688-151.2093/", (-33.8688, -151.2093)),
        ("59.3293 18.0686", PLACE),
        ("59.3293,18.0686", PLACE),
        ("59.3293 ; +18.0686", PLACE),
        ("0.0, 0.0", None),
        ("+00.0000+000.0000/", None),
        ("91.0, 18.0", None),
        ("59.0, 180.1", None),
        ("+5960.0+01804.1/", None),
        ("+59+018", (59.0, 18.0)),
        ("59 18", None),
        ("Stockholm", None),
        ("nan, inf", None),
        ("59.3293", None),
    ],
)
def test_places(text: str, expected: tuple[float, float] | None) -> None:
    assert parse_place(text) == (None if expected is None else pytest.approx(expected, abs=1e-6))


def is_sound(capture: Capture) -> bool:
    """Whether it is a moment and a place on earth, or none."""
    if capture.recorded_at is not None:
        at = datetime.fromisoformat(capture.recorded_at)
        assert at.tzinfo == UTC
        assert FIRST_YEAR <= at.year <= LAST_YEAR
    assert (capture.latitude is None) == (capture.longitude is None)
    if capture.latitude is not None and capture.longitude is not None:
        assert -90 <= capture.latitude <= 90
        assert -180 <= capture.longitude <= 180
        assert (capture.latitude, capture.longitude) != (0, 0)
    return True


TYPED = st.text("0123456789+-.:;, TZ/", max_size=40)
TEXTS = st.one_of(TYPED, st.text(max_size=200), st.just("9" * 300))


@given(st.dictionaries(st.sampled_from(["date", "LOCATION", "location-eng", "creation_time"]), TEXTS))
def test_no_tag_is_taken_for_what_it_is_not(tags: dict[str, str]) -> None:
    assert is_sound(read_tags(tags))


@given(
    st.dictionaries(
        st.sampled_from(CHUNKS),
        st.one_of(
            st.binary(max_size=700),
            TYPED.map(lambda text: f"GUANO|Version:1\nTimestamp: {text}\nLoc Position:{text}".encode()),
            TYPED.map(lambda text: f"<LOCATION_GPS>{text}</LOCATION_GPS>".encode()),
            st.builds(lambda date, time: bext(date[:10], time[:8]), TYPED, TYPED),
        ),
    )
)
def test_no_chunk_is_taken_for_what_it_is_not(chunks: dict[bytes, bytes]) -> None:
    assert is_sound(read_chunks(chunks))


@given(st.lists(st.tuples(st.sampled_from([*CHUNKS, b"id3 "]), st.binary(max_size=60)), max_size=6))
def test_no_chunk_keeps_a_file_from_being_read(chunks: list[tuple[bytes, bytes]]) -> None:
    audio, y = decode(wave(*chunks))
    assert is_sound(audio.header.capture)
    assert y.shape == (2, 8820)


def test_a_chunk_too_large_is_left_alone() -> None:
    audio, _ = decode(wave((b"guan", GUANO.encode().ljust((1 << 16) + 1))))
    assert audio.header.capture == Capture()


@given(st.datetimes(datetime(1901, 1, 1), datetime(2099, 12, 31)).map(lambda at: at.replace(microsecond=0)))
def test_a_time_is_read_as_it_was_written(at: datetime) -> None:
    expected = None if at == datetime(1904, 1, 1) or at == datetime(1970, 1, 1) else at.replace(tzinfo=UTC)
    assert parse_time(at.isoformat()) == parse_time(f"{at:%Y:%m:%d %H-%M-%S}Z") == expected


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_a_place_is_read_as_it_was_written(latitude: float, longitude: float) -> None:
    for text in (f"{latitude:.6f} {longitude:.6f}", f"{latitude:+010.6f}{longitude:+011.6f}/"):
        found = parse_place(text)
        if found is None:
            assert abs(latitude) < 1e-6
            assert abs(longitude) < 1e-6
        else:
            assert found == pytest.approx((latitude, longitude), abs=1e-6)


def test_neither_pictures_nor_previews_tell(tmp_path: Path) -> None:
    """One section of the record has it, which the project does not store. Files that are made lack it."""
    data = wave(
        (b"guan", GUANO.encode()),
        (b"iXML", IXML.encode()),
        (b"bext", bext()),
        (b"id3 ", id3(TDRC="2024-05-01T07:30", location="+59.3293+018.0686/")),
    )
    record = analyze(io.BytesIO(data), out_dir=tmp_path, tags=False).as_dict()
    assert record.pop("capture") == {"recorded_at": AT, "latitude": PLACE[0], "longitude": PLACE[1]}
    assert "59.3293" not in str(record)
    assert "2024-05" not in str(record)
    encode_preview(io.BytesIO(data), tmp_path)
    names = {path.suffix for path in tmp_path.iterdir()}
    assert {".png", ".webp", ".dat", ".json", ".bin", ".mp3"} <= names
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert b"59.3293" not in content, path
        assert b"2024-05" not in content, path
        if path.suffix in (".png", ".webp"):
            with Image.open(path) as picture:
                assert not picture.getexif(), path
                assert not getattr(picture, "text", None), path
    with av.open(str(tmp_path / "preview.mp3")) as preview:
        assert set(preview.metadata) <= {"encoder"}, preview.metadata
