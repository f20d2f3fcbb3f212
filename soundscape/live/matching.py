"""What is playing: the latest 10 s are looked up every 5 s of sound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from soundscape.errors import SoundScapeError
from soundscape.live.engine import Engine
from soundscape.live.listening import Listening, Matcher
from soundscape.live.owner import Owner

log = structlog.get_logger(__name__)

MATCH_EVERY_S = 5.0


async def keep_matching(
    match: Matcher,
    listening: Listening,
    engine: Engine,
    *,
    read_owner: Callable[[], Owner],
    answer: Callable[..., None],
) -> None:
    """Look up what is heard until it is cancelled.

    Parameters
    ----------
    match
        Looks a fingerprint up.
    listening, engine
        What makes it, and where.
    read_owner
        Whose recordings are looked through, with the token of the moment.
    answer
        Called with each answer.
    """
    looked_up_s = 0.0
    while True:
        await asyncio.sleep(MATCH_EVERY_S / 10)
        heard_s = listening.duration_s
        if heard_s - looked_up_s < MATCH_EVERY_S:
            continue
        looked_up_s = heard_s
        try:
            fingerprint = await engine.read(listening.fingerprint)
            matches = await match(read_owner(), fingerprint)
        except SoundScapeError as error:
            log.warning("a live match failed", error=str(error))
            answer({"type": "warning", "code": error.code, "message": "The latest sound was not matched."})
            continue
        answer({"type": "match", "audio_time_s": round(heard_s, 4), "matches": matches})
