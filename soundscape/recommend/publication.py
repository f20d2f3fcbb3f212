"""The publication of a model: fitted on a project's history, written beside the one in force, then used."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from soundscape.errors import ProjectError, RecommendationError
from soundscape.project.recommendations import FitLease, FitPostponed, Recommendations, Row
from soundscape.recommend.fit import FitResult, fit
from soundscape.recommend.interactions import Float32, Interactions
from soundscape.recommend.served_model import FACTORS, MIN_CHOICES, FitSettings, ServedModel, ServingWeights

SOUND_DIMENSIONS = 128
Report = Callable[[str], None]


@dataclass(frozen=True)
class Publication:
    """The result of a fit: the model, its figures, and whether it was published."""

    model_id: int
    published: bool
    reasons: tuple[str, ...]
    """Why it should have been refused; it is published all the same if forced."""
    fitted: FitResult
    placed: int
    """Recordings whose place comes from their sound."""
    seconds: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return {
            "model": self.model_id,
            "published": self.published,
            "reasons": list(self.reasons),
            "people": self.fitted.people,
            "items": self.fitted.items,
            "events": self.fitted.pairs,
            "placed_by_sound": self.placed,
            "settings": self.fitted.model.settings.as_dict(),
            "figures": self.fitted.figures,
            "seconds": self.seconds,
        }


async def publish(
    project: Recommendations,
    *,
    force: bool = False,
    every_h: float | None = None,
    report: Report = lambda _: None,
) -> Publication | FitPostponed:
    """Fit a model on what people chose, and publish it unless it is too bad.

    A fit that breaks off leaves the model in force as it is; the next fit removes what was left.

    Parameters
    ----------
    project
        The project's recommendations.
    force
        Publish the model even if it is worse than the one in force, or than popularity.
    every_h
        Fit only if this many hours have passed since the last fit began.
    report
        Called with the name of each step.

    Returns
    -------
    Publication or FitPostponed
        `FitPostponed` if no fit is due, or somebody else is fitting.

    Raises
    ------
    RecommendationError
        Too few choices (`too_few_events`).
    ProjectError
        The project answered with an error.
    """
    lease = await project.begin(every_h=every_h)
    if isinstance(lease, FitPostponed):
        return lease
    try:
        return await _publish(project, lease, force, report)
    finally:
        # If this fails, the lease runs out after a quarter of an hour.
        with suppress(ProjectError):
            await project.end(lease)


async def _publish(project: Recommendations, lease: FitLease, force: bool, report: Report) -> Publication:
    clock = {"began": time.perf_counter()}
    report("removing old models")
    await project.clear(lease)
    report("reading what people chose")
    interactions = await read_history(project)
    content = await _read_embeddings(project, interactions.items, lease.space)
    in_force = await _read_model_in_force(project, lease, interactions.items, content)
    clock["read"] = time.perf_counter()
    chosen = np.asarray((interactions.matrix > 0).sum(axis=0)).ravel() if len(interactions) else np.zeros(0)
    cold = 1 - (chosen >= MIN_CHOICES).sum() / max(1, lease.listed)
    fitted = fit(
        interactions,
        ServingWeights.from_row(lease.weights),
        content=content,
        in_force=in_force,
        share_cold=min(0.5, max(0.1, float(cold))),
        report=report,
    )
    clock["fitted"] = time.perf_counter()
    row = {
        "space": lease.space if fitted.model.sounds is not None else None,
        "settings": fitted.model.settings.as_dict(),
        "figures": fitted.figures,
        "people": fitted.people,
        "items": fitted.items,
        "events": fitted.pairs,
    }
    refused = bool(fitted.reasons) and not force
    model = await project.stage(
        lease, row, map_rows=[] if refused else _make_map_rows(fitted.model), refused=refused
    )
    placed = 0
    if not refused:
        report("writing places and neighbours")
        await project.stage_items(lease, model, _make_item_rows(fitted, interactions.items))
        report("placing cold recordings")
        placed = await project.stage_cold(lease, model)
        await project.publish(lease, model)
        report("removing old models")
        await project.clear(lease)
    clock["written"] = time.perf_counter()
    names = list(clock)
    return Publication(
        model_id=model,
        published=not refused,
        reasons=fitted.reasons,
        fitted=fitted,
        placed=placed,
        seconds={after: round(clock[after] - clock[before], 2) for before, after in pairwise(names)},
    )


async def read_history(project: Recommendations) -> Interactions:
    """Read what people chose among listed recordings of others. Skips are below 0."""
    users, items, weights, times = [], [], [], []
    async for page in project.history():
        users += page["user"]
        items += page["item"]
        weights += page["weight"]
        times += page["time"]
    return Interactions.from_events(zip(users, items, weights, times, strict=True))


async def _read_embeddings(
    project: Recommendations, items: Sequence[str], space: str | None
) -> Float32 | None:
    """Read embeddings of unit length, (items, SOUND_DIMENSIONS); zeros where there is none."""
    if space is None:
        return None
    known = await project.embeddings(items, space)
    found = np.zeros((len(items), SOUND_DIMENSIONS), dtype=np.float32)
    for position, item in enumerate(items):
        if item in known:
            found[position] = json.loads(known[item])
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.maximum(length, 1e-9), dtype=np.float32) if length.any() else None


async def _read_model_in_force(
    project: Recommendations, lease: FitLease, items: Sequence[str], content: Float32 | None
) -> ServedModel | None:
    """Read the model in force, over the same items."""
    if lease.in_force is None:
        return None
    rows = await project.items(lease.in_force["id"], items)
    position = {item: index for index, item in enumerate(items)}
    places, keys = (np.zeros((len(items), FACTORS), dtype=np.float32) for _ in range(2))
    cold = np.ones(len(items), dtype=bool)
    entries: list[tuple[int, int, float]] = []
    for row in rows:
        at = position[row["id"]]
        places[at], keys[at] = json.loads(row["place"]), json.loads(row["key"])
        cold[at] = row["is_cold"]
        entries += [
            (at, position[other], weight)
            for other, weight in zip(row["neighbours"], row["weights"], strict=True)
            if other in position
        ]
    ends = np.array([entry[:2] for entry in entries], dtype=np.int64).reshape(-1, 2)
    neighbours = sparse.csr_matrix(
        (np.array([entry[2] for entry in entries], dtype=np.float32), (ends[:, 0], ends[:, 1])),
        shape=(len(items), len(items)),
    )
    settings = FitSettings(**lease.in_force["settings"])
    return ServedModel(
        settings=settings,
        weights=ServingWeights.from_row(lease.weights),
        places=places,
        keys=keys,
        neighbours=neighbours,
        cold=cold,
        content=content if lease.in_force["space"] == lease.space else None,
    )


def _make_map_rows(model: ServedModel) -> list[Row]:
    """Return the map from a sound to a place and a key, one row per factor."""
    if model.sounds is None or model.unlocked is None:
        return []
    weights = np.zeros((SOUND_DIMENSIONS + 1, FACTORS))
    sounds = model.sounds
    weights[:-1] = sounds.stretch * sounds.weights
    weights[-1] = sounds.stretch * (sounds.y_mean - sounds.x_mean @ sounds.weights)
    keys = weights @ model.unlocked
    return [
        {
            "factor": factor,
            "weights": _format_vector(weights[:-1, factor]),
            "intercept": float(weights[-1, factor]),
            "key_weights": _format_vector(keys[:-1, factor]),
            "key_intercept": float(keys[-1, factor]),
        }
        for factor in range(FACTORS)
    ]


def _make_item_rows(fitted: FitResult, items: Sequence[str]) -> list[Row]:
    model = fitted.model
    found = []
    for at in np.flatnonzero(~model.cold).tolist():
        near = slice(*model.neighbours.indptr[at : at + 2]) if model.neighbours is not None else slice(0, 0)
        found.append(
            {
                "id": items[at],
                "place": _format_vector(model.places[at]),
                "key": _format_vector(model.keys[at]),
                "popularity": round(float(fitted.popularity[at]), 6),
                "neighbours": []
                if model.neighbours is None
                else [items[other] for other in model.neighbours.indices[near]],
                "weights": []
                if model.neighbours is None
                else [float(f"{weight:.5g}") for weight in model.neighbours.data[near]],
            }
        )
    return found


def _format_vector(values: Any) -> str:
    return "[" + ",".join(f"{value:.6g}" for value in values) + "]"


def make_refusal(found: Publication) -> RecommendationError:
    """Return why a model was refused, as an error."""
    return RecommendationError(
        f"Model {found.model_id} was refused: {'; '.join(found.reasons)}.",
        code="model_worse",
        remedy="The model in force stays in force. --force publishes the new one all the same.",
    )


def make_postponed_error(found: FitPostponed) -> RecommendationError:
    """Return that somebody else is fitting, as an error."""
    return RecommendationError(
        f"Somebody else is fitting, or a fit broke off: the lease is taken until {found.until:%H:%M:%S} UTC.",
        code="fit_running",
        remedy="Wait until it has ended. The model in force stays in force.",
    )
