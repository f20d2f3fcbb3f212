"""A model of what people chose, fitted every so many hours: by a child process, of one worker among many."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from pathlib import Path

import structlog

from soundscape.sandbox.parent import PASSED_ON, SINGLE_THREAD
from soundscape.settings import Settings

log = structlog.get_logger(__name__)

MOST_S = 3600.0
STOP_GRACE_S = 10.0


def pause_s(every_h: int) -> float:
    """How long until the next look, by chance: workers that start together are not to ask together."""
    return every_h * 3600 / 24 * secrets.SystemRandom().uniform(0.5, 1.0)


async def keep_fitting(settings: Settings, folder: Path) -> None:
    """Run `soundscape recommend fit --every` again and again, until cancelled.

    The database says whether it is due and nobody else is at it. What is refused, or goes wrong, is told to
    the log; the model in force goes on serving.
    """
    assert settings.recommend_every_h is not None
    while True:
        await asyncio.sleep(pause_s(settings.recommend_every_h))
        try:
            await fit_once(settings, folder, every_h=settings.recommend_every_h)
        except OSError as error:
            log.warning("no model could be fitted", error=str(error))


async def fit_once(settings: Settings, folder: Path, *, every_h: float) -> int | None:
    """Fit where it is due, in a child that may take an hour; its exit status, None if it took longer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-m", "soundscape", "recommend", "fit", "--json", "--every", str(every_h)),
        env=SINGLE_THREAD
        | {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        | {"SUPABASE_URL": settings.supabase_url, "SUPABASE_SECRET_KEY": settings.secret_key},
        # No .env of somebody's is read there.
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(MOST_S):
            said, complained = await process.communicate()
    except TimeoutError:
        log.warning("a fit took too long and was ended", seconds=MOST_S)
        return None
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_GRACE_S)
            except TimeoutError:
                process.kill()
                await process.wait()
    _tell(process.returncode, said, complained)
    return process.returncode


def _tell(status: int | None, said: bytes, complained: bytes) -> None:
    words = complained.decode(errors="replace").strip().splitlines()
    try:
        found = json.loads(said) if said.strip() else {}
    except ValueError:
        found = {}
    if status != 0:
        log.warning("no model was published", status=status, reason=" ".join(words[-2:])[:500])
    elif found.get("published"):
        ours = found["figures"]["models"]["as served"]
        log.info("a model was published", model=found["model"], people=found["people"], **ours)
