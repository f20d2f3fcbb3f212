"""After the warm-up no job waits for a function to be compiled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.audio.tag_model import MODEL, needs_model

COMPILE_LIMIT_S = 600.0
"""For all that is compiled on a loaded machine, if nothing is found compiled."""

ANALYZE = """
import sys
from pathlib import Path
import numpy as np
import soundfile
from soundscape.audio.analysis import analyze
from soundscape.audio.compiled import compile_counts
from soundscape.sandbox.warm_up import warm_up

folder = Path(sys.argv[1])
warm_up(folder)
before = compile_counts.compiled + compile_counts.loaded
assert before > 20, before
random = np.random.default_rng(1)
for name, subtype, rate, channels, duration_s in (
    ("int16.wav", "PCM_16", 44_100, 2, 6),
    ("int24.wav", "PCM_24", 44_100, 2, 6),
    ("float.wav", "FLOAT", 48_000, 1, 6),
    ("six.wav", "PCM_24", 96_000, 6, 6),
    ("int8.wav", "PCM_U8", 8_000, 1, 6),
    ("lossless.flac", "PCM_16", 22_050, 1, 6),
    ("lossless24.flac", "PCM_24", 48_000, 2, 6),
    ("lossy.mp3", "MPEG_LAYER_III", 44_100, 2, 6),
    ("lossy.ogg", "VORBIS", 44_100, 2, 6),
    # Long enough for all that is left out of long recordings; the last batch has two frames.
    ("long.wav", "PCM_16", 8_000, 1, 125),
    ("longer.wav", "PCM_16", 22_050, 1, 126),
):
    t = np.arange(duration_s * rate) / rate
    beat = np.exp(-((t * 2) % 1) * 50) * random.standard_normal(len(t)) * 0.2 + 0.1 * np.sin(2764 * t)
    soundfile.write(folder / name, np.repeat(beat[:, np.newaxis], channels, axis=1), rate, subtype)
    analyze(folder / name, out_dir=folder, tags=False)
    after = compile_counts.compiled + compile_counts.loaded
    if after > before:
        print(name, after - before)
    before = after
"""


TAG = """
import sys
from pathlib import Path
import numpy as np
import soundfile
from soundscape.audio.analysis import analyze
from soundscape.audio.compiled import compile_counts
from soundscape.sandbox.warm_up import warm_up

folder = Path(sys.argv[1])
warm_up(folder)
before = compile_counts.compiled + compile_counts.loaded
noise = np.random.default_rng(1).standard_normal(30 * 22_050) * 0.1
soundfile.write(folder / "noise.wav", noise, 22_050, "PCM_16")
record = analyze(folder / "noise.wav", models_dir=Path(sys.argv[2]))
assert record.tags is not None
if compile_counts.compiled + compile_counts.loaded > before:
    print(compile_counts.compiled + compile_counts.loaded - before)
"""


def run(script: str, *folders: Path) -> str:
    """Run a script in a process of its own, which is given the folders; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, folders)],
        capture_output=True,
        text=True,
        check=False,
        timeout=COMPILE_LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_decodes_a_snippet_is_loaded(tmp_path: Path) -> None:
    """FFmpeg too: browsers record WebM and MP4."""
    script = (
        "import sys; from pathlib import Path; from soundscape.sandbox.warm_up import warm_up_snippets; "
        "warm_up_snippets(Path(sys.argv[1])); assert 'av' in sys.modules; assert 'soundfile' in sys.modules"
    )
    run(script, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_compiled_or_loaded_during_a_job(tmp_path: Path) -> None:
    assert run(ANALYZE, tmp_path) == ""


@needs_model
def test_the_model_may_be_brought_after_the_warm_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUNDSCAPE_MODELS_DIR", str(tmp_path / "none"))
    (tmp_path / "folder").mkdir()
    assert run(TAG, tmp_path / "folder", MODEL.parent) == ""
