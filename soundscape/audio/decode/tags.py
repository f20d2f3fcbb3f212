"""What a file says of itself: which of its tags are kept, and in which encoding they were written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TAGS = ("title", "artist", "album", "date", "genre", "comment")
_MAX_CHARACTERS = 500
# RIFF INFO states no encoding. These are what Windows programs write in Western Europe, Russia and Japan.
_LEGACY_ENCODINGS = ("cp1252", "cp1251", "cp932")
# Zero width joiner and non-joiner: letters of Persian, Hindi and many emoji are written with them.
_JOINERS = "\u200c\u200d"


def clean_tags(metadata: Mapping[str, Any], *, encoding: str | None = None) -> dict[str, str]:
    """The tags people look at, as one line each.

    Parameters
    ----------
    metadata
        Texts by name, upper or lower case. Bytes that are no UTF-8 may stand in a text as lone surrogates
        (`surrogateescape`); they are decoded here.
    encoding
        The encoding of such bytes; None: it is guessed from all of them together.

    Returns
    -------
    dict
        `title`, `artist`, `album`, `date`, `genre` and `comment`, as far as they are there: no control
        characters, at most 500 characters.
    """
    lowered = {key.lower(): value for key, value in metadata.items()}
    raw = {
        key: str(lowered[key])[: 4 * _MAX_CHARACTERS].encode("utf-8", "surrogateescape")
        for key in TAGS
        if lowered.get(key)
    }
    foreign = [value for value in raw.values() if not _is_utf8(value)]
    if foreign and encoding is None:
        encoding = _guess_encoding(b"\n".join(foreign))
    cleaned = {}
    for key, value in raw.items():
        text = value.decode("utf-8") if _is_utf8(value) else value.decode(str(encoding), "replace")
        if text := _clean_line(text[:_MAX_CHARACTERS]):
            cleaned[key] = text
    return cleaned


def _clean_line(text: str) -> str:
    kept = []
    for index, character in enumerate(text):
        if character in _JOINERS:
            # Inside a word it belongs to the spelling; elsewhere nobody sees it.
            is_inside = 0 < index < len(text) - 1 and not (text[index - 1] + text[index + 1]).count(" ")
            kept.append(character if is_inside else "")
        else:
            kept.append(character if character.isprintable() else " ")
    return " ".join("".join(kept).split())


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _guess_encoding(data: bytes) -> str:
    from charset_normalizer import from_bytes

    plausible = [encoding for encoding in _LEGACY_ENCODINGS if _reads_as_text(data, encoding)]
    best = from_bytes(data, cp_isolation=plausible).best() if len(plausible) > 1 else None
    if best is not None:
        return best.encoding
    return plausible[0] if plausible else "latin-1"


def _reads_as_text(data: bytes, encoding: str) -> bool:
    """Whether the text has nothing that only a wrong encoding gives."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return False
    if any("\uff61" <= character <= "\uff9f" for character in text):
        # Half-width katakana are in tags of the eighties; umlauts in a row look like them.
        return False
    for word in text.split():
        is_latin = any(character.isascii() and character.isalpha() for character in word)
        if is_latin and any("\u0400" <= character <= "\u04ff" for character in word):
            return False
    return True
