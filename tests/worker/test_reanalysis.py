"""A newer analysis renews what an older one left: `soundscape reanalyze` and a worker, for real."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from soundscape.audio import analysis_version
from soundscape.settings import Settings
from soundscape.worker.worker import Worker
from tests.waiting import eventually
from tests.worker.test_worker import Bench, served_bench

OLD, RATE, BPM = "a1-0123456789", 22_050, 120.0


@pytest.fixture(scope="module")
def bench(data_dirs: Path) -> Iterator[Bench]:
    with served_bench(data_dirs / "reanalysis") as bench:
        yield bench


def clicks() -> bytes:
    """Twelve seconds of clicks, two a second."""
    time = np.arange(12 * RATE) / RATE
    since = np.mod(time - 0.2, 60 / BPM)
    y = 0.5 * np.sin(2 * np.pi * 1000 * since) * np.exp(-since / 0.01) * (time >= 0.2)
    file = io.BytesIO()
    soundfile.write(file, y, RATE, format="WAV")
    return file.getvalue()


async def reanalyze(bench: Bench, *arguments: str) -> Any:
    """What `soundscape reanalyze` says."""
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "soundscape", "reanalyze", "--json", *arguments),
        env=os.environ | bench.project.environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    stdout, _ = await command.communicate()
    assert command.returncode == 0
    return json.loads(stdout)


async def test_rows_of_an_older_version_are_renewed(bench: Bench, tmp_path: Path) -> None:
    settings = Settings.from_environment(bench.project.environment()).model_copy(
        update={"scratch_dir": tmp_path, "poll_min_s": 0.05, "poll_max_s": 0.5}
    )
    worker = Worker(settings)
    await worker.start()
    try:
        audio_id, _ = bench.recording(clicks())
        await eventually(lambda: bench.status(audio_id) == "ready")

        # As an older installation left it: its version, and what it thought of the tempo.
        bench.sql(
            "update public.audio_features set analysis_version = %s, tempo_bpm = 60 where audio_id = %s",
            OLD,
            audio_id,
        )
        bench.sql("update public.audio_files set analysis_version = %s where id = %s", OLD, audio_id)

        wanted = analysis_version(tagged=False)
        answer = await reanalyze(bench, "--version", wanted)
        assert answer == {"version": wanted, "found": 1, "enqueued": 1, "busy": 0}

        def versions() -> set[str]:
            rows = bench.sql(
                "select f.analysis_version as of_file, m.analysis_version as of_features"
                " from public.audio_files f join public.audio_features m on m.audio_id = f.id"
                " where f.id = %s",
                audio_id,
            )
            return {str(version) for row in rows for version in row.values()}

        await eventually(lambda: versions() == {wanted})
        assert bench.status(audio_id) == "ready"
        (features,) = bench.sql("select tempo_bpm from public.audio_features where audio_id = %s", audio_id)
        assert features["tempo_bpm"] == pytest.approx(BPM, rel=0.01)
        assert (await reanalyze(bench, "--version", wanted, "--plan"))["found"] == 0
    finally:
        await worker.stop()
