"""What all tests of live listening share."""

from __future__ import annotations

import pytest

from soundscape.audio.streaming.warm_up import warm_up


@pytest.fixture(scope="session", autouse=True)
def compiled_meters() -> None:
    """Compile the meters first: on a busy machine that takes longer than any answer is waited for."""
    warm_up()
