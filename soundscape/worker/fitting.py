"""Recommendations: a model of what people chose, fitted at intervals by a child process of one worker."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from pathlib import Path

import structlog

from soundscape.sandbox.parent import INHERITED_VARIABLES, SINGLE_THREAD
from soundscape.settings import Settings

log = structlog.get_logger(__name__)

MAX_FIT_S = 3600.0
STOP_GRACE_S = 10.0


def choose_pause_s(every_h: int) -> float:
    """A random pause before the next try: workers that start together must not ask together."""
    return every_h * 3600 / 24 * secrets.SystemRandom().uniform(0.5, 1.0)


async def keep_fitting(settings: Settings, folder: Path) -> None:
    """Run `soundscape recommend fit --every` again and again, until cancelled.

    The database decides whether a fit is due and that only one worker fits. A fit that fails is logged; the
    current model stays in use.
    """
    assert settings.recommend_every_h is not None
    while True:
        await asyncio.sleep(choose_pause_s(settings.recommend_every_h))
        try:
            await fit_once(settings, folder, every_h=settings.recommend_every_h)
        except OSError as error:
            log.warning("no model could be fitted", error=str(error))


async def fit_once(settings: Settings, folder: Path, *, every_h: float) -> int | None:
    """Fit a model if one is due, in a child process. Returns its exit status, or None after an hour."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-m", "soundscape", "recommend", "fit", "--json", "--every", str(every_h)),
        env=SINGLE_THREAD
        | {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
        | {"SUPABASE_URL": settings.supabase_url, "SUPABASE_SECRET_KEY": settings.secret_key},
        # So that no .env file is read.
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(MAX_FIT_S):
            stdout, stderr = await process.communicate()
    except TimeoutError:
        log.warning("a fit took too long and was ended", seconds=MAX_FIT_S)
        return None
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_GRACE_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
    _log_result(process.returncode, stdout, stderr)
    return process.returncode


def _log_result(status: int | None, stdout: bytes, stderr: bytes) -> None:
    lines = stderr.decode(errors="replace").strip().splitlines()
    try:
        result = json.loads(stdout) if stdout.strip() else {}
    except ValueError:
        result = {}
    if status != 0:
        log.warning("no model was published", status=status, reason=" ".join(lines[-2:])[:500])
    elif result.get("published"):
        figures = result["figures"]["models"]["as served"]
        log.info("a model was published", model=result["model"], people=result["people"], **figures)
