"""The fit of the test that tells one recording from works that share notes.

    python benchmarks/fingerprint_sameness.py

Fits the logistic on `fingerprint_sameness.csv`, prints what to freeze as `score.FITTED_SAMENESS`, and fails
if that is not what is frozen. `fingerprint_works.py measure` writes the rows, from the design half alone: one
for each candidate that agrees with a query beyond chance, or a row without numbers if a query has none.

The weights come from all rows. The bias puts the threshold where `FALSE_SHARE` of the queries for rendered
works name another work. For this, each instrument's queries are judged by weights that were fitted without
it: works that users have are played by other instruments than these.
"""

from __future__ import annotations

import csv
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from soundscape.audio.fingerprint import score

ROWS = Path(__file__).with_suffix(".csv")
FEW_PEAKS = "few peaks"
FALSE_SHARE = 0.0075
FALSE_WEIGHT = 3.0
"""What all rows of other works weigh together, relative to those of the same recording."""
PENALTY = 0.01
DECIMALS = 2

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """What was measured: of candidates of the same recording, and of other works.

    Attributes
    ----------
    same, other
        Features, shape (n, features).
    same_kind, instrument
        What each row of `same` was made from, and which instrument plays the query of a row of `other`.
    query
        Number of the query of each row of `other`.
    queries
        How many queries for works there were, by instrument, with those that have no row.
    """

    same: Floats
    same_kind: npt.NDArray[np.str_]
    other: Floats
    instrument: npt.NDArray[np.str_]
    query: npt.NDArray[np.int64]
    queries: dict[str, int]


def read_rows(path: Path = ROWS) -> Rows:
    """Read the rows that `fingerprint_works.py measure` wrote."""
    same: list[list[float]] = []
    same_kind: list[str] = []
    other: list[list[float]] = []
    instrument: list[str] = []
    query: list[int] = []
    asked: dict[str, set[str]] = {}
    with path.open(newline="") as file:
        lines = csv.reader(file)
        next(lines)
        for truth, kind, number, *features in lines:
            if truth == "other":
                asked.setdefault(kind, set()).add(number)
            if not features[0]:
                continue
            if truth == "same":
                same.append([float(x) for x in features])
                same_kind.append(kind)
            else:
                other.append([float(x) for x in features])
                instrument.append(kind)
                query.append(int(number))
    return Rows(
        np.array(same),
        np.array(same_kind),
        np.array(other),
        np.array(instrument),
        np.array(query),
        {kind: len(numbers) for kind, numbers in asked.items()},
    )


def fit_weights(same: Floats, other: Floats) -> Floats:
    """Fit a logistic by Newton's method. Returns its bias and weights, shape (1 + features,)."""
    X = np.concatenate([same, other])
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    X = np.column_stack([np.ones(X.shape[0]), (X - mean) / deviation])
    truth = np.r_[np.ones(same.shape[0]), np.zeros(other.shape[0])]
    weigh = np.where(truth == 1, 1.0, FALSE_WEIGHT * same.shape[0] / other.shape[0])
    penalty = np.diag(np.r_[0.0, np.full(X.shape[1] - 1, PENALTY)])
    found = np.zeros(X.shape[1])
    for _ in range(100):
        p = 1.0 / (1.0 + np.exp(-X @ found))
        slope = X.T @ (weigh * (p - truth)) + penalty @ found
        bend = (X * (weigh * p * (1.0 - p))[:, None]).T @ X + penalty
        step = np.linalg.solve(bend, slope)
        found = found - step
        if np.max(np.abs(step)) < 1e-10:
            break
    weights = found[1:] / deviation
    return np.r_[found[0] - weights @ mean, weights]


def judge_unseen(rows: Rows) -> tuple[Floats, Floats]:
    """Judge each row by weights that were fitted without its instrument, or kind of recording.

    Returns
    -------
    best, same
        Log odds of the best row of each query for a rendered work, -inf where it has none; and of each row of
        `same`.
    """
    of_row = np.empty(rows.other.shape[0])
    for instrument in np.unique(rows.instrument):
        held = rows.instrument == instrument
        fitted = fit_weights(rows.same, rows.other[~held])
        of_row[held] = fitted[0] + rows.other[held] @ fitted[1:]
    same = np.empty(rows.same.shape[0])
    for kind in np.unique(rows.same_kind):
        held = rows.same_kind == kind
        fitted = fit_weights(rows.same[~held], rows.other)
        same[held] = fitted[0] + rows.same[held] @ fitted[1:]
    rendered = rows.instrument != FEW_PEAKS
    numbers, place = np.unique(rows.query[rendered], return_inverse=True)
    best = np.full(sum(n for kind, n in rows.queries.items() if kind != FEW_PEAKS), -np.inf)
    np.maximum.at(best[: numbers.shape[0]], place, of_row[rendered])
    return best, same


def fit(rows: Rows, false_share: float = FALSE_SHARE) -> score.Logistic:
    """Fit the logistic that tells recordings from works that share notes."""
    fitted = fit_weights(rows.same, rows.other)
    best, _ = judge_unseen(rows)
    cut = float(np.sort(best)[::-1][int(false_share * best.shape[0])])
    bias = float(fitted[0]) - cut + math.log(score.THRESHOLD / (1.0 - score.THRESHOLD))
    return score.Logistic(round(bias, DECIMALS), tuple(round(float(w), DECIMALS) for w in fitted[1:]))


def main() -> int:
    rows = read_rows()
    fitted = fit(rows)
    best, same = judge_unseen(rows)
    print(f"FITTED_SAMENESS = {fitted}\n")
    print(f"{best.shape[0]} queries for rendered works, {np.sum(best > -np.inf)} named without the test")
    kinds = sorted({kind.split(",")[0] for kind in rows.same_kind.tolist()})
    print(f"\n| another work named | {' | '.join(f'{kind} lost' for kind in kinds)} |")
    print("|---" * (1 + len(kinds)) + "|")
    for share in (0.0025, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05):
        cut = np.sort(best)[::-1][int(share * best.shape[0])]
        lost = [np.mean(same[np.char.startswith(rows.same_kind, kind)] <= cut) for kind in kinds]
        print(f"| {share:.2%} | {' | '.join(f'{x:.1%}' for x in lost)} |")
    if fitted == score.FITTED_SAMENESS:
        return 0
    print(f"\nfrozen is {score.FITTED_SAMENESS}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
