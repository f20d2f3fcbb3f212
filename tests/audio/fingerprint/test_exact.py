"""The digest of decoded samples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from soundscape.audio.fingerprint import PcmDigest


def samples(channels: int, n: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (channels, n)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_it_is_the_blake3_of_interleaved_little_endian_float32(channels: int) -> None:
    y = samples(channels, 20_000)
    digest = PcmDigest()
    digest.push(y)
    assert digest.result() == blake3(y.T.astype("<f4").tobytes()).hexdigest()


def test_nothing_is_the_digest_of_nothing() -> None:
    assert PcmDigest().result() == blake3().hexdigest()


@given(st.lists(st.integers(0, 12_000), max_size=6))
def test_blocks_do_not_matter(cuts: list[int]) -> None:
    y = samples(2, 12_000)
    whole, parts = PcmDigest(), PcmDigest()
    whole.push(y)
    edges = [0, *sorted(cuts), 12_000]
    for first, last in itertools.pairwise(edges):
        parts.push(y[:, first:last])
    assert parts.result() == whole.result()
