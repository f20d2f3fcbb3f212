"""A snippet to be identified: the fingerprint of its beginning, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from soundscape.audio.decode.audio_file import Source, open_audio, open_binary
from soundscape.audio.fingerprint import Fingerprint, Fingerprinter
from soundscape.audio.limits import Limits
from soundscape.audio.spectrum import MonoSignal, Spectrum


@dataclass(frozen=True)
class Snippet:
    """The fingerprint of a snippet, and how many seconds of it were decoded."""

    fingerprint: Fingerprint
    heard_s: float


def fingerprint_snippet(source: Source, *, max_s: float, limits: Limits | None = None) -> Snippet:
    """Fingerprint the first `max_s` seconds of a recording. The rest is not decoded.

    Raises `UnreadableAudio` or `PolicyRefusal` with a code of `soundscape.audio.decode.refusals`.
    """
    with open_binary(source) as file, open_audio(file, limits or Limits()) as audio:
        to_mono = MonoSignal(sample_rate=audio.header.sample_rate, channels=audio.header.channels)
        spectrum, fingerprinter = Spectrum(), Fingerprinter()
        left = round(max_s * audio.header.sample_rate)
        decoded = 0
        for block in audio.blocks():
            part = block[:, : left - decoded]
            decoded += part.shape[1]
            for frames in spectrum.push(to_mono.push(part)):
                fingerprinter.push(frames.S)
            if decoded >= left:
                break
        for frames in (*spectrum.push(to_mono.finish()), *spectrum.finish()):
            fingerprinter.push(frames.S)
        return Snippet(fingerprinter.result(), decoded / audio.header.sample_rate)
