"""JSON that is to be kept."""

from __future__ import annotations

import pytest

from embedded_supabase import payload


def nested(levels: int) -> str:
    return '{"x":[' * (levels // 2) + "[]" * (levels % 2) + "]}" * (levels // 2)


@pytest.mark.parametrize("levels", [0, 1, 99, payload.MAX_LEVELS])
def test_nesting_that_all_can_read_again(levels: int) -> None:
    payload.parse_storable(nested(levels) or "1")


@pytest.mark.parametrize("levels", [payload.MAX_LEVELS + 1, 200, 954, 100_000])
def test_deeper_nesting_is_refused(levels: int) -> None:
    with pytest.raises(ValueError, match=r"nested too deeply|recursion limit"):
        payload.parse_storable(nested(levels))
