"""How fast loudness, rhythm and tonality are measured, and how often the tempo is right.

    OMP_NUM_THREADS=1 python benchmarks/meters.py speed    seconds per hour of stereo 44.1 kHz, one core
    python benchmarks/meters.py tempo                      right, octave errors and the rest, by rhythm

`speed` prints, in the same run, what others take: FFmpeg's ebur128 filter (true peak included), libebur128
where pyebur128 is installed, librosa's beat tracker and chroma on the same spectra. The sound is a recording
from ../shared/audio beside the project, repeated; without one, a made mixture.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import av
import librosa
import numpy as np
import soxr
from numpy.typing import NDArray

from soundscape.audio.loudness.k_weighting import WeightedEnergy
from soundscape.audio.loudness.meter import LoudnessMeter
from soundscape.audio.loudness.true_peak import TruePeakMeter
from soundscape.audio.rhythm.meter import RhythmMeter, measure_rhythm
from soundscape.audio.tonality.meter import TonalityMeter

ROOT = Path(__file__).resolve().parents[1]
RECORDING = ROOT.parent / "shared" / "audio" / "vibe_ace.ogg"
SR, BLOCK = 44_100, 65_536

Signal = NDArray[np.float32]


def sound(minutes: float) -> Signal:
    """Stereo at 44.1 kHz, about this long."""
    frames = int(minutes * 60 * SR)
    if RECORDING.exists():
        with av.open(str(RECORDING)) as container:
            resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SR)
            decoded = [f for frame in [*container.decode(audio=0), None] for f in resampler.resample(frame)]
        y = np.concatenate([f.to_ndarray() for f in decoded], axis=1)
    else:
        rng = np.random.default_rng(0)
        t = np.arange(60 * SR) / SR
        tone = 0.3 * np.sin(2 * np.pi * 220 * t) * np.exp(-((t * 2) % 1) * 4)
        y = np.vstack([tone + 0.02 * rng.normal(size=t.size) for _ in range(2)])
    return np.ascontiguousarray(np.tile(y, frames // y.shape[1] + 1)[:, :frames], dtype=np.float32)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def blocks(y: Signal) -> list[Signal]:
    return [np.ascontiguousarray(y[:, i : i + BLOCK]) for i in range(0, y.shape[1], BLOCK)]


def pushed(meter: LoudnessMeter | WeightedEnergy | TruePeakMeter, parts: list[Signal]) -> None:
    for part in parts:
        meter.push(part)
    if not isinstance(meter, WeightedEnergy):
        meter.result()


def ffmpeg_ebur128(parts: list[Signal]) -> None:
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=SR, format="fltp", layout="stereo")
    meter, sink = graph.add("ebur128", "peak=true+sample:metadata=1"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    pts = 0
    for part in [*parts, None]:
        frame = None
        if part is not None:
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = SR, pts
            pts += part.shape[1]
        graph.push(frame)
        while True:
            try:
                graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break


def libebur128(parts: list[Signal]) -> None:
    import pyebur128

    state = pyebur128.R128State(2, SR, 0x3F)
    for part in parts:
        state.add_frames(np.ascontiguousarray(part.T).ravel(), part.shape[1])
    pyebur128.get_loudness_global(state)
    pyebur128.get_loudness_range(state)


def speed(minutes: float) -> None:
    y = sound(minutes)
    parts = blocks(y)
    per_hour = 3600 / (y.shape[1] / SR)
    warm = blocks(y[:, : SR * 4])
    pushed(LoudnessMeter(sample_rate=SR, channels=2), warm)

    def report(name: str, seconds: float, against: float | None = None) -> float:
        ratio = "" if against is None else f"   {seconds / against:6.1f} x ours"
        print(f"{name:44s} {seconds * per_hour:7.2f} s per hour{ratio}")
        return seconds

    print(f"{y.shape[1] / SR / 60:.1f} minutes, stereo, {SR} Hz")
    meters = {"channels": 2, "sample_rate": SR}
    ours = report("loudness, all of it", timed(lambda: pushed(LoudnessMeter(**meters), parts)))
    report("  K-weighted energy alone", timed(lambda: pushed(WeightedEnergy(**meters), parts)))
    report("  true and sample peak alone", timed(lambda: pushed(TruePeakMeter(**meters), parts)))
    report("FFmpeg ebur128, peak=true+sample", timed(lambda: ffmpeg_ebur128(parts)), ours)
    try:
        report("libebur128 through pyebur128", timed(lambda: libebur128(parts)), ours)
    except ImportError:
        print("libebur128 through pyebur128                 not installed")

    mono = soxr.resample(y.mean(axis=0), SR, 22_050, "HQ").astype(np.float32)
    spectrum = np.abs(librosa.stft(mono, n_fft=2048, hop_length=512))
    S = np.ascontiguousarray(spectrum.T)
    mel = librosa.filters.mel(sr=22_050, n_fft=2048) @ spectrum**2
    log_mel = np.ascontiguousarray(10 * np.log10(np.maximum(mel, 1e-10)).T, dtype=np.float32)
    batches = range(0, S.shape[0], 64)

    def our_rhythm() -> None:
        meter = RhythmMeter(frame_rate_hz=22_050 / 512)
        for i in batches:
            meter.push(log_mel[i : i + 64])
        meter.result()

    def our_tonality() -> None:
        profile = TonalityMeter()
        for i in batches:
            profile.push(S[i : i + 64])
        profile.result()

    def librosa_rhythm() -> None:
        envelope = librosa.onset.onset_strength(S=log_mel.T, sr=22_050)
        librosa.beat.beat_track(onset_envelope=envelope, sr=22_050)
        librosa.onset.onset_detect(onset_envelope=envelope, sr=22_050)

    def librosa_tonality() -> None:
        tuning = librosa.estimate_tuning(S=spectrum, sr=22_050)
        librosa.feature.chroma_stft(S=spectrum**2, sr=22_050, tuning=tuning)

    for compiled in (our_rhythm, our_tonality, librosa_rhythm, librosa_tonality):
        compiled()
    ours = report("rhythm, from the shared mel spectrum", timed(our_rhythm))
    report("librosa onset strength, beats, onsets", timed(librosa_rhythm), ours)
    ours = report("tonality, from the shared spectrum", timed(our_tonality))
    report("librosa tuning and chroma", timed(librosa_tonality), ours)


def tempo_table() -> None:
    """50 to 200 BPM (drums 60 to 180), clean and under 20 and 6 dB of noise."""
    sys.path.insert(0, str(ROOT / "tests" / "audio"))
    from rhythm import test_meter as made

    print(f"{'':12s} right double half wrong none   librosa: right double half wrong")
    for kind in ("click", "accented", "unsteady", "swing 2:1", "swing 3:2", "chords", "drums"):
        tempi = range(60, 181, 6) if kind == "drums" else [*range(50, 200, 6), 200]
        ours, theirs = Counter[str](), Counter[str]()
        for snr_db in (None, 20.0, 6.0):
            for bpm in tempi:
                regions = made.regions(made.track(kind, bpm, snr_db))
                ours[made.verdict(measure_rhythm(regions, frame_rate_hz=22_050 / 512).tempo_bpm, bpm)] += 1
                theirs[
                    made.verdict(float(librosa.feature.tempo(onset_envelope=regions.sum(axis=1))[0]), bpm)
                ] += 1
        print(
            f"{kind:12s} {ours['right']:5d} {ours['double']:6d} {ours['half']:4d} {ours['wrong']:5d}"
            f" {ours['none']:4d}   {theirs['right']:14d} {theirs['double']:6d} {theirs['half']:4d}"
            f" {theirs['wrong']:5d}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["speed", "tempo"])
    parser.add_argument("--minutes", type=float, default=20)
    arguments = parser.parse_args()
    speed(arguments.minutes) if arguments.what == "speed" else tempo_table()


if __name__ == "__main__":
    main()
