"""The sounds of ../shared/training: decoded, and with the class that a file's name tells.

A class is told by one word of the path, such as `rain`. Files with none or with several have no class. The
names are rough: a sound called `fire` may be a shot. They serve for development, never for a final figure.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from soundscape.audio.decode.audio_file import open_audio

Float32 = npt.NDArray[np.float32]

CLASSES: dict[str, tuple[str, tuple[str, ...]]] = {
    label: (told["words"], tuple(told["names"]))
    for label, told in json.loads(
        Path(__file__).with_name("training_classes.json").read_text(encoding="utf-8")
    ).items()
}
"""A class: the words of a path that tell it, and the names of AudioSet that are right for it."""
MAX_OF_CLASS = 40
SPEECH_NAMES = (
    "Speech",
    "Male speech, man speaking",
    "Female speech, woman speaking",
    "Child speech, kid speaking",
    "Narration, monologue",
)
MUSIC_NAMES = ("Music", "Musical instrument")
SPEECH_SOURCES = re.compile(
    "ktuberling|klettres|asterisk-core-sounds|tuxpaint-stamps-default#speech|Precise-Community-Data"
)
MUSIC_ARCHIVES = ("music.tar", "rock-music.tar")
OTHER_SOUNDS = {"voices", "music", "impulse"}
NO_FLAMES = {"gun", "guns", "weapons", "bow", "crossbow", "melee", "fireball", "archer", "button", "truck"}
CLASS_OF_SOURCE = {"gveres/donateacry-corpus": "baby", "yaxu/mrid": "drum"}


@dataclass(frozen=True)
class Sound:
    """One segment: where it comes from, its class (or "" where the name tells none), and its right names."""

    source: str
    path: str
    label: str
    right: frozenset[str]
    y: Float32
    sample_rate: int

    @property
    def recording(self) -> str:
        """The recording that the segment was cut from."""
        return f"{self.source}/{self.path}"


def find_class(row: dict[str, str]) -> tuple[str, frozenset[str]]:
    """The class that a row of the manifest tells by its source or path, and its right names."""
    if SPEECH_SOURCES.search(row["repo"]):
        return "speech", frozenset(SPEECH_NAMES)
    if row["archive"] in MUSIC_ARCHIVES:
        return "music", frozenset(MUSIC_NAMES)
    if row["repo"] in CLASS_OF_SOURCE:
        label = CLASS_OF_SOURCE[row["repo"]]
        return label, frozenset(CLASSES[label][1])
    path = row["path"].lower().replace("_", " ").replace("-", " ")
    if row["repo"].startswith("debian"):
        path = path.partition("/")[2] or path
    told = [label for label, (words, _) in CLASSES.items() if re.search(words, path)]
    return (told[0], frozenset(CLASSES[told[0]][1])) if len(told) == 1 else ("", frozenset())


def is_named_plainly(sound: Sound) -> bool:
    """Whether the class is a word of the path by itself: not `tick` in `stickfighter`, nor a gun's `fire`.

    People who say the word, music that is called so and impulse responses are no sounds of the class either.
    """
    if sound.label not in CLASSES or sound.source in CLASS_OF_SOURCE:
        return bool(sound.label)
    words = set(re.findall("[a-z]+", re.sub("(?<=[a-z])(?=[A-Z])", " ", sound.path).lower()))
    if words & OTHER_SOUNDS or (sound.label == "fire" and words & NO_FLAMES):
        return False
    plain = re.compile(f"(?:{CLASSES[sound.label][0]})(?:s|es|ing|sions?|des?)?")
    return any(plain.fullmatch(word) for word in words)


def read_sounds(folder: Path, *, max_of_class: int = 0) -> Iterator[Sound]:
    """Every segment; or, with `max_of_class`, one of each recording that has a class, so many of a class."""
    wanted: dict[str, dict[str, dict[str, str]]] = {}
    for row in _choose_rows(folder, max_of_class) if max_of_class else _read_rows(folder):
        wanted.setdefault(row["archive"], {})[row["file"]] = row
    for archive, files in wanted.items():
        with tarfile.open(folder / archive) as tar:
            for member in tar:
                row = files.get(member.name.removeprefix("./"), {})
                content = tar.extractfile(member) if row else None
                if content is None:
                    continue
                with open_audio(io.BytesIO(content.read())) as audio:
                    y = np.concatenate([block.mean(axis=0) for block in audio.blocks()]).astype(np.float32)
                    yield Sound(row["repo"], row["path"], *find_class(row), y, audio.header.sample_rate)


def choose_labelled(folder: Path, *, max_of_class: int = MAX_OF_CLASS) -> set[str]:
    """The recordings that figures are about: nothing is fitted on any segment of them."""
    return {f"{row['repo']}/{row['path']}" for row in _choose_rows(folder, max_of_class)}


def _read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _choose_rows(folder: Path, max_of_class: int) -> list[dict[str, str]]:
    """One segment of each recording that has a class."""
    chosen = []
    seen: set[tuple[str, str]] = set()
    of_class: Counter[str] = Counter()
    # In an order that does not follow the sources, so that a class is not filled by the first of them.
    for row in sorted(_read_rows(folder), key=lambda row: row["file"][::-1]):
        recording, label = (row["repo"], row["path"]), find_class(row)[0]
        if label and recording not in seen and of_class[label] < max_of_class:
            seen.add(recording)
            of_class[label] += 1
            chosen.append(row)
    return chosen
