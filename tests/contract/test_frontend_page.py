"""The examples of docs/frontend.md, run by supabase-js in the order of a user's life."""

from __future__ import annotations

import re
from pathlib import Path

from tests import node
from tests.waiting import LIMIT_S

from .conftest import PASSWORD, Target, fresh_email, tone

PAGE = Path(__file__).parents[2] / "docs" / "frontend.md"


def test_every_example_of_the_page_runs(target: Target) -> None:
    examples = re.findall(r"```ts\n(.*?)```", PAGE.read_text(), re.DOTALL)
    seen = node.run(
        "frontend_page.mjs",
        {
            "url": target.url,
            "key": target.public_key,
            "email": fresh_email(),
            "password": PASSWORD,
            "wav": tone().hex(),
            "examples": examples,
            "limit_s": LIMIT_S,
        },
        # The steps have limits of their own.
        timeout_s=10 * LIMIT_S,
    )
    assert seen["title"] == "Dawn chorus"
    assert seen["refetched_when_visible"][:1] == ["all"]
    assert seen["listed"] == [["Dawn chorus", 200]]
    assert seen["played"] == 200
    assert seen["waveform_version"] == 2
    assert seen["led_to"] == "/sign-in?deleted=1"
    assert seen["session"] is None
    assert not seen["signs_in_again"], "the account was deleted"
    assert seen["not_run"] == []
