"""Tags in the encodings of their time."""

from __future__ import annotations

import struct

import pytest
from signals import wav

from soundscape.audio.decode.tags import clean_tags

from .recordings import decode, noise, write

NAMES = {"title": b"INAM", "artist": b"IART", "album": b"IPRD", "comment": b"ICMT"}
SAID = [
    ("cp1252", {"title": "Café Größe", "artist": "Sigur Rós"}),
    ("cp1252", {"title": "Señorita", "artist": "Beyoncé"}),
    ("cp1252", {"title": "Jóga", "artist": "Björk"}),
    ("cp1252", {"title": "Voix ambiguës d’un cœur"}),
    ("cp1251", {"title": "Группа крови", "artist": "Кино"}),
    ("cp1251", {"title": "Искала", "artist": "Земфира", "album": "Прости меня моя любовь"}),
    ("cp932", {"title": "ひこうき雲", "artist": "荒井由実"}),
    ("cp932", {"title": "東京の夜", "album": "日本語"}),
    ("utf-8", {"title": "Ночь 夜 noche"}),
    ("ascii", {"title": "Plain"}),
]


def info_chunk(texts: dict[str, bytes]) -> bytes:
    body = b"INFO"
    for name, text in texts.items():
        text += b"\0"
        body += NAMES[name] + struct.pack("<I", len(text)) + text + b"\0" * (len(text) & 1)
    return b"LIST" + struct.pack("<I", len(body)) + body


def wave_with(texts: dict[str, bytes], *, in_front: bool = False) -> bytes:
    data, chunk = wav(noise(0.2, 44_100), 44_100), info_chunk(texts)
    at = data.find(b"data") if in_front else len(data)
    data = data[:at] + chunk + data[at:]
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


@pytest.mark.parametrize("in_front", [False, True])
@pytest.mark.parametrize(("encoding", "said"), SAID)
def test_riff_info_in_old_encodings(encoding: str, said: dict[str, str], in_front: bool) -> None:
    data = wave_with({name: text.encode(encoding) for name, text in said.items()}, in_front=in_front)
    audio, _ = decode(data)
    assert audio.header.tags == said


def id3v1(title: bytes, artist: bytes) -> bytes:
    fields = [(title, 30), (artist, 30), (b"", 30), (b"1999", 4), (b"", 30)]
    return b"TAG" + b"".join(text.ljust(length, b"\0") for text, length in fields) + b"\x0c"


@pytest.mark.parametrize(
    ("title", "artist"), [("Café Größe", "Sigur Rós"), ("Æ", "Ñ"), ("ÄÖÜ äöü", "Çelik"), ("plain", "text")]
)
def test_id3v1_is_latin_1(title: str, artist: str) -> None:
    # FFmpeg looks for an ID3v1 tag where there is no ID3v2 tag.
    bare = write("mp3", seconds=1, options={"id3v2_version": "0"})
    data = bare + id3v1(title.encode("latin-1"), artist.encode("latin-1"))
    audio, _ = decode(data)
    assert (audio.header.tags["title"], audio.header.tags["artist"]) == (title, artist)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("می‌خواهم", "می‌خواهم"),  # Persian, with a non-joiner
        ("क्‍ष", "क्‍ष"),  # Hindi, with a joiner
        ("👩‍🚀 in space", "👩‍🚀 in space"),
        ("\u200dat the ends\u200c", "at the ends"),
        ("between \u200d words", "between words"),
        ("zero\x00\x07\nlines", "zero lines"),
        ("\u202eturned round\u202c", "turned round"),
    ],
)
def test_joiners_stay_inside_words(text: str, kept: str) -> None:
    assert clean_tags({"TITLE": text}) == {"title": kept}


def test_tags_are_single_lines_of_500_characters() -> None:
    assert clean_tags({"comment": "a b\n" * 1000})["comment"] == " ".join(["a b"] * 125)


def test_what_is_no_text_at_all_is_still_a_tag() -> None:
    raw = bytes(range(128, 256)).decode("utf-8", "surrogateescape")
    assert clean_tags({"title": raw})["title"]
