"""How fast the one pass is, beside separate librosa calls on the same sound, and what its stages cost.

    python benchmarks/analysis.py                      # 60 minutes; librosa on the first 5 of them
    python benchmarks/analysis.py --minutes 5          # a quick look
    python benchmarks/analysis.py --minutes 360 --librosa-minutes 0 --no-tags     # memory of six hours
    python benchmarks/analysis.py --reference REVISION --minutes 20               # beside another revision
    python benchmarks/analysis.py --parts                                         # the kernels, one by one

Every measurement is a process of its own, on one core, after a warm-up on ten seconds (so neither imports nor
compilation count). Speeds are seconds of sound per second of wall time; "cpu" beside them is per second of
processor time, which other work on the machine disturbs less. librosa holds recordings in memory whole and
slows down as they grow, so an excerpt flatters it; --librosa-minutes 60 gives it the hour (6 GB of memory).

With --reference, this tree and a checkout of that revision take turns, with the libraries of this environment
for both. The least processor time of --rounds counts: of the pass, and of a whole process from its start.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
RATE = 44_100
ONE_CORE = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


def make_recording(path: Path, minutes: float) -> None:
    """Music, speech and nature in turn, stereo, 16 bit; synthesised chords where there are no recordings."""
    import numpy as np
    import soundfile
    import soxr

    sounds = []
    for name in ("vibe_ace.ogg", "speech_a.ogg", "lets_go_fishin.ogg", "rain.ogg", "hungarian_dance_5.ogg"):
        if (SHARED / "audio" / name).exists():
            y, sample_rate = soundfile.read(SHARED / "audio" / name, always_2d=True)
            sounds.append(soxr.resample(np.repeat(y, 2, axis=1)[:, :2], sample_rate, RATE))
    if not sounds:
        time_s = np.arange(60 * RATE) / RATE
        chord = sum(np.sin(2 * np.pi * hz * time_s) for hz in (220.0, 277.2, 329.6))
        beat = np.exp(-8 * (time_s % 0.5))
        noise = np.random.default_rng(0).standard_normal((len(time_s), 2)) * 0.02
        sounds = [0.2 * (chord * beat)[:, np.newaxis] + noise]
    turn = (np.clip(np.concatenate(sounds), -1, 1) * 32767).astype(np.int16)
    wanted = round(minutes * 60 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16", format="RF64") as output:
        while wanted > 0:
            output.write(turn[:wanted])
            wanted -= len(turn)


def measure_pass(path: Path, *, tags: bool, models_dir: Path | None) -> dict[str, Any]:
    from soundscape.audio.analysis import analyze
    from soundscape.audio.limits import Limits

    limits = Limits(max_duration_s=25 * 3600, max_size_bytes=1 << 40)
    with tempfile.TemporaryDirectory() as out:
        record = analyze(path, out_dir=Path(out), tags=tags, models_dir=models_dir, limits=limits)
    return {"stages": {stage.name: stage.seconds for stage in record.stages if stage.status == "done"}}


def measure_librosa(path: Path, **_: Any) -> dict[str, Any]:
    import librosa

    y, sr = librosa.load(path, sr=22_050)
    feature = librosa.feature
    for describe in (
        feature.spectral_centroid,
        feature.spectral_bandwidth,
        feature.spectral_rolloff,
        feature.spectral_contrast,
        feature.mfcc,
        feature.melspectrogram,
        feature.chroma_stft,
    ):
        describe(y=y, sr=sr)
    feature.spectral_flatness(y=y)
    feature.rms(y=y)
    feature.zero_crossing_rate(y)
    librosa.onset.onset_detect(y=y, sr=sr)
    librosa.beat.beat_track(y=y, sr=sr)
    librosa.estimate_tuning(y=y, sr=sr)
    return {}


def measure_decode(path: Path, **_: Any) -> dict[str, Any]:
    import numpy as np
    import soundfile

    with soundfile.SoundFile(path) as file:
        block = np.empty((65_536, 2), dtype=np.float32)
        while len(file.read(out=block)) == len(block):
            pass
    return {}


def measure_fft(path: Path, **_: Any) -> dict[str, Any]:
    import numpy as np
    import scipy.fft
    import soundfile

    frames = soundfile.info(path).frames // 2 // 512
    batch = np.random.default_rng(0).standard_normal((64, 2048)).astype(np.float32)
    for _turn in range(-(-frames // 64)):
        scipy.fft.rfft(batch, axis=1, workers=1)
    return {}


MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    "pass": measure_pass,
    "librosa": measure_librosa,
    "decode": measure_decode,
    "fft": measure_fft,
}


def child(name: str, path: Path, warm_up: Path | None, options: dict[str, Any]) -> None:
    """Measure once and print the result as JSON. Without a warm-up the time since the start counts."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if options.get("models_dir"):
        options["models_dir"] = Path(options["models_dir"])
    wall_s, cpu_s = time.perf_counter(), 0.0
    if warm_up is not None:
        MEASURES[name](warm_up, **options)
        wall_s, cpu_s = time.perf_counter(), time.process_time()
    found = MEASURES[name](path, **options)
    found["wall_s"], found["cpu_s"] = time.perf_counter() - wall_s, time.process_time() - cpu_s
    found["peak_rss_mb"] = peak_rss_mb()
    print(json.dumps(found))


def peak_rss_mb() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        # The kernel's other count, ru_maxrss, is inherited from the parent through exec.
        return next(int(line.split()[1]) for line in status.open() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


def measured(
    name: str, path: Path, warm_up: Path | None, *, tree: Path = ROOT, **options: Any
) -> dict[str, Any]:
    """Measure in a process of its own; `tree`: the checkout whose code is measured."""
    arguments = [name, str(path), str(warm_up or ""), json.dumps(options)]
    done = subprocess.run(
        [sys.executable, __file__, "--child", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **ONE_CORE, "PYTHONPATH": str(tree)},
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(title: str, found: dict[str, Any], sound_s: float) -> float:
    speed: float = sound_s / found["wall_s"]
    print(
        f"{title:34} {speed:7.0f}x real time  (cpu {sound_s / found['cpu_s']:5.0f}x)  "
        f"{found['wall_s']:7.2f} s  {found['peak_rss_mb']:6.0f} MB"
    )
    return speed


def measure_parts() -> None:
    """Print what an hour costs in each part alone: the least of many short turns, the data in the cache."""
    import numpy as np
    import scipy.fft

    from soundscape.audio import spectrum
    from soundscape.audio.fingerprint import Fingerprinter, PcmDigest
    from soundscape.audio.loudness.k_weighting import WeightedEnergy
    from soundscape.audio.loudness.true_peak import TruePeakMeter
    from soundscape.audio.mono import MonoMix
    from soundscape.audio.own_spectrum import OVERLAPPING_S, OwnSpectrum
    from soundscape.audio.spectral import SpectralMeter, find_top_hz
    from soundscape.audio.tonality.meter import TonalityMeter
    from soundscape.audio.wideband import WidebandMeter

    block = np.random.default_rng(0).standard_normal((2, 65_536)).astype(np.float32) * np.float32(0.1)
    mono, y = block[0].copy(), block[0, : 63 * spectrum.HOP_LENGTH + spectrum.N_FFT].copy()
    frames = np.lib.stride_tricks.sliding_window_view(y, spectrum.N_FFT)[:: spectrum.HOP_LENGTH].copy()
    X, mel = scipy.fft.rfft(frames, axis=1).view(np.float32), spectrum._sparse_mel()
    (batch, *_) = spectrum.Spectrum().push(np.concatenate([y, y]))
    (own, *_) = OwnSpectrum(sample_rate=RATE, overlapping_s=OVERLAPPING_S).push(np.concatenate([mono, mono]))
    parts: dict[str, tuple[Callable[[], Any], float]] = {
        "transform": (lambda: scipy.fft.rfft(frames, axis=1, workers=1), 64 / spectrum.FRAME_RATE_HZ),
        "magnitudes and mel bands": (lambda: spectrum._magnitudes(X, *mel), 64 / spectrum.FRAME_RATE_HZ),
        "levels": (lambda: spectrum._levels(y, 0, len(y)), 64 / spectrum.FRAME_RATE_HZ),
    }
    meters: tuple[tuple[Any, Any, float], ...] = (
        (SpectralMeter(), batch, 64 / spectrum.FRAME_RATE_HZ),
        (TonalityMeter(), batch.S, 64 / spectrum.FRAME_RATE_HZ),
        (Fingerprinter(), batch.S, 64 / spectrum.FRAME_RATE_HZ),
        (spectrum.Resampler(sample_rate=RATE), mono, len(mono) / RATE),
        (WidebandMeter(sample_rate=RATE, narrow_top_hz=find_top_hz(RATE)), own, 32 * 2048 / RATE),
        (MonoMix(sample_rate=RATE, channels=2), block, len(mono) / RATE),
        (WeightedEnergy(sample_rate=RATE, channels=2), block, len(mono) / RATE),
        (TruePeakMeter(sample_rate=RATE, channels=2), block, len(mono) / RATE),
        (PcmDigest(), block, len(mono) / RATE),
    )
    for meter, given, sound_s in meters:
        parts[type(meter).__name__] = (functools.partial(meter.push, given), sound_s)
    for name, (run, sound_s) in parts.items():
        run()
        least_s = min(timeit.repeat(run, number=1, repeat=200))
        print(f"{name:26} {least_s / sound_s * 3600:6.3f} s an hour")


@contextlib.contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """A clone of this repository at a revision."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", "--shared", "--no-checkout", ROOT, folder], check=True)
        subprocess.run(["git", "-C", folder, "checkout", "--quiet", revision], check=True)
        yield Path(folder)


def compare(path: Path, warm_up: Path, sound_s: float, options: argparse.Namespace) -> None:
    """Measure this tree and a reference in turn, and print both and their ratios."""
    models_dir = None if options.no_tags else str(options.models_dir)
    given = {"tags": not options.no_tags, "models_dir": models_dir}
    with checked_out(options.reference) as reference:
        trees = {"this tree": ROOT, options.reference: reference}
        for title, warm in (("the pass", warm_up), ("a whole process", None)):
            rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
            for turn in range(options.rounds + 1):
                for name, tree in trees.items():
                    found = measured("pass", path, warm, tree=tree, **given)
                    # What the first turn compiles is found by the others.
                    if turn:
                        rounds[name].append(found)
            best = {name: min(found, key=lambda each: each["cpu_s"]) for name, found in rounds.items()}
            for name, found in best.items():
                report(f"{title}, {name}", found, sound_s)
            ours, theirs = best.values()
            print(
                f"{title}: {ours['cpu_s'] / theirs['cpu_s'] - 1:+.1%} processor time, "
                f"{ours['peak_rss_mb'] - theirs['peak_rss_mb']:+.0f} MB"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--librosa-minutes", type=float, default=5, help="0: leave librosa out")
    parser.add_argument("--no-tags", action="store_true")
    parser.add_argument("--models-dir", type=Path, default=SHARED / "models")
    parser.add_argument(
        "--reference", metavar="REVISION", help="compare with this revision, and nothing else"
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of --reference")
    parser.add_argument("--workdir", type=Path, help="where the recordings are made (600 MB an hour)")
    parser.add_argument("--parts", action="store_true", help="time the kernels, and nothing else")
    options = parser.parse_args()
    if options.parts:
        measure_parts()
        return
    with tempfile.TemporaryDirectory(dir=options.workdir) as folder:
        long, short, track, warm_up = (
            Path(folder) / f"{name}.wav" for name in ("long", "short", "track", "warm")
        )
        make_recording(long, options.minutes)
        make_recording(warm_up, 1 / 6)
        sound_s = options.minutes * 60
        print(f"{options.minutes:g} minutes, stereo, 44.1 kHz, 16 bit; load {os.getloadavg()[0]:.1f}")
        if options.reference:
            compare(long, warm_up, sound_s, options)
            return
        make_recording(track, 3)
        report("floor: decoding", measured("decode", long, warm_up), sound_s)
        report("floor: FFT", measured("fft", long, warm_up), sound_s)
        alone = measured("pass", long, warm_up, tags=False, models_dir=None)
        speed = report("one pass, without tags", alone, sound_s)
        cpu_speed = sound_s / alone["cpu_s"]
        report("  a 3-minute track", measured("pass", track, warm_up, tags=False, models_dir=None), 180)
        heard = None
        if not options.no_tags and (options.models_dir / "yamnet.tflite").exists():
            heard = measured("pass", long, warm_up, tags=True, models_dir=str(options.models_dir))
            report("one pass, with tags", heard, sound_s)
        if options.librosa_minutes:
            make_recording(short, options.librosa_minutes)
            librosa_s = options.librosa_minutes * 60
            apart = measured("librosa", short, warm_up)
            title = f"librosa calls ({options.librosa_minutes:g} minutes)"
            ratio = speed / report(title, apart, librosa_s)
            cpu_ratio = cpu_speed / (librosa_s / apart["cpu_s"])
            print(f"one pass / librosa calls: {ratio:.1f} by wall time, {cpu_ratio:.1f} by processor time")
        for title, found in (("without tags", alone), ("with tags", heard)):
            if found is not None:
                total_s = sum(found["stages"].values())
                print(f"\nstages {title}, share of {total_s:.2f} s")
                for name, seconds in found["stages"].items():
                    print(f"  {name:12} {100 * seconds / total_s:5.1f} %  {seconds:7.3f} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        name, path, warm_up, given = sys.argv[2:]
        child(name, Path(path), Path(warm_up) if warm_up else None, json.loads(given))
    else:
        main()
