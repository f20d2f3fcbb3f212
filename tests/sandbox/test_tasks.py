"""A child for one task is prepared for that alone, and takes nothing else."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from PIL import Image

from soundscape.audio.limits import Limits
from soundscape.sandbox.parent import Sandbox
from soundscape.sandbox.protocol import Analysis
from tests.waiting import LIMIT_S

from .test_parent import recording


def image() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 8)).save(file, "PNG")
    return file.getvalue()


ASKED: dict[str, Callable[[Sandbox, io.BufferedReader], Awaitable[Analysis]]] = {
    "everything": lambda box, file: box.analyze(file, wall_s=LIMIT_S),
    "snippets": lambda box, file: box.fingerprint(file, snippet_s=1.0, wall_s=LIMIT_S, limits=Limits()),
    "previews": lambda box, file: box.encode_preview(file, wall_s=LIMIT_S, limits=Limits()),
    "images": lambda box, file: box.check_image(file, media_type="image/png", wall_s=LIMIT_S),
}
FOUND = {"everything": "source", "snippets": "fingerprint", "previews": "preview", "images": "frames"}


@asynccontextmanager
async def started(folder: Path, task: str) -> AsyncIterator[Sandbox]:
    box = Sandbox(folder, task=task)
    await box.start()
    try:
        yield box
    finally:
        await box.stop()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    sound, picture = tmp_path / "sound.wav", tmp_path / "picture.png"
    sound.write_bytes(recording().getvalue())
    picture.write_bytes(image())
    return {task: picture if task == "images" else sound for task in ASKED}


@pytest.mark.parametrize("task", [task for task in ASKED if task != "everything"])
async def test_it_does_its_task_and_no_other(scratch: Path, files: dict[str, Path], task: str) -> None:
    async with started(scratch, task) as box:
        for asked, ask in ASKED.items():
            with files[asked].open("rb") as file:
                if asked == task:
                    assert FOUND[task] in (await ask(box, file)).record
                else:
                    with pytest.raises(ValueError, match=f"for {task}, not for {asked}"):
                        await ask(box, file)


async def test_a_child_for_everything_does_each(scratch: Path, files: dict[str, Path]) -> None:
    async with started(scratch, "everything") as box:
        for asked, ask in ASKED.items():
            with files[asked].open("rb") as file:
                assert FOUND[asked] in (await ask(box, file)).record


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_child_for_images_loads_nothing_that_decodes_sound(scratch: Path) -> None:
    async with started(scratch, "images") as box:
        assert box._process is not None
        mapped = Path(f"/proc/{box._process.pid}/maps").read_text()
        assert "PIL" in mapped
        assert not [name for name in ("numpy", "numba", "llvmlite", "av.libs", "sndfile") if name in mapped]
