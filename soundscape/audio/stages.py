"""The stages of an analysis: their versions, and what each took in one recording."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from soundscape.audio import fingerprint
from soundscape.audio.record import Stage
from soundscape.audio.spectrum import HOP_LENGTH, MELS, N_FFT, SAMPLE_RATE
from soundscape.audio.tagging import embedding
from soundscape.audio.tagging.tagger import VERSION as TAGGING_VERSION

# A stage's version counts up when its results change; the stages are in the order in which they are reported.
STAGES = {
    "decode": "3",
    "hash": "2",
    "loudness": "1",
    "spectrum": "2",
    "spectral": "4",
    "rhythm": "7",
    "tonality": "4",
    "fingerprint": str(fingerprint.VERSION),
    "tags": f"yamnet-{TAGGING_VERSION}",
    "embedding": "6",
    "waveform": "3",
    "pictures": "6",
}
_PARAMETERS = {"sample_rate": SAMPLE_RATE, "n_fft": N_FFT, "hop_length": HOP_LENGTH, "mels": MELS}


def analysis_version(*, tagged: bool) -> str:
    """Name the code and its parameters: `a1-` and a digest, safe in object names.

    Parameters
    ----------
    tagged
        Whether the model listened. Without it tags are missing and the embedding is of another space.
    """
    space = embedding.WITH_MODEL if tagged else embedding.WITHOUT_MODEL
    named = json.dumps([STAGES, _PARAMETERS, space.name], sort_keys=True)
    return f"a1-{hashlib.sha256(named.encode()).hexdigest()[:10]}"


@dataclass
class StageClock:
    """Seconds spent in each stage, and why some were skipped."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    skipped: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def run(self, name: str) -> Iterator[None]:
        """Count the time spent inside for this stage."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - begin

    def skip(self, name: str, reason: str) -> None:
        """Mark a stage as skipped, with the reason and what fixes that."""
        self.skipped[name] = reason

    def report(self) -> tuple[Stage, ...]:
        """Report every stage, in order."""
        return tuple(
            Stage(
                name=name,
                version=version,
                status="skipped" if name in self.skipped else "done",
                seconds=round(self.seconds[name], 6),
                reason=self.skipped.get(name),
            )
            for name, version in STAGES.items()
        )
