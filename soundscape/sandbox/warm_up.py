"""Everything that a job needs, imported and compiled in advance.

`python -m soundscape.sandbox.warm_up` compiles for whoever starts later, for example when an image is built.
numba compiles for the processor that it runs on. NUMBA_CPU_NAME names another, such as `x86-64-v3`. It must
be the same when the worker runs.
"""

from __future__ import annotations

import io
import tempfile
import wave
from collections.abc import Callable, Iterator
from pathlib import Path


def warm_up(folder: Path) -> None:
    """Analyse three seconds of a quiet tone in each way that there is, so that no job waits for it.

    folder: where to write meanwhile. It is left empty.
    """
    import numpy as np

    from soundscape.audio import snippet
    from soundscape.audio.analysis import analyze
    from soundscape.audio.rhythm.beats import find_beats
    from soundscape.audio.spectrum import FRAME_RATE_HZ

    for path, decoder in _write_tones(folder):
        # Drawing takes most of the time, and is the same for all of them.
        analyze(path, out_dir=folder, draw=decoder == "av")
        snippet.fingerprint_snippet(path, max_s=1.0)
    _warm_up_front_end()
    # A tone has no beats.
    find_beats(np.arange(400, dtype=np.float32) % 20, bpm=120.0, frame_rate_hz=FRAME_RATE_HZ)
    warm_up_images(folder)
    for left in folder.iterdir():
        left.unlink()


def _warm_up_front_end() -> None:
    """Compile the network's front end. It needs no model file, which may be pulled later."""
    import numpy as np

    from soundscape.audio.tagging import front_end

    front_end.FrontEnd(
        window=np.ones(front_end.FRAME_SAMPLES, dtype=np.float32),
        filters=np.ones((front_end.BANDS, front_end.N_FFT // 2 + 1), dtype=np.float32),
        log_offsets=np.ones(front_end.BANDS, dtype=np.float32),
        step=np.float32(1),
        zero=np.float32(0),
    ).measure(np.zeros(front_end.FRAME_SAMPLES, dtype=np.float32), 1)


def warm_up_snippets(folder: Path) -> None:
    """Fingerprint a tone, and nothing else. `folder` is left empty."""
    from soundscape.audio.snippet import fingerprint_snippet

    for path, _ in _write_tones(folder):
        fingerprint_snippet(path, max_s=1.0)
        path.unlink()


def warm_up_previews(folder: Path) -> None:
    """Encode the preview of a tone. `folder` is left empty."""
    from soundscape.audio.limits import Limits
    from soundscape.audio.preview import encode_preview

    path = folder / "tone.wav"
    _write_tone(path, channels=2, sample_bytes=2)
    with path.open("rb") as file:
        encode_preview(file, folder, limits=Limits())
    for left in folder.iterdir():
        left.unlink()


def warm_up_images(folder: Path) -> None:
    """Load every decoder of images, and nothing that decodes sound. Nothing is written to `folder`."""
    from PIL import Image

    from soundscape.sandbox.image import FORMATS, check_image

    for media_type, name in FORMATS.items():
        with io.BytesIO() as file:
            Image.new("RGB", (16, 16)).save(file, name)
            file.seek(0)
            check_image(file, media_type)


TASKS: dict[str, Callable[[Path], None]] = {
    "everything": warm_up,
    "snippets": warm_up_snippets,
    "previews": warm_up_previews,
    "images": warm_up_images,
}
"""What a child may be for, and what it does in advance. `everything` is analysis too."""


def _write_tones(folder: Path) -> Iterator[tuple[Path, str]]:
    """Write a tone for each way in which sound is decoded, one after the other, and name its decoder."""
    path = folder / "tone.wav"
    # libsndfile hands over 16 bits as integers, and all else as floats.
    for channels, sample_bytes, decoder in (
        (1, 2, "sndfile"),
        (2, 2, "sndfile"),
        (2, 3, "sndfile"),
        (2, 2, "av"),
    ):
        _write_tone(path, channels=channels, sample_bytes=sample_bytes)
        if decoder == "av":
            with path.open("r+b") as file:
                # A WAV that states no length is read by FFmpeg.
                file.seek(40)
                file.write(bytes(4))
        yield path, decoder


def _write_tone(path: Path, *, channels: int, sample_bytes: int) -> None:
    import numpy as np

    # In a second alone no tempo is sought.
    # A rate above the shared spectrum's: the resampler and the upper rows of the picture are used too.
    rate = 44_100
    tone = (2**26 * np.sin(np.arange(3 * rate) * (2 * np.pi * 440 / rate))).astype("<i4")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(sample_bytes)
        file.setframerate(rate)
        upper_bytes = np.repeat(tone, channels).view(np.uint8).reshape(-1, 4)[:, 4 - sample_bytes :]
        file.writeframes(upper_bytes.tobytes())


def main() -> None:
    """Compile what children and the worker need, and say where it is kept."""
    from soundscape.audio import code_folder
    from soundscape.audio.compiled import compile_counts
    from soundscape.audio.streaming import warm_up as live
    from soundscape.project.matching import load_matcher

    with tempfile.TemporaryDirectory() as folder:
        warm_up(Path(folder))
    live.warm_up()
    load_matcher()
    kept = "kept" if code_folder.is_lasting() else "not kept: no folder for it can be written"
    print(f"{compile_counts.compiled} functions compiled and {kept}, {compile_counts.loaded} found compiled")  # noqa: T201


if __name__ == "__main__":
    main()
