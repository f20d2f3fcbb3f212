"""Features of items, as numbers that a model can use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from soundscape.errors import RecommendationError
from soundscape.recommend.interactions import COLUMNS, Float32, read_table

BETWEEN_WORDS = "|"
MIN_WORD_COUNT = 2


def read_features(path: Path, items: Sequence[str]) -> Float32:
    """Read features of `items`, each with mean 0 and deviation 1; 0 where none is known.

    A column holds numbers, lists of numbers (in text as `[0.1, …]`, as pgvector prints them), or words with
    `|` between several. Each word that two items share becomes a feature of 0 and 1.

    Returns
    -------
    (items, features), float32

    Raises
    ------
    RecommendationError
        The file cannot be read, has no column `item`, or tells none of `items` from another.
    """
    names, rows = read_table(path)
    place = next((names.index(name) for name in COLUMNS["item"] if name in names), None)
    if place is None:
        raise RecommendationError(f"{path.name} has no column `item`; it has {', '.join(names) or 'none'}.")
    position = {item: index for index, item in enumerate(items)}
    known = {position[str(row[place])]: row for row in rows if str(row[place]) in position}
    try:
        blocks = [
            _block([row[column] for row in known.values()], len(known))
            for column in range(len(names))
            if column != place
        ]
    except (ValueError, IndexError) as error:
        raise RecommendationError(f"{path.name} cannot be read as features: {error}.") from error
    given = np.hstack(blocks) if blocks and known else np.empty((0, 0))
    varying = given.std(axis=0) > 0 if given.size else np.zeros(0, dtype=bool)
    if not varying.any():
        raise RecommendationError(f"{path.name} tells none of the items from another.")
    given = given[:, varying]
    features = np.zeros((len(items), given.shape[1]), dtype=np.float32)
    features[list(known)] = (given - given.mean(axis=0)) / given.std(axis=0)
    return features


def _block(values: list[Any], rows: int) -> Any:
    """Return one column as (rows, features), float64."""
    present = [value for value in values if value is not None and value != ""]
    if not present:
        return np.empty((rows, 0))
    if isinstance(present[0], str) and present[0].startswith("["):
        values = [json.loads(value) if value else None for value in values]
        present = [value for value in values if value is not None]
    if isinstance(present[0], list | tuple):
        length = len(present[0])
        return np.array([value or [0.0] * length for value in values], dtype=np.float64)
    try:
        numbers = np.array([np.nan if value in (None, "") else float(value) for value in values])
    except ValueError:
        return _words([str(value or "") for value in values])
    return np.where(np.isfinite(numbers), numbers, np.nanmean(numbers))[:, None]


def _words(values: list[str]) -> Any:
    said = [{word.strip() for word in value.split(BETWEEN_WORDS)} - {""} for value in values]
    counts: dict[str, int] = {}
    for words in said:
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    column = {word: n for n, word in enumerate(w for w in sorted(counts) if counts[w] >= MIN_WORD_COUNT)}
    block = np.zeros((len(values), len(column)))
    for row, words in enumerate(said):
        block[row, [column[word] for word in words if word in column]] = 1.0
    return block
