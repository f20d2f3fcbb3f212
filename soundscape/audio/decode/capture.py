"""When and where a recording was made, as its file says: bext, iXML, GUANO, and the tags that FFmpeg reads.

| written by | time | place |
|---|---|---|
| recorders, in WAV: bext (EBU Tech 3285), iXML | origination date and time | `LOCATION_GPS` |
| detectors of bats and birds, in WAV: GUANO | `Timestamp` | `Loc Position` |
| telephones and cameras, in MP4 and MOV | `creationdate`, `creation_time` | ISO 6709 |
| ID3, Vorbis comments, Matroska, CAF | a date with a time of day | `location` and its like |

A date without a time of day is no moment: most of them are years of publication. A time without a zone is
taken as UTC. What is no time and no place on earth is left out, as is latitude 0 with longitude 0, which
receivers write before they know where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated

CHUNKS = (b"bext", b"iXML", b"guan")
"""The chunks of WAV that `read_chunks` takes."""
MAX_CHUNK_BYTES = 1 << 16
FIRST_YEAR, LAST_YEAR = 1900, 2100
_MAX_CHARACTERS = 100
# The zero of clocks that were never set: of Macintosh and QuickTime, and of Unix.
_UNSET = {datetime(1904, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)}
# FFmpeg's names, in the order in which they are believed.
_TIME_TAGS = ("com.apple.quicktime.creationdate", "date_recorded", "recorded date", "date", "creation_time")
_PLACE_TAGS = ("com.apple.quicktime.location.iso6709", "location", "geo_location", "recording_location")

_TIME = re.compile(
    r"(\d{4})[-_:/. ](\d\d)[-_:/. ](\d\d)[T ](\d\d)[-_:. ](\d\d)"
    r"(?:[-_:. ](\d\d)(?:[.,]\d{1,9})?)? ?(Z|UTC|([+-])(\d\d):?(\d\d))?",
    re.ASCII,
)
_DECIMAL = r"[+-]?\d{1,3}\.\d{1,15}"
_PAIR = re.compile(rf"({_DECIMAL})(?:\s*[,;]\s*|\s+)({_DECIMAL})", re.ASCII)
# ISO 6709:2022, annex H: ±DD.DD±DDD.DD±AA.AACRSname/
_ISO_6709 = re.compile(
    r"([+-])(\d{2}|\d{4}|\d{6})(\.\d{1,15})?([+-])(\d{3}|\d{5}|\d{7})(\.\d{1,15})?"
    r"(?:[+-]\d{1,8}(?:\.\d{1,15})?)?(?:CRS\w{1,40})?/?",
    re.ASCII,
)
_BEXT_TIME_AT = 320


@dataclass(frozen=True)
class Capture:
    """When and where the recording was made, as the file says; null where it says nothing of use."""

    recorded_at: Annotated[str | None, "When it was recorded, ISO 8601, UTC"] = None
    latitude: Annotated[float | None, "Where it was recorded, degrees north"] = None
    longitude: Annotated[float | None, "Where it was recorded, degrees east; null as the latitude is"] = None

    def or_else(self, other: Capture) -> Capture:
        """What `other` says where this says nothing."""
        place = other if self.latitude is None else self
        return Capture(self.recorded_at or other.recorded_at, place.latitude, place.longitude)


UNKNOWN = Capture()
"""Of a file that says neither."""


def read_chunks(chunks: Mapping[bytes, bytes]) -> Capture:
    """Read what the chunks of a WAV file say.

    Parameters
    ----------
    chunks
        The bodies of `CHUNKS`, as far as they are there. GUANO is believed before iXML and bext: its time
        has a zone.
    """
    return (
        _read_guano(_decode(chunks.get(b"guan", b"")))
        .or_else(_read_ixml(_decode(chunks.get(b"iXML", b""))))
        .or_else(_read_bext(chunks.get(b"bext", b"")))
    )


def read_tags(metadata: Mapping[str, str]) -> Capture:
    """Read what tags say.

    Parameters
    ----------
    metadata
        Texts by FFmpeg's names, in upper or lower case. A language may stand behind a name (`location-eng`).
    """
    lowered = {key.lower(): value for key, value in metadata.items()}
    lowered |= {key[:-4]: value for key, value in lowered.items() if re.fullmatch(r".+-[a-z]{3}", key)}
    return _make(
        (lowered.get(name, "") for name in _TIME_TAGS), (lowered.get(name, "") for name in _PLACE_TAGS)
    )


def parse_time(text: str) -> datetime | None:
    """Parse a date with a time of day.

    Parameters
    ----------
    text
        `2024-05-01T07:30:00+02:00` and what recorders write instead. The zone and the seconds may be missing.

    Returns
    -------
    datetime
        In UTC, to the second. None where the text is no such time.
    """
    if len(text) > _MAX_CHARACTERS or (match := _TIME.fullmatch(text.strip(" \t\r\n\0"))) is None:
        return None
    zone, sign, hours, minutes = match.group(7, 8, 9, 10)
    offset = timedelta()
    if zone is not None and sign is not None:
        offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    try:
        numbers = [int(each or 0) for each in match.groups()[:6]]
        parsed = datetime(*numbers, tzinfo=timezone(offset)).astimezone(UTC)  # type: ignore[misc,arg-type]
    except (ValueError, OverflowError):
        return None
    return parsed if FIRST_YEAR <= parsed.year <= LAST_YEAR and parsed not in _UNSET else None


def parse_place(text: str) -> tuple[float, float] | None:
    """Parse a place.

    Parameters
    ----------
    text
        ISO 6709 (`+59.3293+018.0686/`), or two decimal numbers: latitude and longitude.

    Returns
    -------
    tuple of float
        Degrees north and east. None where the text is no place.
    """
    if len(text) > _MAX_CHARACTERS:
        return None
    text = text.strip(" \t\r\n\0")
    if (match := _ISO_6709.fullmatch(text)) is not None:
        latitude = _read_degrees(*match.group(1, 2, 3), width=2)
        longitude = _read_degrees(*match.group(4, 5, 6), width=3)
    elif (match := _PAIR.fullmatch(text)) is not None:
        latitude, longitude = (float(each) for each in match.groups())
    else:
        return None
    if latitude is None or longitude is None or not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    return None if latitude == longitude == 0 else (round(latitude, 7), round(longitude, 7))


def _read_degrees(sign: str, digits: str, fraction: str | None, *, width: int) -> float | None:
    """Degrees of DD, DDMM or DDMMSS, each with a fraction of its last part."""
    parts = [digits[:width], *(digits[at : at + 2] for at in range(width, len(digits), 2))]
    numbers = [float(part) for part in parts]
    numbers[-1] += float(f"0{fraction}") if fraction else 0.0
    if any(number >= 60 for number in numbers[1:]):
        return None
    degrees = sum(number * 60.0**-place for place, number in enumerate(numbers))
    return -degrees if sign == "-" else degrees


def _read_bext(body: bytes) -> Capture:
    """EBU Tech 3285: ten characters of date and eight of time, in the recorder's zone."""
    date, time = (_decode(body[at : at + n]) for at, n in ((_BEXT_TIME_AT, 10), (_BEXT_TIME_AT + 10, 8)))
    return _make([f"{date} {time}"], [])


def _read_ixml(text: str) -> Capture:
    # No parser of XML: the elements are plain, and entities are of no use in them.
    def find(name: str) -> str:
        match = re.search(rf"<{name}>([^<]{{1,{_MAX_CHARACTERS}}})</{name}>", text)
        return match.group(1).strip() if match is not None else ""

    time = f"{find('BWF_ORIGINATION_DATE')} {find('BWF_ORIGINATION_TIME')}"
    return _make([time], [find("LOCATION_GPS")])


def _read_guano(text: str) -> Capture:
    """https://github.com/riggsd/guano-spec: one field a line, `name: value`."""
    fields = dict(line.partition(":")[::2] for line in text.splitlines() if ":" in line)
    named = {name.strip(): value.strip() for name, value in fields.items()}
    return _make([named.get("Timestamp", "")], [named.get("Loc Position", "")])


def _make(times: Iterable[str], places: Iterable[str]) -> Capture:
    """The first time and the first place that are one."""
    recorded_at = next((at.isoformat() for text in times if (at := parse_time(text)) is not None), None)
    place = next((place for text in places if (place := parse_place(text)) is not None), None)
    return Capture(recorded_at, *(place or (None, None)))


def _decode(data: bytes) -> str:
    is_wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    return data.decode("utf-16" if is_wide else "utf-8", "replace").strip("\0")
