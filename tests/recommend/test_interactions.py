"""Events and features, read from the files people have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from soundscape.errors import RecommendationError
from soundscape.recommend import features
from soundscape.recommend.interactions import Interactions, read_interactions

EVENTS = "user,item,weight,time\na,x,1,10\na,y,2.5,20\nb,x,,30\na,x,3,40\n"
DENSE = [[4.0, 2.5], [1.0, 0.0]]


def _write(folder: Path, text: str, name: str = "events.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        EVENTS,
        EVENTS.replace(",", "\t"),
        "\ufeff" + EVENTS,
        EVENTS.replace("\n", "\r\n"),
        EVENTS.replace("user,item,weight,time", "USER_ID, audio_id, weight, timestamp"),
        "nonsense,user,item,weight\n?,a,x,4\n?,a,y,2.5\n?,b,x,1\n",
    ],
    ids=["csv", "tabs", "byte order mark", "carriage returns", "other names", "other columns"],
)
def test_csv(tmp_path: Path, text: str) -> None:
    found = read_interactions(_write(tmp_path, text))
    assert (found.users, found.items) == (("a", "b"), ("x", "y"))
    assert found.matrix.toarray().tolist() == DENSE


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    columns = {"user": ["a", "a", "b", "a"], "item": ["x", "y", "x", "x"], "weight": [1, 2.5, None, 3]}
    times = pa.array([10, 20, 30, 40], pa.timestamp("s", tz="UTC"))
    parquet.write_table(pa.table({**columns, "time": times}), path)
    found, same = read_interactions(path), read_interactions(_write(tmp_path, EVENTS))
    assert found.matrix.toarray().tolist() == DENSE
    assert found.time is not None
    assert same.time is not None
    assert found.time.tolist() == same.time.tolist()


def test_times_are_seconds_or_iso_8601(tmp_path: Path) -> None:
    found = read_interactions(
        _write(tmp_path, "user,item,time\na,x,86400\na,y,1970-01-02T00:00:00Z\na,z,1970-01-02\n")
    )
    assert found.time is not None
    assert found.time.tolist() == [86400.0] * 3


def test_times_count_only_if_all_are_there(tmp_path: Path) -> None:
    assert read_interactions(_write(tmp_path, "user,item,time\na,x,1\na,y,\n")).time is None


def test_skips_weigh_against_and_never_become_a_choice() -> None:
    found = Interactions.from_events(
        [("a", "x", 1, None), ("a", "x", -2, None), ("a", "y", 2, None), ("a", "y", -1, None)]
    )
    assert found.matrix.toarray().tolist() == [[0.0, 1.0]]
    assert found.matrix.nnz == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column"),
        ("user,weight\na,1\n", "no column"),
        ("user,item\n", "no events"),
        ("user,item,weight\na,x,1\na,y,much\n", "event 2"),
        ("user,item,weight\na,x,nan\n", "no finite number"),
        ("user,item,time\na,x,yesterday\n", "event 1"),
        ("user,item\n,x\n", "without a name"),
        ("item,user\nx\n", "event 1"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RecommendationError, match=said):
        read_interactions(_write(tmp_path, text))


@pytest.mark.parametrize("name", ["events.csv", "events.parquet"])
def test_bytes_that_are_no_table(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xff\xfe\x00PAR1 nothing")
    with pytest.raises(RecommendationError, match="cannot be read"):
        read_interactions(tmp_path / name)


def test_features_of_numbers_lists_and_words(tmp_path: Path) -> None:
    text = 'item,tempo,embedding,tags\nx,120,"[1, 0]",rain|night\ny,60,"[0, 1]",rain\nz,90,"[1, 0]",night\n'
    found = features.read_features(_write(tmp_path, text), ("z", "x", "unknown", "y"))
    assert found.shape == (4, 5)  # tempo, two of the embedding, night, rain
    assert found[2].tolist() == [0.0] * 5
    known = found[[0, 1, 3]]
    np.testing.assert_allclose(known.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(known.std(axis=0), 1, atol=1e-6)
    assert known[:, 0].argsort().tolist() == [2, 0, 1]
    assert (known[:, 3] > 0).tolist() == [True, True, False]
    assert (known[:, 4] > 0).tolist() == [False, True, True]


def test_features_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "features.parquet"
    parquet.write_table(pa.table({"item": ["x", "y"], "embedding": [[1.0, 5.0], [3.0, 5.0]]}), path)
    assert features.read_features(path, ("y", "x")).tolist() == [[1.0], [-1.0]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,tempo\nx,1\n", "no column"),
        ("item,tempo\nother,1\n", "tells none"),
        ("item,tempo\nx,1\ny,1\n", "tells none"),
        ("item\nx\n", "tells none"),
        ('item,embedding\nx,"[1, 2]"\ny,"[1]"\n', "as features"),
        ('item,embedding\nx,"[1, 2"\ny,"[1, 2]"\n', "as features"),
    ],
)
def test_features_that_say_nothing(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RecommendationError, match=said):
        features.read_features(_write(tmp_path, text), ("x", "y"))
