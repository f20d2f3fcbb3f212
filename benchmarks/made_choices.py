"""Choices of made users whose taste is known to be of low rank, with features of what they choose among."""

from __future__ import annotations

import re

import numpy as np

from soundscape.deploy import sources
from soundscape.recommend.interactions import Float32, Interactions
from soundscape.recommend.served_model import ServingWeights

SPAN_S = 365 * 86400


def made(
    users: int, items: int, choices: int, *, rank: int = 16, features: int = 128, seed: int = 0
) -> tuple[Interactions, Float32]:
    """About `choices` events of weight 1 and random times, and features, (items chosen, features).

    A user's choices are drawn without putting back, by the Gumbel trick, with log-odds twice the product of
    tastes plus -0.8 log(rank of popularity). Features are a random projection of the items' tastes with
    noise of the same size.
    """
    rng = np.random.default_rng(seed)
    people = rng.normal(size=(users, rank))
    tastes = rng.normal(size=(items, rank)) / np.sqrt(rank)
    popular = -0.8 * np.log(1 + rng.permutation(items))
    eager = rng.lognormal(0, 0.7, users)
    count = np.clip(eager / eager.sum() * choices, 5, items // 2).round().astype(int)
    odds = 2 * people @ tastes.T + popular + rng.gumbel(size=(users, items))
    found = Interactions.from_events(
        (str(user), str(item), 1.0, float(rng.uniform(0, SPAN_S)))
        for user in range(users)
        for item in np.argpartition(-odds[user], count[user])[: count[user]]
    )
    known = tastes @ rng.normal(size=(rank, features))
    known = known / known.std() + rng.normal(size=known.shape)
    order = [int(item) for item in found.items]
    scaled = (known - known.mean(axis=0)) / known.std(axis=0)
    return found, scaled[order].astype(np.float32)


def serving_weights() -> ServingWeights:
    """The weights of a project that was just deployed: the defaults of the table that holds their row."""
    (migration,) = [each for each in sources.migrations() if each.name == "recommendations"]
    table = migration.sql.partition("create table soundscape.recommendation_weights (")[2].partition("\n);")[
        0
    ]
    found = re.findall(
        r"^    (\w+) (integer|double precision) not null default ([\d.]+)", table, re.MULTILINE
    )
    return ServingWeights.from_row(
        {name: int(value) if kind == "integer" else float(value) for name, kind, value in found}
    )
